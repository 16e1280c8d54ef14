//! The services behind a program, in words: what it has asked there and nobody has answered.

use super::super::{escape, units};
use super::evidence::{Lines, Rank};
use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::classifier::requests::{Requests, Role};

/// The facts about requests that explain a finding, or seem to.
pub(super) fn lines(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    let all = finding.set.requests.iter();
    for requests in all.filter(|requests| requests.role == Role::Explains) {
        match requests.are_awaited(&finding.evidence) {
            Some(false) => lines.add(Rank::Telling, unawaited(requests)),
            Some(true) => lines.add(Rank::Decisive, unanswered(report, finding, requests)),
            None => lines.add(Rank::Telling, unanswered(report, finding, requests)),
        }
    }
}

/// Whether threads that wait for events wait for one of these services, or may.
pub(super) fn is_waiting(finding: &Finding) -> bool {
    let mut all = finding.set.requests.iter();
    all.any(|requests| requests.role == Role::Explains)
}

fn unanswered(report: &Report<'_>, finding: &Finding, requests: &Requests) -> String {
    let first = finding.set.by_weight.first();
    let whose = match first.and_then(|pid| report.holders().name(*pid)) {
        Some(name) => format!(" of {}", escape::text(name.bytes())),
        None => String::new(),
    };
    let (unanswered, all) = (requests.unanswered, requests.connections);
    format!(
        "{} request{}{whose} to {} unanswered {} ({0} of {} connection{})",
        units::count(unanswered),
        plural(unanswered),
        requests.remote,
        duration(requests),
        units::count(all),
        plural(all),
    )
}

fn unawaited(requests: &Requests) -> String {
    format!(
        "nothing came back {} on {} connection{} to {}, and no thread waits for it",
        duration(requests),
        units::count(requests.unanswered),
        plural(requests.unanswered),
        requests.remote,
    )
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// `for 11s`, or `for 11s to 40s`: the middle and the longest.
fn duration(requests: &Requests) -> String {
    let (p50, max) = (requests.p50_ms, requests.max_ms);
    // A small difference would come and go with rounding.
    let apart = max.saturating_sub(p50);
    if apart.saturating_mul(10) >= max {
        format!("for {} to {}", units::duration(p50), units::duration(max))
    } else {
        format!("for {}", units::duration(p50))
    }
}
