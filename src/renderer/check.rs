//! The output of `closewait check`: one line with performance data, by the Monitoring Plugins
//! Development Guidelines; with -v the findings below it.

use std::io::{self, Write};

use super::style::Look;
use super::{columns, escape, findings, groups, units};
use crate::classifier::Report;
use crate::classifier::finding::Findings;
use crate::classifier::group::Service;
use crate::classifier::range::Limits;
use crate::classifier::verdict::{Key, Measure, Status, Test, Verdict, Worst};
use crate::model::{Cause, State, StateSet};

/// Writes the verdict's line, and with `verbose` the findings.
pub fn result(
    report: &Report<'_>,
    found: &Findings,
    verdict: &Verdict,
    test: &Test,
    verbose: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let text = plain(&text(report, found, verdict, test));
    writeln!(out, "{text} | {}", performance(verdict, test))?;
    if verbose {
        let mut below = Vec::new();
        let look = Look::plain();
        findings::section(report, &found.findings, usize::MAX, look, &mut below)?;
        let below = String::from_utf8_lossy(&below);
        // A bar would begin performance data here as well.
        out.write_all(
            below
                .trim_start_matches('\n')
                .replace('|', "\\x7c")
                .as_bytes(),
        )?;
    }
    Ok(())
}

/// The line of a check that came to no verdict.
pub fn unknown(states: StateSet, reason: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{}",
        plain(&format!("{} UNKNOWN - {reason}", title(states)))
    )
}

/// One line without a bar or a control character.
fn plain(text: &str) -> String {
    escape::line(text).replace('|', "\\x7c")
}

/// `CLOSE_WAIT`, or several states.
fn title(states: StateSet) -> String {
    if states == StateSet::ALL {
        return "SOCKETS".to_owned();
    }
    let names: Vec<&str> = states.iter().map(State::name).collect();
    names.join("+")
}

fn text(report: &Report<'_>, found: &Findings, verdict: &Verdict, test: &Test) -> String {
    let is_close_wait = test.states == StateSet::of(State::CloseWait);
    let noun = if is_close_wait {
        "lingering"
    } else {
        "sockets"
    };
    let mut parts = vec![match verdict.counted {
        0 if is_close_wait && verdict.all == 0 => "none".to_owned(),
        0 if is_close_wait => format!("none lingering of {}", units::count(verdict.all)),
        counted => format!("{} {noun}", units::count(counted)),
    }];
    if let Some(worst) = &verdict.worst {
        parts.push(worst_of(report, worst));
    }
    if let Some(oldest) = verdict.oldest_ms {
        parts.push(format!("oldest {}", units::duration(oldest)));
    }
    // What decided besides the counts.
    if let Some(gravest) = found.findings.first()
        && verdict.severity.is_some()
        && verdict.status > Status::Unknown
        && gravest.set.cause == Cause::NotAccepted
    {
        parts.push(findings::summary(report, gravest));
    }
    for (name, part) in [
        ("files", verdict.fd_share),
        ("accept queue", verdict.queue),
        ("growth", verdict.growth),
    ] {
        if let Some(part) = part {
            let unit = if name == "growth" { "/min" } else { " %" };
            parts.push(match part.value {
                Some(value) => format!("{name} {}{unit}", number(value)),
                None => format!("{name} unknown"),
            });
        }
    }
    if verdict.no_ages {
        parts.push("ages unknown: all count".to_owned());
    }
    let mut text = format!(
        "{} {} - {}",
        title(test.states),
        verdict.status.name(),
        parts.join(", ")
    );
    if !verdict.unseen.is_empty() {
        text.push_str("; not seen: ");
        text.push_str(&verdict.unseen.join("; "));
    }
    text
}

/// `worst java[1234] :8080 never-closed 1,874`.
fn worst_of(report: &Report<'_>, worst: &Worst) -> String {
    let mut words = Vec::new();
    let owner = |owner| groups::owner_of(report, owner);
    let service = |service| match service {
        Service::Local(port) => format!(":{port}"),
        Service::Remote(remote) => {
            let mut text = "to ".to_owned();
            let names = &report.resolved;
            columns::push_end(remote, crate::model::Protocol::Tcp, names, &mut text);
            text
        }
    };
    match &worst.key {
        Key::Total => {
            words.extend(worst.owner.as_ref().map(owner));
            words.extend(worst.service.map(service));
        }
        Key::Owner(_, of) => {
            words.push(owner(of));
            words.extend(worst.service.map(service));
        }
        Key::Port(_, of) => {
            words.push(service(*of));
            words.extend(worst.owner.as_ref().map(owner));
        }
        Key::Listener(_, Some(local)) => {
            words.push(local.to_string());
            words.extend(worst.owner.as_ref().map(owner));
        }
        Key::Listener(_, None) => words.push("no listener".to_owned()),
    }
    let count = match worst.cause {
        Some((cause, sockets)) => format!("{cause} {}", units::count(sockets)),
        None => units::count(worst.sockets),
    };
    format!("worst {} {count}", words.join(" "))
}

/// `'label'=value[unit];warning;critical;minimum;maximum` of each figure, parted by blanks.
fn performance(verdict: &Verdict, test: &Test) -> String {
    let name = title(test.states).to_ascii_lowercase();
    let none = Limits::default();
    let mut parts = vec![
        datum(&name, Some(verdict.all as f64), "", &none, "0;"),
        datum("counted", Some(verdict.counted as f64), "", &none, "0;"),
        datum("worst", verdict.count.value, "", &test.count, "0;"),
    ];
    if let Some(oldest) = verdict.oldest_ms {
        parts.push(datum(
            "oldest",
            Some(oldest as f64 / 1000.0),
            "s",
            &none,
            "0;",
        ));
    }
    let more: [(&str, Option<Measure>, &str, &str); 3] = [
        ("fd_share", verdict.fd_share, "%", "0;100"),
        ("queue", verdict.queue, "%", "0;"),
        ("growth", verdict.growth, "", ";"),
    ];
    for (name, measure, unit, bounds) in more {
        if let Some(measure) = measure {
            parts.push(datum(name, measure.value, unit, &measure.limits, bounds));
        }
    }
    parts.join(" ")
}

/// A label, its value and limits; `U` where the value is not known.
fn datum(label: &str, value: Option<f64>, unit: &str, limits: &Limits, bounds: &str) -> String {
    let range = |range: Option<crate::classifier::range::Range>| {
        range.map_or(String::new(), |range| range.to_string())
    };
    let value = value.map_or("U".to_owned(), |value| format!("{}{unit}", number(value)));
    let (warning, critical) = (range(limits.warning), range(limits.critical));
    let text = format!("{}={value};{warning};{critical};{bounds}", quoted(label));
    text.trim_end_matches(';').to_owned()
}

/// A label by the guidelines: in single quotes where it has blanks or quotes, which are doubled;
/// an equals sign cannot be in one.
fn quoted(label: &str) -> String {
    let label = label.replace('=', "_");
    if label.contains([' ', '\'']) {
        format!("'{}'", label.replace('\'', "''"))
    } else {
        label
    }
}

/// With one decimal at most, and none where it is whole.
fn number(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datum_has_the_form_of_the_guidelines() {
        let limits: Limits = "10,@5:20".parse().unwrap();
        let none = Limits::default();
        for (found, expected) in [
            (datum("a", Some(3.0), "", &limits, "0;"), "a=3;10;@5:20;0"),
            (datum("a b", Some(3.26), "s", &none, ""), "'a b'=3.3s"),
            (
                datum("it's", None, "%", &none, "0;100"),
                "'it''s'=U;;;0;100",
            ),
            (datum("a=b", Some(-1.0), "", &none, ""), "a_b=-1"),
        ] {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_line_has_no_bar_and_is_one() {
        let mut out = Vec::new();
        unknown(StateSet::of(State::CloseWait), "a|b\nc\x1b[0m", &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "CLOSE_WAIT UNKNOWN - a\\x7cb\\nc\\x1b[0m\n");
    }
}
