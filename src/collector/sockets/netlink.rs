//! The TCP table through sock_diag: which dumps are asked for, how much of the filter the kernel
//! applies to them, and which of their sockets are kept.
//!
//! Some that nobody selected are kept for what they tell of the CLOSE_WAIT sockets that were: see
//! [`Tell`].

use std::thread;
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

use crate::collector::Steps;
use crate::collector::request::Request;
use crate::collector::sockets::mptcp::{self, Mptcp};
use crate::collector::sockets::net_dir;
use crate::collector::sockets::sock_diag::bytecode::{self, Dialect};
use crate::collector::sockets::sock_diag::wire::Query;
use crate::collector::sockets::sock_diag::{Dump, DumpError, Dumped, Reader};
use crate::filter::{Filter, Known};
use crate::model::{
    DetailSet, Endpoint, Families, Gap, GapKind, Protocol, Socket, State, StateSet,
};

/// Reads the TCP sockets of the calling thread's namespace that the request may be about, MPTCP
/// with them.
///
/// # Errors
/// When sock_diag is not available, or breaks off.
pub(crate) fn read_netlink(
    request: &Request,
    found: &mut Dumped,
    steps: &mut Steps,
) -> Result<(Dump, Option<Gap>), DumpError> {
    let start = Instant::now();
    let mut reader = Reader::open()?;
    // Listeners decide the side of every other socket, whatever is selected. They are in a hash
    // table of their own, so asking for them alone does not walk the large one.
    let listen = StateSet::of(State::Listen);
    let selected = |socket: &Socket| {
        let selected = may_be_selected(&request.filter, socket);
        if selected {
            steps.selected(socket);
        }
        selected
    };
    let mut keep = |socket: &Socket| selected(socket) || socket.state == State::Listen;
    let net = net_dir(&request.proc_root);
    let mptcp = mptcp::read(request, &net, &mut reader, &mut keep, found);
    let ulp = !matches!(mptcp, Mptcp::Absent);
    let walk = Walk::of(request);
    let listeners = Query {
        protocol: Protocol::Tcp,
        families: request.families,
        states: listen,
        tcp_info: false,
        ulp,
        details: request.details,
        bytecode: None,
    };
    let mut dump = reader.read(&listeners, &mut keep, found)?;
    let states = request.filter.states().minus(listen);
    let mut refusal = None;
    if !states.is_empty() {
        let mut keep =
            |socket: &Socket| selected(socket) || (walk == Walk::Along && socket.closed_first());
        let states = match walk {
            Walk::Along => states.union(StateSet::CLOSED_FIRST),
            Walk::None | Walk::Again => states,
        };
        let others = Query {
            protocol: Protocol::Tcp,
            families: request.families,
            states,
            tcp_info: request.tcp_info,
            ulp,
            details: request.details,
            bytecode: None,
        };
        let (brought, refused) =
            read_filtered(&request.filter, others, &mut reader, &mut keep, found)?;
        dump.add(brought);
        refusal = refused;
    }
    match walk {
        Walk::None => {}
        Walk::Along => drop_unrelated(request, found, &|socket| {
            may_matter(&request.filter, socket)
        }),
        Walk::Again => dump.add(read_others(request, ulp, &mut reader, found)?),
    }
    for look in 0..FULL_LOOKS {
        if !full_of_nothing(&found.sockets) {
            break;
        }
        thread::sleep(FULL_PAUSE * look.min(1));
        let again = reader.read(&listeners, &mut keep, found)?;
        dump.add(Dump {
            repeated: 0,
            ..again
        });
    }
    mptcp::adopt_listeners(found);
    let gap = match mptcp {
        Mptcp::Absent => None,
        Mptcp::Read(more) => {
            dump.add(more);
            None
        }
        Mptcp::Refused(presence, error) => {
            let hint = "load the mptcp_diag module, or allow NETLINK_SOCK_DIAG";
            mptcp::gap(presence, found.subflows.len(), &error.to_string(), hint)
        }
    };
    let mut what = format!("sock_diag dump: {} sockets kept", found.sockets.len());
    if dump.repeated > 0 {
        what.push_str(&format!(", {} seen twice", dump.repeated));
    }
    if let Some(refusal) = refusal {
        what.push_str(&refusal);
    }
    if ulp {
        what.push_str(&format!(
            ", MPTCP included; {} subflows",
            found.subflows.len()
        ));
    }
    steps.add(what, start);
    Ok((dump, gap))
}

/// How often an accept queue that seems full of nothing is looked at again, and the pause after the
/// second look: a queue that is served is full for microseconds.
const FULL_LOOKS: u32 = 3;
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// Whether an accept queue is full and no connection that waits on its port was seen: those in it
/// were accepted since, came to another port, or were reset.
fn full_of_nothing(sockets: &[Socket]) -> bool {
    let is_full = |socket: &&Socket| socket.state == State::Listen && socket.recv_q > socket.send_q;
    sockets.iter().filter(is_full).any(|listener| {
        let mut waiting = sockets.iter().filter(|socket| socket.is_unaccepted());
        !waiting.any(|socket| socket.local.port == listener.local.port)
    })
}

/// Reads with as much of the filter as the kernel takes: an older one does not know every
/// operation, and marks are not for everyone. Says what it refused.
pub(crate) fn read_filtered(
    filter: &Filter,
    mut query: Query,
    reader: &mut Reader,
    keep: &mut impl FnMut(&Socket) -> bool,
    found: &mut Dumped,
) -> Result<(Dump, Option<String>), DumpError> {
    let mut refusal = None;
    let mut refused = None;
    for dialect in [Dialect::Full, Dialect::Early] {
        query.bytecode = bytecode::compile(filter, dialect);
        if query.bytecode.is_none() || query.bytecode == refused {
            continue;
        }
        match reader.read(&query, keep, found) {
            Err(DumpError::Refused(reason)) => {
                refusal = Some(format!(
                    "; the kernel refused the filter, or a part of it ({reason}): that was applied here"
                ));
                refused = query.bytecode.take();
            }
            answer => return Ok((answer?, refusal)),
        }
    }
    query.bytecode = None;
    Ok((reader.read(&query, keep, found)?, refusal))
}

/// How those are read that tell of CLOSE_WAIT sockets, where the selection leaves them out. A walk
/// over the kernel's table costs much the same whatever it brings, and never more than a run that
/// selects everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// Not at all: they are selected themselves, or nothing rests on them.
    None,
    /// With the selected ones.
    Along,
    /// After them, since the kernel applies a condition that they do not satisfy, or since they
    /// are too many to keep until it is known which of them tell something.
    Again,
}

impl Walk {
    fn of(request: &Request) -> Walk {
        let states = request.filter.states();
        let judged = request.tcp_info || request.owners;
        let program = bytecode::compile(&request.filter, Dialect::Full);
        let telling = telling(request);
        if !states.contains(State::CloseWait) || !judged {
            Walk::None
        } else if program.is_some() || request.families != Families::Both {
            Walk::Again
        } else if states.intersection(telling) == telling {
            Walk::None
        } else if telling == StateSet::CLOSED_FIRST {
            Walk::Along
        } else {
            Walk::Again
        }
    }
}

/// The states of the sockets that may tell something of a CLOSE_WAIT.
fn telling(request: &Request) -> StateSet {
    if seeks_legs(request) {
        StateSet::LEG
    } else {
        StateSet::CLOSED_FIRST
    }
}

/// Whether other connections of the owners are looked for: by their bytes, and by whose they are.
fn seeks_legs(request: &Request) -> bool {
    request.findings && request.tcp_info && request.owners
}

/// What tells of the CLOSE_WAIT sockets that were kept: their other ends in this namespace, since
/// whether one is still held decides what the CLOSE_WAIT is; and connections that a process holds,
/// which may be the other leg of a proxy, or a request that its owner waits for. That they are its
/// owner's is not known yet.
struct Tell {
    ends: FxHashSet<(Endpoint, Endpoint)>,
    /// Something was kept that other connections of its owner may explain.
    seeks_legs: bool,
}

impl Tell {
    fn of(request: &Request, found: &Dumped) -> Tell {
        let kept = || {
            let sockets = found.sockets.iter();
            sockets.filter(|socket| may_be_selected(&request.filter, socket))
        };
        let ends = |socket: &Socket| (socket.remote.canonical(), socket.local.canonical());
        let waits = |socket: &&Socket| match socket.state {
            State::Listen => socket.recv_q > 0,
            state => state == State::CloseWait || socket.is_unaccepted(),
        };
        Tell {
            ends: kept()
                .filter(|socket| socket.state == State::CloseWait)
                .map(ends)
                .collect(),
            seeks_legs: seeks_legs(request) && kept().any(|socket| waits(&socket)),
        }
    }

    fn is_needed(&self) -> bool {
        self.seeks_legs || !self.ends.is_empty()
    }

    fn has(&self, socket: &Socket) -> bool {
        let ends = || (socket.local.canonical(), socket.remote.canonical());
        let is_leg = StateSet::LEG.contains(socket.state) && socket.inode != 0;
        (is_leg && self.seeks_legs) || (socket.closed_first() && self.ends.contains(&ends()))
    }
}

/// Whether a socket that is not selected is kept until it is known of whom it may tell.
pub(crate) fn may_tell(request: &Request, filter: &Filter, socket: &Socket) -> bool {
    filter.states().contains(State::CloseWait) && telling(request).contains(socket.state)
}

/// Forgets sockets that are neither selected nor tell of those that are.
pub(crate) fn drop_unrelated(
    request: &Request,
    found: &mut Dumped,
    is_selected: &dyn Fn(&Socket) -> bool,
) {
    let tell = Tell::of(request, found);
    found.subflows.retain(is_selected);
    found
        .sockets
        .retain(|socket| is_selected(socket) || tell.has(socket));
}

/// Reads what tells of the CLOSE_WAIT sockets that were kept; see [`Walk`].
fn read_others(
    request: &Request,
    ulp: bool,
    reader: &mut Reader,
    found: &mut Dumped,
) -> Result<Dump, DumpError> {
    let tell = Tell::of(request, found);
    if !tell.is_needed() {
        return Ok(Dump::default());
    }
    let others = Query {
        protocol: Protocol::Tcp,
        families: Families::Both,
        states: telling(request),
        tcp_info: request.tcp_info,
        ulp,
        details: DetailSet::NONE,
        bytecode: None,
    };
    let mut dump = reader.read(&others, &mut |socket| tell.has(socket), found)?;
    // Those that were selected have been read before: nothing came twice.
    dump.repeated = 0;
    Ok(dump)
}

/// Whether a socket may be selected, or is one that others are judged by.
pub(crate) fn may_matter(filter: &Filter, socket: &Socket) -> bool {
    socket.state == State::Listen || may_be_selected(filter, socket)
}

/// Whether a socket may be selected, once all is known of it.
pub(crate) fn may_be_selected(filter: &Filter, socket: &Socket) -> bool {
    filter.decide(&Known::of(socket)) != Some(false)
}

pub(crate) fn dump_gaps(dump: Dump) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if dump.interrupted {
        gaps.push(Gap {
            kind: GapKind::DumpInterrupted,
            count: 1,
            detail: "the socket table changed under every dump: some sockets may be missing".into(),
            hint: "run it again".into(),
        });
    }
    if dump.malformed > 0 {
        gaps.push(Gap {
            kind: GapKind::Malformed,
            count: dump.malformed,
            detail: format!(
                "{} sock_diag messages could not be understood",
                dump.malformed
            )
            .into(),
            hint: "report the kernel's version".into(),
        });
    }
    gaps
}

/// The gap for BOUND_INACTIVE on a kernel that does not show it over sock_diag: its release
/// (`uname -r`) is older than 6.8, and no such socket came.
pub(crate) fn bound_gap(filter: &Filter, sockets: &[Socket], release: Option<&str>) -> Option<Gap> {
    let shows = sockets
        .iter()
        .any(|socket| socket.state == State::BoundInactive);
    let asked = filter
        .of_protocol(Protocol::Tcp)
        .states()
        .contains(State::BoundInactive);
    let since = |(major, minor)| (major, minor) >= (6, 8);
    if !asked || shows || release.and_then(version).is_some_and(since) {
        return None;
    }
    Some(Gap {
        kind: GapKind::StateUnread,
        count: 1,
        detail: format!(
            "Linux {} does not show BOUND_INACTIVE: such sockets are missing",
            release.unwrap_or("before 6.8")
        )
        .into(),
        hint: "Linux 6.8 and later shows them".into(),
    })
}

/// The first two numbers of a release such as `6.18.5-arch1`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// CLOSE_WAIT sockets without tcp_info, where it was asked for.
pub(crate) fn age_gap(request: &Request, sockets: &[Socket]) -> Option<Gap> {
    let missing = sockets
        .iter()
        .filter(|socket| socket.state == State::CloseWait && socket.tcp.is_none())
        .count() as u64;
    (request.tcp_info && missing > 0).then(|| Gap {
        kind: GapKind::AgesMissing,
        count: missing,
        detail: format!(
            "the kernel sent no tcp_info with {missing} CLOSE_WAIT sockets: their age is unknown"
        )
        .into(),
        hint: "".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::Term;
    use crate::model::Endpoint;

    #[test]
    fn a_kernel_that_does_not_show_bound_sockets_has_a_gap_and_not_none_of_them() {
        let everything = Filter::Term(Term::State(StateSet::of(State::BoundInactive)));
        let gap = |release, sockets: &[Socket]| bound_gap(&everything, sockets, release).is_some();
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
        assert!(bound_gap(&others, &[], Some("5.15")).is_none());
    }
}
