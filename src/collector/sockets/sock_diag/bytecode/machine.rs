//! What the kernel does with a filter program: the check and the run of `net/ipv4/inet_diag.c`,
//! for tests and fuzzing to hold the compiler to.

use std::net::IpAddr;

use crate::collector::sockets::sock_diag::bytecode::op::{
    AF_INET, AF_INET6, CGROUP_COND, D_COND, D_EQ, D_GE, D_LE, DEV_COND, JMP, MARK_COND, S_COND,
    S_EQ, S_GE, S_LE, SIZE,
};
use crate::model::{Family, Socket};

/// The kernel's check, `inet_diag_bc_audit`: without it the dump is refused.
pub fn passes_audit(program: &[u8]) -> bool {
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
        let Some(least) = size(&program[at..]) else {
            return false;
        };
        let (yes, no) = jumps(program, at);
        let no_fits = no >= least && no <= left + SIZE && no.is_multiple_of(SIZE);
        if !no_fits || (no < left && !reached(at + no)) {
            return false;
        }
        if yes < least || yes > left + SIZE || !yes.is_multiple_of(SIZE) {
            return false;
        }
        at += yes;
    }
    at == program.len()
}

/// The bytes of an operation with its operand; `None` where it is none, or cut.
fn size(rest: &[u8]) -> Option<usize> {
    let size = match *rest.first()? {
        JMP => SIZE,
        S_GE | S_LE | D_GE | D_LE | S_EQ | D_EQ | DEV_COND => 2 * SIZE,
        MARK_COND | CGROUP_COND => 3 * SIZE,
        S_COND | D_COND => {
            let (addr, most) = match *rest.get(SIZE)? {
                AF_INET => (4, 32),
                AF_INET6 => (16, 128),
                _ => return None,
            };
            (*rest.get(SIZE + 1)? <= most).then_some(3 * SIZE + addr)?
        }
        _ => return None,
    };
    (size <= rest.len()).then_some(size)
}

/// The kernel's run, `inet_diag_bc_run`, over what it knows of a socket.
pub fn accepts(program: &[u8], socket: &Socket) -> bool {
    let mut at = 0;
    while at < program.len() {
        let (yes, no) = jumps(program, at);
        at += if holds(&program[at..], socket) {
            yes
        } else {
            no
        };
    }
    at == program.len()
}

fn jumps(program: &[u8], at: usize) -> (usize, usize) {
    let no = u16::from_ne_bytes([program[at + 2], program[at + 3]]);
    (program[at + 1].into(), no.into())
}

fn holds(op: &[u8], socket: &Socket) -> bool {
    let word = |at: usize| u32::from_ne_bytes([op[at], op[at + 1], op[at + 2], op[at + 3]]);
    let port = || u16::from_ne_bytes([op[SIZE + 2], op[SIZE + 3]]);
    match op[0] {
        S_GE => socket.local.port >= port(),
        S_LE => socket.local.port <= port(),
        S_EQ => socket.local.port == port(),
        D_GE => socket.remote.port >= port(),
        D_LE => socket.remote.port <= port(),
        D_EQ => socket.remote.port == port(),
        S_COND => host_holds(&op[SIZE..], socket.family, socket.local.addr),
        D_COND => host_holds(&op[SIZE..], socket.family, socket.remote.addr),
        DEV_COND => socket.interface == word(SIZE),
        MARK_COND => socket.mark.unwrap_or(0) & word(2 * SIZE) == word(SIZE),
        CGROUP_COND => {
            let mut id = [0; 8];
            id.copy_from_slice(&op[SIZE..SIZE + 8]);
            let id = u64::from_ne_bytes(id);
            socket.cgroup.map_or(0, std::num::NonZeroU64::get) == id
        }
        // A jump, which never holds.
        _ => false,
    }
}

/// `struct inet_diag_hostcond`, of any port.
fn host_holds(condition: &[u8], family: Family, addr: IpAddr) -> bool {
    let (wanted, length) = (condition[0], condition[1]);
    let shares = |addr: &[u8]| {
        let wanted = &condition[8..];
        (0..usize::from(length)).all(|bit| {
            let of = |bytes: &[u8]| bytes[bit / 8] >> (7 - bit % 8) & 1;
            of(addr) == of(wanted)
        })
    };
    match (addr, family) {
        (IpAddr::V4(addr), Family::Inet) if wanted == AF_INET => shares(&addr.octets()),
        (IpAddr::V6(addr), Family::Inet6) if wanted == AF_INET6 => shares(&addr.octets()),
        (IpAddr::V6(addr), Family::Inet6) => {
            let mapped = addr.to_ipv4_mapped();
            mapped.is_some_and(|addr| shares(&addr.octets()))
        }
        _ => false,
    }
}
