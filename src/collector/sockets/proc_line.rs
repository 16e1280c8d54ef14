//! The lines of /proc/net/tcp, tcp6, udp and udp6; see proc_pid_net(5) and `net/ipv4/tcp_ipv4.c`,
//! `tcp4_seq_show`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::{Endpoint, Family, Protocol, Socket, State, Timer, TimerKind};

/// A clock tick of `tm->when` in milliseconds: `USER_HZ` is 100 on every architecture that Rust
/// runs on under Linux.
const TICK_MS: u32 = 10;
/// Whether a line is the kernel's heading, and not a heading merged with a row.
pub fn is_heading(line: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || b"_->".contains(byte);
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    words.next() == Some(b"sl") && words.all(|word| word.iter().all(is_word))
}

/// Parses a line: `sl local remote st tx:rx tr:when retrnsmt uid timeout inode …`. `None` if it has
/// another format.
pub fn socket(line: &[u8], protocol: Protocol, family: Family) -> Option<Socket> {
    let line = std::str::from_utf8(line).ok()?;
    let mut fields = line.split_ascii_whitespace();
    fields.next()?.strip_suffix(':')?;
    let local = endpoint(fields.next()?, family)?;
    let remote = endpoint(fields.next()?, family)?;
    let state = State::from_kernel(u8::from_str_radix(fields.next()?, 16).ok()?)?;
    let (send_q, recv_q) = hex_pair(fields.next()?)?;
    let (timer, when) = hex_pair(fields.next()?)?;
    let retransmits = u32::from_str_radix(fields.next()?, 16).ok()?;
    let uid = fields.next()?.parse().ok()?;
    let probes: u32 = fields.next()?.parse().ok()?;
    let inode = fields.next()?.parse().ok()?;
    let kind = TimerKind::from_kernel(u8::try_from(timer).ok()?);
    // After the references, the address and three timeouts (`net/ipv4/tcp_ipv4.c`, `get_tcp4_sock`);
    // the kernel's minisockets have none.
    let cwnd = fields.nth(5).filter(|_| protocol == Protocol::Tcp);
    Some(Socket {
        protocol,
        recv_q,
        send_q,
        unmeasured: cwnd == Some("0"),
        timer: kind.map(|kind| Timer {
            kind,
            expires_ms: when.saturating_mul(TICK_MS),
            retransmits: u8::try_from(match kind {
                TimerKind::Probe | TimerKind::Keepalive => probes,
                TimerKind::Retransmit | TimerKind::TimeWait | TimerKind::DelayedAck => retransmits,
            })
            .unwrap_or(u8::MAX),
        }),
        uid,
        inode,
        ..Socket::bare(state, local, remote)
    })
}

/// The hashed kernel address of the socket of a line, after `inode ref`; or 0.
pub(super) fn address(line: &[u8]) -> u64 {
    let mut fields = line
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty());
    let field = fields
        .nth(11)
        .and_then(|field| std::str::from_utf8(field).ok());
    field
        .and_then(|field| u64::from_str_radix(field, 16).ok())
        .unwrap_or(0)
}

fn hex_pair(field: &str) -> Option<(u32, u32)> {
    let (first, second) = field.split_once(':')?;
    Some((
        u32::from_str_radix(first, 16).ok()?,
        u32::from_str_radix(second, 16).ok()?,
    ))
}

/// An address as hexadecimal 32-bit words in the host's byte order, and a port.
fn endpoint(field: &str, family: Family) -> Option<Endpoint> {
    let (addr, port) = field.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = addr.get(at * 8..at * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let addr: IpAddr = match (family, addr.len()) {
        (Family::Inet, 8) => Ipv4Addr::from(word(0)?).into(),
        (Family::Inet6, 32) => {
            let mut octets = [0; 16];
            for (at, part) in octets.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(octets).into()
        }
        _ => return None,
    };
    Some(Endpoint { addr, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_line_tells_ends_state_queues_timer_and_owner() {
        let line = b"   3: 0100007F:1F90 0200000A:D431 08 00000003:00000001 02:000000C8 00000000  1000        2 4711 2 0000000000000000 20 4 30 10 -1";
        let socket = socket(line, Protocol::Tcp, Family::Inet).unwrap();
        assert_eq!(socket.local.to_string(), "127.0.0.1:8080");
        assert_eq!(socket.remote.to_string(), "10.0.0.2:54321");
        assert_eq!(socket.state, State::CloseWait);
        assert_eq!((socket.send_q, socket.recv_q), (3, 1));
        assert_eq!((socket.uid, socket.inode), (1000, 4711));
        let timer = socket.timer.unwrap();
        assert_eq!(timer.kind, TimerKind::Keepalive);
        assert_eq!((timer.expires_ms, timer.retransmits), (2000, 2));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn ipv6_addresses_are_words_of_the_hosts_byte_order() {
        let line = b"   0: 0000000000000000FFFF00000100007F:0050 B80D0120000000000000000001000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1";
        let socket = socket(line, Protocol::Tcp, Family::Inet6).unwrap();
        assert_eq!(socket.local.to_string(), "[::ffff:127.0.0.1]:80");
        assert_eq!(socket.remote.to_string(), "[2001:db8::1]:*");
    }
}
