//! The facts that led to a finding, each a short line.

mod bytes;
mod growth;
mod origin;
mod peeked;
mod peers;
mod process;
mod queue;

use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::classifier::pairs::{LegState, Legs};
use crate::classifier::socket_set::SocketSet;
use crate::model::{Cause, Side, State};
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::findings::set::end;
use crate::renderer::findings::waits::wait_lines;
use crate::renderer::findings::{backends, owner, reload, stacks, waiting};
use crate::renderer::names::{self, process};
use crate::renderer::units;

/// The facts behind a finding, each a short line, the most informative first.
pub fn evidence(report: &Report<'_>, finding: &Finding) -> Vec<String> {
    let set = &finding.set;
    let mut lines = Lines::default();
    self::growth::lines(report, finding, &mut lines);
    if finding.queue.is_some() {
        queue::lines(report, finding, &mut lines);
    }
    if let Some(awaited) = &set.waiting {
        for line in waiting::lines(report, set, awaited) {
            lines.add(Rank::Decisive, line);
        }
    } else if set.cause != Cause::DeadDescriptors {
        bytes::queues(finding, &mut lines);
    }
    peeked::lines(finding, &mut lines);
    if set.cause == Cause::Inherited {
        lines.add(Rank::Decisive, holders_line(report, set));
    }
    if let Some(idle) = set.idle.filter(|_| !set.is_age_missing()) {
        // A small difference would come and go with rounding.
        let apart = idle.max_ms.saturating_sub(idle.p50_ms);
        if apart > 0 && apart.saturating_mul(10) >= idle.max_ms {
            let oldest = units::duration(idle.max_ms);
            lines.add(
                Rank::Telling,
                match &set.waiting {
                    None => {
                        let since = self::growth::arrivals(set).unwrap_or_default();
                        format!("the oldest has been in CLOSE_WAIT for at least {oldest}{since}")
                    }
                    Some(_) => format!("the oldest has waited for at least {oldest}"),
                },
            );
        }
    }
    if let Some(line) = owner::line(report, finding) {
        lines.add(Rank::Decisive, line);
    }
    stacks::lines(report, finding, &mut lines);
    wait_lines(report, finding, &mut lines);
    backends::lines(report, finding, &mut lines);
    reload::lines(report, finding, &mut lines);
    bytes::half_closed(set, &mut lines);
    parts_line(report, finding, &mut lines);
    bytes::patience(report, set, &mut lines);
    crate::renderer::findings::pool::lines(set, &mut lines);
    for evidence in &finding.evidence {
        self::process::lines(report, finding, evidence, &mut lines);
    }
    if let Some(far) = set.relayed_to {
        lines.add(
            Rank::Decisive,
            format!(
                "the program's FIN_WAIT2 connections {} were closed at the same times as these: \
                 that was acknowledged, and the remote end has not closed",
                end(far)
            ),
        );
    }
    if let Some(legs) = &set.legs {
        lines.add(Rank::Decisive, legs_line(set, legs));
    }
    if set.waiting.is_some() {
        lines.add(Rank::Telling, waiting::outlook(set));
    } else {
        peers::lines(report, set, &mut lines);
        peers::outlook(set, &mut lines);
    }
    let Lines(mut lines) = lines;
    lines.sort_by_key(|(rank, _)| *rank);
    lines.into_iter().map(|(_, line)| line).collect()
}

fn legs_line(set: &SocketSet, legs: &Legs) -> String {
    let state = match legs.leg_state {
        LegState::Kept | LegState::Unanswered => State::Established,
        LegState::PassedOn => State::FinWait2,
    };
    let meaning = match (legs.leg_state, legs.other.side()) {
        (LegState::Kept, _) => "consistent with a proxy that does not pass on the close",
        (LegState::Unanswered, _) => "nothing has come back since the last bytes were passed on",
        (LegState::PassedOn, Some(Side::Client) | None) => {
            "the close was passed on and acknowledged, and the remote end has not closed"
        }
        (LegState::PassedOn, Some(Side::Server)) => {
            "the close was passed on and acknowledged, and the clients have not closed"
        }
    };
    format!(
        "{} of {}{} pair with a connection in {state} of the same program {} that carried the \
         same bytes: {meaning}",
        units::count(legs.pairs),
        units::count(legs.looked_at),
        if legs.looked_at < set.sockets {
            " examined"
        } else {
            ""
        },
        end(legs.other),
    )
}

/// Other sockets that the same culprit explains.
fn parts_line(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    if finding.parts.is_empty() {
        return;
    }
    let whole = &finding.set.owner;
    let each: Vec<String> = finding
        .parts
        .iter()
        .map(|part| {
            let count = units::count(part.sockets);
            match part.owner.pids == whole.pids {
                true => format!("{count} more ({})", part.cause),
                false => {
                    let owner = names::owner_of(report, &part.owner);
                    let owner = owner.trim_end_matches(" (not accepted)");
                    format!("{count} more ({}) of {owner}", part.cause)
                }
            }
        })
        .collect();
    lines.add(
        Rank::Decisive,
        format!("this also explains {}", each.join(", ")),
    );
}

/// The processes that hold inherited sockets.
fn holders_line(report: &Report<'_>, set: &SocketSet) -> String {
    let names: Vec<String> = set
        .by_weight
        .iter()
        .take(3)
        .map(|pid| process(report, *pid))
        .collect();
    let more = match set.by_weight.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" +{more}"),
    };
    match names.as_slice() {
        [name] => {
            format!(
                "held only by {name}, which the server started, or which started after these \
                 connections had carried data"
            )
        }
        names => format!("held by {}{more}", names.join(", ")),
    }
}
