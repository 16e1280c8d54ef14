//! The output of `closewait check`: one line with performance data, by the Monitoring Plugins
//! Development Guidelines; with -v the findings below it.

use std::io::{self, Write};

use crate::classifier::Report;
use crate::classifier::finding::{Finding, Findings};
use crate::classifier::pool::PoolVerdict;
use crate::classifier::range::Limits;
use crate::classifier::service::Service;
use crate::classifier::severity::Severity;
use crate::classifier::verdict::{Criteria, Key, Measure, Status, Verdict, Worst};
use crate::model::{Cause, Charset, Protocol, State, StateSet};
use crate::renderer::findings::Block;
use crate::renderer::guard::{Form, Guard};
use crate::renderer::style::Look;
use crate::renderer::{escape, findings, names, units};

/// Writes the verdict's line, and with `verbose` the findings.
pub fn result(
    report: &Report<'_>,
    found: &Findings,
    verdict: &Verdict,
    test: &Criteria,
    verbose: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let text = plain(&text(report, found, verdict, test));
    let of = |value: Option<f64>| Measure {
        value,
        limits: Limits::default(),
        status: Status::Ok,
    };
    // If none counts, the oldest is 0 s old; otherwise it may not be known.
    let oldest = match verdict.counted {
        0 => Some(0.0),
        _ => verdict.oldest_ms.map(|oldest| (oldest / 100) as f64 / 10.0),
    };
    let oldest = oldest.filter(|_| !verdict.count_unknown);
    let number_of = |sockets: u64| of((!verdict.count_unknown).then_some(sockets as f64));
    let measures = [
        number_of(verdict.all),
        number_of(verdict.counted),
        verdict.count,
        of(oldest),
        verdict.fd_share,
        verdict.queue,
        verdict.growth,
    ];
    let out = &mut Guard::new(
        out,
        Form::Text {
            colour: false,
            charset: Charset::Ascii,
        },
    );
    writeln!(out, "{text} | {}", performance(test.states, &measures))?;
    if verbose {
        let mut below = Vec::new();
        let look = Look::plain();
        for (at, finding) in found.findings.iter().enumerate() {
            if at == 0 || finding.severity > Severity::Info {
                Block::new(report, finding, None, look).write(&mut below)?;
            } else {
                let lines = findings::line(report, finding, look);
                lines
                    .iter()
                    .try_for_each(|line| writeln!(below, "{line}"))?;
            }
        }
        let below = Charset::Ascii.text(&String::from_utf8_lossy(&below));
        // A bar would begin performance data here as well.
        let below = below.replace('|', "\\x7c");
        out.write_all(below.as_bytes())?;
    }
    Ok(())
}

/// The line of a check without a verdict.
pub fn unknown(states: StateSet, reason: &str, out: &mut impl Write) -> io::Result<()> {
    let text = plain(&format!("{} UNKNOWN - {reason}", title(states)));
    let none = Measure {
        value: None,
        limits: Limits::default(),
        status: Status::Unknown,
    };
    writeln!(out, "{text} | {}", performance(states, &[none; 7]))
}

/// One line of ASCII without a bar or a control character.
fn plain(text: &str) -> String {
    Charset::Ascii
        .text(&escape::line(text))
        .replace('|', "\\x7c")
}

/// `CLOSE_WAIT`, or several states.
fn title(states: StateSet) -> String {
    if states == StateSet::ALL {
        return "SOCKETS".to_owned();
    }
    let names: Vec<&str> = states.iter().map(State::name).collect();
    names.join("+")
}

fn text(report: &Report<'_>, found: &Findings, verdict: &Verdict, test: &Criteria) -> String {
    let mut parts = vec![counted(report, verdict, test)];
    if let Some(worst) = &verdict.worst {
        parts.push(worst_of(report, worst));
    }
    if let Some(oldest) = verdict.oldest_ms {
        parts.push(format!("oldest {}", units::duration(oldest)));
    }
    parts.extend(at_rest(found));
    if let Some(gravest) = found.findings.first() {
        parts.extend(beside_counts(report, gravest, verdict));
    }
    parts.extend(waiting(report, found, verdict));
    parts.extend(limited(report, verdict));
    parts.extend(verdict.notes.iter().cloned());
    if verdict.maybe_young > 0 {
        let maybe_young = units::count(verdict.maybe_young);
        parts.push(format!(
            "{maybe_young} of unknown age (keepalive) not counted"
        ));
    }
    if verdict.no_ages {
        parts.push("ages unknown: all are counted".to_owned());
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
    if !verdict.unjudged.is_empty() {
        text.push_str("; not checked: ");
        text.push_str(&verdict.unjudged.join(", "));
    }
    if let Some(others) = report.not_looked_at().map(|words| words.to_string())
        && !verdict.unseen.contains(&others)
    {
        text.push_str("; ");
        text.push_str(&others);
    }
    text
}

/// How many sockets count.
fn counted(report: &Report<'_>, verdict: &Verdict, test: &Criteria) -> String {
    let is_close_wait = test.states == StateSet::of(State::CloseWait);
    // That no socket matches is not an all-clear.
    let matched = (verdict.all == 0).then(|| report.of_any_state()).flatten();
    match (verdict.counted, matched) {
        _ if verdict.count_unknown => "count unknown".to_owned(),
        (0, Some(0)) => "no socket matches".to_owned(),
        (0, Some(1)) if is_close_wait => "none, 1 socket matches".to_owned(),
        (0, Some(matched)) if is_close_wait => {
            format!("none, {} sockets match", units::count(matched))
        }
        (0, None) if is_close_wait && verdict.all == 0 => "none".to_owned(),
        (0, None) if is_close_wait => format!("none lingering of {}", units::count(verdict.all)),
        (counted, _) if is_close_wait => format!("{} lingering", units::count(counted)),
        (counted, _) => format!("{} sockets", units::count(counted)),
    }
}

/// The figures that have limits.
fn limited(report: &Report<'_>, verdict: &Verdict) -> Vec<String> {
    let fullest = verdict.fullest.map(|pid| names::process(report, pid));
    let whose = fullest.map_or(String::new(), |process| format!(" of {process}"));
    let figures = [
        ("files", whose.as_str(), " %", verdict.fd_share),
        ("accept queue", "", " %", verdict.queue),
        ("growth", "", "/min", verdict.growth),
    ];
    let limited = figures.iter().filter(|(.., of)| !of.limits.is_empty());
    let words = limited.map(|(name, whose, unit, of)| match of.value {
        Some(value) => format!("{name}{whose} {}{unit}", number(value)),
        None => format!("{name} unknown"),
    });
    words.collect()
}

/// How many of the sockets are idle connections of a pool at rest: they count, but are no fault.
fn at_rest(found: &Findings) -> Option<String> {
    let pools = found.findings.iter().map(|finding| &finding.set);
    let sockets: u64 = pools
        .filter(|set| set.pool_verdict == Some(PoolVerdict::AtRest))
        .map(|set| set.lingering())
        .fold(0, u64::saturating_add);
    (sockets > 0).then(|| format!("{} in a pool at rest", units::count(sockets)))
}

/// The finding with the most FIN_WAIT2 sockets that wait for a remote end, if they are too many.
fn waiting(report: &Report<'_>, found: &Findings, verdict: &Verdict) -> Option<String> {
    let (at, measure) = verdict.waiting?;
    let finding = found.findings.get(at)?;
    let is_grave = finding.severity > Severity::Info || measure.status > Status::Ok;
    // The other legs of the worst are as many as it is.
    let adds = finding.set.waiting.is_some() || finding.set.fin_wait2() > finding.set.lingering();
    (is_grave && adds).then(|| findings::summary(report, finding))
}

/// The gravest finding, if more than its count makes it grave.
fn beside_counts(report: &Report<'_>, finding: &Finding, verdict: &Verdict) -> Option<String> {
    if verdict.severity <= Some(Severity::Info) || verdict.severity != Some(finding.severity) {
        return None;
    }
    let summary = findings::summary(report, finding);
    if finding.set.cause == Cause::NotAccepted {
        return Some(summary);
    }
    if finding.set.cause == Cause::PeerNotClosed {
        // `waiting` reports it.
        return None;
    }
    let is_dead = finding.set.cause == Cause::DeadDescriptors;
    let reason = match finding.fd_percent {
        None | Some(0) if is_dead => return Some(summary),
        _ if finding.is_stopped() => "stopped".to_owned(),
        Some(percent @ 1..) => format!("{percent} % of its file limit"),
        _ => return None,
    };
    Some(format!("{summary}: {reason}"))
}

/// `worst java[1234] :8080 never-closed 1,874`.
fn worst_of(report: &Report<'_>, worst: &Worst) -> String {
    let mut words = Vec::new();
    let owner = |owner| names::owner_of(report, owner);
    let service = |mut service: Service| {
        let netns = match worst.key {
            Key::Program(netns, _) | Key::Owner(netns, _) => netns,
            Key::Port(netns, _) | Key::Listener(netns, _) => netns,
            Key::Total => {
                // An interface index means something in one namespace only.
                if report.snapshot.only_namespace().is_none() {
                    service.device = 0;
                }
                0
            }
        };
        names::service_of(report, netns, service, Protocol::Tcp)
    };
    match &worst.key {
        Key::Total => {
            words.extend(worst.owner.as_ref().map(owner));
            words.extend(worst.service.map(service));
        }
        Key::Program(..) | Key::Owner(..) => {
            words.extend(worst.owner.as_ref().map(owner));
            words.extend(worst.service.map(service));
        }
        Key::Port(_, of) => {
            words.push(service(*of));
            words.extend(worst.owner.as_ref().map(owner));
        }
        Key::Listener(_, Some(bound)) => {
            words.push(names::listener_of(report, bound));
            words.extend(worst.owner.as_ref().map(owner));
        }
        Key::Listener(_, None) => words.push("no listener".to_owned()),
    }
    let all = units::count(worst.sockets);
    let count = match worst.cause {
        Some((cause, sockets)) if sockets == worst.sockets => format!("{cause} {all}"),
        Some((cause, sockets)) => format!("{all} ({cause} {})", units::count(sockets)),
        None => all,
    };
    format!("worst {} {count}", words.join(" "))
}

/// `'label'=value[unit];warning;critical;minimum;maximum` of each figure, parted by blanks: the
/// same figures in every run.
fn performance(states: StateSet, measures: &[Measure; 7]) -> String {
    let name = title(states).to_ascii_lowercase();
    let labels = [
        (name.as_str(), "", "0;"),
        ("counted", "", "0;"),
        ("worst", "", "0;"),
        ("oldest", "s", "0;"),
        ("fd_share", "%", "0;100"),
        ("queue", "%", "0;"),
        ("growth", "", ";"),
    ];
    let parts = labels.iter().zip(measures);
    let parts = parts.map(|((label, unit, bounds), measure)| {
        datum(label, measure.value, unit, &measure.limits, bounds)
    });
    parts.collect::<Vec<String>>().join(" ")
}

/// A label, its value and limits; `U` if the value is unknown.
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

/// With at most one decimal, and none for whole numbers.
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
        assert_eq!(
            text,
            "CLOSE_WAIT UNKNOWN - a\\x7cb\\nc\\x1b[0m | close_wait=U;;;0 counted=U;;;0 worst=U;;;0 oldest=U;;;0 \
             fd_share=U;;;0;100 queue=U;;;0 growth=U\n"
        );
    }
}
