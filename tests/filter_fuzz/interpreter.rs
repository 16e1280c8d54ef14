//! How the kernel checks and runs a filter program (`net/ipv4/inet_diag.c`). Tests and fuzzing run
//! compiled programs through it.

use std::net::IpAddr;

use closewait::model::{Family, Socket};

/// Codes of operations (`include/uapi/linux/inet_diag.h`).
const JMP: u8 = 1;
pub const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const S_COND: u8 = 7;
const D_COND: u8 = 8;
const DEV_COND: u8 = 9;
const MARK_COND: u8 = 10;
pub const S_EQ: u8 = 11;
const D_EQ: u8 = 12;
const CGROUP_COND: u8 = 13;

/// The size of `struct inet_diag_bc_op`.
const SIZE: usize = 4;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The kernel's check, `inet_diag_bc_audit`; the kernel refuses the dump of a program that fails it.
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

/// The size of an operation with its operand, in bytes; `None` if it is unknown or truncated.
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

/// Runs a program on a socket, as `inet_diag_bc_run` does.
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
        // A jump never holds.
        _ => false,
    }
}

/// `struct inet_diag_hostcond`, for any port.
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
