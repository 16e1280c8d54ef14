//! Merges findings of one service that one fact explains: while a worker is stopped, unaccepted,
//! unread and unanswered connections are one fault, not three.

use super::culprit::Culprit;
use super::finding::{Finding, Part};
use super::queue::Queue;
use super::service::ServiceEnd;
use crate::model::{Cause, Side};

/// Merges findings that belong together; keeps their order.
pub(super) fn merge(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        match kept.iter_mut().find(|kept| is_one(kept, &finding)) {
            Some(kept) => absorb(kept, finding),
            None => kept.push(finding),
        }
    }
    kept
}

/// A process whose sockets hold this share of its limit of open files, in percent, has used it up.
const USED_UP_PERCENT: u64 = 50;

/// Whether the sockets of one finding are the reason that the other has no descriptors.
fn uses_up(holder: &Finding, queue: &Finding) -> bool {
    queue.culprit == Some(Culprit::NoDescriptors)
        && holder.culprit != queue.culprit
        && holder.fd_percent >= Some(USED_UP_PERCENT)
}

/// Whether two findings are of one service with common processes, and one fact explains both.
fn is_one(kept: &Finding, other: &Finding) -> bool {
    let (a, b) = (&kept.set, &other.set);
    let is_served = matches!(a.end, ServiceEnd::One(_)) && a.end.side() == Some(Side::Server);
    let counts = |finding: &Finding| {
        finding.set.is_suspicious()
            && !finding.set.is_age_missing()
            && finding.old_workers.is_none()
    };
    let mut pids = a.owner.pids.iter();
    let mut others = b.owner.pids.iter();
    // Two queues stay two findings.
    let queues = kept.queue.is_some() && other.queue.is_some();
    let is_same = kept.culprit.is_some() && kept.culprit == other.culprit;
    (is_same || uses_up(kept, other) || uses_up(other, kept))
        && is_served
        && (a.netns, a.end) == (b.netns, b.end)
        && counts(kept)
        && counts(other)
        && !queues
        && (pids.any(|pid| b.owner.pids.binary_search(pid).is_ok())
            || others.any(|pid| a.owner.pids.binary_search(pid).is_ok()))
}

/// A known cause comes first, and so does the process that used up the descriptors. The higher
/// severity applies to both.
fn absorb(kept: &mut Finding, mut other: Finding) {
    let is_clearer = kept.set.cause == Cause::Unclear && other.set.cause != Cause::Unclear;
    if is_clearer || uses_up(&other, kept) {
        std::mem::swap(kept, &mut other);
        kept.parts.append(&mut other.parts);
    }
    kept.severity = kept.severity.max(other.severity);
    let sockets = |finding: &Finding| finding.sum.as_ref().map(|sum| sum.sockets);
    if sockets(&other) > sockets(kept) {
        kept.sum = other.sum;
    }
    kept.queue = kept.queue.take().or(other.queue);
    kept.peeks = match (kept.peeks.take(), other.peeks) {
        (Some(kept), Some(other)) => Some(kept.with(other)),
        (kept, other) => kept.or(other),
    };
    kept.parts.push(Part {
        cause: other.set.cause,
        sockets: other.set.sockets,
        owner: other.set.owner,
    });
}

/// Sorts findings of one severity by the fullness of their queues, if they have any.
pub(super) fn by_fullness(findings: &mut [Finding]) {
    let queued: Vec<usize> = (0..findings.len())
        .filter(|at| findings[*at].queue.is_some())
        .collect();
    let mut ordered: Vec<Finding> = queued.iter().map(|at| findings[*at].clone()).collect();
    ordered.sort_by_key(|finding| {
        let queue = finding.queue.as_ref();
        std::cmp::Reverse((finding.severity, queue.and_then(Queue::percent)))
    });
    for (at, finding) in queued.into_iter().zip(ordered) {
        findings[at] = finding;
    }
}
