//! Culprit: who must act before the sockets of a set can close, whatever their cause.
//!
//! The cause only shows what happened to the sockets. The evidence from their holders, and other
//! connections of the program, may show that somebody else is at fault.

use super::report::Report;

use super::pairs::LegState;
use super::pool::{is_blocked, starved};
use super::process::{Descriptors, descriptors};
use super::process::{HaltReason, rests, throttled};
use super::service::{ServedAt, ServiceEnd};
use super::socket_set::SocketSet;
use super::spin::Spin;
use super::stacks::SharedStacks;
use super::workers::Workers;
use crate::model::{Cause, Endpoint, Evidence, Pid, Wait, WaitKind};

/// What happens to a single process counts only if it is among this many with the most sockets.
pub(super) const FIRST: usize = 2;
/// At least this many threads must be busy with something else to be able to serve the sockets: a
/// single one may only be a monitor.
const OTHERS_LEAST: u64 = 2;

/// Who must act, or what must change, before the sockets can close.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Culprit {
    /// A holder cannot run, for this reason.
    Halted(Pid, HaltReason),
    /// The control group of this holder has a CPU quota, which is used up.
    Throttled(Pid),
    /// Threads of this holder wait for a file lock.
    FileLock(Pid),
    /// The owner has reached its limit of open files: accept(2) fails.
    NoDescriptors,
    /// The owner waits for an answer from this backend.
    Backend(Endpoint),
    /// The owner has closed its direction, or relayed the close, and this end has not closed.
    FarEnd(ServiceEnd),
    /// The owner has no open connection to this service left: those in its pool were not returned.
    Exhausted(ServiceEnd),
    /// This thread of the owner never sleeps, and does this.
    Spinning(Pid, Spin),
    /// Most working threads wait for a lock that this thread or process holds.
    Lock(Pid),
    /// The event loop of this process does not run: its thread is in another call.
    Blocked(Pid),
    /// No holder of the listener ever calls accept(2).
    Sleepers,
}

impl Culprit {
    /// Decides by the first fact that explains the cause. `None` if the facts do not point
    /// elsewhere, so that the program itself must be inspected.
    pub(super) fn of(
        report: &Report<'_>,
        set: &SocketSet,
        evidence: &[Evidence],
        workers: &Workers,
        stacks: &SharedStacks,
    ) -> Option<Culprit> {
        if matches!(set.cause, Cause::Transient | Cause::DeadDescriptors) {
            return None;
        }
        if let Some(waiting) = &set.waiting {
            // Unread data, or an answer that may still be due, does not point at the remote end.
            let is_open = set.is_suspicious() && waiting.unread < set.sockets;
            return is_open.then_some(Culprit::FarEnd(set.end));
        }
        let reason = |evidence: &Evidence| Some((evidence.pid, HaltReason::of(evidence)?));
        // The state of one among many workers explains nothing, unless it has most of the sockets.
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
        // A pool is idle whatever its owner waits for.
        let is_at_rest = set.cause == Cause::StalePool;
        if let Some(remote) = backend(set, evidence, workers, stacks).filter(|_| !is_at_rest) {
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
        // A busy event loop is sometimes seen in other calls.
        let is_held_up = |evidence: &&Evidence| rests(evidence) && is_blocked(set, evidence);
        if let Some(blocked) = first.iter().find(is_held_up).filter(|_| !is_at_rest) {
            return Some(match workers.service() {
                Some(remote) => Culprit::Backend(remote),
                None => Culprit::Blocked(blocked.pid),
            });
        }
        // A socket that was read and not closed was forgotten, at any speed.
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

    /// The process or thread that it is about.
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

/// The remote end that owes an answer: to the other legs of a proxy, to the working threads, or to
/// requests that were sent for the peers who hung up.
fn backend(
    set: &SocketSet,
    evidence: &[Evidence],
    workers: &Workers,
    stacks: &SharedStacks,
) -> Option<Endpoint> {
    let of_legs = match set.all_pair() {
        Some((LegState::Unanswered, ServiceEnd::One(service))) => match service.at {
            ServedAt::Remote(remote) => Some(remote),
            ServedAt::Local(_) | ServedAt::Unknown(_) => None,
        },
        _ => None,
    };
    let is_of_before = |remote| {
        let mut requests = set.requests.iter();
        requests.any(|of| of.remote == remote && of.is_from_before)
    };
    let of_threads = || {
        let backend = workers.backend();
        let backend = backend.filter(|(remote, common)| {
            let is_of_before = is_of_before(*remote);
            match set.cause {
                Cause::NeverClosed => may_hold(set, workers, common.threads) && !is_of_before,
                // If no other thread works, none is left to serve.
                _ => !is_of_before || workers.others(common) < OTHERS_LEAST,
            }
        });
        backend.map(|(remote, _)| remote)
    };
    let of_requests = || set.awaited(evidence).next().map(|requests| requests.remote);
    // Threads of an event loop, and those of Go, do not show what the work waits for.
    let of_stacks = || {
        let (remote, count) = stacks.backend()?;
        let holds = set.cause != Cause::NeverClosed || may_hold(set, workers, count);
        (holds && !is_of_before(remote)).then_some(remote)
    };
    // One fetch for all who ask for the same thing, as in a cache.
    let of_first = || {
        let mut requests = set.requests.iter();
        let first = requests.find(|requests| requests.is_first && requests.has_waiter(evidence))?;
        (set.cause == Cause::SlowHandler).then_some(first.remote)
    };
    of_legs
        .or_else(of_threads)
        .or_else(of_requests)
        .or_else(of_stacks)
        .or_else(of_first)
}

/// Whether so many threads, goroutines or tasks that wait for a service may be the ones that serve the
/// sockets of a set. Once end-of-file was read, each socket has its own, or none.
fn may_hold(set: &SocketSet, workers: &Workers, waiting: u64) -> bool {
    // Assume as many waiting threads in the processes that were not read.
    let all = waiting.saturating_mul(workers.total);
    let sockets = set.sockets.saturating_mul(workers.asked.max(1));
    all.saturating_mul(2) >= sockets
}

/// Whether every process that might accept only sleeps or waits for a child.
fn nobody_accepts(set: &SocketSet, evidence: &[Evidence]) -> bool {
    let idle = |evidence: &Evidence| {
        let waits = evidence.waits.as_deref().unwrap_or_default();
        let threads = evidence.waiting_threads();
        let sleeps = |wait: &Wait| matches!(wait.kind, WaitKind::Sleep | WaitKind::Child);
        evidence.threads.is_some_and(|all| all.total == threads) && waits.iter().all(sleeps)
    };
    // Nothing is known of processes that were not read.
    evidence.len() == set.by_weight.len() && !evidence.is_empty() && evidence.iter().all(idle)
}
