//! The listeners of each namespace: which connections are theirs, and who holds them.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::model::endpoint::is_wildcard;
use crate::model::{Endpoint, Family, Holder, Holders, Snapshot, Socket, State};

/// All LISTEN sockets, found by the address and port that they cover.
#[derive(Debug, Default)]
pub struct Listeners {
    /// By namespace and port.
    by_port: FxHashMap<(u16, u16), Vec<Listener>>,
}

/// The LISTEN sockets of one address and port: one, or several with SO_REUSEPORT.
#[derive(Debug)]
pub struct Listener {
    /// The namespace, as [`Socket::netns`].
    pub netns: u16,
    pub local: Endpoint,
    family: Family,
    v6only: bool,
    /// Positions in [`Snapshot::sockets`].
    pub sockets: Vec<usize>,
    /// Who holds those in whose accept queue a connection can be; ordered by process.
    pub holders: Vec<Holder>,
}

impl Listeners {
    pub fn of(snapshot: &Snapshot) -> Listeners {
        let mut listeners = Listeners::default();
        for (at, socket) in snapshot.sockets.iter().enumerate() {
            if socket.state == State::Listen {
                listeners.add(at, socket);
            }
        }
        if let Some(holders) = &snapshot.holders {
            for listener in listeners.by_port.values_mut().flatten() {
                listener.find_holders(&snapshot.sockets, holders);
            }
        }
        listeners
    }

    fn add(&mut self, at: usize, socket: &Socket) {
        let listeners = self.by_port.entry(place(socket)).or_default();
        let v6only = socket.v6only == Some(true);
        let same = listeners.iter_mut().find(|listener| {
            listener.local == socket.local
                && listener.family == socket.family
                && listener.v6only == v6only
        });
        match same {
            Some(listener) => listener.sockets.push(at),
            None => listeners.push(Listener {
                netns: socket.netns,
                local: socket.local,
                family: socket.family,
                v6only,
                sockets: vec![at],
                holders: Vec::new(),
            }),
        }
    }

    /// The listener whose connection a socket with this local end is: the one bound to the very
    /// address, else to the wildcard of the family, else to a dual-stack `::`.
    pub fn covering(&self, socket: &Socket) -> Option<&Listener> {
        let addr = socket.local.canonical().addr;
        self.by_port
            .get(&place(socket))?
            .iter()
            .filter_map(|listener| listener.score(addr).map(|score| (score, listener)))
            .max_by_key(|(score, _)| *score)
            .map(|(_, listener)| listener)
    }

    pub fn covers(&self, socket: &Socket) -> bool {
        self.covering(socket).is_some()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Listener> {
        self.by_port.values().flatten()
    }
}

/// Where a socket's listener is looked for.
fn place(socket: &Socket) -> (u16, u16) {
    (socket.netns, socket.local.port)
}

impl Listener {
    /// How well the listener covers an address (`net/ipv4/inet_hashtables.c`, `compute_score`).
    fn score(&self, addr: IpAddr) -> Option<u8> {
        if self.local.canonical().addr == addr {
            return Some(3);
        }
        match (is_wildcard(self.local.addr), self.family, addr) {
            (true, Family::Inet, IpAddr::V4(_)) | (true, Family::Inet6, IpAddr::V6(_)) => Some(2),
            (true, Family::Inet6, IpAddr::V4(_)) if !self.v6only => Some(1),
            _ => None,
        }
    }

    /// With SO_REUSEPORT the kernel does not tell in which queue a connection is, but it cannot
    /// be in an empty one.
    fn find_holders(&mut self, sockets: &[Socket], holders: &Holders) {
        let queued = |at: &&usize| sockets[**at].recv_q > 0;
        let any_queued = self.sockets.iter().any(|at| queued(&at));
        let mut found: Vec<Holder> = self
            .sockets
            .iter()
            .filter(|at| !any_queued || queued(at))
            .flat_map(|at| holders.of(sockets[*at].inode).iter().copied())
            .collect();
        found.sort_unstable_by_key(|holder| (holder.pid, holder.fd));
        self.holders = found;
    }
}
