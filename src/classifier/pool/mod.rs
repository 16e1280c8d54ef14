//! Pools: whether connections that a service closed are an idle pool, an exhausted pool or a leak,
//! by all connections of the program to that service.
//!
//! The times of the closes decide first. A server that reaches its idle timeout or restarts closes
//! all idle connections together; a leak grows one by one for as long as the program runs. A single
//! reading never shows how large a pool may grow.

mod gather;
mod owner;
mod verdict;

pub(super) use self::gather::fill;
pub(super) use self::owner::{is_blocked, starved};
use crate::classifier::time_pattern::TimePattern;

/// This many waiting clients of a program are no coincidence.
const CALLERS_LEAST: u64 = 5;
/// A pool with fewer connections than this is never called exhausted: it may have many more.
const EXHAUSTED_LEAST: u64 = 5;
/// Clients start to wait soon after the last connection of a pool was taken. It was last used at
/// most this many times as long ago as they have waited, plus [`SOON_MS`].
const SOON_TIMES: u64 = 3;
const SOON_MS: u64 = 10_000;

/// The connections of one program to the service or services of a set, among all sockets that were
/// read, selected or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// When they were closed, or else last used; `None` if unknown.
    pub pattern: Option<TimePattern>,
    pub basis: TimeBasis,
    /// In CLOSE_WAIT, whatever the cause.
    pub closed: u64,
    /// Those of them that leak: the program has read end-of-file and not closed, or left data
    /// unread.
    pub leaked: u64,
    /// ESTABLISHED: in use, or idle and not closed yet. `None` if owners are unknown.
    pub open: Option<u64>,
    /// Clients of the program that wait for it or have given up.
    pub callers: Option<u64>,
    /// How long ago one of the closed connections was last used, and how long the first client has
    /// waited, in milliseconds.
    pub used_ms: Option<u64>,
    pub waiting_ms: Option<u64>,
    /// The age of the oldest process that holds them, in milliseconds.
    pub life_ms: Option<u64>,
}

/// Which times a [`Pool`] is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeBasis {
    /// When the server closed them.
    Closed,
    /// When the last byte was sent or received: keepalive hides when they were closed.
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

/// What the sockets of a set are consistent with, if the server closed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolVerdict {
    /// Idle connections that the server closed together. Each is replaced when it is next used.
    AtRest,
    /// Connections that the program will neither use nor close.
    Leak,
    /// Connections that were not returned to the pool, while clients wait and none is left.
    Exhausted,
    /// The event loop that would notice the close does not run.
    Blocked,
    /// Both a pool and a leak.
    Ambiguous,
}

impl PoolVerdict {
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

    /// Whether clients started to wait soon after its last use.
    fn was_used_before(&self) -> bool {
        let times = self.used_ms.zip(self.waiting_ms);
        times.is_some_and(|(used, waiting)| is_soon(used, waiting))
    }

    /// Whether most of them leak in any case.
    pub fn leaks_otherwise(&self) -> bool {
        self.leaked.saturating_mul(2) > self.closed
    }
}

/// Whether this many clients wait while no connection is open.
fn is_all_gone(closed: u64, open: u64, callers: u64) -> bool {
    open == 0 && closed >= EXHAUSTED_LEAST && callers >= CALLERS_LEAST
}

/// Whether clients started to wait soon after the last use.
fn is_soon(used_ms: u64, waiting_ms: u64) -> bool {
    used_ms
        <= waiting_ms
            .saturating_mul(SOON_TIMES)
            .saturating_add(SOON_MS)
}
