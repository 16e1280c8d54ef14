//! Reads the fixtures, for tests that need recorded kernel output.

#![allow(dead_code, reason = "each test file needs some of it")]

use std::path::{Path, PathBuf};

use closewait::collector::sockets::proc_net;
use closewait::collector::sockets::sock_diag::wire::{self, Reply};
use closewait::model::{Family, Socket};

/// A file of fixtures/.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// The datagrams of a `.dump` file; fixtures/README.md describes its form.
pub struct Dump {
    pub datagrams: Vec<Vec<u8>>,
    pub sequence: u32,
    pub port: u32,
}

/// How a dump ended, and what it said before.
#[derive(Debug, Default)]
pub struct Read {
    pub sockets: Vec<Socket>,
    pub interrupted: bool,
    /// The errno of NLMSG_DONE.
    pub done: Option<i32>,
    /// The errno of NLMSG_ERROR.
    pub refused: Option<i32>,
    /// Why a datagram could not be split into messages.
    pub broken: Option<String>,
}

impl Dump {
    pub fn open(name: &str) -> Dump {
        let path = path("netlink").join(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let mut datagrams = Vec::new();
        let mut rest = bytes.as_slice();
        while let Some((length, behind)) = rest.split_first_chunk() {
            let (datagram, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
            datagrams.push(datagram.to_vec());
            rest = behind;
        }
        assert!(rest.is_empty(), "{path:?} ends within a length");
        let word = |at: usize| u32::from_ne_bytes(datagrams[0][at..at + 4].try_into().unwrap());
        Dump {
            sequence: word(8),
            port: word(12),
            datagrams,
        }
    }

    /// Parses everything; panics where a message that the kernel sent is no socket.
    pub fn read(&self) -> Read {
        let mut read = Read::default();
        for datagram in &self.datagrams {
            for reply in wire::replies(datagram, self.sequence, self.port) {
                match reply {
                    Ok((reply, interrupted)) => {
                        read.interrupted |= interrupted;
                        match reply {
                            Reply::Socket(payload) => {
                                read.sockets.push(
                                    wire::socket(payload, closewait::model::Protocol::Tcp).unwrap(),
                                );
                            }
                            Reply::Done(errno) => read.done = Some(errno),
                            Reply::Refused(errno) => read.refused = Some(errno),
                            Reply::Other => panic!("a message that is none of the dump's"),
                        }
                    }
                    Err(error) => read.broken = Some(error.to_string()),
                }
            }
        }
        read
    }
}

/// The sockets of a `.dump` file.
pub fn dumped(name: &str) -> Vec<Socket> {
    Dump::open(name).read().sockets
}

/// The name and text of /proc/net/tcp or tcp6.
pub fn text(family: Family) -> String {
    let name = match family {
        Family::Inet => "proc/tcp",
        Family::Inet6 => "proc/tcp6",
    };
    std::fs::read_to_string(path(name)).unwrap()
}

/// The sockets of both texts.
pub fn printed() -> Vec<Socket> {
    let mut sockets = Vec::new();
    for family in [Family::Inet, Family::Inet6] {
        let text = text(family);
        let reading = proc_net::read(
            text.as_bytes(),
            closewait::model::Protocol::Tcp,
            family,
            &mut |_| true,
            &mut sockets,
        )
        .unwrap();
        assert_eq!((reading.malformed, reading.repeated), (0, 0));
    }
    sockets
}
