//! Numbers for people: counts with separators, durations with one unit, brackets of age.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::fmt::Write;
use std::time::Duration;

use crate::model::Idle;

/// `1874` as `1,874`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(26);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The ending of a noun after a count: `s`, or nothing after 1.
pub fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// `… 3 more groups; --limit 0 shows all`, where a limit leaves something out.
pub fn more(left_out: usize, noun: &str) -> Option<String> {
    let (number, s) = (count(left_out as u64), plural(left_out as u64));
    (left_out > 0).then(|| format!("… {number} more {noun}{s}; --limit 0 shows all"))
}

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Milliseconds in the largest unit that leaves at least one: `850ms`, `5.2s`, `48s`, `12m`,
/// `3h`, `2d`. Rounded down, so that "at least" stays true.
pub fn duration(milliseconds: u64) -> String {
    let mut out = String::new();
    push_duration(milliseconds, &mut out);
    out
}

/// Milliseconds rounded up to what [`duration`] shows, so that "at most" stays true.
pub fn rounded_up(milliseconds: u64) -> u64 {
    let unit = match milliseconds {
        0..SECOND => 1,
        SECOND..10_000 => 100,
        10_000..MINUTE => SECOND,
        MINUTE..HOUR => MINUTE,
        HOUR..DAY => HOUR,
        _ => DAY,
    };
    milliseconds.div_ceil(unit).saturating_mul(unit)
}

/// Appends what [`duration`] returns.
pub fn push_duration(milliseconds: u64, out: &mut String) {
    // Writing to a String does not fail.
    let _ = match milliseconds {
        0..SECOND => write!(out, "{milliseconds}ms"),
        SECOND..10_000 => write!(
            out,
            "{}.{}s",
            milliseconds / SECOND,
            milliseconds % SECOND / 100
        ),
        10_000..MINUTE => write!(out, "{}s", milliseconds / SECOND),
        MINUTE..HOUR => write!(out, "{}m", milliseconds / MINUTE),
        HOUR..DAY => write!(out, "{}h", milliseconds / HOUR),
        _ => write!(out, "{}d", milliseconds / DAY),
    };
}

/// An idle time: `=12m` if exact, `12m–14m` with both bounds (`≈12m` if they print alike), `≥12m`
/// if the upper bound is vague.
pub fn push_idle(idle: Idle, out: &mut String) {
    match idle.at_most_ms {
        Some(_) if idle.is_exact() => {
            out.push('=');
            push_duration(idle.at_least_ms, out);
        }
        Some(most) if is_vague(idle.at_least_ms, most) => push_least(idle, out),
        _ => push_bracket(idle, out),
    }
}

/// Both bounds, however far apart: for a time that may be anywhere between them.
pub fn push_bracket(idle: Idle, out: &mut String) {
    let Some(most) = idle.at_most_ms else {
        return push_least(idle, out);
    };
    let (least, most) = (duration(idle.at_least_ms), duration(most));
    if least == most {
        out.push('≈');
        out.push_str(&least);
    } else {
        out.push_str(&least);
        out.push('–');
        out.push_str(&most);
    }
}

fn push_least(idle: Idle, out: &mut String) {
    out.push('≥');
    push_duration(idle.at_least_ms, out);
}

/// An upper bound of more than twice the lower one shows when the last byte came, not when the FIN
/// did.
fn is_vague(least: u64, most: u64) -> bool {
    most > least.saturating_mul(2)
}

/// A time since 1970 as RFC 3339 in UTC, to the millisecond; `None` if out of range.
pub fn timestamp(nanoseconds: i128) -> Option<String> {
    let time = jiff::Timestamp::from_nanosecond(nanoseconds).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// How long a part of a run took, in milliseconds: `0.7ms`.
pub fn took(time: Duration) -> String {
    format!("{:.1}ms", time.as_secs_f64() * 1_000.0)
}

/// A time since 1970 in UTC for people, to the second: `2026-01-02 03:04:05`.
pub fn clock(nanoseconds: i128) -> String {
    let time = timestamp(nanoseconds).unwrap_or_default();
    time.get(..19).unwrap_or_default().replace('T', " ")
}

/// Milliseconds since 1970 as [`clock`], with the time zone.
pub fn clock_of(milliseconds: u64) -> String {
    let nanoseconds = i128::from(milliseconds).saturating_mul(1_000_000);
    format!("{} UTC", clock(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_separators() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_874), "1,874");
        assert_eq!(count(1_000_000), "1,000,000");
    }

    #[test]
    fn durations_are_rounded_down_to_one_unit() {
        let shown = [
            0, 999, 1_000, 9_999, 10_500, 59_999, 60_000, 3_599_999, 90_000_000,
        ];
        let words = [
            "0ms", "999ms", "1.0s", "9.9s", "10s", "59s", "1m", "59m", "1d",
        ];
        assert_eq!(shown.map(duration), words);
    }

    #[test]
    fn an_upper_bound_is_rounded_up() {
        let shown = [
            0, 999, 1_001, 9_950, 10_500, 59_001, 60_001, 1_219_000, 3_599_999,
        ];
        let words = [
            "0ms", "999ms", "1.1s", "10s", "11s", "1m", "2m", "21m", "1h",
        ];
        assert_eq!(shown.map(|shown| duration(rounded_up(shown))), words);
    }

    #[test]
    fn a_bracket_says_no_more_than_it_knows() {
        let shown = |least, most| {
            let mut out = String::new();
            push_idle(
                Idle {
                    at_least_ms: least,
                    at_most_ms: most,
                },
                &mut out,
            );
            out
        };
        assert_eq!(shown(720_000, Some(720_000)), "=12m");
        assert_eq!(shown(720_000, Some(840_000)), "12m–14m");
        assert_eq!(shown(720_000, Some(721_000)), "≈12m");
        assert_eq!(shown(720_000, Some(8_400_000)), "≥12m");
        assert_eq!(shown(720_000, None), "≥12m");
    }
}
