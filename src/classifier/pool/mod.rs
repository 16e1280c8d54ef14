//! A pool at rest, a pool that is exhausted, or a leak: what the connections of one program to one
//! service tell of those that the service closed.
//!
//! When each was closed decides first. A server that reaches its idle timeout, or restarts, closes
//! what is idle together; what a program leaks it leaks one by one, for as long as it runs. A
//! single look never shows how large a pool may grow.

mod gather;

pub(super) use self::gather::fill;
use super::Report;
use super::culprit::Culprit;
use super::severity::Thresholds;
use super::socket_set::{ServiceEnd, SocketSet};
use super::time_pattern::{Pattern, TimePattern};
use super::workers::Workers;
use crate::model::{Cause, Evidence, Runtime, WaitKind};

/// So many clients of a program that wait for it are no accident.
const CALLERS_LEAST: u64 = 5;
/// A pool of fewer connections than this is not said to be exhausted: it may have many more.
const EXHAUSTED_LEAST: u64 = 5;
/// A leak of which the first came after this part of a program's life, in percent, is as old as the
/// program: it had to start, and the server to lose its patience.
const LIFE_PERCENT: u64 = 75;
/// Clients begin to wait for a pool soon after its last connection was taken: it was used no longer
/// before that than so many times what they have waited since, and a while.
const SOON_TIMES: u64 = 3;
const SOON_MS: u64 = 10_000;

/// The connections of one program to the service, or the services, of a set, among all sockets
/// that were read: what is selected changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// When they were closed, or else last used; `None` where that is not known.
    pub pattern: Option<TimePattern>,
    pub basis: TimeBasis,
    /// In CLOSE_WAIT, whatever the cause.
    pub closed: u64,
    /// Those of them that are a leak: that the program has read and not closed, or left unread.
    pub leaked: u64,
    /// ESTABLISHED: in use, or idle and not closed yet. `None` where owners are not known.
    pub open: Option<u64>,
    /// Clients of the program that wait for it: those that gave up, and those that wait still.
    pub callers: Option<u64>,
    /// How long ago one of those in CLOSE_WAIT was last used, and how long the first of the callers
    /// has waited.
    pub used_ms: Option<u64>,
    pub waiting_ms: Option<u64>,
    /// The age of the oldest process that holds them.
    pub life_ms: Option<u64>,
}

/// What the times of a [`Pool`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeBasis {
    /// When the server closed them.
    Closed,
    /// When the last byte went or came: keepalive hides when they were closed.
    Used,
}

impl TimeBasis {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            TimeBasis::Closed => "closed",
            TimeBasis::Used => "used",
        }
    }
}

/// What the sockets of a set that a server closed are consistent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolVerdict {
    /// Idle connections that the server closed together. Each is replaced when it is next used.
    AtRest,
    /// Connections that nobody will use or close.
    Leak,
    /// Connections that nobody gave back, and no other is left for those who wait.
    Exhausted,
    /// The owner is told that they are closed, by its event loop, which does not run.
    Blocked,
    /// Both a pool and a leak.
    Ambiguous,
}

impl PoolVerdict {
    /// Of the connections that a server closed, by what their owners told; `None` of others, and
    /// where somebody else must act.
    pub(super) fn of(
        report: &Report<'_>,
        set: &SocketSet,
        evidence: &[Evidence],
        workers: &Workers,
        thresholds: &Thresholds,
    ) -> Option<PoolVerdict> {
        let pool = set.pool?;
        if Culprit::of(report, set, evidence, workers).is_some() {
            return None;
        }
        let callers = pool.callers.unwrap_or_default();
        if pool.is_all_gone() && pool.was_used_before() && is_free(set, callers, evidence, workers)
        {
            return Some(PoolVerdict::Exhausted);
        }
        if set.cause != Cause::StalePool {
            return None;
        }
        if evidence.iter().any(|evidence| is_blocked(set, evidence)) {
            return Some(PoolVerdict::Blocked);
        }
        if pool.leaks_otherwise() {
            return Some(PoolVerdict::Leak);
        }
        let kind = pool.pattern.map(|pattern| pattern.kind);
        Some(match kind {
            // No pool is that large; and where callers wait, all of it may be gone.
            Some(Pattern::Burst) if set.sockets >= thresholds.critical => PoolVerdict::Ambiguous,
            Some(Pattern::Burst) if pool.is_all_gone() => PoolVerdict::Ambiguous,
            Some(Pattern::Burst) => PoolVerdict::AtRest,
            Some(Pattern::Spread) if pool.is_as_old_as_its_owner(set) => PoolVerdict::Leak,
            Some(Pattern::Spread | Pattern::Mixed | Pattern::Few) | None => PoolVerdict::Ambiguous,
        })
    }

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            PoolVerdict::AtRest => "at-rest",
            PoolVerdict::Leak => "leak",
            PoolVerdict::Exhausted => "exhausted",
            PoolVerdict::Blocked => "blocked",
            PoolVerdict::Ambiguous => "ambiguous",
        }
    }
}

impl Pool {
    /// Whether none of its connections is open, and clients of the program wait.
    pub fn is_all_gone(&self) -> bool {
        let callers = self.callers.unwrap_or_default();
        self.open
            .is_some_and(|open| is_all_gone(self.closed, open, callers))
    }

    /// Whether clients began to wait soon after its last use.
    fn was_used_before(&self) -> bool {
        let times = self.used_ms.zip(self.waiting_ms);
        times.is_some_and(|(used, waiting)| is_soon(used, waiting))
    }

    /// Whether most of them are a leak in any case.
    pub fn leaks_otherwise(&self) -> bool {
        self.leaked.saturating_mul(2) > self.closed
    }

    /// Whether they were closed one by one ever since the program started.
    pub fn is_as_old_as_its_owner(&self, set: &SocketSet) -> bool {
        let patience = set.patience.map_or(0, |patience| patience.p50_ms.into());
        let since = self
            .pattern
            .map(|pattern| pattern.oldest_ms.saturating_add(patience));
        since.zip(self.life_ms).is_some_and(|(since, life)| {
            since.saturating_mul(100) >= life.saturating_mul(LIFE_PERCENT)
        })
    }
}

/// Whether so many callers wait for connections of which none is open.
fn is_all_gone(closed: u64, open: u64, callers: u64) -> bool {
    open == 0 && closed >= EXHAUSTED_LEAST && callers >= CALLERS_LEAST
}

/// Whether what was last used so long ago was used just before somebody began to wait for it.
fn is_soon(used_ms: u64, waiting_ms: u64) -> bool {
    used_ms
        <= waiting_ms
            .saturating_mul(SOON_TIMES)
            .saturating_add(SOON_MS)
}

/// Whether nothing else is seen that would hold up an owner for whom so many wait: its threads wait
/// for each other or for events, and it has asked no other service for as much.
fn is_free(set: &SocketSet, callers: u64, evidence: &[Evidence], workers: &Workers) -> bool {
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

/// Whether an event loop watches most of the sockets, so that it is told, and none of its threads
/// waits for events.
pub(in crate::classifier) fn is_blocked(set: &SocketSet, evidence: &Evidence) -> bool {
    let held = set.holds(evidence.pid).len() as u64;
    let watched = evidence.epoll.map_or(0, |epoll| epoll.watched);
    let waits = evidence.waits.as_deref().unwrap_or_default();
    let threads: u32 = waits
        .iter()
        .map(|wait| wait.threads)
        .fold(0, u32::saturating_add);
    // Of a thread that runs it is not known what it will wait for. Go is told once, by the edge, and
    // then a goroutine sleeps that no thread shows.
    let all_told = evidence.threads.is_some_and(|all| all.total == threads);
    watched > 0
        && watched.saturating_mul(2) > held
        && all_told
        && evidence.runtime != Runtime::Go
        && !waits.iter().any(|wait| wait.kind == WaitKind::Events)
}

/// Says of those who wait for a program that a pool of it is exhausted, if one is and nothing else
/// holds the program up.
pub(super) fn starved(
    set: &SocketSet,
    evidence: &[Evidence],
    workers: &Workers,
) -> Option<ServiceEnd> {
    let (end, callers) = set.exhausted?;
    is_free(set, callers, evidence, workers).then_some(end)
}
