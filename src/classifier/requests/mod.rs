//! Requests that nobody has answered: what a program waits for at other services, also where no
//! thread shows it, as in an event loop.
//!
//! A connection that the program opened, over which something was sent and nothing has come back
//! since. Bytes decide, then times; two times within a tick decide nothing. Whether such requests
//! explain sockets in CLOSE_WAIT is told by when each was sent: after a peer asked, and before that
//! peer hung up.

mod ask;
mod find;
mod role;
mod unanswered;

pub(super) use self::ask::Ask;
pub(super) use self::find::requests;
pub(super) use self::unanswered::{ends, never_answered};
use crate::classifier::process::spinning;
use crate::model::{Ago, Endpoint, Evidence, Runtime, WaitKind, WaitTarget};

/// How long a request must have waited to count: a busy proxy in good health has hundreds that
/// have waited for milliseconds, and a service that is well answers within this.
pub const WAIT_MS: u64 = 1_000;

/// What a program has asked of one remote service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requests {
    pub remote: Endpoint,
    /// Its open connections to there.
    pub connections: u64,
    /// Those that wait for an answer, for longer than [`WAIT_MS`].
    pub unanswered: u64,
    /// How long ago the last byte was sent on those.
    pub p50_ms: u64,
    pub max_ms: u64,
    pub role: Role,
    /// It is one, over whose connection nothing ever came in, and all who wait have asked at that
    /// time or since: one fetch for all of them, or a log that was just opened.
    pub(super) is_first: bool,
    /// All were sent before any peer of the connections in question sent what came in last, and before
    /// anybody else asked who waits.
    pub(super) is_from_before: bool,
    /// This end of those, as many as are followed.
    pub(super) ends: Vec<Endpoint>,
}

/// What unanswered requests have to do with the connections of those who wait for the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Most were sent after a peer asked and before it hung up, or none was answered since.
    Explains,
    /// It is not known, or they have nothing to do with them.
    Beside,
}

impl Requests {
    /// Such requests of which it is not known what for they were sent; `None` of none.
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

    /// Whether somebody may wait for the answers, as far as these processes told: a thread that
    /// waits on such a connection, or for any of several. `None` where none told.
    pub fn are_awaited(&self, evidence: &[Evidence]) -> Option<bool> {
        let told = evidence.iter().filter_map(|of| self.are_awaited_by(of));
        told.max()
    }

    /// Whether a thread waits for this answer and nothing else.
    pub(super) fn has_waiter(&self, evidence: &[Evidence]) -> bool {
        let waits = evidence.iter().flat_map(|of| of.waits.iter().flatten());
        waits
            .filter_map(|wait| wait.target.as_ref())
            .any(|target| *target == WaitTarget::Remote(self.remote))
    }

    fn are_awaited_by(&self, evidence: &Evidence) -> Option<bool> {
        let Some(waits) = &evidence.waits else {
            // A program that has such a set waits for many at once.
            return evidence.epoll.is_some().then_some(true);
        };
        let threads: u32 = waits
            .iter()
            .map(|wait| wait.threads)
            .fold(0, u32::saturating_add);
        let may = waits.iter().any(|wait| match wait.kind {
            WaitKind::Descriptor => wait.target == Some(WaitTarget::Remote(self.remote)),
            // One that has a single thing to wait for waits for nothing else.
            WaitKind::Events => match &wait.target {
                Some(WaitTarget::Remote(remote)) => *remote == self.remote,
                Some(WaitTarget::Listener(_) | WaitTarget::File(_)) => false,
                None => true,
            },
            WaitKind::Other => true,
            // A goroutine waits while its thread has nothing to do.
            WaitKind::Lock => evidence.runtime == Runtime::Go,
            WaitKind::Sleep | WaitKind::Child => false,
        });
        // Of a thread that runs it is not known what it will wait for, but of an event loop that it
        // waits for all of its connections.
        let all_told = evidence.threads?.total <= threads;
        let is_loop = evidence.epoll.is_some_and(|epoll| epoll.watched > 0);
        let may = may || (!all_told && is_loop && spinning(evidence).is_none());
        (may || all_told).then_some(may)
    }
}
