//! A filter, as far as the kernel can apply it: `INET_DIAG_REQ_BYTECODE`.
//!
//! A program is a list of 4-byte operations `{ code, yes, no }`; the kernel walks on by `yes`
//! bytes where an operation holds and by `no` where it does not, takes the socket when it lands
//! on the end exactly, and drops it when it lands 4 bytes past it (`net/ipv4/inet_diag.c`,
//! `inet_diag_bc_run`; `inet_diag_bc_audit` says which programs it accepts).
//!
//! What is compiled accepts at least every socket that the filter selects: the exact filter runs
//! again on what comes back, so a term that the kernel does not know costs time and nothing else.

pub mod machine;
mod op;

use crate::collector::sockets::sock_diag::bytecode::op::{and, not, or};
use crate::filter::{End, Filter, Term};
use crate::model::Family;

/// `no` is 16 bits wide, and the longest jump is the whole program and 4 bytes.
const LONGEST: usize = u16::MAX as usize - 2 * op::SIZE;

/// Which operations a kernel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// All that are compiled: Linux 5.9 and later. Marks are for those who may set them.
    SumKey,
    /// Ports in an order, and addresses: every kernel, every user.
    Early,
}

/// The program for a filter, or `None` when the kernel has nothing to apply.
pub fn compile(filter: &Filter, dialect: Dialect) -> Option<Vec<u8>> {
    let compiler = Compiler { dialect };
    compiler
        .filter(filter, Bound::Above)
        .filter(|program| program.len() <= LONGEST)
}

/// What the program may do where it cannot say exactly what the filter says: accept more
/// (`Above`), or, below a negation, accept less.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Above,
    Below,
}

/// How two programs become one.
type Join = fn(Vec<u8>, Vec<u8>) -> Vec<u8>;

struct Compiler {
    dialect: Dialect,
}

impl Compiler {
    /// `None` stands for the trivial bound: accept everything above, nothing below.
    fn filter(&self, filter: &Filter, bound: Bound) -> Option<Vec<u8>> {
        let (parts, join, trivial): (_, Join, _) = match filter {
            Filter::And(parts) => (parts, and, Bound::Below),
            Filter::Or(parts) => (parts, or, Bound::Above),
            Filter::Not(part) => {
                let opposite = match bound {
                    Bound::Above => Bound::Below,
                    Bound::Below => Bound::Above,
                };
                return self.filter(part, opposite).map(not);
            }
            Filter::Term(term) => return self.term(term),
        };
        // A trivial part decides the whole where it is the stronger one (accepting everything in
        // a disjunction, nothing in a conjunction), and drops out where it is the weaker.
        let mut program: Option<Vec<u8>> = None;
        for part in parts {
            match self.filter(part, bound) {
                Some(next) => {
                    let joined = match program {
                        Some(before) => join(before, next),
                        None => next,
                    };
                    // A program that cannot be sent is not worth finishing.
                    if joined.len() > LONGEST {
                        return None;
                    }
                    program = Some(joined);
                }
                None if bound == trivial => return None,
                None => {}
            }
        }
        program
    }

    /// What a term comes to, exactly; `None` where the kernel does not know it.
    fn term(&self, term: &Term) -> Option<Vec<u8>> {
        let is_whole = self.dialect == Dialect::SumKey;
        match term {
            Term::Port(end, ports) => {
                let (first, last) = (*ports.start(), *ports.end());
                Some(either(*end, |end| {
                    if first == last && is_whole {
                        return op::port(end.equal, first);
                    }
                    match (first, last) {
                        (first, u16::MAX) => op::port(end.at_least, first),
                        (0, last) => op::port(end.at_most, last),
                        (first, last) => {
                            and(op::port(end.at_least, first), op::port(end.at_most, last))
                        }
                    }
                }))
            }
            Term::Host(end, network) => Some(either(*end, |end| {
                op::host(end.host, network.addr(), network.length())
            })),
            // An IPv4 condition holds of mapped addresses too; an IPv6 one of IPv6 alone.
            Term::Family(Family::Inet6) => Some(op::is_inet6()),
            Term::Family(Family::Inet) => Some(not(op::is_inet6())),
            Term::Interface(index) if is_whole => Some(op::interface(*index)),
            Term::Mark { value, mask } if is_whole => Some(op::mark(*value, *mask)),
            Term::Cgroup(id) if is_whole => Some(op::cgroup(*id)),
            _ => None,
        }
    }
}

/// A condition on one end, or on one of both.
fn either(end: End, of: impl Fn(&op::OfEnd) -> Vec<u8>) -> Vec<u8> {
    match end {
        End::Local => of(&op::LOCAL),
        End::Remote => of(&op::REMOTE),
        End::Either => or(of(&op::LOCAL), of(&op::REMOTE)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::*;
    use crate::collector::sockets::sock_diag::bytecode::machine::{accepts, passes_audit};
    use crate::filter::{Known, Network};
    use crate::model::*;

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
            for dialect in [Dialect::SumKey, Dialect::Early] {
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
            for dialect in [Dialect::SumKey, Dialect::Early] {
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
        let compile = |filter: &Filter| compile(filter, Dialect::SumKey);
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
        assert_eq!(early[0], op::S_GE);
        assert_eq!(Some(early), compile(&port(), Dialect::Early));
        assert_eq!(compile(&port(), Dialect::SumKey).unwrap()[0], op::S_EQ);
    }

    #[test]
    fn a_program_that_is_too_long_to_send_is_none() {
        let port = |port| Filter::Term(Term::Port(End::Either, port..=port));
        let many = Filter::Or((0..10_000).map(port).collect());
        assert_eq!(compile(&many, Dialect::SumKey), None);
        let some = Filter::Or((0..1_000).map(port).collect());
        assert!(passes_audit(&compile(&some, Dialect::SumKey).unwrap()));
    }
}
