//! Keys by which a socket of one reading is found in the other.

use crate::model::{Endpoint, Name, Namespace, Protocol, Snapshot, Socket};
use std::net::IpAddr;

/// How sockets are matched between readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// By the kernel's identifier for the whole life of a socket.
    Cookie,
    /// By both ends, because one of the readings has no cookies.
    Ends,
}

/// Identifies a socket in both readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Cookie(usize, u64),
    Ends(usize, Protocol, End, End),
}

type End = (IpAddr, u16);

/// The network namespaces of both readings, by identifiers that are the same in both.
#[derive(Default)]
pub(super) struct Namespaces(Vec<NamespaceKey>);

#[derive(PartialEq, Eq)]
pub(super) enum NamespaceKey {
    Inode(u64),
    Label(Option<Name>),
}

impl NamespaceKey {
    pub(super) fn of(namespace: &Namespace) -> NamespaceKey {
        match namespace.inode {
            Some(inode) => NamespaceKey::Inode(inode),
            None => NamespaceKey::Label(namespace.label.clone()),
        }
    }
}

impl Namespaces {
    pub(super) fn key(&mut self, identity: Identity, snapshot: &Snapshot, socket: &Socket) -> Key {
        let at = self.at(snapshot, socket);
        match (identity, socket.cookie) {
            (Identity::Cookie, Some(cookie)) => Key::Cookie(at, cookie.get()),
            _ => Key::Ends(at, socket.protocol, end(socket.local), end(socket.remote)),
        }
    }

    pub(super) fn at(&mut self, snapshot: &Snapshot, socket: &Socket) -> usize {
        let namespace = snapshot.namespace(socket);
        let is_this = |place: &NamespaceKey| match place {
            NamespaceKey::Inode(inode) => namespace.inode == Some(*inode),
            NamespaceKey::Label(label) => namespace.inode.is_none() && *label == namespace.label,
        };
        if let Some(at) = self.0.iter().position(is_this) {
            return at;
        }
        self.0.push(NamespaceKey::of(namespace));
        self.0.len() - 1
    }
}

fn end(end: Endpoint) -> End {
    (end.addr, end.port)
}
