//! The TCP and MPTCP sockets of one network namespace, through sock_diag: which dumps are made, how much
//! of the filter the kernel applies to them, and which of their sockets are kept.
//!
//! Some sockets that are not selected are kept because they explain CLOSE_WAIT sockets that are: see
//! [`Explaining`].

use std::thread;
use std::time::{Duration, Instant};

use super::mptcp::{self, Mptcp};
use super::relevant::{Explaining, drop_unrelated, explaining_states, may_be_selected, may_matter};
use super::sock_diag::bytecode::{self, Dialect};
use super::sock_diag::wire::Query;
use super::sock_diag::{Dump, DumpError, Dumped, Reader};
use super::{filtered, gaps, texts};
use crate::collector::kernel;
use crate::collector::request::Request;
use crate::collector::steps::Steps;
use crate::model::{DetailSet, Families, Gap, Protocol, Socket, State, StateSet};

/// Appends the TCP and MPTCP sockets of the calling thread's namespace that may be selected, and those
/// by which they are judged. Returns what may be missing.
///
/// # Errors
/// When sock_diag is not available, or breaks off.
pub(super) fn read(
    request: &Request,
    found: &mut Dumped,
    steps: &mut Steps<'_>,
) -> Result<Vec<Gap>, DumpError> {
    let start = Instant::now();
    let mut reader = Reader::open()?;
    // Listeners decide the side of every other socket, whatever is selected. They are in a hash table
    // of their own, so a dump of them does not walk the large one.
    let listen = StateSet::of(State::Listen);
    let selected = |socket: &Socket| {
        let selected = may_be_selected(&request.filter, socket);
        if selected {
            steps.selected(socket);
        }
        selected
    };
    let mut keep = |socket: &Socket| selected(socket) || socket.state == State::Listen;
    let net = texts::net_dir(&request.proc_root);
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
            filtered::read(&request.filter, others, &mut reader, &mut keep, found)?;
        dump.add(brought);
        refusal = refused;
    }
    match walk {
        Walk::None => {}
        Walk::Along => drop_unrelated(request, found, &|socket| {
            may_matter(&request.filter, socket)
        }),
        Walk::Again => dump.add(read_explaining(request, ulp, &mut reader, found)?),
    }
    for retry in 0..RETRIES {
        if !is_full_of_nothing(&found.sockets) {
            break;
        }
        thread::sleep(RETRY_PAUSE * retry.min(1));
        let again = reader.read(&listeners, &mut keep, found)?;
        dump.add(Dump {
            repeated: 0,
            ..again
        });
    }
    mptcp::adopt_listeners(found);
    let mut gaps = Vec::new();
    match mptcp {
        Mptcp::Absent => {}
        Mptcp::Read(more) => dump.add(more),
        Mptcp::Refused(presence, error) => {
            let hint = "load the mptcp_diag module, or allow NETLINK_SOCK_DIAG";
            let (subflows, reason) = (found.subflows.len(), error.to_string());
            gaps.extend(mptcp::gap(presence, subflows, &reason, hint));
        }
    }
    let release = kernel::names().map(|(_, release)| release);
    gaps.extend(gaps::of_dump(dump));
    gaps.extend(gaps::without_ages(request, &found.sockets));
    gaps.extend(gaps::bound_in_dump(
        &request.filter,
        &found.sockets,
        release.as_deref(),
    ));
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
    Ok(gaps)
}

/// How often listeners are dumped again when an accept queue is full but no connection waits on its
/// port, and the pause before the second and third time: a queue that is served is full for
/// microseconds.
const RETRIES: u32 = 3;
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Whether an accept queue is full, but no connection that waits on its port was seen: those in it were
/// accepted since, arrived on another port, or were reset.
fn is_full_of_nothing(sockets: &[Socket]) -> bool {
    let is_full = |socket: &&Socket| socket.state == State::Listen && socket.recv_q > socket.send_q;
    sockets.iter().filter(is_full).any(|listener| {
        let mut waiting = sockets.iter().filter(|socket| socket.is_unaccepted());
        !waiting.any(|socket| socket.local.port == listener.local.port)
    })
}

/// How the sockets are read that explain CLOSE_WAIT sockets, where the selection leaves them out. A walk
/// over the kernel's table costs about the same whatever it returns, and never more than a run that
/// selects everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// Not at all: they are selected themselves, or nothing needs them.
    None,
    /// With the selected ones.
    Along,
    /// After them: the kernel applies a condition that they do not satisfy, or they are too many to
    /// keep until it is known which of them explain something.
    Again,
}

impl Walk {
    fn of(request: &Request) -> Walk {
        let states = request.filter.states();
        let judged = request.tcp_info || request.owners;
        let program = bytecode::compile(&request.filter, Dialect::Full);
        let explaining = explaining_states(request);
        if !states.contains(State::CloseWait) || !judged {
            Walk::None
        } else if program.is_some() || request.families != Families::Both {
            Walk::Again
        } else if states.intersection(explaining) == explaining {
            Walk::None
        } else if explaining == StateSet::CLOSED_FIRST {
            Walk::Along
        } else {
            Walk::Again
        }
    }
}

/// Reads what explains the CLOSE_WAIT sockets that were kept; see [`Walk`].
fn read_explaining(
    request: &Request,
    ulp: bool,
    reader: &mut Reader,
    found: &mut Dumped,
) -> Result<Dump, DumpError> {
    let explaining = Explaining::of(request, found);
    if !explaining.is_needed() {
        return Ok(Dump::default());
    }
    let others = Query {
        protocol: Protocol::Tcp,
        families: Families::Both,
        states: explaining_states(request),
        tcp_info: request.tcp_info,
        ulp,
        details: DetailSet::NONE,
        bytecode: None,
    };
    let mut dump = reader.read(&others, &mut |socket| explaining.contains(socket), found)?;
    // Selected sockets were read before, and do not count as repeated.
    dump.repeated = 0;
    Ok(dump)
}
