//! What a reading of sockets may lack, as gaps: their kinds, counts and words.

use std::io;
use std::path::Path;

use super::error::ReadError;
use super::proc_net::Reading;
use super::sock_diag::{Dump, DumpError};
use crate::collector::request::Request;
use crate::filter::Filter;
use crate::model::{Gap, GapKind, Protocol, Socket, State, Words};

fn gap(kind: GapKind, count: u64, detail: impl Into<Words>, hint: impl Into<Words>) -> Gap {
    Gap {
        kind,
        count,
        detail: detail.into(),
        hint: hint.into(),
    }
}

/// The text was read because sock_diag failed.
pub(super) fn no_sock_diag(protocol: Protocol, error: &DumpError) -> Gap {
    let (kind, lacks) = match protocol {
        Protocol::Udp => (GapKind::UdpSource, "cookies"),
        _ => (GapKind::ProcSource, "ages"),
    };
    let name = protocol.name();
    gap(
        kind,
        1,
        format!("{error}: read /proc/net/{name} instead, which has no {lacks}"),
        format!("load the {name}_diag module, or allow NETLINK_SOCK_DIAG"),
    )
}

/// The text was read as asked. That is reported once: for TCP if it is read. Of the files of another
/// namespace the caller reports it.
pub(super) fn from_text(protocol: Protocol, request: &Request, net: Option<&Path>) -> Option<Gap> {
    let hint = "run without --source procfs";
    match protocol {
        Protocol::Udp => (!request.protocols.contains(Protocol::Tcp)).then(|| {
            let detail = "read /proc/net/udp, which has no cookies";
            gap(GapKind::UdpSource, 1, detail, hint)
        }),
        _ => net.is_none().then(|| {
            let detail = "read /proc/net/tcp, which has no ages and no accept queue limits";
            gap(GapKind::ProcSource, 1, detail, hint)
        }),
    }
}

/// UDP could not be read beside TCP.
pub(super) fn udp_unread(error: &ReadError) -> Gap {
    let detail = format!("no UDP socket was read: {error}");
    let hint = "run without -u, or see `ss -uan`";
    gap(GapKind::UdpUnread, 1, detail, hint)
}

/// The text of IPv6 could not be read.
pub(super) fn no_ipv6(protocol: Protocol, path: &Path, error: &io::Error) -> Gap {
    let detail = format!("could not read {}: {error}", path.display());
    match protocol {
        Protocol::Udp => gap(
            GapKind::UdpUnread,
            1,
            detail,
            "IPv6 sockets of UDP are missing",
        ),
        _ => gap(GapKind::FamilyUnread, 1, detail, "IPv6 sockets are missing"),
    }
}

/// A text was read in pieces.
pub(super) fn in_pieces(path: &Path, reading: Reading) -> Gap {
    let Reading {
        repeated,
        ambiguous,
        ..
    } = reading;
    let mut detail = format!(
        "{} is read in pieces: sockets that opened or closed meanwhile may be missing, or counted \
         in addition to those that replaced them",
        path.display()
    );
    if repeated > 0 {
        detail.push_str(&format!("; {repeated} came twice and count once"));
    }
    if ambiguous > 0 {
        detail.push_str(&format!(
            "; {ambiguous} more were left out as duplicates, though they may be other sockets"
        ));
    }
    let count = repeated.saturating_add(ambiguous).max(1);
    let hint = "read through sock_diag, which identifies each socket";
    gap(GapKind::InPieces, count, detail, hint)
}

/// Lines of the texts of a protocol were not in the kernel's format.
pub(super) fn malformed_lines(protocol: Protocol, net: &Path, lines: u64) -> Gap {
    let (name, net) = (protocol.name(), net.display());
    let detail = format!("{lines} lines of {net}/{name} or {name}6 could not be parsed");
    gap(GapKind::Malformed, lines, detail, "check the file itself")
}

/// What a dump lacks.
pub(super) fn of_dump(dump: Dump) -> impl Iterator<Item = Gap> {
    let interrupted = dump.interrupted.then(|| {
        let detail = "the socket table changed during every dump: some sockets may be missing";
        gap(GapKind::DumpInterrupted, 1, detail, "run it again")
    });
    let malformed = (dump.malformed > 0).then(|| {
        let count = dump.malformed;
        let detail = format!("{count} sock_diag messages could not be parsed");
        gap(
            GapKind::Malformed,
            count,
            detail,
            "report the kernel's version",
        )
    });
    interrupted.into_iter().chain(malformed)
}

/// BOUND_INACTIVE was asked for, and the texts do not show it.
pub(super) fn bound_in_text(filter: &Filter) -> Option<Gap> {
    filter.states().contains(State::BoundInactive).then(|| {
        let detail = "/proc/net/tcp does not show BOUND_INACTIVE: such sockets are missing";
        let hint = "allow sock_diag (Linux 6.8 and later)";
        gap(GapKind::StateUnread, 1, detail, hint)
    })
}

/// BOUND_INACTIVE was asked for, and the kernel does not show it over sock_diag: its release
/// (`uname -r`) is older than 6.8, and no such socket came.
pub(crate) fn bound_in_dump(
    filter: &Filter,
    sockets: &[Socket],
    release: Option<&str>,
) -> Option<Gap> {
    let shows = sockets
        .iter()
        .any(|socket| socket.state == State::BoundInactive);
    let asked = filter
        .of_protocol(Protocol::Tcp)
        .states()
        .contains(State::BoundInactive);
    let is_new = |(major, minor)| (major, minor) >= (6, 8);
    if !asked || shows || release.and_then(version).is_some_and(is_new) {
        return None;
    }
    let release = release.unwrap_or("before 6.8");
    Some(gap(
        GapKind::StateUnread,
        1,
        format!("Linux {release} does not show BOUND_INACTIVE: such sockets are missing"),
        "Linux 6.8 and later shows them",
    ))
}

/// The first two numbers of a release such as `6.18.5-arch1`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// CLOSE_WAIT sockets came without the tcp_info that was asked for.
pub(super) fn without_ages(request: &Request, sockets: &[Socket]) -> Option<Gap> {
    let missing = sockets
        .iter()
        .filter(|socket| socket.state == State::CloseWait && socket.tcp.is_none())
        .count() as u64;
    (request.tcp_info && missing > 0).then(|| {
        let detail = format!(
            "the kernel sent no tcp_info with {missing} CLOSE_WAIT sockets: their age is unknown"
        );
        gap(GapKind::AgesMissing, missing, detail, "")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Term;
    use crate::model::{Endpoint, StateSet};

    #[test]
    fn a_kernel_that_does_not_show_bound_sockets_has_a_gap_and_not_none_of_them() {
        let everything = Filter::Term(Term::State(StateSet::of(State::BoundInactive)));
        let gap =
            |release, sockets: &[Socket]| bound_in_dump(&everything, sockets, release).is_some();
        for release in [
            None,
            Some("6.7.12"),
            Some("5.15.0-91-generic"),
            Some("2.6.78"),
            Some("?"),
        ] {
            assert!(gap(release, &[]), "{release:?}");
        }
        for release in ["6.8", "6.18.44-fc", "10.0.1"] {
            assert!(!gap(Some(release), &[]), "{release}");
        }
        // A distribution may have brought it to an older one.
        let end = Endpoint::new(std::net::Ipv4Addr::LOCALHOST, 80);
        let bound = Socket::bare(State::BoundInactive, end, end);
        assert!(!gap(Some("5.14.0-687.el9"), &[bound]));
        let others = Filter::Term(Term::State(StateSet::of(State::CloseWait)));
        assert!(bound_in_dump(&others, &[], Some("5.15")).is_none());
    }
}
