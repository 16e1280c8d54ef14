//! The socket table of one network namespace: through sock_diag, or from /proc/net/tcp where that
//! is not to be had.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustc_hash::FxHashSet;

use super::namespaces::{self, Tables};
use super::netns::{self, Netns, NetnsChoice, NetnsName};
use super::recording::tape::Tape;
use super::sock_diag::bytecode::{self, Dialect};
use super::sock_diag::wire::{Families, Query};
use super::sock_diag::{Dump, DumpError, Dumped, Reader};
use super::{CollectError, Request, SourceChoice, Steps, host, proc_net, udp};
use crate::filter::{Filter, Known};
use crate::model::{
    DetailSet, Endpoint, Family, Gap, GapKind, Namespace, Protocol, Settings, Socket, Source,
    State, StateSet,
};

/// The sockets of a namespace, and the facts that are the namespace's own.
pub(super) struct Table {
    pub(super) found: Dumped,
    pub(super) source: Source,
    pub(super) settings: Settings,
    pub(super) gaps: Vec<Gap>,
}

/// Enters the namespaces that were asked for, and reads there. Where one may not be entered, a
/// process's own /proc/PID/net is open to all.
pub(super) fn read_namespaces(
    request: &Request,
    steps: &mut Steps,
) -> Result<Tables, CollectError> {
    let (described, table) = match &request.netns {
        NetnsChoice::All => return namespaces::read_all(request, steps),
        NetnsChoice::Own => {
            let inode = netns::current();
            let described = Namespace {
                label: inode.map(netns_label),
                inode,
                ..Namespace::UNKNOWN
            };
            (described, read_table(request, None, steps)?)
        }
        NetnsChoice::One(name) => read_other(name, request, steps)?,
    };
    Ok(Tables {
        namespaces: vec![namespace(described, &table)],
        found: table.found,
        gaps: table.gaps,
    })
}

fn read_other(
    name: &NetnsName,
    request: &Request,
    steps: &mut Steps,
) -> Result<(Namespace, Table), CollectError> {
    let root = &request.proc_root;
    let described = |inode| Namespace {
        label: Some(name.0.clone()),
        asked: Some(name.0.clone()),
        inode,
        ..Namespace::UNKNOWN
    };
    let entered = Netns::open(name, root).and_then(|netns| {
        let table = netns.within(|| read_table(request, None, steps))?;
        Ok((netns.inode(), table))
    });
    match entered {
        Ok((inode, table)) => Ok((described(Some(inode)), table?)),
        Err(error) => {
            let net = root.join(&name.0).join("net");
            let is_process = name.0.parse::<u32>().is_ok();
            if request.source == SourceChoice::Netlink || !is_process || !net.join("tcp").exists() {
                return Err(error.into());
            }
            let mut table = read_table(request, Some(&net), steps)?;
            table.gaps.push(Gap {
                kind: GapKind::ProcSource,
                count: 1,
                detail: format!("{error}: read {} instead", net.display()),
                hint: "run as root for ages, cookies and accept queue limits".into(),
            });
            Ok((described(None), table))
        }
    }
}

/// A namespace with what its table tells of it.
pub(super) fn namespace(described: Namespace, table: &Table) -> Namespace {
    Namespace {
        source: table.source,
        settings: table.settings.clone(),
        ..described
    }
}

pub(super) fn netns_label(inode: u64) -> String {
    format!("net:[{inode}]")
}

/// Reads the sockets of the calling thread's namespace, or those in the files of `net`.
pub(super) fn read_table(
    request: &Request,
    net: Option<&Path>,
    steps: &mut Steps,
) -> Result<Table, CollectError> {
    let settings = match net {
        None => host::settings(&request.proc_root),
        // Its files say nothing of the settings.
        Some(_) => Settings::default(),
    };
    let mut gaps = Vec::new();
    let mut found = Dumped {
        tape: request.taped.then(Tape::default),
        ..Dumped::default()
    };
    let mut source = None;
    if request.protocols.contains(Protocol::Tcp) {
        source = Some(read_tcp(request, net, &mut found, &mut gaps, steps)?);
    }
    if request.protocols.contains(Protocol::Udp) {
        match (
            udp::read(request, net, &mut found, &mut gaps, steps),
            source,
        ) {
            (Ok(read), None) => source = Some(read),
            (Ok(_), Some(_)) => {}
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => gaps.push(Gap {
                kind: GapKind::UdpUnread,
                count: 1,
                detail: format!("no UDP socket was read: {error}"),
                hint: "leave -u away, or see `ss -uan`".into(),
            }),
        }
    }
    Ok(Table {
        found,
        source: source.unwrap_or(Source::Procfs),
        settings,
        gaps,
    })
}

/// Reads TCP; says where from.
fn read_tcp(
    request: &Request,
    net: Option<&Path>,
    found: &mut Dumped,
    gaps: &mut Vec<Gap>,
    steps: &mut Steps,
) -> Result<Source, CollectError> {
    let request = &Request {
        filter: request.filter.of_protocol(Protocol::Tcp),
        ..request.clone()
    };
    let start = found.mark();
    if net.is_none() && request.source != SourceChoice::Procfs {
        match read_netlink(request, found, steps) {
            Ok(dump) => {
                gaps.extend(dump_gaps(dump));
                gaps.extend(age_gap(request, &found.sockets));
                return Ok(Source::Netlink);
            }
            Err(error) if request.source == SourceChoice::Netlink => {
                return Err(CollectError::Netlink(error));
            }
            Err(error) => {
                found.back_to(start);
                gaps.push(Gap {
                    kind: GapKind::ProcSource,
                    count: 1,
                    detail: format!("{error}: read /proc/net/tcp instead, which has no ages"),
                    hint: "load the tcp_diag module, or allow NETLINK_SOCK_DIAG".into(),
                });
            }
        }
    } else if net.is_none() {
        gaps.push(Gap {
            kind: GapKind::ProcSource,
            count: 1,
            detail: "/proc/net/tcp was read as asked: it has no ages and no accept queue limits"
                .to_owned(),
            hint: "leave --source procfs away".into(),
        });
    }
    let dir = net.map_or_else(|| net_dir(&request.proc_root), Path::to_path_buf);
    read_procfs(request, &dir, found, gaps, steps)?;
    Ok(Source::Procfs)
}

/// The directory that shows the calling thread's namespace: `net` alone is the main thread's.
pub(super) fn net_dir(proc_root: &Path) -> PathBuf {
    let of_thread = proc_root.join("thread-self/net");
    if of_thread.join("tcp").exists() {
        of_thread
    } else {
        proc_root.join("net")
    }
}

fn read_netlink(
    request: &Request,
    found: &mut Dumped,
    steps: &mut Steps,
) -> Result<Dump, DumpError> {
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
    let walk = Walk::of(request);
    let listeners = Query {
        protocol: Protocol::Tcp,
        families: request.families,
        states: listen,
        tcp_info: false,
        details: request.details,
        bytecode: None,
    };
    let mut dump = reader.read(&listeners, &mut keep, found)?;
    let states = request.filter.states().minus(listen);
    let mut refusal = None;
    if !states.is_empty() {
        let mut keep =
            |socket: &Socket| selected(socket) || (walk == Walk::Along && is_closer(socket));
        let states = match walk {
            Walk::Along => states.union(closers()),
            Walk::None | Walk::Again => states,
        };
        let others = Query {
            protocol: Protocol::Tcp,
            families: request.families,
            states,
            tcp_info: request.tcp_info,
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
        Walk::Along => drop_strangers(&request.filter, found),
        Walk::Again => dump.add(read_other_ends(request, &mut reader, found)?),
    }
    let mut what = format!("sock_diag dump: {} sockets kept", found.sockets.len());
    if dump.repeated > 0 {
        what.push_str(&format!(", {} seen twice", dump.repeated));
    }
    if let Some(refusal) = refusal {
        what.push_str(&refusal);
    }
    steps.add(what, start);
    Ok(dump)
}

/// Reads with as much of the filter as the kernel takes: an older one does not know every
/// operation, and marks are not for everyone. Says what it refused.
pub(super) fn read_filtered(
    filter: &Filter,
    mut query: Query,
    reader: &mut Reader,
    keep: &mut impl FnMut(&Socket) -> bool,
    found: &mut Dumped,
) -> Result<(Dump, Option<String>), DumpError> {
    let mut refusal = None;
    let mut refused = None;
    for dialect in [Dialect::Whole, Dialect::Early] {
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

/// How the other ends of CLOSE_WAIT sockets are read, where they are in this namespace too and
/// the selection leaves them out: whether such an end is still held decides what the CLOSE_WAIT
/// is. A walk over the kernel's table costs much the same whatever it brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    /// Not at all: they are selected themselves, or nothing rests on them.
    None,
    /// With the selected ones.
    Along,
    /// After them, since the kernel applies a condition that they do not satisfy.
    Again,
}

impl Walk {
    fn of(request: &Request) -> Walk {
        let states = request.filter.states();
        let judged = request.tcp_info || request.owners;
        let program = bytecode::compile(&request.filter, Dialect::Whole);
        if !states.contains(State::CloseWait) || !judged {
            Walk::None
        } else if program.is_some() || request.families != Families::Both {
            Walk::Again
        } else if states.intersection(closers()) == closers() {
            Walk::None
        } else {
            Walk::Along
        }
    }
}

/// The states of an end that closed first and waits for the other.
fn closers() -> StateSet {
    StateSet::of(State::FinWait1).union(StateSet::of(State::FinWait2))
}

pub(super) fn is_closer(socket: &Socket) -> bool {
    closers().contains(socket.state)
}

/// The other ends of the CLOSE_WAIT sockets that were kept.
fn mirrored(found: &Dumped) -> FxHashSet<(Endpoint, Endpoint)> {
    let waits = found.sockets.iter();
    waits
        .filter(|socket| socket.state == State::CloseWait)
        .map(|socket| (socket.remote.canonical(), socket.local.canonical()))
        .collect()
}

/// Forgets ends that are neither selected nor another one's.
pub(super) fn drop_strangers(filter: &Filter, found: &mut Dumped) {
    let mirrored = mirrored(found);
    found.sockets.retain(|socket| {
        !is_closer(socket)
            || mirrored.contains(&(socket.local.canonical(), socket.remote.canonical()))
            || may_matter(filter, socket)
    });
}

/// Reads the other ends of the CLOSE_WAIT sockets that were kept; see [`Walk`].
fn read_other_ends(
    request: &Request,
    reader: &mut Reader,
    found: &mut Dumped,
) -> Result<Dump, DumpError> {
    let mirrored = mirrored(found);
    if mirrored.is_empty() {
        return Ok(Dump::default());
    }
    let closers = Query {
        protocol: Protocol::Tcp,
        families: Families::Both,
        states: closers(),
        tcp_info: request.tcp_info,
        details: DetailSet::NONE,
        bytecode: None,
    };
    let mut keep =
        |socket: &Socket| mirrored.contains(&(socket.local.canonical(), socket.remote.canonical()));
    let mut dump = reader.read(&closers, &mut keep, found)?;
    // Those that were selected have been read before: nothing came twice.
    dump.repeated = 0;
    Ok(dump)
}

/// Whether a socket may be selected, or is one that others are judged by.
pub(super) fn may_matter(filter: &Filter, socket: &Socket) -> bool {
    socket.state == State::Listen || may_be_selected(filter, socket)
}

/// Whether a socket may be selected, once all is known of it.
pub(super) fn may_be_selected(filter: &Filter, socket: &Socket) -> bool {
    filter.decide(&Known::of(socket)) != Some(false)
}

pub(super) fn dump_gaps(dump: Dump) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if dump.interrupted {
        gaps.push(Gap {
            kind: GapKind::DumpInterrupted,
            count: 1,
            detail: "the socket table changed under every dump: some sockets may be missing"
                .to_owned(),
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
            ),
            hint: "report the kernel's version".into(),
        });
    }
    gaps
}

/// CLOSE_WAIT sockets without tcp_info, where it was asked for.
pub(super) fn age_gap(request: &Request, sockets: &[Socket]) -> Option<Gap> {
    let missing = sockets
        .iter()
        .filter(|socket| socket.state == State::CloseWait && socket.tcp.is_none())
        .count() as u64;
    (request.tcp_info && missing > 0).then(|| Gap {
        kind: GapKind::AgesMissing,
        count: missing,
        detail: format!(
            "the kernel sent no tcp_info with {missing} CLOSE_WAIT sockets: their age is unknown"
        ),
        hint: "".into(),
    })
}

fn read_procfs(
    request: &Request,
    net: &Path,
    found: &mut Dumped,
    gaps: &mut Vec<Gap>,
    steps: &mut Steps,
) -> Result<(), CollectError> {
    let start = Instant::now();
    let waits = request.filter.states().contains(State::CloseWait);
    let mut keep =
        |socket: &Socket| may_matter(&request.filter, socket) || (waits && is_closer(socket));
    read_texts(request, Protocol::Tcp, net, &mut keep, found, gaps)?;
    if request.filter.states().contains(State::BoundInactive) {
        gaps.push(Gap {
            kind: GapKind::StateUnread,
            count: 1,
            detail: "/proc/net/tcp does not show BOUND_INACTIVE: such sockets are missing"
                .to_owned(),
            hint: "allow sock_diag (Linux 6.8 and later)".into(),
        });
    }
    steps.add(
        format!(
            "{}/tcp, tcp6: {} sockets kept",
            net.display(),
            found.sockets.len()
        ),
        start,
    );
    Ok(())
}

/// Reads the texts of a protocol in the directory `net`.
pub(super) fn read_texts(
    request: &Request,
    protocol: Protocol,
    net: &Path,
    keep: &mut impl FnMut(&Socket) -> bool,
    found: &mut Dumped,
    gaps: &mut Vec<Gap>,
) -> Result<(), CollectError> {
    let families: &[Family] = match &request.families {
        Families::Both => &[Family::Inet, Family::Inet6],
        Families::One(family) => std::slice::from_ref(family),
    };
    let name = protocol.name();
    let mut malformed = 0;
    for &family in families {
        let path = net.join(match family {
            Family::Inet => name.to_owned(),
            Family::Inet6 => format!("{name}6"),
        });
        let reading = File::open(&path)
            .and_then(|text| proc_net::read_into(found, text, protocol, family, keep));
        match reading {
            Ok(reading) => malformed += reading.malformed,
            // A kernel without IPv6 has no such file, and no such sockets.
            Err(error) if family == Family::Inet6 && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if family == Family::Inet6 && families.len() > 1 => gaps.push(Gap {
                kind: match protocol {
                    Protocol::Tcp => GapKind::FamilyUnread,
                    Protocol::Udp => GapKind::UdpUnread,
                },
                count: 1,
                detail: format!("could not read {}: {error}", path.display()),
                hint: match protocol {
                    Protocol::Tcp => "IPv6 sockets are missing".into(),
                    Protocol::Udp => "IPv6 sockets of UDP are missing".into(),
                },
            }),
            Err(reason) => {
                let hint = if request.proc_root == Path::new("/proc") {
                    "; is /proc mounted?".to_owned()
                } else {
                    format!("; is {} a procfs?", request.proc_root.display())
                };
                return Err(CollectError::Procfs { path, reason, hint });
            }
        }
    }
    if malformed > 0 {
        gaps.push(Gap {
            kind: GapKind::Malformed,
            count: malformed,
            detail: format!(
                "{malformed} lines of {0}/{name} or {name}6 could not be understood",
                net.display()
            ),
            hint: "compare with the file itself".into(),
        });
    }
    Ok(())
}
