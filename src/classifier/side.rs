//! Sides: which side of a connection a socket is on, and which port names the service.
//!
//! The first of these facts that is known decides:
//!
//! 1. who opened the connection, by the counters of the kernel
//! 2. a listener that covers the local end
//! 3. how many connections share each end
//! 4. the range of ports that the kernel assigns to connecting sockets
//!
//! Two contradicting facts of the same rank decide nothing.

use std::net::IpAddr;
use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use super::listeners::Listeners;
use super::service::{ServedAt, Service};
use crate::model::{Endpoint, PortRange, Protocol, Side, Snapshot, Socket, State};

/// How many connections must share an end for it to be a service. The kernel assigns one port to
/// two connections only if ports run short, and then far more connections share the other end.
const FAN: u32 = 3;
/// And how many times as many as those that share the other end.
const FAN_RATIO: u32 = 2;
/// The most ports of one address with fewer than [`FAN`] connections that are shown separately.
/// With more, each connection has its own port: passive FTP, RPC, peer to peer.
const FEW: u32 = 16;
/// Privileged ports that clients bind: bindresvport(3), and NFS from 665 on.
const RESERVED: PortRange = PortRange {
    first: 512,
    last: 1023,
};

/// The sides of all sockets of a snapshot. Facts about the whole table are computed once, on first
/// use.
#[derive(Debug)]
pub(super) struct Sides<'a> {
    snapshot: &'a Snapshot,
    pub(super) listeners: Listeners,
    shape: OnceLock<Shape>,
    crowds: OnceLock<Crowds>,
}

/// Ends of connections, by network namespace.
type Ends = FxHashMap<(u16, Endpoint), u32>;

/// How many connections share their ends.
#[derive(Debug, Default)]
struct Shape {
    /// For sockets whose side is otherwise unknown: how many sockets share the near end, and the
    /// far end.
    near: Ends,
    far: Ends,
    /// Ends that a socket is known to serve, or to have connected to.
    services: Ends,
}

/// Services without a listener, and those of them with hardly any connections.
#[derive(Debug, Default)]
struct Crowds {
    ends: FxHashMap<(u16, Protocol, Service), u32>,
    /// Their number at each address, by the service without its port.
    thin: FxHashMap<(u16, Protocol, Service), u32>,
}

impl<'a> Sides<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Sides<'a> {
        Sides {
            snapshot,
            listeners: Listeners::of(snapshot),
            shape: OnceLock::new(),
            crowds: OnceLock::new(),
        }
    }

    /// The side of a socket; `None` if unknown, or not a TCP connection.
    pub(super) fn side(&self, socket: &Socket) -> Option<Side> {
        if socket.protocol == Protocol::Udp || socket.state == State::BoundInactive {
            return None;
        }
        self.by_itself(socket)
            .or_else(|| self.shape.get_or_init(|| self.shape()).side(socket))
            .or_else(|| {
                let settings = &self.snapshot.namespace(socket).settings;
                by_range(socket, settings.ephemeral?)
            })
    }

    /// The end that names the service. If an address has many ports with a single connection each,
    /// these ports name no service and are left out.
    pub(super) fn service(&self, socket: &Socket) -> Service {
        let service = self.end(socket);
        if self.is_known(socket, service) {
            return service;
        }
        let crowds = self.crowds.get_or_init(|| self.crowds());
        let key = |service| (socket.netns, socket.protocol, service);
        let thin = crowds
            .ends
            .get(&key(service))
            .is_none_or(|sockets| *sockets < FAN);
        let others = crowds.thin.get(&key(service.without_port()));
        if thin && others.is_some_and(|others| *others > FEW) {
            service.without_port()
        } else {
            service
        }
    }

    /// The service with its port, however many there are.
    fn end(&self, socket: &Socket) -> Service {
        let local = ServedAt::Local(socket.local.port);
        let remote = ServedAt::Remote(socket.remote.canonical());
        let at = match (socket.protocol, self.side(socket)) {
            // The side of UDP is unknown: a socket without a peer is named by its own port.
            (Protocol::Udp, _) if socket.state == State::Established => remote,
            (Protocol::Udp, _) => local,
            (_, Some(Side::Server)) => local,
            (_, Some(Side::Client)) => remote,
            (_, None) => ServedAt::Unknown(socket.remote.canonical().addr),
        };
        let device = match (at, self.listeners.covering(socket)) {
            (ServedAt::Local(_), Some(listener)) => listener.bound.device,
            // Here the interface belongs to the address; no program bound the socket to it.
            (ServedAt::Local(_), None) if is_link_local(socket.local.addr) => 0,
            _ => socket.interface,
        };
        Service { at, device }
    }

    /// The side by the socket itself, or its listener.
    fn by_itself(&self, socket: &Socket) -> Option<Side> {
        opened(socket).or_else(|| {
            if self.listeners.covers(socket) {
                Some(Side::Server)
            } else if self.is_to_a_listener(socket) {
                Some(Side::Client)
            } else {
                None
            }
        })
    }

    fn connections(&self) -> impl Iterator<Item = &'a Socket> {
        self.snapshot.sockets.iter().filter(|socket| {
            socket.protocol != Protocol::Udp
                && !matches!(socket.state, State::Listen | State::BoundInactive)
        })
    }

    fn shape(&self) -> Shape {
        let mut shape = Shape::default();
        for socket in self.connections() {
            let (near, far) = ends(socket);
            match self.by_itself(socket) {
                Some(Side::Server) => *shape.services.entry(near).or_default() += 1,
                Some(Side::Client) => *shape.services.entry(far).or_default() += 1,
                None => {
                    shape.near.insert(near, 0);
                    shape.far.insert(far, 0);
                }
            }
        }
        if shape.near.is_empty() {
            return Shape::default();
        }
        for socket in self.connections() {
            let (near, far) = ends(socket);
            for (counts, end) in [(&mut shape.near, near), (&mut shape.far, far)] {
                if let Some(count) = counts.get_mut(&end) {
                    *count += 1;
                }
            }
        }
        shape
    }

    fn crowds(&self) -> Crowds {
        let mut crowds = Crowds::default();
        for socket in &self.snapshot.sockets {
            let service = self.end(socket);
            if !self.is_known(socket, service) {
                let key = (socket.netns, socket.protocol, service);
                *crowds.ends.entry(key).or_default() += 1;
            }
        }
        let thin = crowds.ends.iter().filter(|(_, sockets)| **sockets < FAN);
        for ((netns, protocol, service), _) in thin {
            let key = (*netns, *protocol, service.without_port());
            *crowds.thin.entry(key).or_default() += 1;
        }
        crowds
    }

    /// Whether the port of a service was certainly not assigned to one connection, by its number or
    /// because something listens on it.
    fn is_known(&self, socket: &Socket, service: Service) -> bool {
        let listened = match service.at {
            ServedAt::Local(_) => socket.state == State::Listen || self.listeners.covers(socket),
            ServedAt::Remote(_) => self.is_to_a_listener(socket),
            ServedAt::Unknown(_) => return true,
        };
        listened || service.port().is_none_or(|port| port < RESERVED.first)
    }

    /// Whether the other end is a listener of this namespace.
    fn is_to_a_listener(&self, socket: &Socket) -> bool {
        let is_here = socket.remote.is_loopback() || socket.remote.addr == socket.local.addr;
        is_here && self.listeners.covers(&turned(socket))
    }
}

impl Shape {
    fn side(&self, socket: &Socket) -> Option<Side> {
        let (near, far) = ends(socket);
        let known = |end| self.services.contains_key(end);
        match (known(&near), known(&far)) {
            (true, false) => return Some(Side::Server),
            (false, true) => return Some(Side::Client),
            _ => {}
        }
        let (near, far) = (*self.near.get(&near)?, *self.far.get(&far)?);
        let fans = |one: u32, other: u32| one >= FAN && one >= other.saturating_mul(FAN_RATIO);
        if fans(near, far) {
            Some(Side::Server)
        } else if fans(far, near) {
            Some(Side::Client)
        } else {
            None
        }
    }
}

fn is_link_local(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local())
}

/// Both ends, with the network namespace.
fn ends(socket: &Socket) -> ((u16, Endpoint), (u16, Endpoint)) {
    let end = |end: Endpoint| (socket.netns, end.canonical());
    (end(socket.local), end(socket.remote))
}

/// The other end of a connection, with the fields that its listener depends on.
fn turned(socket: &Socket) -> Socket {
    Socket {
        // It is unknown what the other end is bound to.
        interface: 0,
        local: socket.remote,
        remote: socket.local,
        ..socket.clone()
    }
}

/// Who opened a connection, by the socket alone; `None` if unknown.
fn opened(socket: &Socket) -> Option<Side> {
    match socket.state {
        State::Listen => Some(Side::Server),
        State::SynSent => Some(Side::Client),
        // With an inode it is a simultaneous open, or was accepted early with data in its SYN.
        State::SynRecv if socket.inode == 0 => Some(Side::Server),
        _ => counted(socket).or_else(|| socket.is_unaccepted().then_some(Side::Server)),
    }
}

/// Who opened a connection, by the counters of the kernel (Linux 4.19).
///
/// Sequence numbers count the SYN, the bytes and the FIN. `bytes_acked` follows `snd_una`
/// (`tcp_snd_una_update`), starting with the SYN if connect(2) sent it, and after it if the
/// connection was accepted (`tcp_create_openreq_child`). Subtracting the bytes that were sent once
/// and are not in flight leaves one or zero. If the kernel counted bytes more than once, because
/// packets were dropped on this host, the rest is neither (except for a single byte dropped once).
///
/// A connection restored from a checkpoint (TCP_REPAIR) never sent a SYN here, and looks accepted.
fn counted(socket: &Socket) -> Option<Side> {
    let tcp = socket.tcp?;
    let unsent = tcp.notsent()?;
    let fin = match socket.state {
        State::SynRecv | State::Established | State::CloseWait => 0,
        State::FinWait2 => 1,
        // The FIN is sent last.
        State::FinWait1 | State::Closing | State::LastAck => u64::from(unsent == 0),
        State::Listen | State::SynSent | State::TimeWait | State::Close | State::BoundInactive => {
            return None;
        }
    };
    let sent = tcp.bytes_sent()?.checked_sub(tcp.bytes_retrans()?)?;
    let under_way = socket.send_q.checked_sub(unsent)?;
    let reached = tcp.bytes_acked()?.checked_add(under_way.into())?;
    match reached.checked_sub(sent.checked_add(fin)?)? {
        0 => Some(Side::Server),
        1 => Some(Side::Client),
        _ => None,
    }
}

/// The side by the range of ports for connecting sockets, if it distinguishes the two ends. Clients
/// may also use privileged ports.
fn by_range(socket: &Socket, ephemeral: PortRange) -> Option<Side> {
    let (local, remote) = (socket.local.port, socket.remote.port);
    match (ephemeral.contains(local), ephemeral.contains(remote)) {
        (false, true) if !RESERVED.contains(local) => Some(Side::Server),
        (true, false) => Some(Side::Client),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
