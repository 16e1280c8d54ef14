//! The sockets that dumps have brought, and rolling back a dump that has to be repeated.

use std::num::NonZeroU64;

use rustc_hash::FxHashMap;

use crate::collector::sockets::capture::Capture;
use crate::model::{Details, Protocol, Socket, State};

/// What dumps have brought.
#[derive(Debug, Default)]
pub struct Dumped {
    pub sockets: Vec<Socket>,
    /// The TCP sockets that carry MPTCP connections, which are among the sockets.
    pub subflows: Vec<Socket>,
    /// Details of these sockets, if the query asks for them.
    pub details: Details,
    /// The messages as they came, if they are to be recorded.
    pub capture: Option<Capture>,
    /// The shortest accept queues of listeners that came more than once, until [`Dumped::settle`].
    pub(crate) shortest: FxHashMap<NonZeroU64, u32>,
}

impl Dumped {
    /// Adds the contents of another table.
    pub fn append(&mut self, mut others: Dumped) {
        match (&mut self.capture, others.capture) {
            (Some(capture), Some(more)) => capture.append(more),
            (None, more) => self.capture = more,
            (Some(_), None) => {}
        }
        let theirs = others.sockets.iter_mut().chain(&mut others.subflows);
        self.details.append(
            others.details,
            theirs.filter_map(|socket| socket.detail.as_mut()),
        );
        self.subflows.append(&mut others.subflows);
        if self.sockets.is_empty() {
            self.sockets = others.sockets;
        } else {
            self.sockets.append(&mut others.sockets);
        }
    }

    /// Adds a socket.
    pub(crate) fn push(&mut self, socket: Socket) {
        match socket.protocol {
            Protocol::Subflow => self.subflows.push(socket),
            _ => self.sockets.push(socket),
        }
    }

    /// Adds a socket that came again. The shorter of two lengths of an accept queue counts: the queue was
    /// at least that long at both times.
    pub(crate) fn again(&mut self, later: &Socket) {
        if let (State::Listen, Some(cookie)) = (later.state, later.cookie) {
            let shortest = self.shortest.entry(cookie).or_insert(later.recv_q);
            *shortest = later.recv_q.min(*shortest);
        }
    }

    /// Sets the lengths of accept queues that came more than once, in one pass.
    pub(crate) fn settle(&mut self) {
        let shortest = std::mem::take(&mut self.shortest);
        if shortest.is_empty() {
            return;
        }
        for socket in &mut self.sockets {
            if let Some(length) = socket.cookie.and_then(|cookie| shortest.get(&cookie)) {
                socket.recv_q = socket.recv_q.min(*length);
            }
        }
    }

    /// Marks everything as read in this network namespace.
    pub(crate) fn place(&mut self, netns: u16) {
        if let Some(capture) = &mut self.capture {
            capture.place(netns);
        }
        for socket in self.sockets.iter_mut().chain(&mut self.subflows) {
            socket.netns = netns;
        }
    }

    /// A point to roll back to.
    pub(in crate::collector) fn rollback_point(&self) -> RollbackPoint {
        RollbackPoint {
            sockets: self.sockets.len(),
            subflows: self.subflows.len(),
            details: self.details.len(),
            dumps: self.capture.as_ref().map_or(0, Capture::dumps),
        }
    }

    /// Removes everything that was added after a rollback point.
    pub(in crate::collector) fn roll_back(&mut self, to: RollbackPoint) {
        self.sockets.truncate(to.sockets);
        self.subflows.truncate(to.subflows);
        self.details.truncate(to.details);
        if let Some(capture) = &mut self.capture {
            capture.truncate(to.dumps);
        }
    }
}

/// The lengths of everything in a [`Dumped`].
#[derive(Debug, Clone, Copy)]
pub(in crate::collector) struct RollbackPoint {
    sockets: usize,
    subflows: usize,
    details: usize,
    dumps: usize,
}

/// What is to be known of a dump besides its sockets.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Dump {
    /// Messages that could not be read as a socket.
    pub malformed: u64,
    /// Sockets that came again because the table changed during the dump.
    pub repeated: u64,
    /// The kernel marked the dump as inconsistent on every try.
    pub interrupted: bool,
}

impl Dump {
    pub(crate) fn add(&mut self, other: Dump) {
        self.malformed += other.malformed;
        self.repeated += other.repeated;
        self.interrupted |= other.interrupted;
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::Endpoint;

    #[test]
    fn an_accept_queue_that_was_read_twice_is_as_long_as_when_it_was_shorter() {
        let end = |port| Endpoint::new(Ipv4Addr::LOCALHOST, port);
        let listener = |cookie, recv_q| Socket {
            recv_q,
            cookie: NonZeroU64::new(cookie),
            ..Socket::bare(State::Listen, end(80), end(0))
        };
        let mut found = Dumped::default();
        found.push(listener(1, 9));
        found.push(listener(2, 9));
        found.again(&listener(1, 3));
        found.again(&listener(1, 5));
        found.settle();
        let queues: Vec<u32> = found.sockets.iter().map(|socket| socket.recv_q).collect();
        assert_eq!(queues, [3, 9]);
    }

    #[test]
    fn half_a_million_listeners_may_all_come_again() {
        let end = Endpoint::new(Ipv4Addr::LOCALHOST, 80);
        let listener = |cookie| Socket {
            recv_q: 1,
            cookie: NonZeroU64::new(cookie),
            ..Socket::bare(State::Listen, end, end)
        };
        let mut found = Dumped::default();
        (1..=500_000).for_each(|cookie| found.push(listener(cookie)));
        // A walk over all of them for each takes an hour.
        (1..=500_000).for_each(|cookie| found.again(&listener(cookie)));
        found.settle();
        assert!(found.sockets.iter().all(|socket| socket.recv_q == 1));
    }
}
