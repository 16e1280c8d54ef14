//! Tests of sides.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::classifier::rules::Thresholds;
use crate::classifier::tally::{Dimension, tally};
use crate::classifier::{Rules, classify, socket_set};
use crate::filter::Filter;
use crate::model::{Namespace, Protocols, Settings, TcpInfo};

/// The ports that serve here and there, listened to or not.
const HERE: [u16; 4] = [80, 2_049, 8_443, 40_000];
const THERE: [u16; 4] = [443, 993, 5_432, 50_000];
const STATES: [State; 9] = [
    State::Established,
    State::SynRecv,
    State::FinWait1,
    State::FinWait2,
    State::TimeWait,
    State::CloseWait,
    State::LastAck,
    State::Closing,
    State::SynSent,
];

fn tcp_info(socket: &Socket, side: Side) -> TcpInfo {
    let mut bytes = [0; 248];
    let fin = match socket.state {
        State::FinWait2 | State::FinWait1 | State::LastAck | State::Closing => 1,
        _ => 0,
    };
    let opened = u64::from(side == Side::Client);
    let acked = 500 + fin + opened - u64::from(socket.send_q);
    bytes[120..128].copy_from_slice(&acked.to_ne_bytes());
    bytes[200..208].copy_from_slice(&600u64.to_ne_bytes());
    bytes[208..216].copy_from_slice(&100u64.to_ne_bytes());
    TcpInfo::from_prefix(&bytes)
}

/// A connection: which side, the service by number (past the last one: a port of the
/// connection's own), the host at the other end, the state.
type Made = (bool, usize, u8, usize, bool);

fn table(made: &[Made], listening: [bool; 4], with_info: bool) -> Vec<Socket> {
    let here = Ipv4Addr::new(10, 0, 0, 1);
    let mut sockets = Vec::new();
    for (port, _) in HERE.iter().zip(listening).filter(|(_, listens)| *listens) {
        let any = Ipv4Addr::UNSPECIFIED;
        let listener = Endpoint::new(any, *port);
        sockets.push(Socket::bare(State::Listen, listener, Endpoint::new(any, 0)));
    }
    for (number, (serves, service, host, state, held)) in (0u16..).zip(made) {
        // Each its own, over all that a client may get, privileged ones too.
        let ephemeral = 700 + number * 97;
        let ports = if *serves { &HERE } else { &THERE };
        let port = ports.get(*service).copied().unwrap_or(ephemeral + 31);
        let there = Ipv4Addr::new(10, 0, 1, *host);
        let (local, remote) = if *serves {
            (port, ephemeral)
        } else {
            (ephemeral, port)
        };
        let (local, remote) = (Endpoint::new(here, local), Endpoint::new(there, remote));
        let state = match STATES[*state] {
            State::SynSent if *serves => State::Established,
            State::SynRecv if !serves => State::Established,
            state => state,
        };
        let mut socket = Socket::bare(state, local, remote);
        let minisocket = matches!(state, State::TimeWait | State::SynRecv);
        // One that waits in an accept queue has no inode.
        let orphan = !held && !matches!(state, State::Established | State::CloseWait);
        socket.inode = if minisocket || orphan {
            0
        } else {
            100 + u32::from(number)
        };
        socket.send_q = u32::from(matches!(
            state,
            State::FinWait1 | State::LastAck | State::Closing
        ));
        if with_info && !minisocket {
            let side = if *serves { Side::Server } else { Side::Client };
            socket.tcp = Some(tcp_info(&socket, side));
        }
        sockets.push(socket);
    }
    sockets
}

fn snapshot(sockets: Vec<Socket>, ephemeral: Option<PortRange>) -> Snapshot {
    Snapshot {
        host: Default::default(),
        namespaces: vec![Namespace {
            settings: Settings {
                ephemeral,
                ..Settings::default()
            },
            ..Namespace::UNKNOWN
        }],
        taken_at_ns: 0,
        reading_ms: None,
        sockets,
        subflows: Vec::new(),
        details: Default::default(),
        holders: None,
        cgroups: None,
        scan: Default::default(),
        scanned: Vec::new(),
        others: None,
        gaps: Vec::new(),
        steps: Vec::new(),
        recorded: false,
    }
}

fn rules() -> Rules {
    Rules {
        filter: Filter::everything(),
        protocols: Protocols::One(Protocol::Tcp),
        grace_ms: 5_000,
        seen: Default::default(),
        thresholds: Thresholds::default(),
    }
}

proptest! {
    /// However many connections there are, and whatever is known of them.
    #[test]
    fn no_group_finding_or_count_goes_by_an_ephemeral_port(
        made in prop::collection::vec(
            (any::<bool>(), 0usize..6, 1u8..4, 0..STATES.len(), any::<bool>()),
            0..400,
        ),
        listening in any::<[bool; 4]>(),
        with_info in any::<bool>(),
        range in prop::sample::select(vec![
            None,
            Some(PortRange { first: 32_768, last: 60_999 }),
            Some(PortRange { first: 1_024, last: 65_535 }),
        ]),
    ) {
        let snapshot = snapshot(table(&made, listening, with_info), range);
        let report = classify(&snapshot, &rules());
        let is_served = |port| HERE.contains(&port) || THERE.contains(&port);
        // At this host, and at three others.
        let most = FEW as usize * 4;
        let count = |services: Vec<Service>| {
            let mut ports: Vec<Service> = services
                .into_iter()
                .filter(|service| service.port().is_some_and(|port| !is_served(port)))
                .collect();
            ports.sort_unstable();
            ports.dedup();
            ports.len()
        };
        let groups = report.groups();
        prop_assert!(count(groups.iter().map(|group| group.service).collect()) <= most);
        prop_assert!(count(report.rows().map(|row| row.service()).collect()) <= most);
        let ends = socket_set::sets(&report).into_iter().filter_map(|set| match set.end {
            crate::classifier::service::ServiceEnd::One(service) => Some(service),
            crate::classifier::service::ServiceEnd::Several(..) => None,
        });
        prop_assert!(count(ends.collect()) <= most);
        let lines = tally(&report, &[Dimension::Port]).len();
        prop_assert!(lines <= most + HERE.len() + THERE.len() + 1, "{lines} lines");
    }

    /// What the kernel counts is never overruled.
    #[test]
    fn who_opened_a_connection_is_told_by_what_is_counted(
        made in prop::collection::vec(
            (any::<bool>(), 0usize..6, 1u8..4, 0..STATES.len(), any::<bool>()),
            0..40,
        ),
        listening in any::<[bool; 4]>(),
    ) {
        let snapshot = snapshot(table(&made, listening, true), None);
        let report = classify(&snapshot, &rules());
        let connections = report.rows().filter(|row| row.socket.state != State::Listen);
        for (row, (serves, ..)) in connections.zip(&made) {
            if row.socket.tcp.is_some() {
                let side = if *serves { Side::Server } else { Side::Client };
                prop_assert_eq!(row.side(), Some(side), "{:?}", row.socket);
            }
        }
    }
}

#[test]
fn what_does_not_come_out_as_one_or_none_tells_nothing() {
    let end = |port| Endpoint::new(IpAddr::from([10, 0, 0, 1]), port);
    let mut socket = Socket::bare(State::Established, end(1), end(2));
    let of = |acked: u64, sent: u64, again: u64, unsent: u32, length: usize| {
        let mut bytes = [0; 248];
        bytes[120..128].copy_from_slice(&acked.to_ne_bytes());
        bytes[144..148].copy_from_slice(&unsent.to_ne_bytes());
        bytes[200..208].copy_from_slice(&sent.to_ne_bytes());
        bytes[208..216].copy_from_slice(&again.to_ne_bytes());
        Some(TcpInfo::from_prefix(&bytes[..length]))
    };
    for (acked, sent, again, unsent, queued, length, expected) in [
        (6, 5, 0, 0, 0, 248, Some(Side::Client)),
        (3, 3, 0, 0, 0, 248, Some(Side::Server)),
        // In flight, and behind a closed window.
        (1, 5, 0, 0, 5, 248, Some(Side::Client)),
        (100, 500, 0, 300, 700, 248, Some(Side::Server)),
        // Sent again.
        (0, 15, 10, 0, 5, 248, Some(Side::Server)),
        // Refused on this host, over and over.
        (0, 40, 0, 5, 5, 248, None),
        (7, 5, 0, 0, 0, 248, None),
        (0, u64::MAX, 0, 0, 0, 248, None),
        (u64::MAX, 0, 0, 0, 9, 248, None),
        (0, 0, 9, 0, 0, 248, None),
        (9, 9, 0, 9, 0, 248, None),
        // Before Linux 4.19.
        (6, 5, 0, 0, 0, 200, None),
    ] {
        socket.tcp = of(acked, sent, again, unsent, length);
        socket.send_q = queued;
        assert_eq!(
            opened(&Socket {
                inode: 7,
                ..socket.clone()
            }),
            expected,
            "{acked} {sent}"
        );
    }
}
