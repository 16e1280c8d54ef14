//! What holds up the owner of a pool: nothing visible, its event loop, or the pool itself.
use crate::classifier::service::ServiceEnd;
use crate::classifier::socket_set::SocketSet;
use crate::classifier::workers::Workers;
use crate::model::{Evidence, Runtime, WaitKind};

/// Whether nothing else holds up the owner: its threads wait for each other or for events, and it
/// has not sent as many requests to another service.
pub(super) fn is_free(
    set: &SocketSet,
    callers: u64,
    evidence: &[Evidence],
    workers: &Workers,
) -> bool {
    let asks_elsewhere = set
        .requests
        .iter()
        .any(|requests| requests.unanswered.saturating_mul(2) >= callers);
    let rests = |evidence: &Evidence| {
        let mut waits = evidence.waits.iter().flatten();
        waits.any(|wait| matches!(wait.kind, WaitKind::Lock | WaitKind::Events))
    };
    let is_held_up =
        asks_elsewhere || workers.backend().is_some() || workers.contended_lock().is_some();
    !is_held_up && !evidence.is_empty() && evidence.iter().all(rests)
}

/// Whether an event loop watches most of the sockets, and no thread waits for events.
pub(in crate::classifier) fn is_blocked(set: &SocketSet, evidence: &Evidence) -> bool {
    let held = set.holds(evidence.pid).len() as u64;
    let watched = evidence.epoll.map_or(0, |epoll| epoll.watched);
    let waits = evidence.waits.as_deref().unwrap_or_default();
    let threads = evidence.waiting_threads();
    // A running thread may wait for events next. Go is notified once (edge-triggered), and then a
    // goroutine sleeps that no thread shows.
    let all_known = evidence.threads.is_some_and(|all| all.total == threads);
    watched > 0
        && watched.saturating_mul(2) > held
        && all_known
        && evidence.runtime != Runtime::Go
        && !waits.iter().any(|wait| wait.kind == WaitKind::Events)
}

/// The service whose pool is exhausted, if clients wait for the program because of that and nothing
/// else holds it up.
pub(in crate::classifier) fn starved(
    set: &SocketSet,
    evidence: &[Evidence],
    workers: &Workers,
) -> Option<ServiceEnd> {
    let (end, callers) = set.exhausted?;
    is_free(set, callers, evidence, workers).then_some(end)
}
