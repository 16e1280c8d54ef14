//! Listeners of each network namespace: which connections belong to them, and who holds them.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::service::{ServedAt, Service};
use crate::model::endpoint::is_wildcard;
use crate::model::{Endpoint, Family, Holder, Holders, Snapshot, Socket, State};

/// How long a connection may wait to be accepted before it counts, in milliseconds. A listener that
/// is served accepts within milliseconds; a queue that is full for an instant is no finding.
pub const QUEUE_GRACE_MS: u64 = 1_000;

/// All LISTEN sockets, indexed by namespace and port.
#[derive(Debug, Default)]
pub struct Listeners {
    /// By namespace and port.
    by_port: FxHashMap<(u16, u16), Vec<Listener>>,
    /// By namespace and family: the only listener whose accept queue can hold connections to a port
    /// without a listener.
    of_unmatched: FxHashMap<(u16, Family), Bound>,
}

/// What a listener is bound to, which identifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bound {
    /// The namespace, as [`Socket::netns`].
    pub netns: u16,
    pub local: Endpoint,
    /// The interface by SO_BINDTODEVICE, as [`Socket::interface`].
    pub device: u32,
    pub family: Family,
    pub v6only: bool,
}

impl Bound {
    fn of(socket: &Socket) -> Bound {
        Bound {
            netns: socket.netns,
            local: socket.local,
            device: socket.interface,
            family: socket.family,
            v6only: socket.v6only == Some(true),
        }
    }

    /// The service of its connections.
    pub fn service(&self) -> Service {
        Service {
            at: ServedAt::Local(self.local.port),
            device: self.device,
        }
    }
}

/// LISTEN sockets that are bound to the same address: one, or several with SO_REUSEPORT.
#[derive(Debug)]
pub struct Listener {
    pub bound: Bound,
    /// Positions in [`Snapshot::sockets`].
    pub sockets: Vec<usize>,
    /// Holders of the sockets whose accept queue is not empty, or of all if all are; ordered by process.
    pub holders: Vec<Holder>,
    /// How many connections are in its queues.
    queued: u64,
    /// More unaccepted connections exist than its queues hold, so some are in another listener's
    /// queue.
    is_contradicted: bool,
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
        listeners.find_unmatched(snapshot);
        listeners
    }

    fn add(&mut self, at: usize, socket: &Socket) {
        let listeners = self.by_port.entry(place(socket)).or_default();
        let bound = Bound::of(socket);
        let queued = u64::from(socket.recv_q);
        match listeners
            .iter_mut()
            .find(|listener| listener.bound == bound)
        {
            Some(listener) => {
                listener.sockets.push(at);
                listener.queued += queued;
            }
            None => listeners.push(Listener {
                bound,
                sockets: vec![at],
                holders: Vec::new(),
                queued,
                is_contradicted: false,
            }),
        }
    }

    /// Compares unaccepted connections with the lengths of the queues. With transparent proxying
    /// (TPROXY) or sk_lookup programs, a connection may wait in the queue of a listener on another
    /// port. That listener is certain if only one queue is longer than the number of its known
    /// connections. Listeners are read first, so only connections that had waited by then count.
    fn find_unmatched(&mut self, snapshot: &Snapshot) {
        let waiting = || {
            let sockets = snapshot.sockets.iter();
            sockets.filter(|socket| socket.is_unaccepted())
        };
        // For each listener: all its connections, and those that had waited.
        let mut members: FxHashMap<Bound, (u64, u64)> = FxHashMap::default();
        for socket in waiting() {
            if let Some(listener) = self.covering(socket) {
                let (all, old) = members.entry(listener.bound).or_default();
                *all += 1;
                *old += u64::from(has_waited(socket));
            }
        }
        for listener in self.by_port.values_mut().flatten() {
            let (_, old) = members.get(&listener.bound).copied().unwrap_or_default();
            listener.is_contradicted = old > listener.queued;
        }
        let mut unmatched: FxHashMap<(u16, Family), u64> = FxHashMap::default();
        for socket in waiting().filter(|socket| self.is_unmatched(socket)) {
            *unmatched.entry((socket.netns, socket.family)).or_default() += 1;
        }
        for (place, unmatched) in unmatched {
            let mut longer = self.iter().filter_map(|listener| {
                let (all, _) = members.get(&listener.bound).copied().unwrap_or_default();
                let known = if listener.is_contradicted { 0 } else { all };
                let more = listener.queued.saturating_sub(known);
                let is_here = (listener.bound.netns, listener.bound.family) == place;
                (is_here && more > 0).then_some((listener.bound, more))
            });
            let (only, other) = (longer.next(), longer.next());
            drop(longer);
            if let (Some((bound, more)), None) = (only, other)
                && more >= unmatched
            {
                self.of_unmatched.insert(place, bound);
            }
        }
    }

    /// Whether an unaccepted connection has waited for long, but not in the queue of the listener
    /// that covers it.
    fn is_unmatched(&self, socket: &Socket) -> bool {
        let elsewhere = match self.covering(socket) {
            None => true,
            Some(listener) => listener.is_contradicted && listener.queued == 0,
        };
        elsewhere && has_waited(socket)
    }

    /// The listener in whose accept queue a connection waits; `None` if uncertain.
    pub fn queue_of(&self, socket: &Socket) -> Option<&Listener> {
        if self.is_unmatched(socket) {
            let bound = self.of_unmatched.get(&(socket.netns, socket.family))?;
            let listeners = self.by_port.get(&(bound.netns, bound.local.port))?;
            return listeners.iter().find(|listener| listener.bound == *bound);
        }
        self.covering(socket)
            .filter(|listener| !listener.is_contradicted)
    }

    /// The listener that the connection came through.
    pub fn listener_of(&self, socket: &Socket) -> Option<&Listener> {
        if socket.is_unaccepted() {
            self.queue_of(socket)
        } else {
            self.covering(socket)
        }
    }

    /// The listener that covers the local end of a socket: bound to its address rather than to the
    /// wildcard, then to its device rather than to none, then of its family rather than a
    /// dual-stack `::` (`net/ipv4/inet_hashtables.c`, `compute_score`).
    pub fn covering(&self, socket: &Socket) -> Option<&Listener> {
        let addr = socket.local.canonical().addr;
        self.by_port
            .get(&place(socket))?
            .iter()
            .filter_map(|listener| {
                let (exact, same_family) = listener.covers(addr)?;
                let device = listener.bound.device;
                // A connection of a listener on a device is bound to that device. One of a listener
                // without a device may be bound too: by the scope of a link-local address, or in a
                // VRF.
                let same_device = device == socket.interface;
                let score = (exact, same_device, same_family);
                (same_device || device == 0).then_some((score, listener))
            })
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

/// The key for the listeners of a socket.
fn place(socket: &Socket) -> (u16, u16) {
    (socket.netns, socket.local.port)
}

impl Listener {
    /// Whether the listener covers an address: by exactly that address, and by one of the same
    /// family.
    fn covers(&self, addr: IpAddr) -> Option<(bool, bool)> {
        let bound = &self.bound;
        if bound.local.canonical().addr == addr {
            return Some((true, true));
        }
        match (is_wildcard(bound.local.addr), bound.family, addr) {
            (true, Family::Inet, IpAddr::V4(_)) | (true, Family::Inet6, IpAddr::V6(_)) => {
                Some((false, true))
            }
            (true, Family::Inet6, IpAddr::V4(_)) if !bound.v6only => Some((false, false)),
            _ => None,
        }
    }

    /// With SO_REUSEPORT the kernel does not report the queue of a connection, but it cannot be an
    /// empty one.
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

/// The least time that a connection has waited to be accepted, in milliseconds; `None` if unknown.
pub(super) fn waited_ms(socket: &Socket) -> Option<u64> {
    // Nothing was sent on it, so the time of the last byte sent is that of the connection.
    let connected = socket.tcp?.last_data_sent()?;
    Some(connected.idle().at_least_ms)
}

/// Whether it has certainly waited longer than an instant.
pub(super) fn has_waited(socket: &Socket) -> bool {
    waited_ms(socket).is_some_and(|waited| waited >= QUEUE_GRACE_MS)
}
