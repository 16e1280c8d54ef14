//! Keys by which a socket of one reading is found in the other.

use crate::model::{Endpoint, Name, Namespace, Protocol, Snapshot, Socket};
use std::net::IpAddr;

/// How sockets are matched between readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// By the kernel's identifier for the whole life of a socket.
    Cookie,
    /// By both ends, because one of the readings has no cookies. A connection that was closed and
    /// opened again between the same ends counts as the same.
    Ends,
}

impl Identity {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Identity::Cookie => "cookie",
            Identity::Ends => "ends",
        }
    }
}

/// Identifies a socket in both readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Cookie(u16, u64),
    Ends(u16, Protocol, End, End),
}

type End = (IpAddr, u16);

impl Key {
    pub(super) fn of(identity: Identity, netns: u16, socket: &Socket) -> Key {
        match (identity, socket.cookie) {
            (Identity::Cookie, Some(cookie)) => Key::Cookie(netns, cookie.get()),
            _ => Key::Ends(
                netns,
                socket.protocol,
                end(socket.local),
                end(socket.remote),
            ),
        }
    }
}

fn end(end: Endpoint) -> End {
    (end.addr, end.port)
}

/// The network namespaces of two readings, by numbers that are the same in both: those of the later
/// reading, as in [`Socket::netns`], then those that only the earlier one has.
#[derive(Debug)]
pub(super) struct Namespaces {
    of_before: Vec<u16>,
    after: u16,
}

impl Namespaces {
    pub(super) fn of(before: &Snapshot, after: &Snapshot) -> Namespaces {
        let number = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
        let later: Vec<NamespaceKey> = after.namespaces.iter().map(NamespaceKey::of).collect();
        let mut only_before = later.len();
        let of_before = before.namespaces.iter().map(|namespace| {
            let key = NamespaceKey::of(namespace);
            let same = later.iter().position(|other| *other == key);
            number(same.unwrap_or_else(|| {
                only_before += 1;
                only_before - 1
            }))
        });
        Namespaces {
            of_before: of_before.collect(),
            after: number(later.len()),
        }
    }

    /// The number of a namespace of the earlier reading.
    pub(super) fn of_earlier(&self, netns: u16) -> u16 {
        let number = self.of_before.get(usize::from(netns));
        number.copied().unwrap_or(netns)
    }

    /// Whether both readings cover the namespace of a number.
    pub(super) fn are_both(&self, number: u16) -> bool {
        number < self.after && self.of_before.contains(&number)
    }

    /// The number of namespaces that only one of the readings covers.
    pub(super) fn one_sided(&self) -> usize {
        let earlier = self.of_before.iter().filter(|of| **of >= self.after);
        let later = (0..self.after).filter(|of| !self.of_before.contains(of));
        earlier.count() + later.count()
    }
}

#[derive(PartialEq, Eq)]
enum NamespaceKey {
    Inode(u64),
    Label(Option<Name>),
}

impl NamespaceKey {
    fn of(namespace: &Namespace) -> NamespaceKey {
        match namespace.inode {
            Some(inode) => NamespaceKey::Inode(inode),
            None => NamespaceKey::Label(namespace.label.clone()),
        }
    }
}
