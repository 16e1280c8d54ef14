//! A filter, as far as the kernel can apply it: `INET_DIAG_REQ_BYTECODE`.
//!
//! A program is a list of 4-byte operations `{ code, yes, no }`; the kernel walks on by `yes`
//! bytes where an operation holds and by `no` where it does not, takes the socket when it lands
//! on the end exactly, and drops it when it lands 4 bytes past it (`net/ipv4/inet_diag.c`,
//! `inet_diag_bc_run`; `inet_diag_bc_audit` says which programs it accepts).
//!
//! What is compiled accepts at least every socket that the filter selects: the exact filter runs
//! again on what comes back, so a term that the kernel does not know costs time and nothing else.

use crate::filter::{Filter, PortEnd, Term};

const JMP: u8 = 1;
const S_EQ: u8 = 11;
const D_EQ: u8 = 12;
/// The size of `struct inet_diag_bc_op`.
const OP: usize = 4;
/// `no` is 16 bits wide, and the longest jump is the whole program and 4 bytes.
const LONGEST: usize = u16::MAX as usize - 2 * OP;

/// The program for a filter, or `None` when the kernel has nothing to apply.
pub fn compile(filter: &Filter) -> Option<Vec<u8>> {
    compile_as(filter, Bound::Above).filter(|program| program.len() <= LONGEST)
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

/// `None` stands for the trivial bound: accept everything above, nothing below.
fn compile_as(filter: &Filter, bound: Bound) -> Option<Vec<u8>> {
    let (parts, join, trivial): (_, Join, _) = match filter {
        Filter::And(parts) => (parts, and, Bound::Below),
        Filter::Or(parts) => (parts, or, Bound::Above),
        Filter::Not(part) => {
            let opposite = match bound {
                Bound::Above => Bound::Below,
                Bound::Below => Bound::Above,
            };
            return compile_as(part, opposite).map(not);
        }
        Filter::Term(term) => return compile_term(term),
    };
    // A trivial part decides the whole where it is the stronger one (accepting everything in a
    // disjunction, nothing in a conjunction), and drops out where it is the weaker.
    let mut program: Option<Vec<u8>> = None;
    for part in parts {
        match compile_as(part, bound) {
            Some(next) => {
                program = Some(match program {
                    Some(before) => join(before, next),
                    None => next,
                });
            }
            None if bound == trivial => return None,
            None => {}
        }
    }
    program
}

fn compile_term(term: &Term) -> Option<Vec<u8>> {
    match term {
        Term::Port(PortEnd::Local, port) => Some(port_is(S_EQ, *port)),
        Term::Port(PortEnd::Remote, port) => Some(port_is(D_EQ, *port)),
        Term::Port(PortEnd::Either, port) => Some(or(port_is(S_EQ, *port), port_is(D_EQ, *port))),
        _ => None,
    }
}

fn port_is(code: u8, port: u16) -> Vec<u8> {
    let size = 2 * OP as u8;
    let mut program = op(code, size, u16::from(size) + OP as u16).to_vec();
    program.extend_from_slice(&op(0, 0, port));
    program
}

fn op(code: u8, yes: u8, no: u16) -> [u8; OP] {
    let no = no.to_ne_bytes();
    [code, yes, no[0], no[1]]
}

/// Both: the first one's "no" must land past the end of the second.
fn and(mut first: Vec<u8>, second: Vec<u8>) -> Vec<u8> {
    let past_end = first.len() + OP;
    let mut at = 0;
    while at < first.len() {
        let no = usize::from(u16::from_ne_bytes([first[at + 2], first[at + 3]]));
        if at + no == past_end {
            let longer = u16::try_from(no + second.len()).unwrap_or(u16::MAX);
            first[at + 2..at + 4].copy_from_slice(&longer.to_ne_bytes());
        }
        at += usize::from(first[at + 1]);
    }
    first.extend_from_slice(&second);
    first
}

/// Either: where the first one holds, a jump leads over the second; its "no" lands behind that
/// jump already.
fn or(mut first: Vec<u8>, second: Vec<u8>) -> Vec<u8> {
    let over = u16::try_from(second.len() + OP).unwrap_or(u16::MAX);
    first.extend_from_slice(&op(JMP, OP as u8, over));
    first.extend_from_slice(&second);
    first
}

/// Not: where it holds, a jump leads past the end; its "no" lands on the end already.
fn not(mut program: Vec<u8>) -> Vec<u8> {
    program.extend_from_slice(&op(JMP, OP as u8, 2 * OP as u16));
    program
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::filter::Known;
    use crate::model::*;

    /// The kernel's interpreter, `inet_diag_bc_run`, for the operations that are compiled.
    fn accepts(program: &[u8], socket: &Socket) -> bool {
        let mut at = 0usize;
        while at < program.len() {
            let no = usize::from(u16::from_ne_bytes([program[at + 2], program[at + 3]]));
            let operand = program
                .get(at + 6..at + 8)
                .map_or(0, |bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
            let holds = match program[at] {
                S_EQ => socket.local.port == operand,
                D_EQ => socket.remote.port == operand,
                JMP => false,
                other => panic!("operation {other}"),
            };
            at += if holds {
                usize::from(program[at + 1])
            } else {
                no
            };
        }
        at == program.len()
    }

    /// The kernel's check, `inet_diag_bc_audit`: without it the dump is refused.
    fn passes_audit(program: &[u8]) -> bool {
        let reached = |target: usize| {
            let mut at = 0;
            while at < target {
                at += usize::from(program[at + 1]);
            }
            at == target
        };
        let mut at = 0;
        while at < program.len() {
            let left = program.len() - at;
            let no = usize::from(u16::from_ne_bytes([program[at + 2], program[at + 3]]));
            let yes = usize::from(program[at + 1]);
            let least = if program[at] == JMP { OP } else { 2 * OP };
            if no < least || no > left + OP || no % OP != 0 || (no < left && !reached(at + no)) {
                return false;
            }
            if yes < least || yes > left + OP || yes % OP != 0 {
                return false;
            }
            at += yes;
        }
        at == program.len()
    }

    fn filters() -> impl Strategy<Value = Filter> {
        let port = (0u16..4).prop_flat_map(|port| {
            prop_oneof![
                Just(Term::Port(PortEnd::Local, port)),
                Just(Term::Port(PortEnd::Remote, port)),
                Just(Term::Port(PortEnd::Either, port)),
            ]
        });
        let state = Just(Term::State(StateSet::of(State::CloseWait)));
        prop_oneof![4 => port.boxed(), 1 => state.boxed()]
            .prop_map(Filter::Term)
            .prop_recursive(5, 40, 4, |inner| {
                prop_oneof![
                    prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::And),
                    prop::collection::vec(inner.clone(), 0..4).prop_map(Filter::Or),
                    inner.prop_map(|part| Filter::Not(Box::new(part))),
                ]
            })
    }

    fn sockets() -> impl Strategy<Value = Socket> {
        (0u16..4, 0u16..4, prop::bool::ANY).prop_map(|(local, remote, waits)| Socket {
            family: Family::Inet,
            state: if waits {
                State::CloseWait
            } else {
                State::Established
            },
            local: Endpoint::new([127, 0, 0, 1], local),
            remote: Endpoint::new([127, 0, 0, 1], remote),
            recv_q: 0,
            send_q: 0,
            timer: None,
            uid: 0,
            inode: 0,
            cookie: None,
            interface: 0,
            v6only: None,
            tcp: None,
        })
    }

    proptest! {
        #[test]
        fn the_kernel_accepts_at_least_what_the_filter_selects(
            filter in filters(),
            socket in sockets(),
        ) {
            if let Some(program) = compile(&filter) {
                prop_assert!(passes_audit(&program), "{filter:?} {program:?}");
                if filter.decide(&Known::of(&socket)) == Some(true) {
                    prop_assert!(accepts(&program, &socket), "{filter:?} {program:?}");
                }
            }
        }

        #[test]
        fn where_every_term_is_known_to_the_kernel_it_selects_exactly(
            local in 0u16..3, remote in 0u16..3, socket in sockets(),
        ) {
            let filter = Filter::And(vec![
                Filter::Term(Term::Port(PortEnd::Local, local)),
                Filter::Not(Box::new(Filter::Term(Term::Port(PortEnd::Either, remote)))),
            ]);
            let program = compile(&filter).unwrap();
            prop_assert_eq!(
                Some(accepts(&program, &socket)),
                filter.decide(&Known::of(&socket))
            );
        }
    }

    #[test]
    fn a_term_that_the_kernel_does_not_know_widens_and_never_narrows() {
        let port = || Filter::Term(Term::Port(PortEnd::Local, 80));
        let pid = || Filter::Term(Term::Pid(Pid(1)));
        assert!(compile(&Filter::And(vec![port(), pid()])).is_some());
        assert!(compile(&Filter::Or(vec![port(), pid()])).is_none());
        assert!(compile(&Filter::Not(Box::new(Filter::And(vec![port(), pid()])))).is_none());
        assert!(compile(&Filter::Not(Box::new(Filter::Or(vec![port(), pid()])))).is_some());
        assert!(compile(&Filter::everything()).is_none());
    }
}
