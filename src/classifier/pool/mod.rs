//! A pool at rest, a pool that is exhausted, or a leak: what the connections of one program to one
//! service tell of those that the service closed.
//!
//! When each was closed decides first. A server that reaches its idle timeout, or restarts, closes
//! what is idle together; what a program leaks it leaks one by one, for as long as it runs. A
//! single look never shows how large a pool may grow.

mod gather;
mod owner;
mod verdict;

pub(super) use self::gather::fill;
pub(super) use self::owner::{is_blocked, starved};
use crate::classifier::time_pattern::TimePattern;

/// So many clients of a program that wait for it are no accident.
const CALLERS_LEAST: u64 = 5;
/// A pool of fewer connections than this is not said to be exhausted: it may have many more.
const EXHAUSTED_LEAST: u64 = 5;
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
