//! Requests: what a program waits for at other services, also if no thread shows it, as in an event
//! loop.
//!
//! An unanswered request is a connection that the program opened, on which it has sent something
//! and received nothing since. Byte counts decide, then times; two times within a tick decide
//! nothing. Requests explain sockets in CLOSE_WAIT if they were sent after a peer asked and before
//! it hung up.

mod ask;
mod find;
mod role;
mod unanswered;

pub(super) use self::ask::Ask;
pub(super) use self::find::requests;
pub(super) use self::unanswered::{ends, never_answered};
use crate::classifier::process::spinning;
use crate::model::{Ago, Endpoint, Evidence, Runtime, WaitKind, WaitTarget};

/// How long a request must have waited to count, in milliseconds. A busy healthy proxy has hundreds
/// that have waited for milliseconds, and a healthy service answers within this time.
pub const WAIT_MS: u64 = 1_000;

/// The unanswered requests of a program to one remote service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requests {
    pub remote: Endpoint,
    /// Its open connections to that service.
    pub connections: u64,
    /// Those that have waited for an answer for longer than [`WAIT_MS`].
    pub unanswered: u64,
    /// How long ago the last byte was sent on those, in milliseconds.
    pub p50_ms: u64,
    pub max_ms: u64,
    pub role: Role,
    /// It is a single request on a connection that never received anything, and all waiting clients
    /// asked at that time or later: one fetch for all of them, or a log that was just opened.
    pub(super) is_first: bool,
    /// All were sent before the last data of the connections in question was received, and before
    /// any other waiting client asked.
    pub(super) is_from_before: bool,
    /// The local ends of those connections, as many as are followed.
    pub(super) ends: Vec<Endpoint>,
}

/// How unanswered requests relate to the connections of waiting clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Most were sent after a client asked and before it hung up, or none was answered since.
    Explains,
    /// Unknown, or unrelated.
    Beside,
}

impl Requests {
    /// Requests without a known reason; `None` if there are none.
    pub(super) fn beside(
        remote: Endpoint,
        connections: usize,
        mut sent: Vec<Ago>,
    ) -> Option<Requests> {
        let waits = |sent: &Ago| sent.idle().at_least_ms;
        sent.sort_by_key(waits);
        let middle = sent.len().checked_sub(1)? / 2;
        Some(Requests {
            remote,
            connections: connections as u64,
            unanswered: sent.len() as u64,
            p50_ms: sent.get(middle).map(waits)?,
            max_ms: sent.last().map(waits)?,
            role: Role::Beside,
            is_first: false,
            is_from_before: false,
            ends: Vec::new(),
        })
    }

    /// Whether a thread may wait for the answers, on such a connection or on many at once; `None`
    /// if the evidence does not show it.
    pub fn are_awaited(&self, evidence: &[Evidence]) -> Option<bool> {
        let answers = evidence.iter().filter_map(|of| self.are_awaited_by(of));
        answers.max()
    }

    /// Whether a thread waits for exactly this answer.
    pub(super) fn has_waiter(&self, evidence: &[Evidence]) -> bool {
        let waits = evidence.iter().flat_map(|of| of.waits.iter().flatten());
        waits
            .filter_map(|wait| wait.target.as_ref())
            .any(|target| *target == WaitTarget::Remote(self.remote))
    }

    fn are_awaited_by(&self, evidence: &Evidence) -> Option<bool> {
        let Some(waits) = &evidence.waits else {
            // A program with epoll sets waits for many connections at once.
            return evidence.epoll.is_some().then_some(true);
        };
        let threads = evidence.waiting_threads();
        let may = waits.iter().any(|wait| match wait.kind {
            WaitKind::Descriptor => wait.target == Some(WaitTarget::Remote(self.remote)),
            // An epoll set with a single member waits for nothing else.
            WaitKind::Events => match &wait.target {
                Some(WaitTarget::Remote(remote)) => *remote == self.remote,
                Some(WaitTarget::Listener(_) | WaitTarget::File(_)) => false,
                None => true,
            },
            WaitKind::Other => true,
            // A goroutine waits while its thread is idle.
            WaitKind::Lock => evidence.runtime == Runtime::Go,
            WaitKind::Sleep | WaitKind::Child => false,
        });
        // A running thread may wait for anything next; an event loop waits for all of its
        // connections.
        let all_known = evidence.threads?.total <= threads;
        let is_loop = evidence.epoll.is_some_and(|epoll| epoll.watched > 0);
        let may = may || (!all_known && is_loop && spinning(evidence).is_none());
        (may || all_known).then_some(may)
    }
}
