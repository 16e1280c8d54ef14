//! The operations of a filter program, and joining programs (`include/uapi/linux/inet_diag.h`).

use std::net::IpAddr;

pub const JMP: u8 = 1;
pub const S_GE: u8 = 2;
pub const S_LE: u8 = 3;
pub const D_GE: u8 = 4;
pub const D_LE: u8 = 5;
pub const S_COND: u8 = 7;
pub const D_COND: u8 = 8;
pub const DEV_COND: u8 = 9;
pub const MARK_COND: u8 = 10;
pub const S_EQ: u8 = 11;
pub const D_EQ: u8 = 12;
pub const CGROUP_COND: u8 = 13;

/// The size of `struct inet_diag_bc_op`.
pub const SIZE: usize = 4;
pub const AF_INET: u8 = 2;
pub const AF_INET6: u8 = 10;
/// In a `struct inet_diag_hostcond`: any port.
const ANY_PORT: i32 = -1;

/// The operations on one end of a socket.
pub struct OfEnd {
    pub at_least: u8,
    pub at_most: u8,
    pub equal: u8,
    pub host: u8,
}

pub const LOCAL: OfEnd = OfEnd {
    at_least: S_GE,
    at_most: S_LE,
    equal: S_EQ,
    host: S_COND,
};

pub const REMOTE: OfEnd = OfEnd {
    at_least: D_GE,
    at_most: D_LE,
    equal: D_EQ,
    host: D_COND,
};

/// A comparison with a port, which is in the `no` of a second operation.
pub fn port(code: u8, port: u16) -> Vec<u8> {
    with_operand(code, &op(0, 0, port))
}

/// Whether an address is in a network: `struct inet_diag_hostcond`. An IPv4 network contains mapped addresses
/// too.
pub fn host(code: u8, addr: IpAddr, length: u8) -> Vec<u8> {
    let family = if addr.is_ipv4() { AF_INET } else { AF_INET6 };
    let mut condition = vec![family, length, 0, 0];
    condition.extend_from_slice(&ANY_PORT.to_ne_bytes());
    match addr {
        IpAddr::V4(addr) => condition.extend_from_slice(&addr.octets()),
        IpAddr::V6(addr) => condition.extend_from_slice(&addr.octets()),
    }
    with_operand(code, &condition)
}

/// Whether the socket is an IPv6 one: the network of length 0 contains every IPv6 address and no other.
pub fn is_inet6() -> Vec<u8> {
    host(S_COND, IpAddr::from([0u8; 16]), 0)
}

pub fn interface(index: u32) -> Vec<u8> {
    with_operand(DEV_COND, &index.to_ne_bytes())
}

pub fn mark(value: u32, mask: u32) -> Vec<u8> {
    let condition = [value.to_ne_bytes(), mask.to_ne_bytes()].concat();
    with_operand(MARK_COND, &condition)
}

pub fn cgroup(id: u64) -> Vec<u8> {
    with_operand(CGROUP_COND, &id.to_ne_bytes())
}

/// An operation that jumps behind its operand if it holds, and past the end if not.
fn with_operand(code: u8, operand: &[u8]) -> Vec<u8> {
    let size = (SIZE + operand.len()) as u8;
    let mut program = op(code, size, u16::from(size) + SIZE as u16).to_vec();
    program.extend_from_slice(operand);
    program
}

fn op(code: u8, yes: u8, no: u16) -> [u8; SIZE] {
    let no = no.to_ne_bytes();
    [code, yes, no[0], no[1]]
}

/// Both programs: the first one's `no` must land past the end of the second.
pub fn and(mut first: Vec<u8>, second: Vec<u8>) -> Vec<u8> {
    let past_end = first.len() + SIZE;
    let mut at = 0;
    while let Some([_, yes, no @ ..]) = first
        .get_mut(at..)
        .and_then(<[u8]>::first_chunk_mut::<SIZE>)
    {
        let jump = usize::from(u16::from_ne_bytes(*no));
        if at + jump == past_end {
            let longer = u16::try_from(jump + second.len()).unwrap_or(u16::MAX);
            *no = longer.to_ne_bytes();
        }
        at += usize::from(*yes);
    }
    first.extend_from_slice(&second);
    first
}

/// Either program: if the first one holds, a jump skips the second; its `no` already lands behind that jump.
pub fn or(mut first: Vec<u8>, second: Vec<u8>) -> Vec<u8> {
    let over = u16::try_from(second.len() + SIZE).unwrap_or(u16::MAX);
    first.extend_from_slice(&op(JMP, SIZE as u8, over));
    first.extend_from_slice(&second);
    first
}

/// The negation: if the program holds, a jump leads past the end; its `no` already lands at the end.
pub fn not(mut program: Vec<u8>) -> Vec<u8> {
    program.extend_from_slice(&op(JMP, SIZE as u8, 2 * SIZE as u16));
    program
}
