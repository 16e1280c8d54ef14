//! Local ports: how many of the ports that connect(2) chooses from are in use towards one remote end,
//! and how full the table of TIME_WAIT sockets is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use super::report::Report;
use super::rules::{PORTS_NOTABLE, TIME_WAIT_NOTABLE};
use crate::model::{Endpoint, Protocol, Settings, Side, Socket, State};

/// The ephemeral ports of one local address that are in use towards one remote end. connect(2) assigns
/// each of them only once for the same pair of addresses and the same remote port
/// (`net/ipv4/inet_hashtables.c`, `__inet_hash_connect`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPorts {
    /// The namespace, as [`Socket::netns`].
    pub netns: u16,
    pub local: IpAddr,
    pub remote: Endpoint,
    /// Ports with a connection to the remote end, and ports with a listener, which connect(2) skips.
    pub used: u64,
    /// Some sockets may not have been read.
    pub at_least: bool,
    /// The size of `ip_local_port_range`, without reserved ports.
    pub usable: u64,
    /// The connections by state.
    pub states: BTreeMap<State, u64>,
    /// Whether connect(2) may take the port of a connection in TIME_WAIT again, after a second
    /// (`tcp_tw_reuse`); `None` if unknown.
    pub reuses_time_wait: Option<bool>,
}

impl LocalPorts {
    /// The share in use, in percent.
    pub fn percent(&self) -> u64 {
        self.used * 100 / self.usable.max(1)
    }

    /// The state of most of the connections.
    pub fn main_state(&self) -> State {
        let most = self.states.iter().max_by_key(|(_, count)| **count);
        most.map_or(State::TimeWait, |(state, _)| *state)
    }

    /// How many connections are in a state.
    pub fn in_state(&self, state: State) -> u64 {
        self.states.get(&state).copied().unwrap_or(0)
    }
}

/// A namespace, both addresses, the remote port, and the interface that the sockets are bound to.
type Pair = (u16, IpAddr, Endpoint, u32);

/// The remote ends of selected connections to which a notable share of the ports is in use, those with
/// the fewest free ports first. All connections count, selected or not.
pub fn local_ports(report: &Report<'_>) -> Vec<LocalPorts> {
    let snapshot = report.snapshot;
    let settings = |netns: u16| &snapshot.netns(netns).settings;
    let usable: Vec<Option<u64>> = (snapshot.namespaces.iter())
        .map(|namespace| usable(&namespace.settings))
        .collect();
    let usable = |netns: u16| usable.get(usize::from(netns)).copied().flatten();
    let is_client = |socket: &Socket| {
        is_connection(socket)
            && assigns(settings(socket.netns), socket.local.port)
            && report.context.sides.side(socket) != Some(Side::Server)
    };
    let connections = || snapshot.sockets.iter().filter(|socket| is_client(socket));
    let mut counts: FxHashMap<Pair, u64> = FxHashMap::default();
    for socket in connections() {
        *counts.entry(pair(socket)).or_default() += 1;
    }
    counts.retain(|(netns, ..), count| {
        usable(*netns).is_some_and(|usable| is_notable(*count, usable, PORTS_NOTABLE))
    });
    if counts.is_empty() {
        return Vec::new();
    }
    let selected: FxHashSet<Pair> = (report.rows())
        .map(|row| pair(row.socket))
        .filter(|pair| counts.contains_key(pair))
        .collect();
    let mut found: FxHashMap<Pair, (FxHashSet<u16>, BTreeMap<State, u64>)> = FxHashMap::default();
    for socket in connections().filter(|socket| selected.contains(&pair(socket))) {
        let (ports, states) = found.entry(pair(socket)).or_default();
        ports.insert(socket.local.port);
        *states.entry(socket.state).or_default() += 1;
    }
    let mut all: Vec<LocalPorts> = found
        .into_iter()
        .filter_map(|((netns, local, remote, device), (mut ports, states))| {
            let settings = settings(netns);
            ports.extend(listened(report, netns).filter(|port| assigns(settings, *port)));
            let (used, usable) = (ports.len() as u64, usable(netns)?);
            is_notable(used, usable, PORTS_NOTABLE).then(|| LocalPorts {
                netns,
                local,
                remote,
                used,
                at_least: report.may_miss_sockets(),
                usable,
                states,
                reuses_time_wait: reuses(settings, [local, remote.addr], device),
            })
        })
        .collect();
    all.sort_by_key(|ports| {
        let free = ports.usable.saturating_sub(ports.used);
        (free, ports.netns, ports.remote, ports.local)
    });
    all
}

/// The ports that something listens on in a namespace.
fn listened(report: &Report<'_>, netns: u16) -> impl Iterator<Item = u16> {
    let here = (report.listeners().iter()).filter(move |listener| listener.bound.netns == netns);
    here.map(|listener| listener.bound.local.port)
}

/// Namespaces whose TIME_WAIT sockets are near the limit, as [`Socket::netns`], with their number and
/// the limit.
pub fn full_of_time_wait(report: &Report<'_>) -> Vec<(u16, u64, u64)> {
    let mut counts = BTreeMap::new();
    for row in report.rows() {
        if row.socket.state == State::TimeWait {
            *counts.entry(row.socket.netns).or_default() += 1;
        }
    }
    let near = |(netns, count): (u16, u64)| {
        let limit = report.snapshot.netns(netns).settings.time_wait_limit?;
        is_notable(count, limit, TIME_WAIT_NOTABLE).then_some((netns, count, limit))
    };
    counts.into_iter().filter_map(near).collect()
}

fn is_notable(count: u64, of: u64, percent: u64) -> bool {
    of > 0 && count.saturating_mul(100) >= of.saturating_mul(percent)
}

fn is_connection(socket: &Socket) -> bool {
    socket.protocol == Protocol::Tcp
        && !matches!(
            socket.state,
            State::Listen | State::BoundInactive | State::Close
        )
}

fn pair(socket: &Socket) -> Pair {
    let (local, remote) = (socket.local.canonical(), socket.remote.canonical());
    (socket.netns, local.addr, remote, socket.interface)
}

/// Whether connect(2) may choose a port.
fn assigns(settings: &Settings, port: u16) -> bool {
    let is_reserved = || {
        settings
            .reserved
            .iter()
            .flatten()
            .any(|range| range.contains(port))
    };
    settings.ephemeral.is_some_and(|range| range.contains(port)) && !is_reserved()
}

/// How many ports connect(2) chooses from; `None` if unknown.
fn usable(settings: &Settings) -> Option<u64> {
    let range = settings.ephemeral?;
    Some(
        range
            .ports()
            .filter(|port| assigns(settings, *port))
            .count() as u64,
    )
}

/// Whether the ports of connections in TIME_WAIT may be taken again (`net/ipv4/tcp_ipv4.c`,
/// `tcp_twsk_unique`).
fn reuses(settings: &Settings, ends: [IpAddr; 2], device: u32) -> Option<bool> {
    const LOOPBACK: u32 = 1;
    match settings.tw_reuse? {
        0 => Some(false),
        1 => Some(true),
        _ => Some(device == LOOPBACK || ends.iter().any(IpAddr::is_loopback)),
    }
}
