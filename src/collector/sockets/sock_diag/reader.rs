//! Dumps over netlink: send the request, receive and check the replies, drop duplicates.
//!
//! One buffer is reused for every datagram, and a socket costs no allocation. See sock_diag(7) and
//! `net/ipv4/inet_diag.c`.

use std::io;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use netlink_packet_core::DecodeError;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket as NetlinkSocket, SocketAddr};
use rustc_hash::FxHashSet;
use rustix::io::Errno;
use rustix::net::sockopt;

use crate::collector::sockets::capture::Form;
use crate::collector::sockets::sock_diag::dumped::{Dump, Dumped};
use crate::collector::sockets::sock_diag::wire::{self, Query, Reply};
use crate::model::{Families, Family, Protocol, Socket, State};

/// The size of the receive buffer, in bytes. The kernel fills at most 32 KiB per datagram if the buffer
/// is that large (`netlink_recvmsg`, `netlink_dump`).
const BUFFER: usize = 32 * 1024;
/// How long a dump may stay silent. The kernel answers at once or never.
const SILENCE: Duration = Duration::from_secs(10);
/// How often an interrupted dump is tried before its result is used as it is.
const TRIES: u32 = 3;

/// Why a dump failed. The messages include the reason, so there is no source.
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
    #[error("the kernel ended the dump with an error: {0}")]
    Failed(Errno),
    #[error("the sock_diag dump did not end")]
    Endless,
    #[error("a sock_diag datagram of {got} bytes was truncated to {}", BUFFER)]
    Cut { got: usize },
    #[error("the sock_diag dump ended in the middle of a message: {0}")]
    Truncated(DecodeError),
}

/// Reads the sockets of one network namespace: that of the calling thread when the reader was opened.
pub struct Reader {
    socket: NetlinkSocket,
    /// Our own port ID, which every reply to us has.
    port: u32,
    sequence: u32,
    buffer: Vec<u8>,
    known: Known,
}

/// The cookies of the sockets that were kept from earlier dumps and from the current one.
#[derive(Debug, Default)]
pub(crate) struct Known {
    earlier: FxHashSet<NonZeroU64>,
    current: FxHashSet<NonZeroU64>,
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

    /// Appends the sockets that a query asks for and `keep` selects, each of them once.
    ///
    /// If the kernel refuses the request for both families, it is asked for one after the other.
    pub fn read(
        &mut self,
        query: &Query,
        keep: &mut impl FnMut(&Socket) -> bool,
        found: &mut Dumped,
    ) -> Result<Dump, DumpError> {
        let whole = match (query.protocol, query.families) {
            // Only TCP has a request for both families.
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

    /// Reads until a dump is consistent, at most [`TRIES`] times.
    fn read_whole(
        &mut self,
        query: &Query,
        keep: &mut impl FnMut(&Socket) -> bool,
        found: &mut Dumped,
    ) -> Result<Dump, DumpError> {
        let start = found.rollback_point();
        let mut tries = 1;
        loop {
            self.known.current.clear();
            let dump = self.read_once(query, keep, found)?;
            if !dump.interrupted || tries == TRIES {
                let Known { earlier, current } = &mut self.known;
                earlier.extend(current.drain());
                found.settle();
                return Ok(dump);
            }
            found.roll_back(start);
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

    /// Receives one whole datagram from the kernel into the buffer. Fails if the last useful message came
    /// longer than [`SILENCE`] before: `heard` is the time of that.
    fn receive(&mut self, heard: Instant) -> Result<(), DumpError> {
        let flags = rustix::net::RecvFlags::TRUNC.bits().cast_signed();
        while heard.elapsed() <= SILENCE {
            self.buffer.clear();
            match self.socket.recv_from(&mut self.buffer, flags) {
                Ok((_, sender)) if sender.port_number() != 0 => {}
                // The kernel sends no empty datagram.
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
    /// Adds the socket in a message, unless it has come before or `keep` does not select it.
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
            socket = wire::bound_inactive(socket);
        }
        let known = |cookie| self.earlier.contains(&cookie) || !self.current.insert(cookie);
        if socket.cookie.is_some_and(known) {
            dump.repeated += 1;
            found.again(&socket);
        } else if !keep(&socket) {
            // A later query may select it.
            if let Some(cookie) = socket.cookie {
                self.current.remove(&cookie);
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

/// The errno of a netlink message, where it is negative.
fn from_kernel(errno: i32) -> Errno {
    Errno::from_raw_os_error(errno.saturating_abs())
}
