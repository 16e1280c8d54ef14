//! sock_diag over netlink: ask, receive, check, de-duplicate.
//!
//! One buffer is reused for every datagram, and a socket costs no allocation.
//! See sock_diag(7) and `net/ipv4/inet_diag.c`.

pub mod bytecode;
pub mod mptcp;
pub mod wire;

use std::io;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use netlink_packet_core::DecodeError;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket as NetlinkSocket, SocketAddr};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::io::Errno;
use rustix::net::sockopt;

use crate::collector::sockets::capture::{Capture, Form};
use crate::collector::sockets::sock_diag::wire::{Query, Reply};
use crate::model::{Details, Families, Family, Protocol, Socket, State};

/// The kernel fills at most 32 KiB a datagram when the reader's buffer is that large
/// (`netlink_recvmsg`, `netlink_dump`).
const BUFFER: usize = 32 * 1024;
/// The kernel answers at once or never; a dump that is silent this long is broken.
const SILENCE: Duration = Duration::from_secs(10);
/// How often an interrupted dump is tried before its result is taken as it is.
const TRIES: u32 = 3;

/// Why a dump gave no trustworthy answer. Each says its own reason, so none has a source.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    #[error("opening a sock_diag socket: {0}")]
    Open(io::Error),
    #[error("asking sock_diag for sockets: {0}")]
    Send(io::Error),
    #[error("receiving a sock_diag dump: {0}")]
    Receive(io::Error),
    #[error("the kernel refused the dump: {0}")]
    Refused(Errno),
    #[error("the kernel broke the dump off: {0}")]
    Failed(Errno),
    #[error("the sock_diag dump has no end")]
    Endless,
    #[error("a sock_diag datagram of {got} bytes was cut to {}", BUFFER)]
    Cut { got: usize },
    #[error("the sock_diag dump ended in the middle of a message: {0}")]
    Truncated(DecodeError),
}

/// What dumps brought.
#[derive(Debug, Default)]
pub struct Dumped {
    pub sockets: Vec<Socket>,
    /// The TCP sockets that carry MPTCP connections, which are among the sockets.
    pub subflows: Vec<Socket>,
    /// More of these sockets, where the query asks for it.
    pub details: Details,
    /// All of it as it came, where that is to be recorded.
    pub capture: Option<Capture>,
    /// Of listeners that came again, until [`Dumped::settle`].
    pub(crate) shortest: FxHashMap<NonZeroU64, u32>,
}

impl Dumped {
    /// Takes over what another table has.
    pub fn append(&mut self, mut others: Dumped) {
        match (&mut self.capture, others.capture) {
            (Some(capture), Some(more)) => capture.append(more),
            (None, more) => self.capture = more,
            (Some(_), None) => {}
        }
        let theirs = others.sockets.iter_mut().chain(&mut others.subflows);
        self.details.append(others.details, theirs);
        self.subflows.append(&mut others.subflows);
        if self.sockets.is_empty() {
            self.sockets = others.sockets;
        } else {
            self.sockets.append(&mut others.sockets);
        }
    }

    /// Takes a socket in.
    pub(crate) fn push(&mut self, socket: Socket) {
        match socket.protocol {
            Protocol::Subflow => self.subflows.push(socket),
            _ => self.sockets.push(socket),
        }
    }

    /// Takes a socket that came again. For an accept queue the shorter of both lengths counts: it was
    /// at least that long all the time.
    pub(crate) fn again(&mut self, later: &Socket) {
        if let (State::Listen, Some(cookie)) = (later.state, later.cookie) {
            let shortest = self.shortest.entry(cookie).or_insert(later.recv_q);
            *shortest = later.recv_q.min(*shortest);
        }
    }

    /// Gives the accept queues that came again their lengths, in one walk for all of them.
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

    /// Says in which namespace all of it was read.
    pub(crate) fn place(&mut self, netns: u16) {
        if let Some(capture) = &mut self.capture {
            capture.place(netns);
        }
        for socket in self.sockets.iter_mut().chain(&mut self.subflows) {
            socket.netns = netns;
        }
    }

    /// How much there is.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            sockets: self.sockets.len(),
            subflows: self.subflows.len(),
            details: self.details.len(),
            dumps: self.capture.as_ref().map_or(0, Capture::dumps),
        }
    }

    /// Forgets what came after a mark: it is read anew.
    pub(crate) fn back_to(&mut self, mark: Mark) {
        self.sockets.truncate(mark.sockets);
        self.subflows.truncate(mark.subflows);
        self.details.truncate(mark.details);
        if let Some(capture) = &mut self.capture {
            capture.truncate(mark.dumps);
        }
    }
}

/// A moment of the reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    sockets: usize,
    subflows: usize,
    details: usize,
    dumps: usize,
}

/// What a dump brought besides sockets.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Dump {
    /// Messages that were no socket, however long the kernel or someone in between made them.
    pub malformed: u64,
    /// Sockets that came again because the table changed under the dump.
    pub repeated: u64,
    /// The kernel said that the dump is inconsistent, on every try.
    pub interrupted: bool,
}

impl Dump {
    pub(crate) fn add(&mut self, other: Dump) {
        self.malformed += other.malformed;
        self.repeated += other.repeated;
        self.interrupted |= other.interrupted;
    }
}

/// Reads the sockets of one network namespace: of the one that the calling thread was in when
/// the reader was opened.
pub struct Reader {
    socket: NetlinkSocket,
    /// Our own address on the socket, which every reply to us carries.
    port: u32,
    sequence: u32,
    buffer: Vec<u8>,
    known: Known,
}

/// The cookies of sockets that were kept of earlier dumps, and of the one under way.
#[derive(Debug, Default)]
pub(crate) struct Known {
    seen: FxHashSet<NonZeroU64>,
    fresh: FxHashSet<NonZeroU64>,
}

impl Reader {
    pub fn open() -> Result<Reader, DumpError> {
        let mut socket = NetlinkSocket::new(NETLINK_SOCK_DIAG).map_err(DumpError::Open)?;
        let port = socket.bind_auto().map_err(DumpError::Open)?.port_number();
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(SILENCE))
            .map_err(|error| DumpError::Open(error.into()))?;
        Ok(Reader {
            socket,
            port,
            sequence: 0,
            buffer: Vec::with_capacity(BUFFER),
            known: Known::default(),
        })
    }

    /// Appends the sockets that a query asks for and that are to be kept. Those that were kept
    /// before are not brought again.
    ///
    /// A kernel that refuses the one-walk request is asked for one family after the other.
    pub fn read(
        &mut self,
        query: &Query,
        keep: &mut impl FnMut(&Socket) -> bool,
        found: &mut Dumped,
    ) -> Result<Dump, DumpError> {
        let whole = match (query.protocol, query.families) {
            // The request for both families is TCP's alone.
            (Protocol::Udp | Protocol::Mptcp, Families::Both) => {
                Err(DumpError::Refused(Errno::NOSYS))
            }
            _ => self.read_whole(query, keep, found),
        };
        match whole {
            Err(DumpError::Refused(_)) if query.families == Families::Both => {
                let mut dump = Dump::default();
                for family in [Family::Inet, Family::Inet6] {
                    let query = Query {
                        families: Families::One(family),
                        ..query.clone()
                    };
                    dump.add(self.read_whole(&query, keep, found)?);
                }
                Ok(dump)
            }
            answer => answer,
        }
    }

    /// Reads until a dump is consistent, or has been tried often enough.
    fn read_whole(
        &mut self,
        query: &Query,
        keep: &mut impl FnMut(&Socket) -> bool,
        found: &mut Dumped,
    ) -> Result<Dump, DumpError> {
        let start = found.mark();
        let mut tries = 1;
        loop {
            self.known.fresh.clear();
            let dump = self.read_once(query, keep, found)?;
            if !dump.interrupted || tries == TRIES {
                let Known { seen, fresh } = &mut self.known;
                seen.extend(fresh.drain());
                found.settle();
                return Ok(dump);
            }
            found.back_to(start);
            tries += 1;
        }
    }

    fn read_once(
        &mut self,
        query: &Query,
        keep: &mut impl FnMut(&Socket) -> bool,
        found: &mut Dumped,
    ) -> Result<Dump, DumpError> {
        self.sequence += 1;
        let request = wire::request(query, self.sequence);
        self.socket
            .send_to(&request, &SocketAddr::new(0, 0), 0)
            .map_err(DumpError::Send)?;
        let mut dump = Dump::default();
        if let Some(capture) = &mut found.capture {
            capture.begin(Form::of(query));
        }
        let mut heard = Instant::now();
        loop {
            self.receive(heard)?;
            for reply in wire::replies(&self.buffer, self.sequence, self.port) {
                let (reply, interrupted) = reply.map_err(DumpError::Truncated)?;
                if !matches!(reply, Reply::Other) {
                    heard = Instant::now();
                }
                dump.interrupted |= interrupted;
                if let (Reply::Socket(payload), Some(capture)) = (&reply, &mut found.capture) {
                    capture.message(payload);
                }
                match reply {
                    Reply::Socket(payload) => {
                        self.known.take(payload, query, keep, found, &mut dump);
                    }
                    Reply::Done(0) => {
                        if let Some(capture) = &mut found.capture {
                            capture.end();
                        }
                        return Ok(dump);
                    }
                    Reply::Done(errno) => return Err(DumpError::Failed(from_kernel(errno))),
                    Reply::Refused(errno) => return Err(DumpError::Refused(from_kernel(errno))),
                    Reply::Other => {}
                }
            }
        }
    }

    /// Receives one datagram whole into the buffer, from the kernel and nobody else. What says
    /// nothing may come for as long as silence may last since something was `heard`.
    fn receive(&mut self, heard: Instant) -> Result<(), DumpError> {
        let flags = rustix::net::RecvFlags::TRUNC.bits().cast_signed();
        while heard.elapsed() <= SILENCE {
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer, flags) {
                Ok((_, sender)) if sender.port_number() != 0 => {}
                // The kernel sends none without a message.
                Ok((0, _)) => return Err(DumpError::Endless),
                Ok((got, _)) if got > self.buffer.len() => return Err(DumpError::Cut { got }),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(DumpError::Receive(error)),
            }
        }
        Err(DumpError::Endless)
    }
}

impl Known {
    /// Takes a socket as it came in, unless it has come before or is not to be kept.
    pub(crate) fn take(
        &mut self,
        payload: &[u8],
        query: &Query,
        keep: &mut impl FnMut(&Socket) -> bool,
        found: &mut Dumped,
        dump: &mut Dump,
    ) {
        let Ok(mut socket) = wire::socket(payload, query.protocol) else {
            dump.malformed += 1;
            return;
        };
        if query.states.contains(State::BoundInactive) {
            socket = bound(socket);
        }
        let known = |cookie| self.seen.contains(&cookie) || !self.fresh.insert(cookie);
        if socket.cookie.is_some_and(known) {
            dump.repeated += 1;
            found.again(&socket);
        } else if !keep(&socket) {
            // A later query may want it.
            if let Some(cookie) = socket.cookie {
                self.fresh.remove(&cookie);
            }
        } else {
            if !query.wants_times() {
                socket.tcp = None;
            }
            if !query.details.is_empty() {
                let detail = wire::detail(payload, query.protocol);
                socket.detail = found.details.push(detail);
            }
            found.push(socket);
        }
    }
}

/// A socket of a dump that asked for those that are bound and no more: the kernel says CLOSE of
/// them, and shows them only then (`inet_diag_dump_icsk`).
pub(crate) fn bound(socket: Socket) -> Socket {
    match socket.state {
        State::Close => Socket {
            state: State::BoundInactive,
            ..socket
        },
        _ => socket,
    }
}

/// The errno of a netlink message, which carries it negated.
fn from_kernel(errno: i32) -> Errno {
    Errno::from_raw_os_error(errno.saturating_abs())
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
