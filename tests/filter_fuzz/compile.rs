//! Filters put together at random from terms: the program of each passes the kernel's check and accepts
//! every socket that the filter selects.

use std::net::IpAddr;
use std::num::NonZeroU64;

use closewait::collector::sockets::sock_diag::bytecode::{Dialect, compile};
use closewait::filter::{End, Filter, Known, Network, Term};
use closewait::model::*;
use proptest::prelude::*;

use crate::check::interpreter::{S_EQ, S_GE, accepts, passes_audit};

fn ends() -> impl Strategy<Value = End> {
    prop::sample::select(vec![End::Local, End::Remote, End::Either])
}

fn addrs() -> impl Strategy<Value = IpAddr> {
    let few = [
        "10.1.0.1",
        "10.2.0.1",
        "0.0.0.0",
        "127.0.0.1",
        "::ffff:10.1.0.1",
        "::ffff:127.0.0.1",
        "::",
        "::1",
        "0a01::1",
        "fe80::1",
        "2001:db8::1",
    ];
    prop_oneof![
        4 => prop::sample::select(few.to_vec()).prop_map(|addr| addr.parse().unwrap()),
        1 => any::<u32>().prop_map(|bits| std::net::Ipv4Addr::from(bits).into()),
        1 => any::<u128>().prop_map(|bits| std::net::Ipv6Addr::from(bits).into()),
    ]
}

fn networks() -> impl Strategy<Value = Network> {
    (addrs(), any::<u8>()).prop_map(|(addr, length)| {
        let most = Network::host(addr).length();
        Network::new(addr, length % (most + 1)).unwrap()
    })
}

fn ports() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 0u16..4, 1 => Just(u16::MAX), 1 => any::<u16>()]
}

/// Terms that the kernel knows, and some that it does not.
fn terms() -> impl Strategy<Value = Term> {
    prop_oneof![
        4 => (ends(), ports(), ports()).prop_map(|(end, a, b)| {
            Term::Port(end, a.min(b)..=a.max(b))
        }),
        4 => (ends(), ports()).prop_map(|(end, port)| Term::Port(end, port..=port)),
        6 => (ends(), networks()).prop_map(|(end, network)| Term::Host(end, network)),
        1 => prop::sample::select(vec![Family::Inet, Family::Inet6]).prop_map(Term::Family),
        1 => (0u32..3).prop_map(Term::Interface),
        1 => (0u32..4, 0u32..4).prop_map(|(value, mask)| Term::Mark { value, mask }),
        1 => (1u64..4).prop_map(Term::Cgroup),
        1 => Just(Term::State(StateSet::of(State::CloseWait))),
        1 => (0u32..3).prop_map(|pid| Term::Pid(Pid(pid))),
    ]
}

fn filters() -> impl Strategy<Value = Filter> {
    terms()
        .prop_map(Filter::Term)
        .prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
                inner.prop_map(|part| Filter::Not(Box::new(part))),
            ]
        })
}

prop_compose! {
    fn sockets()(
        (local, remote) in (addrs(), addrs()).prop_filter("one family", |(local, remote)| {
            local.is_ipv4() == remote.is_ipv4()
        }),
        (from, to) in (ports(), ports()),
        waits in any::<bool>(),
        interface in 0u32..3,
        mark in prop::option::of(0u32..4),
        cgroup in 0u64..4,
        inode in 0u32..2,
        cookie in 0u64..2,
    ) -> Socket {
        let state = if waits { State::CloseWait } else { State::Established };
        let (local, remote) = (Endpoint::new(local, from), Endpoint::new(remote, to));
        Socket {
            netns: 0,
            inode,
            cookie: NonZeroU64::new(cookie),
            interface,
            mark,
            cgroup: NonZeroU64::new(cgroup),
            ..Socket::bare(state, local, remote)
        }
    }
}

proptest! {
    #[test]
    fn the_kernel_accepts_at_least_what_the_filter_selects(
        filter in filters(),
        socket in sockets(),
    ) {
        for dialect in [Dialect::Full, Dialect::Early] {
            let Some(program) = compile(&filter, dialect) else { continue };
            prop_assert!(passes_audit(&program), "{filter:?} {program:?}");
            if filter.decide(&Known::of(&socket)) == Some(true) {
                prop_assert!(accepts(&program, &socket), "{filter:?} {program:?}");
            }
        }
    }

    #[test]
    fn where_every_term_is_known_to_the_kernel_it_selects_exactly(
        (near, far) in (ends(), ends()),
        (first, last) in (ports(), ports()),
        network in networks(),
        socket in sockets(),
    ) {
        let port = Filter::Term(Term::Port(near, first.min(last)..=first.max(last)));
        let host = Filter::Term(Term::Host(far, network));
        let family = Filter::Term(Term::Family(Family::Inet));
        let filter = Filter::Or(vec![
            Filter::And(vec![port.clone(), Filter::Not(Box::new(host.clone()))]),
            Filter::And(vec![Filter::Not(Box::new(port)), host, family]),
        ]);
        for dialect in [Dialect::Full, Dialect::Early] {
            let program = compile(&filter, dialect).unwrap();
            prop_assert_eq!(
                Some(accepts(&program, &socket)),
                filter.decide(&Known::of(&socket))
            );
        }
    }
}

#[test]
fn a_term_that_the_kernel_does_not_know_widens_and_never_narrows() {
    let compile = |filter: &Filter| compile(filter, Dialect::Full);
    let port = || Filter::Term(Term::Port(End::Local, 80..=80));
    let pid = || Filter::Term(Term::Pid(Pid(1)));
    assert!(compile(&Filter::And(vec![port(), pid()])).is_some());
    assert!(compile(&Filter::Or(vec![port(), pid()])).is_none());
    assert!(compile(&Filter::Not(Box::new(Filter::And(vec![port(), pid()])))).is_none());
    assert!(compile(&Filter::Not(Box::new(Filter::Or(vec![port(), pid()])))).is_some());
    assert!(compile(&Filter::everything()).is_none());
}

#[test]
fn an_early_kernel_is_not_asked_for_what_it_does_not_know() {
    let port = || Filter::Term(Term::Port(End::Local, 80..=80));
    let mark = Filter::Term(Term::Mark { value: 1, mask: 1 });
    let filter = Filter::And(vec![port(), mark]);
    let early = compile(&filter, Dialect::Early).unwrap();
    assert_eq!(early[0], S_GE);
    assert_eq!(Some(early), compile(&port(), Dialect::Early));
    assert_eq!(compile(&port(), Dialect::Full).unwrap()[0], S_EQ);
}

#[test]
fn a_program_that_is_too_long_to_send_is_none() {
    let port = |port| Filter::Term(Term::Port(End::Either, port..=port));
    let many = Filter::Or((0..10_000).map(port).collect());
    assert_eq!(compile(&many, Dialect::Full), None);
    let some = Filter::Or((0..1_000).map(port).collect());
    assert!(passes_audit(&compile(&some, Dialect::Full).unwrap()));
}
