//! The MPTCP sockets of one network namespace: whether there are any, and their own dump. Their subflows
//! come with TCP.
//!
//! See `net/mptcp/mptcp_diag.c`.

use std::path::Path;

use crate::collector::file;
use crate::collector::request::Request;
use crate::collector::sockets::sock_diag::wire::Query;
use crate::collector::sockets::sock_diag::{Dump, DumpError, Dumped, Reader};
use crate::model::{Gap, GapKind, Protocol, Socket, State, StateSet};

/// Whether a namespace has MPTCP sockets, according to its /proc/net, which everybody may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The kernel has no MPTCP, or nobody has used it in this namespace.
    None,
    /// This many connections and listeners.
    Some(u64),
    /// MPTCP was used. No socket is counted now, but kernels before 6.3 never count any.
    Possible,
    /// /proc/net cannot be read.
    Unknown,
}

impl Presence {
    /// According to a directory such as /proc/thread-self/net.
    pub(crate) fn of(net: &Path) -> Presence {
        let read = |name| file::text(&net.join(name));
        let Ok(protocols) = read("protocols") else {
            return Presence::Unknown;
        };
        match in_use(&protocols) {
            None => Presence::None,
            Some(0) if read("netstat").is_ok_and(|text| is_unused(&text)) => Presence::None,
            Some(0) => Presence::Possible,
            Some(sockets) => Presence::Some(sockets),
        }
    }
}

/// The MPTCP sockets that /proc/net/protocols counts: `name size sockets …`. `None` where the
/// kernel has no such protocol.
pub(crate) fn in_use(protocols: &str) -> Option<u64> {
    let counts = protocols.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let is_mptcp = matches!(fields.next()?, "MPTCP" | "MPTCPv6");
        is_mptcp.then(|| fields.nth(1)?.parse::<u64>().ok())?
    });
    counts.reduce(u64::saturating_add)
}

/// Whether every counter of MPTCP in /proc/net/netstat is still 0: a line of names, then one of
/// values.
pub(crate) fn is_unused(netstat: &str) -> bool {
    let mut lines = netstat
        .lines()
        .filter_map(|line| line.strip_prefix("MPTcpExt:"));
    let values = lines.nth(1);
    values.is_some_and(|values| values.split_ascii_whitespace().all(|value| value == "0"))
}

/// The result of reading MPTCP.
pub(crate) enum Mptcp {
    /// There are no MPTCP sockets, so TCP has no subflows.
    Absent,
    Read(Dump),
    Refused(Presence, DumpError),
}

/// Appends the MPTCP sockets that may be selected, and those by which others are judged.
pub(crate) fn read(
    request: &Request,
    net: &Path,
    reader: &mut Reader,
    keep: &mut impl FnMut(&Socket) -> bool,
    found: &mut Dumped,
) -> Mptcp {
    let presence = Presence::of(net);
    if presence == Presence::None {
        return Mptcp::Absent;
    }
    let states = request.filter.states();
    let waits = states.contains(State::CloseWait);
    let mut states = states.union(StateSet::of(State::Listen));
    if waits {
        states = states.union(StateSet::CLOSED_FIRST);
    }
    let query = Query {
        protocol: Protocol::Mptcp,
        families: request.families,
        states: states.minus(StateSet::of(State::BoundInactive)),
        tcp_info: true,
        ulp: false,
        details: request.details,
        bytecode: None,
    };
    let before = found.rollback_point();
    let mut keep = |socket: &Socket| keep(socket) || (waits && socket.closed_first());
    match reader.read(&query, &mut keep, found) {
        Ok(dump) => Mptcp::Read(dump),
        Err(error) => {
            found.roll_back(before);
            Mptcp::Refused(presence, error)
        }
    }
}

/// Turns a listening subflow into the MPTCP listener, if that one was not dumped: kernels before
/// 5.19 do not dump it.
pub(crate) fn adopt_listeners(found: &mut Dumped) {
    let Dumped {
        sockets, subflows, ..
    } = found;
    let listens = |socket: &Socket| socket.state == State::Listen;
    let known: rustc_hash::FxHashSet<u32> = sockets
        .iter()
        .filter(|socket| socket.protocol == Protocol::Mptcp && listens(socket))
        .map(|socket| socket.inode)
        .collect();
    let orphaned = subflows.extract_if(.., |subflow| {
        listens(subflow) && !known.contains(&subflow.inode)
    });
    sockets.extend(orphaned.map(|subflow| Socket {
        protocol: Protocol::Mptcp,
        ..subflow
    }));
}

/// The gap for missing MPTCP sockets; `None` if nothing indicates that there are any.
pub(crate) fn gap(
    presence: Presence,
    subflows: usize,
    reason: &str,
    hint: &'static str,
) -> Option<Gap> {
    let (count, detail) = match (presence, subflows as u64) {
        (Presence::Some(count), _) => {
            let plural = if count == 1 { "" } else { "s" };
            (
                count,
                format!("{count} MPTCP socket{plural} could not be read: {reason}"),
            )
        }
        (Presence::Possible, _) => (
            1,
            format!("MPTCP was used here, but its sockets could not be read: {reason}"),
        ),
        (Presence::None, _) | (Presence::Unknown, 0) => return None,
        (Presence::Unknown, count) => (
            count,
            format!("the connections of {count} MPTCP subflows could not be read: {reason}"),
        ),
    };
    Some(Gap {
        kind: GapKind::MptcpUnread,
        count,
        detail: detail.into(),
        hint: hint.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str = "protocol  size sockets  memory press maxhdr  slab module     cl co\n";

    #[test]
    fn the_kernel_counts_mptcp_sockets_of_both_families() {
        let of = |lines: &str| {
            in_use(&format!(
                "{HEADING}{lines}TCP 2304 17 189 no 192 yes kernel y\n"
            ))
        };
        assert_eq!(of(""), None);
        let both = "MPTCPv6   2064      1     189   no       0   yes  kernel      y  y\nMPTCP     1936     14     189   no       0\n";
        assert_eq!(of(both), Some(15));
        assert_eq!(of("MPTCP 1936 0 0\n"), Some(0));
        assert_eq!(
            of("MPTCP\nMPTCP x y\nMPTCPv6 1 18446744073709551616\n"),
            None
        );
    }

    #[test]
    fn mptcp_is_unused_while_all_its_counters_are_zero() {
        let of =
            |values: &str| is_unused(&format!("TcpExt: A\nTcpExt: 1\nMPTcpExt: A B\n{values}"));
        assert!(of("MPTcpExt: 0 0\n"));
        assert!(!of("MPTcpExt: 0 1\n"));
        assert!(!of(""));
        assert!(!is_unused("TcpExt: A\nTcpExt: 0\n"));
    }
}
