//! A filter, as far as the kernel can apply it: `INET_DIAG_REQ_BYTECODE`.
//!
//! A program is a list of 4-byte operations `{ code, yes, no }`; the kernel walks on by `yes`
//! bytes where an operation holds and by `no` where it does not, takes the socket when it lands
//! on the end exactly, and drops it when it lands 4 bytes past it (`net/ipv4/inet_diag.c`,
//! `inet_diag_bc_run`; `inet_diag_bc_audit` says which programs it accepts).
//!
//! What is compiled accepts at least every socket that the filter selects: the exact filter runs
//! again on what comes back, so a term that the kernel does not know costs time and nothing else.

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
    Full,
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
        let is_whole = self.dialect == Dialect::Full;
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
