//! Any datagrams as the kernel's reply to a query for TCP, UDP or MPTCP: they give no more sockets than fit
//! into them, and these can be shown in every output format.
//!
//! The first byte chooses the query, the second the format. Each datagram follows its length in two bytes;
//! the last one may be shorter.

#![no_main]

use closewait::collector::sockets::sock_diag::wire::Query;
use closewait::model::{DetailSet, Families, Protocol, Source, State, StateSet};
use closewait_fuzz::screen;
use libfuzzer_sys::fuzz_target;

/// `struct nlmsghdr` and `struct inet_diag_msg`.
const LEAST: usize = 16 + 72;

fuzz_target!(|bytes: &[u8]| {
    let [choice, form, rest @ ..] = bytes else {
        return;
    };
    let mut datagrams = Vec::new();
    let mut rest = rest;
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(behind.len());
        let (datagram, behind) = behind.split_at(length);
        datagrams.push(datagram);
        rest = behind;
    }
    let is = |bit: u8| choice & bit != 0;
    let query = Query {
        protocol: [Protocol::Tcp, Protocol::Udp, Protocol::Mptcp][usize::from(choice & 3) % 3],
        families: Families::Both,
        states: if is(4) {
            StateSet::of(State::BoundInactive)
        } else {
            StateSet::ALL
        },
        tcp_info: is(8),
        ulp: true,
        details: if is(16) {
            DetailSet::ALL
        } else {
            DetailSet::NONE
        },
        bytecode: None,
    };
    let (found, dump) = closewait::fuzz::netlink(&datagrams, &query);
    let taken = found.sockets.len() + found.subflows.len();
    let most = bytes.len() / LEAST;
    assert!(
        taken as u64 + dump.repeated <= most as u64,
        "{taken} {dump:?}"
    );
    screen::shown(&screen::snapshot(found, Source::Netlink), *form);
});
