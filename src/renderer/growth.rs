//! What grew between two readings, in words: every page and format uses these.

use std::io::{self, Write};

use crate::classifier::change::{Change, SetGrowth};
use crate::classifier::group::Group;
use crate::classifier::growth::{Growth, Identity};
use crate::renderer::since::{Latest, Since};
use crate::renderer::style::{Look, NO_MARK};
use crate::renderer::units::{self, plural};
use crate::renderer::{frame, names};

/// The most groups whose end is said.
const GONE: usize = 3;

/// `+294`, `+0.5`, `-12`, `0`.
pub(in crate::renderer) fn rate(per_minute: f64) -> String {
    let text = match per_minute.abs() {
        rate if rate >= 10.0 => units::count(rate.round() as u64),
        rate => format!("{rate:.1}"),
    };
    let text = text.strip_suffix(".0").unwrap_or(&text);
    match (text, per_minute > 0.0) {
        ("0", _) => "0".to_owned(),
        (text, true) => format!("+{text}"),
        (text, false) => format!("-{text}"),
    }
}

/// The rate in a table; `-` if no time has passed.
pub(in crate::renderer) fn rate_of(change: &Change, between_ms: u64) -> String {
    let per_minute = change.per_minute(between_ms);
    per_minute.map_or_else(|| "-".to_owned(), rate)
}

/// `49 new, 0 gone in 10s`.
fn counts(change: &Change, between_ms: u64) -> String {
    let (new, gone) = (units::count(change.new), units::count(change.gone));
    format!("{new} new, {gone} gone in {}", apart(between_ms))
}

/// What came and went since the reading before, in a table: `+3`, `-1`, `+3 -1`, `0`.
pub(in crate::renderer) fn latest(change: &Change) -> String {
    let (new, gone) = (units::count(change.new), units::count(change.gone));
    match (change.new, change.gone) {
        (0, 0) => "0".to_owned(),
        (_, 0) => format!("+{new}"),
        (0, _) => format!("-{gone}"),
        _ => format!("+{new} -{gone}"),
    }
}

/// The heading of [`latest`].
pub(in crate::renderer) const LATEST: &str = "Latest";

/// The time between readings: `10s`, `3m`, or `1.5s` if it is short.
fn apart(milliseconds: u64) -> String {
    match milliseconds {
        0..1_950 => format!("{:.1}s", milliseconds as f64 / 1_000.0),
        1_950..120_000 => format!("{}s", (milliseconds + 500) / 1_000),
        120_000.. => units::duration(milliseconds),
    }
}

/// `growing: +294/min (49 new, 0 gone in 10s)`.
pub(in crate::renderer) fn of_set(growth: &SetGrowth) -> String {
    let SetGrowth {
        change, between_ms, ..
    } = growth;
    let counts = counts(change, *between_ms);
    match (change.growth(), growth.per_minute()) {
        (0, _) | (_, None) => format!("not growing: {counts}"),
        (1.., Some(per_minute)) => format!("growing: {}/min ({counts})", rate(per_minute)),
        (_, Some(per_minute)) => format!("shrinking: {}/min ({counts})", rate(per_minute)),
    }
}

/// A time in its largest unit, rounded: `40 s`, `3 min`, `2 h`, `5 days`.
pub(in crate::renderer) fn about(milliseconds: u64) -> String {
    let seconds = milliseconds as f64 / 1_000.0;
    let (number, unit) = match seconds {
        ..100.0 => (seconds, "s"),
        ..6_000.0 => (seconds / 60.0, "min"),
        ..172_800.0 => (seconds / 3_600.0, "h"),
        _ => (seconds / 86_400.0, "days"),
    };
    format!("{} {unit}", units::count(number.round().max(1.0) as u64))
}

/// Below the header of a page: how far apart the readings are, what changed in total, and what is
/// uncertain about it.
pub(in crate::renderer) fn header(
    since: Option<Since<'_>>,
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    let Some(Since { growth, latest, .. }) = since else {
        return Ok(());
    };
    let Change { new, gone, .. } = growth.total;
    let (s, new, gone) = (plural(new), units::count(new), units::count(gone));
    let all = format!("{new} new socket{s}, {gone} gone");
    let between = apart(growth.between_ms);
    let line = match latest {
        None => format!("2 readings {between} apart: {all}"),
        // There is no reading between the first one and this.
        Some(latest) if latest.growth.between_ms == growth.between_ms => {
            format!("in {between}: {all}")
        }
        Some(Latest { growth, .. }) => {
            let latest = counts(&growth.total, growth.between_ms);
            format!("in {between}: {all}; since the last reading: {latest}")
        }
    };
    frame::write_wrapped(&line, look.width, 0, out)?;
    for note in notes(growth) {
        frame::write_wrapped(&note, look.width, 0, out)?;
    }
    Ok(())
}

/// What is uncertain about a comparison.
pub(in crate::renderer) fn notes(growth: &Growth) -> Vec<String> {
    let mut notes = Vec::new();
    if growth.identity == Identity::Ends {
        notes.push(
            "matched by address and port, because there are no socket cookies: a connection that \
             was closed and opened again between the same ends counts as the same"
                .to_owned(),
        );
    }
    if growth.may_be_old {
        notes.push("the first reading was incomplete: some new sockets may be older".to_owned());
    }
    if growth.may_be_there {
        notes.push(
            "the second reading was incomplete: some gone sockets may still be there".to_owned(),
        );
    }
    if let Some(note) = one_sided(growth.one_sided) {
        notes.push(note);
    }
    notes
}

/// That network namespaces are left out, because only one of two readings has them.
pub(in crate::renderer) fn one_sided(namespaces: usize) -> Option<String> {
    let words = match namespaces {
        0 => return None,
        1 => "1 network namespace is in only one of the readings and is".to_owned(),
        many => format!("{many} network namespaces are in only one of the readings and are"),
    };
    Some(format!("{words} left out"))
}

/// The groups that have ended: `Gone: 12 CLOSE_WAIT of nginx[5] on :80`.
pub(in crate::renderer) fn gone(
    since: Option<Since<'_>>,
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    let Some(Since { growth, before, .. }) = since else {
        return Ok(());
    };
    let groups = &growth.gone_groups;
    if groups.is_empty() {
        return Ok(());
    }
    let words = |group: &Group| {
        let (sockets, state) = (units::count(group.sockets), group.state);
        let service = names::service_of(before, group.netns, group.service, group.protocol);
        let on = if service.starts_with(':') { "on " } else { "" };
        let owner = match names::owner_of(before, &group.owner).as_str() {
            "-" => String::new(),
            owner => format!(" of {owner}"),
        };
        let state = group.protocol.state_name(state);
        format!("{sockets} {state}{owner} {on}{service}")
    };
    let mut shown: Vec<String> = groups.iter().take(GONE).map(words).collect();
    if let Some(more @ 1..) = groups.len().checked_sub(GONE) {
        shown.push(format!("{more} more group{}", plural(more as u64)));
    }
    let text = format!("Gone: {}", shown.join("; "));
    frame::write_wrapped(&text, look.width, NO_MARK.len(), out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_has_a_sign_and_no_more_digits_than_it_deserves() {
        let rates = [294.2, 17.995, 6.0, 0.52, 0.04, 0.0, -0.01, -12.0, -4_360.4];
        let words = ["+294", "+18", "+6", "+0.5", "0", "0", "0", "-12", "-4,360"];
        assert_eq!(rates.map(rate), words);
    }

    #[test]
    fn a_growth_says_its_counts_and_no_growth_too() {
        let words = |new, gone| {
            let mut growth = SetGrowth::default();
            growth.between_ms = 10_003;
            (growth.change.new, growth.change.gone) = (new, gone);
            of_set(&growth)
        };
        assert_eq!(words(49, 0), "growing: +294/min (49 new, 0 gone in 10s)");
        assert_eq!(words(0, 2), "shrinking: -12/min (0 new, 2 gone in 10s)");
        assert_eq!(words(5, 5), "not growing: 5 new, 5 gone in 10s");
    }

    #[test]
    fn a_time_to_come_is_rounded() {
        let times = [400, 42_400, 176_000, 5_000_000, 20_000_000, 500_000_000];
        let words = ["1 s", "42 s", "3 min", "83 min", "6 h", "6 days"];
        assert_eq!(times.map(about), words);
        let between = [1_002, 1_960, 10_003, 59_700, 125_000];
        assert_eq!(between.map(apart), ["1.0s", "2s", "10s", "60s", "2m"]);
    }
}
