//! Who must act: what stands behind a set of sockets, whatever their cause.
//!
//! The cause says what became of the sockets; it is the messenger as often as not. What the
//! holders of the sockets told, and their other connections, may name somebody else.

use super::report::Report;

use super::pairs::LegState;
use super::pool::{is_blocked, starved};
pub use super::process::{Descriptors, descriptors};
use super::process::{HaltReason, rests, throttled};
pub use super::process::{is_halted, parks_threads};
use super::service::{ServedAt, ServiceEnd};
use super::socket_set::SocketSet;
use super::spin::Spin;
use super::workers::{SharedWait, Workers};
use crate::model::{Cause, Endpoint, Evidence, Pid, Wait, WaitKind};

/// Of so many processes, those with the most sockets, what happens to one alone counts.
pub(super) const FIRST: usize = 2;
/// So many threads that work on something else may have the sockets at hand: one may only watch.
const OTHERS_LEAST: u64 = 2;

/// Who must act, or what must be changed, before the sockets can close.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Culprit {
    /// A holder cannot run, for this reason.
    Halted(Pid, HaltReason),
    /// The control group of this holder may run for a part of the time only.
    Throttled(Pid),
    /// Threads of this holder wait for a lock on a file.
    FileLock(Pid),
    /// The owner has as many files open as it may: accept(2) fails.
    NoDescriptors,
    /// The owner waits for an answer from there.
    Backend(Endpoint),
    /// The owner has closed, or passed the close on, and this end has not closed.
    FarEnd(ServiceEnd),
    /// The owner has no connection left to there: those that it had are not given back.
    Exhausted(ServiceEnd),
    /// A thread of the owner never rests, and does this.
    Spinning(Pid, Spin),
    /// Most of those who work wait for a lock that this thread, or process, has.
    Lock(Pid),
    /// The event loop of this process does not run: its thread is in another call.
    Blocked(Pid),
    /// Nobody who holds the listener ever accepts.
    Sleepers,
}

impl Culprit {
    /// By the first fact that explains the cause. `None` where the facts point nowhere else: the
    /// program itself is to be asked.
    pub(super) fn of(
        report: &Report<'_>,
        set: &SocketSet,
        evidence: &[Evidence],
        workers: &Workers,
    ) -> Option<Culprit> {
        if matches!(set.cause, Cause::Transient | Cause::DeadDescriptors) {
            return None;
        }
        if let Some(waiting) = &set.waiting {
            // Who has not read what came in, or may be owed an answer, points at nobody.
            let is_open = set.is_suspicious() && waiting.unread < set.sockets;
            return is_open.then_some(Culprit::FarEnd(set.end));
        }
        let reason = |evidence: &Evidence| Some((evidence.pid, HaltReason::of(evidence)?));
        // What one of many workers suffers explains nothing, unless it has most of the sockets.
        let first = &evidence[..evidence.len().min(FIRST)];
        if let Some((pid, reason)) = first.iter().find_map(reason) {
            return Some(Culprit::Halted(pid, reason));
        }
        if set.cause == Cause::HalfClose {
            return None;
        }
        if set.cause == Cause::NotAccepted && descriptors(first) == Descriptors::Gone {
            return Some(Culprit::NoDescriptors);
        }
        if let Some(end) = set.far_end() {
            return Some(Culprit::FarEnd(end));
        }
        // An idle pool lies idle whatever its owner waits for.
        let is_at_rest = set.cause == Cause::StalePool;
        if let Some(remote) = backend(set, evidence, workers).filter(|_| !is_at_rest) {
            return Some(Culprit::Backend(remote));
        }
        if let Some(waiting) = workers.locked_out().filter(|_| !is_at_rest) {
            return Some(Culprit::FileLock(waiting));
        }
        if let Some(end) = starved(set, evidence, workers) {
            return Some(Culprit::Exhausted(end));
        }
        let spins = |evidence| Spin::of(report, set, evidence);
        let spinning = first.iter().find_map(spins);
        if let Some((thread, spin @ (Spin::Idle | Spin::Polling))) = spinning {
            return Some(Culprit::Spinning(thread, spin));
        }
        let held_by = workers.contended_lock().map(|(_, held_by)| held_by);
        if let Some(held_by) = held_by.filter(|_| !is_at_rest) {
            return Some(Culprit::Lock(held_by.thread.unwrap_or(held_by.pid)));
        }
        // A loop at work is met in other calls as well.
        let is_held_up = |evidence: &&Evidence| rests(evidence) && is_blocked(set, evidence);
        if let Some(blocked) = first.iter().find(is_held_up).filter(|_| !is_at_rest) {
            return Some(match workers.service() {
                Some(remote) => Culprit::Backend(remote),
                None => Culprit::Blocked(blocked.pid),
            });
        }
        // What was read and not closed was forgotten, at whatever pace.
        let is_late = !is_at_rest && set.cause != Cause::NeverClosed;
        let is_throttled = |evidence: &&Evidence| is_late && throttled(evidence).is_some();
        if let Some(throttled) = first.iter().find(is_throttled) {
            return Some(Culprit::Throttled(throttled.pid));
        }
        if let Some((thread, spin)) = spinning {
            return Some(Culprit::Spinning(thread, spin));
        }
        if set.cause == Cause::NotAccepted && workers.serving == 0 && nobody_accepts(set, evidence)
        {
            return Some(Culprit::Sleepers);
        }
        None
    }

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Culprit::Halted(_, reason) => reason.name(),
            Culprit::Throttled(_) => "throttled",
            Culprit::FileLock(_) => "file-lock",
            Culprit::NoDescriptors => "no-descriptors",
            Culprit::Backend(_) => "behind",
            Culprit::FarEnd(_) => "far-end",
            Culprit::Exhausted(_) => "exhausted",
            Culprit::Spinning(_, Spin::Idle | Spin::Polling) => "spinning",
            Culprit::Spinning(_, Spin::Busy) => "busy",
            Culprit::Lock(_) => "lock",
            Culprit::Blocked(_) => "blocked",
            Culprit::Sleepers => "sleepers",
        }
    }

    /// The process, or the thread, that it is about.
    pub fn pid(self) -> Option<Pid> {
        match self {
            Culprit::Halted(pid, _)
            | Culprit::Throttled(pid)
            | Culprit::FileLock(pid)
            | Culprit::Lock(pid)
            | Culprit::Blocked(pid)
            | Culprit::Spinning(pid, _) => Some(pid),
            _ => None,
        }
    }

    /// The remote end that must act.
    pub fn remote(self) -> Option<Endpoint> {
        match self {
            Culprit::Backend(remote) => Some(remote),
            Culprit::FarEnd(ServiceEnd::One(service))
            | Culprit::Exhausted(ServiceEnd::One(service)) => match service.at {
                ServedAt::Remote(remote) => Some(remote),
                ServedAt::Local(_) | ServedAt::Unknown(_) => None,
            },
            _ => None,
        }
    }
}

/// The remote end that owes an answer: to a proxy's other legs, to the threads that work, or to
/// requests that were sent for those who hung up.
fn backend(set: &SocketSet, evidence: &[Evidence], workers: &Workers) -> Option<Endpoint> {
    let of_legs = match set.all_pair() {
        Some((LegState::Unanswered, ServiceEnd::One(service))) => match service.at {
            ServedAt::Remote(remote) => Some(remote),
            ServedAt::Local(_) | ServedAt::Unknown(_) => None,
        },
        _ => None,
    };
    let of_threads = || {
        let backend = workers.backend();
        let is_of_before = |remote| {
            let mut requests = set.requests.iter();
            requests.any(|of| of.remote == remote && of.is_from_before)
        };
        let backend = backend.filter(|(remote, common)| {
            let is_of_before = is_of_before(*remote);
            match set.cause {
                Cause::NeverClosed => may_hold(set, workers, common) && !is_of_before,
                // Where nobody else works, nobody is left to serve.
                _ => !is_of_before || workers.others(common) < OTHERS_LEAST,
            }
        });
        backend.map(|(remote, _)| remote)
    };
    let of_requests = || set.awaited(evidence).next().map(|requests| requests.remote);
    // One fetch for all who ask for the same, as of a cache.
    let of_first = || {
        let mut requests = set.requests.iter();
        let first = requests.find(|requests| requests.is_first && requests.has_waiter(evidence))?;
        (set.cause == Cause::SlowHandler).then_some(first.remote)
    };
    of_legs
        .or_else(of_threads)
        .or_else(of_requests)
        .or_else(of_first)
}

/// Whether threads that wait for a service may be those that have the sockets of a set at hand: of
/// sockets from which end-of-file was read, each is with a thread of its own, or with none.
fn may_hold(set: &SocketSet, workers: &Workers, waiting: &SharedWait) -> bool {
    // As many wait in those processes that were not asked.
    let all = waiting.threads.saturating_mul(workers.total);
    let sockets = set.sockets.saturating_mul(workers.asked.max(1));
    all.saturating_mul(2) >= sockets
}

/// Whether everybody who might accept only sleeps, or waits for a child.
fn nobody_accepts(set: &SocketSet, evidence: &[Evidence]) -> bool {
    let idle = |evidence: &Evidence| {
        let waits = evidence.waits.as_deref().unwrap_or_default();
        let threads: u32 = waits
            .iter()
            .map(|wait| wait.threads)
            .fold(0, u32::saturating_add);
        let sleeps = |wait: &Wait| matches!(wait.kind, WaitKind::Sleep | WaitKind::Child);
        evidence.threads.is_some_and(|all| all.total == threads) && waits.iter().all(sleeps)
    };
    // Of those that were not asked nothing is known.
    evidence.len() == set.by_weight.len() && !evidence.is_empty() && evidence.iter().all(idle)
}
