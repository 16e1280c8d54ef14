//! Raw sock_diag replies: how they are asked for, and the form in which they are kept.
//!
//! A `.dump` file is a list of datagrams exactly as the kernel sent them, in order, each with its
//! length in front: a 32-bit little-endian number of bytes, then the bytes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use closewait::collector::sockets::sock_diag::wire::{self, Query};
use closewait::model::{DetailSet, Families, Family, StateSet};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};

/// A family for which no kernel has socket diagnostics (`AF_X25`).
const NO_FAMILY: u8 = 9;
/// DCCP: a protocol that inet_diag once knew, and for which there is no handler.
const NO_PROTOCOL: u8 = 33;
/// Where family and protocol stand in a request: behind `struct nlmsghdr`.
const FAMILY_AT: usize = 16;
const PROTOCOL_AT: usize = 17;

pub const NLMSG_ERROR: u16 = 2;
pub const NLMSG_DONE: u16 = 3;

/// The datagrams of one reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    pub datagrams: Vec<Vec<u8>>,
}

impl Dump {
    /// The sequence number and the port id that every message of the reply carries.
    pub fn address(&self) -> Result<(u32, u32)> {
        let first = self.datagrams.first().context("a dump without datagrams")?;
        let word = |at: usize| -> Result<u32> {
            let bytes = first.get(at..at + 4).context("a datagram without header")?;
            Ok(u32::from_ne_bytes(bytes.try_into()?))
        };
        Ok((word(8)?, word(12)?))
    }

    pub fn save(&self, path: &Path) -> Result<()> {
        let mut bytes = Vec::new();
        for datagram in &self.datagrams {
            bytes.extend_from_slice(&u32::try_from(datagram.len())?.to_le_bytes());
            bytes.extend_from_slice(datagram);
        }
        fs::write(path, bytes).with_context(|| format!("could not write {}", path.display()))
    }
}

/// Asks the kernel and keeps what it says.
pub struct Recorder {
    socket: Socket,
    sequence: u32,
}

impl Recorder {
    pub fn open() -> Result<Recorder> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        Ok(Recorder {
            socket,
            sequence: 0,
        })
    }

    /// The reply to a query.
    pub fn dump(&mut self, query: &Query) -> Result<Dump> {
        self.ask(query, |_| {})
    }

    /// What the kernel says about a family that it has no diagnostics for: `NLMSG_ERROR`.
    pub fn refused(&mut self) -> Result<Dump> {
        self.ask(&any_ipv4(), |request| request[FAMILY_AT] = NO_FAMILY)
    }

    /// What it says about a protocol without a handler, as TCP is without tcp_diag: a dump of
    /// nothing, with an errno at its end.
    pub fn no_handler(&mut self) -> Result<Dump> {
        self.ask(&any_ipv4(), |request| request[PROTOCOL_AT] = NO_PROTOCOL)
    }

    fn ask(&mut self, query: &Query, change: impl FnOnce(&mut [u8])) -> Result<Dump> {
        self.sequence += 1;
        let mut request = wire::request(query, self.sequence);
        change(&mut request);
        let sent = self.socket.send_to(&request, &SocketAddr::new(0, 0), 0)?;
        ensure!(sent == request.len(), "the request was cut");
        let mut datagrams = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let over = ends(&datagram)?;
            datagrams.push(datagram);
            if over {
                return Ok(Dump { datagrams });
            }
        }
    }
}

fn any_ipv4() -> Query {
    Query {
        protocol: closewait::model::Protocol::Tcp,
        families: Families::One(Family::Inet),
        states: StateSet::ALL,
        tcp_info: true,
        ulp: false,
        details: DetailSet::NONE,
        bytecode: None,
    }
}

/// Whether a datagram holds the message that ends a reply.
fn ends(datagram: &[u8]) -> Result<bool> {
    Ok(messages(datagram)?
        .iter()
        .any(|message| matches!(kind(message), NLMSG_DONE | NLMSG_ERROR)))
}

/// The type of a netlink message.
pub fn kind(message: &[u8]) -> u16 {
    u16::from_ne_bytes([message[4], message[5]])
}

/// Splits a datagram into its messages, each with its header and without padding.
pub fn messages(datagram: &[u8]) -> Result<Vec<&[u8]>> {
    let mut messages = Vec::new();
    let mut rest = datagram;
    while let Some(length) = rest.first_chunk() {
        let length = u32::from_ne_bytes(*length) as usize;
        if length < 16 || length > rest.len() {
            bail!("a message of {length} bytes in {} bytes", rest.len());
        }
        messages.push(&rest[..length]);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(messages)
}
