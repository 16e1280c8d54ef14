//! Compiles a filter to a program for the kernel: `INET_DIAG_REQ_BYTECODE`.
//!
//! A program is a list of 4-byte operations `{ code, yes, no }`. The kernel jumps `yes` bytes ahead if an
//! operation holds, and `no` bytes if not. It accepts the socket if it lands exactly at the end, and drops it
//! if it lands 4 bytes past the end (`net/ipv4/inet_diag.c`, `inet_diag_bc_run`; `inet_diag_bc_audit` checks
//! a program).
//!
//! A program accepts at least every socket that the filter selects. The exact filter runs again on the
//! result, so a term that the kernel does not know only costs time.

mod op;

use crate::collector::sockets::sock_diag::bytecode::op::{and, not, or};
use crate::filter::{End, Filter, Term};
use crate::model::Family;

/// The most bytes of a program: `no` has 16 bits, and the longest jump is the program's length plus 4.
const LONGEST: usize = u16::MAX as usize - 2 * op::SIZE;

/// The operations that a kernel supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// All operations: Linux 5.9 and later. Marks are only for users who may set them.
    Full,
    /// Comparisons of ports, and addresses: every kernel, every user.
    Early,
}

/// The program for a filter, or `None` if the kernel can apply nothing of it.
pub fn compile(filter: &Filter, dialect: Dialect) -> Option<Vec<u8>> {
    let compiler = Compiler { dialect };
    compiler
        .filter(filter, Bound::Above)
        .filter(|program| program.len() <= LONGEST)
}

/// What a program may do if it cannot express the filter exactly: accept more (`Above`), or, within a
/// negation, accept less (`Below`).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bound {
    Above,
    Below,
}

/// Joins two programs.
type Join = fn(Vec<u8>, Vec<u8>) -> Vec<u8>;

struct Compiler {
    dialect: Dialect,
}

impl Compiler {
    /// `None` stands for the trivial bound: `Above` accepts everything, `Below` nothing.
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
        // A trivial part makes the whole trivial if it dominates (everything in a disjunction, nothing in a
        // conjunction); otherwise it can be left out.
        let mut program: Option<Vec<u8>> = None;
        for part in parts {
            match self.filter(part, bound) {
                Some(next) => {
                    let joined = match program {
                        Some(before) => join(before, next),
                        None => next,
                    };
                    // A longer program cannot be sent.
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

    /// The exact program for a term; `None` if the kernel cannot apply it.
    fn term(&self, term: &Term) -> Option<Vec<u8>> {
        let is_full = self.dialect == Dialect::Full;
        match term {
            Term::Port(end, ports) => {
                let (first, last) = (*ports.start(), *ports.end());
                Some(either(*end, |end| {
                    if first == last && is_full {
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
            // An IPv4 condition holds for mapped addresses too, an IPv6 condition only for IPv6.
            Term::Family(Family::Inet6) => Some(op::is_inet6()),
            Term::Family(Family::Inet) => Some(not(op::is_inet6())),
            Term::Interface(index) if is_full => Some(op::interface(*index)),
            Term::Mark { value, mask } if is_full => Some(op::mark(*value, *mask)),
            Term::Cgroup(id) if is_full => Some(op::cgroup(*id)),
            _ => None,
        }
    }
}

/// A condition on one end, or on either.
fn either(end: End, of: impl Fn(&op::OfEnd) -> Vec<u8>) -> Vec<u8> {
    match end {
        End::Local => of(&op::LOCAL),
        End::Remote => of(&op::REMOTE),
        End::Either => or(of(&op::LOCAL), of(&op::REMOTE)),
    }
}
