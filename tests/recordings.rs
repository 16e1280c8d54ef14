//! The parsers, on recorded kernel output; fixtures/README.md describes the sockets of each port.

#![cfg(target_endian = "little")]

mod recorded;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use closewait::collector::sockets::proc_net;
use closewait::collector::sockets::sock_diag::wire;
use closewait::model::{
    Ago, Endpoint, Family, Socket, State, StateSet, TcpInfo, Tick, Timer, TimerKind,
};
use procfs::FromBufReadSI;
use proptest::prelude::*;

use self::recorded::Dump;

/// The dumps with a tcp_info of an older kernel, and its length.
const OLDER: [(&str, usize); 5] = [
    ("crafted/tcp_info_104.dump", 104),
    ("crafted/tcp_info_136.dump", 136),
    ("crafted/tcp_info_160.dump", 160),
    ("crafted/tcp_info_192.dump", 192),
    ("crafted/tcp_info_232.dump", 232),
];

/// How many sockets of the recording are in each state.
const STATES: [(State, usize); 12] = [
    (State::CloseWait, 21),
    (State::Established, 15),
    (State::SynSent, 1),
    (State::SynRecv, 2),
    (State::FinWait1, 3),
    (State::FinWait2, 21),
    (State::TimeWait, 3),
    (State::LastAck, 1),
    (State::Closing, 1),
    (State::Close, 0),
    (State::Listen, 17),
    (State::BoundInactive, 0),
];

/// The sockets in a state whose local port this is, in the order of their remote ends.
fn at(sockets: &[Socket], port: u16, state: State) -> Vec<&Socket> {
    let mut found: Vec<&Socket> = sockets
        .iter()
        .filter(|socket| socket.local.port == port && socket.state == state)
        .collect();
    found.sort_by_key(|socket| socket.remote);
    found
}

fn only(sockets: &[Socket], port: u16, state: State) -> &Socket {
    match at(sockets, port, state).as_slice() {
        [socket] => socket,
        other => panic!("{} sockets in {state} on {port}", other.len()),
    }
}

/// Bytes that arrived, and how many milliseconds ago: of sockets that must have tcp_info.
fn tcp(socket: &Socket) -> TcpInfo {
    socket.tcp.unwrap()
}

/// The parts of a socket that do not change from one reading to the next.
type Lasting = (Family, Endpoint, Endpoint, State, u32, u32, u32);

fn lasting(socket: &Socket) -> Lasting {
    (
        socket.family,
        socket.local,
        socket.remote,
        socket.state,
        socket.inode,
        socket.recv_q,
        // /proc does not tell the limit of a listener's queue.
        match socket.state {
            State::Listen => 0,
            _ => socket.send_q,
        },
    )
}

fn all_lasting(sockets: &[Socket]) -> Vec<Lasting> {
    let mut all: Vec<Lasting> = sockets.iter().map(lasting).collect();
    all.sort();
    all
}

#[test]
fn the_dump_of_both_families_tells_every_state_with_its_count() {
    let read = Dump::open("both.dump").read();
    assert_eq!((read.done, read.interrupted), (Some(0), false));
    for (state, expected) in STATES {
        let found = read.sockets.iter().filter(|s| s.state == state).count();
        assert_eq!(found, expected, "{state}");
    }
}

#[test]
fn one_walk_tells_what_a_walk_for_each_family_tells() {
    let mut each = recorded::dumped("ipv4.dump");
    assert!(each.iter().all(|socket| socket.family == Family::Inet));
    each.extend(recorded::dumped("ipv6.dump"));
    let both = recorded::dumped("both.dump");
    assert_eq!(all_lasting(&both), all_lasting(&each));
    let cookies = |sockets: &[Socket]| {
        let mut cookies: Vec<_> = sockets.iter().map(|s| s.cookie.unwrap()).collect();
        cookies.sort_unstable();
        cookies.dedup();
        cookies
    };
    assert_eq!(cookies(&both).len(), both.len());
    assert_eq!(cookies(&both), cookies(&each));
}

#[test]
fn recv_q_tells_how_far_the_application_read() {
    let sockets = recorded::dumped("both.dump");
    let recv_q = |port| -> Vec<u32> {
        at(&sockets, port, State::CloseWait)
            .iter()
            .map(|socket| socket.recv_q)
            .collect()
    };
    assert_eq!(recv_q(8080), [1; 6]);
    assert_eq!(recv_q(8082), [0; 3]);
    assert_eq!(recv_q(8443), [101; 2]);
    let mut queued = recv_q(8084);
    queued.sort_unstable();
    assert_eq!(queued, [1, 11]);
}

#[test]
fn a_listener_tells_its_queue_and_its_limit_and_no_ages() {
    let sockets = recorded::dumped("both.dump");
    let listener = only(&sockets, 8084, State::Listen);
    assert_eq!((listener.recv_q, listener.send_q), (3, 2));
    assert_eq!(listener.remote, Endpoint::new(Ipv4Addr::UNSPECIFIED, 0));
    assert!(listener.tcp.is_none());
    assert_eq!(at(&sockets, 8093, State::Listen).len(), 2);
}

#[test]
fn an_ipv6_listener_tells_whether_it_takes_ipv4_clients() {
    let sockets = recorded::dumped("both.dump");
    assert_eq!(only(&sockets, 8443, State::Listen).v6only, Some(false));
    assert_eq!(only(&sockets, 8085, State::Listen).v6only, Some(true));
    assert_eq!(only(&sockets, 8084, State::Listen).v6only, None);
    let mapped = at(&sockets, 8443, State::CloseWait)[0];
    assert_eq!(mapped.family, Family::Inet6);
    assert_eq!(
        mapped.local.addr,
        IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())
    );
    assert_eq!(
        mapped.local.canonical().addr,
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    );
    let plain = at(&sockets, 8082, State::CloseWait)[0];
    assert_eq!(plain.local.addr, IpAddr::V6(Ipv6Addr::LOCALHOST));
}

#[test]
fn connections_in_a_queue_have_no_inode_and_accepted_ones_do() {
    for sockets in [recorded::dumped("both.dump"), recorded::printed()] {
        let unaccepted: Vec<u16> = {
            let mut ports: Vec<u16> = sockets
                .iter()
                .filter(|socket| socket.is_unaccepted())
                .map(|socket| socket.local.port)
                .collect();
            ports.sort_unstable();
            ports
        };
        assert_eq!(unaccepted, [8084, 8084, 8084, 8085]);
    }
}

#[test]
fn the_owner_of_a_socket_is_told_and_the_kernels_own_have_none() {
    let sockets = recorded::dumped("both.dump");
    for socket in at(&sockets, 8080, State::CloseWait) {
        assert_eq!(socket.user(), Some(1000));
    }
    for socket in at(&sockets, 8081, State::CloseWait) {
        assert_eq!(socket.user(), Some(0));
    }
    for socket in sockets.iter().filter(|s| s.state == State::TimeWait) {
        assert_eq!(socket.user(), None);
    }
}

#[test]
fn timers_are_told_with_their_kind_and_when_they_fire() {
    let sockets = recorded::dumped("both.dump");
    let kind = |socket: &Socket| socket.timer.map(|timer| timer.kind);
    let expires = |socket: &Socket| socket.timer.unwrap().expires_ms;

    let keepalive = only(&sockets, 8092, State::Established);
    assert_eq!(kind(keepalive), Some(TimerKind::Keepalive));
    assert!((580_000..=600_000).contains(&expires(keepalive)));

    let probed = at(&sockets, 8081, State::CloseWait);
    let timers: Vec<_> = probed.iter().filter_map(|s| kind(s)).collect();
    assert_eq!(timers, [TimerKind::Keepalive]);

    let unanswered = at(&sockets, 8089, State::Established);
    assert_eq!(kind(unanswered[0]), Some(TimerKind::Retransmit));
    assert_eq!(unanswered[0].send_q, 6);

    let stuck = only(&sockets, 8088, State::CloseWait);
    assert_eq!(kind(stuck), Some(TimerKind::Probe));
    assert!(stuck.send_q > 0);

    for socket in sockets.iter().filter(|s| s.state == State::TimeWait) {
        assert_eq!(kind(socket), Some(TimerKind::TimeWait));
        // TCP_TIMEWAIT_LEN is a minute, and the recording was made at once.
        assert!((50_000..=60_000).contains(&expires(socket)), "{socket:?}");
    }
    for socket in at(&sockets, 8080, State::CloseWait) {
        assert_eq!(socket.timer, None);
    }
}

#[test]
fn an_orphan_in_fin_wait2_has_a_timer_and_one_that_is_held_has_an_inode() {
    let sockets = recorded::dumped("both.dump");
    let half: Vec<&Socket> = sockets
        .iter()
        .filter(|socket| socket.state == State::FinWait2)
        .collect();
    let (held, orphans): (Vec<&Socket>, Vec<&Socket>) =
        half.into_iter().partition(|socket| socket.inode != 0);
    let mut ports: Vec<u16> = held.iter().map(|socket| socket.remote.port).collect();
    ports.sort_unstable();
    assert_eq!(ports, [8086, 8088]);
    assert!(held.iter().all(|socket| socket.timer.is_none()));
    for orphan in orphans {
        let timer = orphan.timer.unwrap();
        assert_eq!(timer.kind, TimerKind::TimeWait);
        assert!(timer.expires_ms > 0);
    }
}

#[test]
fn ages_tell_how_long_ago_the_fin_came_and_how_patient_the_peer_was() {
    let sockets = recorded::dumped("both.dump");
    for socket in at(&sockets, 8080, State::CloseWait) {
        let tcp = tcp(socket);
        let fin = tcp.last_ack_recv().unwrap();
        let idle = fin.idle_since(tcp.last_data_recv().unwrap());
        let waited = idle.at_most_ms.unwrap() - idle.at_least_ms;
        assert!(fin.is_before(7_000) && fin.is_within(9_000), "{fin:?}");
        // The client waited a second, and a tenth while others were answered.
        assert!((1_050..1_300).contains(&waited), "{waited}");
        assert_eq!(tcp.data_segs_out(), Some(0));
        assert_eq!(tcp.bytes_received(), Some(65));
        assert_eq!(tcp.bytes_sent(), Some(0));
    }
    for socket in at(&sockets, 8081, State::CloseWait) {
        let tcp = tcp(socket);
        assert_eq!(tcp.data_segs_out(), Some(1));
        assert_eq!(tcp.bytes_sent(), Some(32));
        assert_eq!(tcp.bytes_acked(), Some(32));
        let (sent, received) = (tcp.last_data_sent(), tcp.last_data_recv());
        let after = sent.unwrap().is_after(received.unwrap(), Tick::LONGEST);
        assert_eq!(after, Some(true));
    }
    let fresh = tcp(only(&sockets, 8087, State::CloseWait));
    assert!(fresh.last_ack_recv().unwrap().is_within(999));
}

#[test]
fn answers_to_window_probes_renew_the_last_acknowledgement_long_after_the_fin() {
    let sockets = recorded::dumped("both.dump");
    let stuck = tcp(only(&sockets, 8088, State::CloseWait));
    // The FIN came seven seconds ago, and the last probe was answered since.
    assert!(stuck.last_data_recv().unwrap().is_before(7_000));
    assert!(stuck.last_ack_recv().unwrap().is_within(4_999));
}

#[test]
fn minisockets_have_no_tcp_info_and_full_sockets_all_do() {
    for socket in recorded::dumped("both.dump") {
        let mini = matches!(
            socket.state,
            State::TimeWait | State::SynRecv | State::Listen
        ) || (socket.state == State::FinWait2 && socket.inode == 0);
        assert_eq!(socket.tcp.is_none(), mini, "{socket:?}");
    }
}

#[test]
fn a_socket_that_is_only_bound_is_told_where_it_is_asked_for_and_as_close() {
    // BOUND_INACTIVE is a name for requests alone: `inet_diag_dump_icsk` answers with the
    // socket's own state.
    let sockets = recorded::dumped("bound_inactive.dump");
    assert_eq!(sockets.len(), 1);
    assert_eq!(sockets[0].state, State::Close);
    assert_eq!(sockets[0].local, Endpoint::new(Ipv4Addr::LOCALHOST, 8099));
}

#[test]
fn an_older_kernels_shorter_tcp_info_gives_what_it_has_and_nothing_for_the_rest() {
    let today = recorded::dumped("both.dump");
    let idle = |ago: Option<Ago>| ago.map(Ago::idle);
    for (name, length) in OLDER {
        let older = recorded::dumped(name);
        assert_eq!(all_lasting(&today), all_lasting(&older), "{name}");
        let mut compared = 0;
        for (now, then) in today.iter().zip(&older) {
            let (Some(now), Some(then)) = (now.tcp, then.tcp) else {
                assert_eq!(now.tcp.is_some(), then.tcp.is_some());
                continue;
            };
            compared += 1;
            assert_eq!(idle(then.last_data_sent()), idle(now.last_data_sent()));
            assert_eq!(idle(then.last_data_recv()), idle(now.last_data_recv()));
            assert_eq!(idle(then.last_ack_recv()), idle(now.last_ack_recv()));
            let from = |bytes: usize, value: Option<u64>| value.filter(|_| length >= bytes);
            assert_eq!(then.bytes_acked(), from(128, now.bytes_acked()), "{name}");
            assert_eq!(
                then.bytes_received(),
                from(136, now.bytes_received()),
                "{name}"
            );
            assert_eq!(
                then.data_segs_out().map(u64::from),
                from(160, now.data_segs_out().map(u64::from)),
                "{name}"
            );
            assert_eq!(then.bytes_sent(), from(208, now.bytes_sent()), "{name}");
        }
        assert!(compared > 30, "{name}: {compared}");
    }
}

#[test]
fn a_datagram_that_ends_within_a_message_is_an_error_after_the_whole_ones() {
    let whole = Dump::open("both.dump");
    let first = wire::replies(&whole.datagrams[0], whole.sequence, whole.port).count();
    let read = Dump::open("crafted/truncated.dump").read();
    assert!(read.broken.is_some());
    assert_eq!(read.sockets.len(), first - 1);
    assert_eq!(read.done, None);
}

#[test]
fn an_interrupted_dump_says_so() {
    let read = Dump::open("crafted/interrupted.dump").read();
    assert!(read.interrupted);
    assert_eq!(read.done, Some(0));
}

#[test]
fn a_dump_that_the_kernel_broke_off_carries_its_errno() {
    let read = Dump::open("crafted/broken_off.dump").read();
    assert_eq!(read.done, Some(-libc::ENOMEM));
    assert!(!read.sockets.is_empty());
    let read = Dump::open("no_handler.dump").read();
    assert_eq!((read.done, read.sockets.len()), (Some(-libc::ENOENT), 0));
}

#[test]
fn a_refusal_carries_its_errno() {
    let read = Dump::open("refused.dump").read();
    assert_eq!(read.refused, Some(-libc::ENOENT));
    assert_eq!(read.done, None);
}

#[test]
fn a_reply_to_another_request_is_passed_over() {
    let dump = Dump::open("both.dump");
    for (sequence, port) in [
        (dump.sequence + 1, dump.port),
        (dump.sequence, dump.port + 1),
    ] {
        for datagram in &dump.datagrams {
            for reply in wire::replies(datagram, sequence, port) {
                assert_eq!(reply.unwrap(), (wire::Reply::Other, false));
            }
        }
    }
}

#[test]
fn the_text_and_the_dump_tell_the_same_of_every_socket() {
    let printed = recorded::printed();
    let dumped = recorded::dumped("both.dump");
    assert_eq!(all_lasting(&printed), all_lasting(&dumped));
    let by_key: BTreeMap<_, &Socket> = dumped.iter().map(|s| (s.key(), s)).collect();
    for printed in &printed {
        let dumped = by_key[&printed.key()];
        if printed.state != State::SynRecv {
            assert_eq!(printed.uid, dumped.uid, "{printed:?}");
        }
        assert!(
            is_same_timer(printed.timer, dumped.timer),
            "{printed:?} {dumped:?}"
        );
        assert!(printed.cookie.is_none() && printed.tcp.is_none());
    }
}

/// Whether two readings one right after the other can be of one timer: a tick is 10 ms, and
/// between the readings it runs on.
fn is_same_timer(first: Option<Timer>, second: Option<Timer>) -> bool {
    const APART_MS: u32 = 100;
    match (first, second) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            a.kind == b.kind
                && a.retransmits == b.retransmits
                && a.expires_ms.abs_diff(b.expires_ms) <= APART_MS
        }
        _ => false,
    }
}

#[test]
fn a_connection_request_is_the_listeners_users_in_the_text_and_nobodys_in_a_dump() {
    // `get_openreq4` prints the listener's user; `inet_req_diag_fill` tells 0.
    let users = |sockets: &[Socket]| -> Vec<u32> {
        at(sockets, 8091, State::SynRecv)
            .iter()
            .map(|socket| socket.uid)
            .collect()
    };
    assert_eq!(users(&recorded::printed()), [1000, 1000]);
    assert_eq!(users(&recorded::dumped("both.dump")), [0, 0]);
}

#[test]
fn our_reading_of_the_text_is_that_of_the_procfs_crate() {
    for family in [Family::Inet, Family::Inet6] {
        let text = recorded::text(family);
        let theirs = procfs::net::TcpNetEntries::from_buf_read(
            text.as_bytes(),
            procfs::current_system_info(),
        )
        .unwrap()
        .0;
        let mut ours = Vec::new();
        proc_net::read(
            text.as_bytes(),
            closewait::model::Protocol::Tcp,
            family,
            &mut |_| true,
            &mut ours,
        )
        .unwrap();
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            let end = |end: std::net::SocketAddr| Endpoint::new(end.ip(), end.port());
            assert_eq!(ours.local, end(theirs.local_address));
            assert_eq!(ours.remote, end(theirs.remote_address));
            assert_eq!(Some(ours.state), State::from_kernel(theirs.state.to_u8()));
            assert_eq!(ours.recv_q, theirs.rx_queue);
            assert_eq!(ours.send_q, theirs.tx_queue);
            assert_eq!(ours.uid, theirs.uid);
            assert_eq!(u64::from(ours.inode), theirs.inode);
        }
    }
}

#[test]
fn what_is_not_kept_is_not_there_and_leaves_the_rest() {
    let mut kept = Vec::new();
    let waits = StateSet::of(State::CloseWait);
    let text = recorded::text(Family::Inet);
    let reading = proc_net::read(
        text.as_bytes(),
        closewait::model::Protocol::Tcp,
        Family::Inet,
        &mut |socket| waits.contains(socket.state),
        &mut kept,
    );
    let reading = reading.unwrap();
    assert_eq!((reading.malformed, reading.repeated), (0, 0));
    assert_eq!(kept.len(), 16);
}

/// Goes through everything that the parsers offer; what comes out does not matter.
fn parse(datagram: &[u8], sequence: u32, port: u32) {
    for reply in wire::replies(datagram, sequence, port) {
        if let Ok((wire::Reply::Socket(payload), _)) = reply {
            let _ = wire::socket(payload, closewait::model::Protocol::Tcp);
        }
    }
}

/// A recorded datagram, changed in some bytes and cut somewhere.
fn mutated() -> impl Strategy<Value = (Vec<u8>, u32, u32)> {
    let dump = Dump::open("both.dump");
    let (sequence, port) = (dump.sequence, dump.port);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20);
    let cut = prop::option::of(any::<prop::sample::Index>());
    (prop::sample::select(dump.datagrams), changes, cut).prop_map(
        move |(mut datagram, changes, cut)| {
            for (at, byte) in changes {
                let length = datagram.len();
                datagram[at.index(length)] = byte;
            }
            if let Some(cut) = cut {
                datagram.truncate(cut.index(datagram.len() + 1));
            }
            (datagram, sequence, port)
        },
    )
}

/// A recorded text, changed in some bytes and cut somewhere.
fn mutated_text() -> impl Strategy<Value = (Vec<u8>, Family)> {
    let family = prop::sample::select(vec![Family::Inet, Family::Inet6]);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..50);
    (family, changes, any::<prop::sample::Index>()).prop_map(|(family, changes, cut)| {
        let mut text = recorded::text(family).into_bytes();
        for (at, byte) in changes {
            let length = text.len();
            text[at.index(length)] = byte;
        }
        text.truncate(cut.index(text.len() + 1));
        (text, family)
    })
}

proptest! {
    #[test]
    fn no_bytes_make_the_netlink_parser_panic(bytes: Vec<u8>, sequence in 0u32..2) {
        parse(&bytes, sequence, 0);
        let _ = wire::socket(&bytes, closewait::model::Protocol::Tcp);
    }

    #[test]
    fn no_message_behind_a_true_header_makes_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 72..400)) {
        bytes[0] = libc::AF_INET as u8;
        bytes[1] = 8;
        let _ = wire::socket(&bytes, closewait::model::Protocol::Tcp);
        bytes[0] = libc::AF_INET6 as u8;
        let _ = wire::socket(&bytes, closewait::model::Protocol::Tcp);
    }

    #[test]
    fn no_change_to_a_recording_makes_the_netlink_parser_panic((datagram, sequence, port) in mutated()) {
        parse(&datagram, sequence, port);
    }

    #[test]
    fn no_bytes_make_the_text_parser_panic_and_each_line_is_counted(bytes: Vec<u8>) {
        let mut sockets = Vec::new();
        let reading = proc_net::read(bytes.as_slice(), closewait::model::Protocol::Tcp, Family::Inet6, &mut |_| true, &mut sockets);
        prop_assert_eq!(reading.is_err(), bytes.trim_ascii().is_empty());
    }

    #[test]
    fn no_change_to_a_recording_makes_the_text_parser_panic((text, family) in mutated_text()) {
        let mut sockets = Vec::new();
        let reading = proc_net::read(text.as_slice(), closewait::model::Protocol::Tcp, family, &mut |_| true, &mut sockets);
        let lines = text.split(|byte| *byte == b'\n').count();
        let Ok(reading) = reading else {
            prop_assert!(text.trim_ascii().is_empty());
            return Ok(());
        };
        let told = sockets.len() as u64 + reading.malformed + reading.repeated;
        prop_assert!(told <= lines as u64);
    }
}
