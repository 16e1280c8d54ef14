//! Requests to other services that have no answer.

use crate::classifier::finding::Finding;
use crate::classifier::requests::{Requests, Role};
use crate::model::{Endpoint, Name};
use crate::renderer::units::{self, plural};

/// `120 requests of nginx to 10.0.0.5:9000 unanswered for 12s (120 of 120 connections)`.
pub(super) fn unanswered(requests: &Requests, whose: Option<&Name>) -> String {
    let whose = match whose {
        Some(name) => format!(" of {name}"),
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

pub(super) fn unawaited(requests: &Requests) -> String {
    format!(
        "nothing came back {} on {} connection{} to {}, and no thread waits for it",
        duration(requests),
        units::count(requests.unanswered),
        plural(requests.unanswered),
        requests.remote,
    )
}

/// `for 11s`, or `for 11s to 40s`: the middle and the longest.
pub(super) fn duration(requests: &Requests) -> String {
    let (p50, max) = (requests.p50_ms, requests.max_ms);
    // A small difference would come and go with rounding.
    let apart = max.saturating_sub(p50);
    if apart.saturating_mul(10) >= max {
        format!("for {} to {}", units::duration(p50), units::duration(max))
    } else {
        format!("for {}", units::duration(p50))
    }
}

/// `, unanswered for 12s`, after a wait for that service.
pub(super) fn since(finding: &Finding, remote: Endpoint) -> String {
    let mut all = finding.set.requests.iter();
    let requests = all.find(|requests| requests.remote == remote);
    requests.map_or(String::new(), |requests| {
        format!(", unanswered {}", duration(requests))
    })
}

/// Whether threads that wait for events wait for one of these services, or may.
pub(super) fn is_waiting(finding: &Finding) -> bool {
    let mut all = finding.set.requests.iter();
    all.any(|requests| requests.role == Role::Explains)
}
