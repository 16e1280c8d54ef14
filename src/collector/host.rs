//! Facts about the host, and the settings of the network namespace of the calling thread.

use std::path::Path;
use std::str::FromStr;

use rustix::net::{AddressFamily, SocketType, netdevice};
use rustix::time::{ClockId, clock_getres};

use super::procfs::{has_our_numbers, is_ours};
use super::{file, kernel};
use crate::model::{Host, Name, PortRange, Settings, Socket, Tick, Users};

/// Reads facts about the host; those that cannot be read are unknown.
pub fn read(proc_root: &Path) -> Host {
    let (name, release) = kernel::names().unzip();
    // The boot ID of the kernel, even if another procfs is read.
    let boot_id = [proc_root, Path::new("/proc")]
        .iter()
        .find_map(|root| file::text(&root.join("sys/kernel/random/boot_id")).ok());
    Host {
        name: name.unwrap_or_default().into(),
        kernel: release.map(Into::into),
        boot_id: boot_id.map(|text| text.trim().into()),
        tick: tick(),
        users: users(&file::read(Path::new("/etc/passwd"), file::LIST_MAX).unwrap_or_default()),
        tools: None,
        this: None,
        has_other_pids: !is_ours(proc_root) && !has_our_numbers(proc_root),
    }
}

/// The tick of the clock for the times of sockets, which is that of the coarse clocks: `KTIME_LOW_RES`
/// (`kernel/time/posix-timers.c`).
fn tick() -> Tick {
    let resolution = clock_getres(ClockId::MonotonicCoarse);
    let nanoseconds = match resolution.tv_sec {
        0 => u64::try_from(resolution.tv_nsec).unwrap_or(u64::MAX),
        _ => u64::MAX,
    };
    Tick::from_nanoseconds(nanoseconds)
}

/// Reads the settings of the calling thread's network namespace, which /proc/sys/net and /proc/net show.
/// Those that cannot be read are unknown.
pub fn settings(proc_root: &Path) -> Settings {
    let sysctl = |name: &str| file::text(&proc_root.join("sys/net").join(name)).ok();
    let netstat = file::text(&proc_root.join("thread-self/net/netstat"))
        .or_else(|_| file::text(&proc_root.join("net/netstat")))
        // A procfs of another PID namespace does not show the calling thread.
        .or_else(|_| file::text(Path::new("/proc/thread-self/net/netstat")))
        .unwrap_or_default();
    Settings {
        ephemeral: sysctl("ipv4/ip_local_port_range").and_then(|text| port_range(&text)),
        reserved: sysctl("ipv4/ip_local_reserved_ports").and_then(|text| port_list(&text)),
        tw_reuse: sysctl("ipv4/tcp_tw_reuse").and_then(|text| number(&text)),
        time_wait_limit: sysctl("ipv4/tcp_max_tw_buckets").and_then(|text| number(&text)),
        syncookies: sysctl("ipv4/tcp_syncookies").and_then(|text| number(&text)),
        max_syn_backlog: sysctl("ipv4/tcp_max_syn_backlog").and_then(|text| number(&text)),
        fin_timeout_s: sysctl("ipv4/tcp_fin_timeout").and_then(|text| number(&text)),
        somaxconn: sysctl("core/somaxconn").and_then(|text| number(&text)),
        listen_overflows: counter(&netstat, "TcpExt:", "ListenOverflows"),
        listen_drops: counter(&netstat, "TcpExt:", "ListenDrops"),
        devices: Vec::new(),
    }
}

/// The names of the interfaces that sockets are bound to, in the calling thread's namespace.
pub fn devices(sockets: &[Socket]) -> Vec<(u32, Name)> {
    let mut indexes: Vec<u32> = sockets.iter().map(|socket| socket.interface).collect();
    indexes.sort_unstable();
    indexes.dedup();
    indexes.retain(|index| *index != 0);
    if indexes.is_empty() {
        return Vec::new();
    }
    let Ok(any) = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None) else {
        return Vec::new();
    };
    let name = |index| Some((index, netdevice::index_to_name(&any, index).ok()?.into()));
    indexes.into_iter().filter_map(name).collect()
}

/// The users in a passwd(5) file: `name:password:uid:…`. A static binary has no name service switch to find
/// others.
pub(crate) fn users(passwd: &[u8]) -> Users {
    let user = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        let mut fields = line.split(':');
        let name = fields.next()?.into();
        Some((number(fields.nth(1)?)?, name))
    };
    Users::new(
        passwd
            .split(|byte| *byte == b'\n')
            .filter_map(user)
            .collect(),
    )
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

pub(crate) fn port_range(text: &str) -> Option<PortRange> {
    let mut ports = text.split_ascii_whitespace().map(number);
    Some(PortRange {
        first: ports.next()??,
        last: ports.next()??,
    })
}

/// The ranges in `8080,9000-9010`; `None` if any of them is malformed.
fn port_list(text: &str) -> Option<Vec<PortRange>> {
    let parts = text.trim().split(',').filter(|part| !part.is_empty());
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(PortRange {
            first: number(first)?,
            last: number(last)?,
        })
    };
    parts.map(range).collect()
}

/// A counter in /proc/net/netstat, where each line of names is followed by a line of values.
pub(crate) fn counter(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let names = lines.next()?.split_ascii_whitespace();
    let values = lines.next()?.split_ascii_whitespace();
    names
        .zip(values)
        .find(|(found, _)| *found == name)
        .and_then(|(_, value)| number(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_the_name_above_it() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 12 13\nIpExt: InNoRoutes\nIpExt: 1\n";
        assert_eq!(counter(text, "TcpExt:", "ListenOverflows"), Some(12));
        assert_eq!(counter(text, "TcpExt:", "Nothing"), None);
        assert_eq!(counter("", "TcpExt:", "ListenDrops"), None);
    }

    #[test]
    fn the_port_range_is_two_numbers() {
        let range = port_range("32768\t60999\n").unwrap();
        assert!(range.contains(32768) && range.contains(60999) && !range.contains(8080));
        assert_eq!(port_range("x 1"), None);
    }

    #[test]
    fn reserved_ports_are_numbers_and_ranges() {
        let counts = |text| {
            let ranges = port_list(text)?;
            Some(
                ranges
                    .iter()
                    .map(|range| range.ports().count())
                    .sum::<usize>(),
            )
        };
        assert_eq!(counts("8080,9000-9009\n"), Some(11));
        assert_eq!(counts("\n"), Some(0));
        assert_eq!(counts("9-x"), None);
    }
}
