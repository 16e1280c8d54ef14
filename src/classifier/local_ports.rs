//! Local ports: how many of the ports that connect(2) chooses from are in use towards one remote end,
//! and how full the table of TIME_WAIT sockets is.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use super::report::Report;
use super::rules::{PORTS_NOTABLE, TIME_WAIT_NOTABLE};
use crate::model::{Endpoint, PortRange, Protocol, Settings, Side, Socket, State};

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

    /// Whether connect(2) can take ports of connections in TIME_WAIT when none is free.
    pub fn is_relieved(&self) -> bool {
        self.in_state(State::TimeWait) > 0 && self.reuses_time_wait == Some(true)
    }

    /// How many connections are in a state.
    pub fn in_state(&self, state: State) -> u64 {
        self.states.get(&state).copied().unwrap_or(0)
    }
}

/// A namespace, both addresses, the remote port, and the interface that the sockets are bound to.
type Pair = (u16, IpAddr, Endpoint, u32);

/// The local ports and the states of the connections of a pair.
type InUse = (FxHashSet<u16>, BTreeMap<State, u64>);

/// The remote ends of selected connections to which a notable share of the ports is in use, first those
/// where connect(2) finds the fewest. All connections count, selected or not.
pub fn local_ports(report: &Report<'_>) -> Vec<LocalPorts> {
    let sockets = report.snapshot.sockets.len() as u64;
    // Most hosts have too few sockets to need any of this.
    let assignable: Vec<Assignable> = (report.snapshot.namespaces.iter())
        .map(|namespace| Assignable::of(&namespace.settings))
        .map(
            |ports| match is_notable(sockets, ports.count(), PORTS_NOTABLE) {
                true => ports,
                false => Assignable::default(),
            },
        )
        .collect();
    let none = Assignable::default();
    let assignable = |netns: u16| assignable.get(usize::from(netns)).unwrap_or(&none);
    let found = in_use(report, assignable);
    let mut all: Vec<LocalPorts> = found
        .into_iter()
        .filter_map(|(pair, in_use)| of_pair(report, pair, in_use, assignable(pair.0)))
        .collect();
    all.sort_by_key(|ports| {
        let free = ports.usable.saturating_sub(ports.used);
        (
            ports.is_relieved(),
            free,
            ports.netns,
            ports.remote,
            ports.local,
        )
    });
    all
}

/// What pairs with many connections use, one of which is selected.
fn in_use<'a>(
    report: &Report<'_>,
    assignable: impl Fn(u16) -> &'a Assignable,
) -> FxHashMap<Pair, InUse> {
    let is_client = |socket: &&Socket| {
        is_connection(socket)
            && assignable(socket.netns).contains(socket.local.port)
            && report.listeners().covering(socket).is_none()
    };
    let connections = || report.snapshot.sockets.iter().filter(is_client);
    let mut counts: FxHashMap<Pair, u64> = FxHashMap::default();
    for socket in connections() {
        *counts.entry(pair(socket)).or_default() += 1;
    }
    counts
        .retain(|(netns, ..), count| is_notable(*count, assignable(*netns).count(), PORTS_NOTABLE));
    if counts.is_empty() {
        return FxHashMap::default();
    }
    let selected: FxHashSet<Pair> = (report.rows())
        .map(|row| pair(row.socket))
        .filter(|pair| counts.contains_key(pair))
        .collect();
    let mut found: FxHashMap<Pair, InUse> = FxHashMap::default();
    for socket in connections().filter(|socket| selected.contains(&pair(socket))) {
        if report.context.sides.side(socket) == Some(Side::Server) {
            continue;
        }
        let (ports, states) = found.entry(pair(socket)).or_default();
        ports.insert(socket.local.port);
        *states.entry(socket.state).or_default() += 1;
    }
    found
}

fn of_pair(
    report: &Report<'_>,
    (netns, local, remote, device): Pair,
    (mut ports, states): InUse,
    assignable: &Assignable,
) -> Option<LocalPorts> {
    ports.extend(listened(report, netns).filter(|port| assignable.contains(*port)));
    let (used, usable) = (ports.len() as u64, assignable.count());
    let settings = &report.snapshot.netns(netns).settings;
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

/// The ports that connect(2) chooses from: `ip_local_port_range` without reserved ports, as ranges in
/// ascending order. None if unknown.
#[derive(Debug, Default)]
struct Assignable(Vec<PortRange>);

impl Assignable {
    fn of(settings: &Settings) -> Assignable {
        let Some(range) = settings.ephemeral else {
            return Assignable::default();
        };
        let mut reserved = settings.reserved.clone().unwrap_or_default();
        reserved.sort_unstable_by_key(|range| range.first);
        let mut free = Vec::new();
        let mut next = Some(range.first);
        for taken in reserved.iter().filter(|taken| taken.first <= taken.last) {
            let Some(first) = next else { break };
            if let Some(last) = taken.first.checked_sub(1) {
                let last = last.min(range.last);
                free.push(PortRange { first, last });
            }
            next = taken.last.checked_add(1).map(|after| after.max(first));
        }
        let last = range.last;
        free.extend(next.map(|first| PortRange { first, last }));
        free.retain(|range| range.first <= range.last);
        Assignable(free)
    }

    fn contains(&self, port: u16) -> bool {
        let Assignable(free) = self;
        let at = free.partition_point(|range| range.last < port);
        free.get(at).is_some_and(|range| range.contains(port))
    }

    fn count(&self) -> u64 {
        let Assignable(free) = self;
        free.iter().map(|range| range.ports().len() as u64).sum()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ports_are_left_out_in_any_order_and_overlap() {
        let range = |(first, last)| PortRange { first, last };
        let count = |ephemeral, reserved: &[(u16, u16)]| {
            let assignable = Assignable::of(&Settings {
                ephemeral: Some(range(ephemeral)),
                reserved: Some(reserved.iter().copied().map(range).collect()),
                ..Settings::default()
            });
            let all = (0..=u16::MAX).filter(|port| assignable.contains(*port));
            assert_eq!(all.count() as u64, assignable.count());
            assignable.count()
        };
        assert_eq!(count((100, 199), &[]), 100);
        assert_eq!(count((100, 199), &[(150, 159), (0, 99), (155, 169)]), 80);
        assert_eq!(count((100, 199), &[(100, 100), (199, 300)]), 98);
        assert_eq!(count((0, 65_535), &[(0, 0), (65_535, 65_535)]), 65_534);
        assert_eq!(count((100, 199), &[(0, 65_535), (150, 150)]), 0);
        assert_eq!(count((199, 100), &[(150, 120)]), 0);
        assert_eq!(Assignable::of(&Settings::default()).count(), 0);
    }
}
