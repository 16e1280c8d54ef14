//! The socket table of one network namespace: through sock_diag, or from /proc/net/tcp where that
//! is not available.

pub mod capture;
pub(crate) mod mptcp;
pub(crate) mod netlink;
pub mod proc_net;
pub mod sock_diag;
pub(crate) mod udp;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::io::Errno;

use crate::collector::access::hint_of;
use crate::collector::file;
use crate::collector::namespaces::netns::{self, Netns};
use crate::collector::namespaces::{self, Tables};
use crate::collector::procfs::is_ours;
use crate::collector::request::{NetnsChoice, NetnsName, Request, SourceChoice};
use crate::collector::sockets::capture::Capture;
use crate::collector::sockets::mptcp::Presence;
use crate::collector::sockets::netlink::{age_gap, bound_gap, dump_gaps, may_matter, read_netlink};
use crate::collector::sockets::sock_diag::Dumped;
use crate::collector::{CollectError, Steps, host, kernel};
use crate::model::{
    Families, Family, Gap, GapKind, Name, Namespace, Pid, Protocol, Settings, Socket, Source, State,
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
        NetnsChoice::Of { pids, .. } => return namespaces::read_of(pids, request, steps),
        NetnsChoice::Own if !is_ours(&request.proc_root) => read_beside(request, steps)?,
        NetnsChoice::Own => {
            let inode = netns::current();
            let described = Namespace {
                label: inode.map(netns_label),
                inode,
                ..Namespace::UNKNOWN
            };
            (described, read_table(request, None, steps)?)
        }
        NetnsChoice::Missing(missing) => return Err(missing.clone().into()),
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
    let described = |inode: Option<u64>| Namespace {
        // One that was chosen by its number is called as everywhere.
        label: match inode {
            Some(inode) if netns::inode_in(&name.0) == Some(inode) => Some(netns_label(inode)),
            _ => Some(name.0.as_str().into()),
        },
        asked: Some(name.0.as_str().into()),
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
            let process = || {
                let inode = netns::inode_in(&name.0)?;
                // A bare number may be a process's, one in brackets may not.
                let of_number = || name.0.parse().ok().map(Pid);
                namespaces::process_in(inode, root).or_else(of_number)
            };
            let net = process().map(|pid| root.join(pid.to_string()).join("net"));
            let readable = net.filter(|net| net.join("tcp").exists());
            let Some(net) = readable.filter(|_| request.source != SourceChoice::Netlink) else {
                return Err(error.into());
            };
            let mut table = read_table(request, Some(&net), steps)?;
            table.gaps.push(Gap {
                kind: GapKind::ProcSource,
                count: 1,
                detail: format!("{error}: read {} instead", net.display()).into(),
                hint: "run as root for ages, cookies and accept queue limits".into(),
            });
            Ok((described(None), table))
        }
    }
}

/// Reads where PID 1 of another procfs is. A directory without one may have tables of its own.
fn read_beside(request: &Request, steps: &mut Steps) -> Result<(Namespace, Table), CollectError> {
    if let Some(read) = namespaces::read_first(request, steps)? {
        return Ok(read);
    }
    let root = &request.proc_root;
    let net = root.join("net");
    if request.source == SourceChoice::Procfs {
        return Ok((Namespace::UNKNOWN, read_table(request, None, steps)?));
    }
    if request.source == SourceChoice::Auto && net.join("tcp").exists() {
        let mut table = read_table(request, Some(&net), steps)?;
        table.gaps.push(Gap {
            kind: GapKind::ProcSource,
            count: 1,
            detail: format!("no process 1 in {}: read {}", root.display(), net.display()).into(),
            hint: "".into(),
        });
        return Ok((Namespace::UNKNOWN, table));
    }
    let mut table = read_table(request, None, steps)?;
    table.gaps.push(Gap {
        kind: GapKind::NetnsUnread,
        count: 1,
        detail: format!(
            "no process 1 in {}: the network namespace that closewait runs in was read",
            root.display()
        )
        .into(),
        hint: "give the right --proc".into(),
    });
    let inode = netns::current();
    let described = Namespace {
        label: inode.map(netns_label),
        inode,
        ..Namespace::UNKNOWN
    };
    Ok((described, table))
}

/// A namespace with what its table tells of it.
pub(super) fn namespace(described: Namespace, table: &Table) -> Namespace {
    Namespace {
        source: table.source,
        hides_subflows: table.source == Source::Procfs
            && table
                .gaps
                .iter()
                .any(|gap| gap.kind == GapKind::MptcpUnread),
        settings: table.settings.clone(),
        ..described
    }
}

pub(super) fn netns_label(inode: u64) -> Name {
    format!("net:[{inode}]").into()
}

/// Reads the sockets of the calling thread's namespace, or those in the files of `net`.
pub(super) fn read_table(
    request: &Request,
    net: Option<&Path>,
    steps: &mut Steps,
) -> Result<Table, CollectError> {
    let mut settings = match net {
        None => host::settings(&request.proc_root),
        // Its files say nothing of the settings.
        Some(_) => Settings::default(),
    };
    let mut gaps = Vec::new();
    let mut found = Dumped {
        capture: request.captured.then(Capture::default),
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
                detail: format!("no UDP socket was read: {error}").into(),
                hint: "run without -u, or see `ss -uan`".into(),
            }),
        }
    }
    if net.is_none() {
        settings.devices = host::devices(&found.sockets);
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
    let start = found.rollback_point();
    let mut refused = None;
    if net.is_none() && request.source != SourceChoice::Procfs {
        match read_netlink(request, found, steps) {
            Ok((dump, mptcp)) => {
                gaps.extend(mptcp);
                gaps.extend(dump_gaps(dump));
                gaps.extend(age_gap(request, &found.sockets));
                let release = kernel::names().map(|(_, release)| release);
                let bound = bound_gap(&request.filter, &found.sockets, release.as_deref());
                gaps.extend(bound);
                return Ok(Source::Netlink);
            }
            Err(error) if request.source == SourceChoice::Netlink => {
                return Err(CollectError::Netlink(error));
            }
            Err(error) => {
                found.roll_back(start);
                gaps.push(Gap {
                    kind: GapKind::ProcSource,
                    count: 1,
                    detail: format!("{error}: read /proc/net/tcp instead, which has no ages")
                        .into(),
                    hint: "load the tcp_diag module, or allow NETLINK_SOCK_DIAG".into(),
                });
                refused = Some(error);
            }
        }
    } else if net.is_none() {
        gaps.push(Gap {
            kind: GapKind::ProcSource,
            count: 1,
            detail: "/proc/net/tcp was read as asked: it has no ages and no accept queue limits"
                .into(),
            hint: "run without --source procfs".into(),
        });
    }
    let dir = net.map_or_else(|| net_dir(&request.proc_root), Path::to_path_buf);
    read_procfs(request, &dir, found, gaps, steps).map_err(|error| error.after(refused))?;
    // Its subflows stand there as TCP.
    let reason = "/proc/net shows only their subflows, as TCP";
    let hint = "read through sock_diag, with the mptcp_diag module";
    gaps.extend(mptcp::gap(Presence::of(&dir), 0, reason, hint));
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
        |socket: &Socket| may_matter(&request.filter, socket) || (waits && socket.closed_first());
    read_texts(request, Protocol::Tcp, net, &mut keep, found, gaps)?;
    if request.filter.states().contains(State::BoundInactive) {
        gaps.push(Gap {
            kind: GapKind::StateUnread,
            count: 1,
            detail: "/proc/net/tcp does not show BOUND_INACTIVE: such sockets are missing".into(),
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
    let mut pieces = Vec::new();
    for &family in families {
        let path = net.join(match family {
            Family::Inet => name.to_owned(),
            Family::Inet6 => format!("{name}6"),
        });
        let reading = file::stream(&path)
            .and_then(|text| proc_net::read_into(found, text, protocol, family, keep));
        match reading {
            Ok(reading) => {
                malformed += reading.malformed;
                if reading.in_pieces {
                    pieces.push((path, reading));
                }
            }
            // A kernel without IPv6 has no such file, and no such sockets.
            Err(error) if family == Family::Inet6 && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if family == Family::Inet6 && families.len() > 1 => gaps.push(Gap {
                kind: match protocol {
                    Protocol::Udp => GapKind::UdpUnread,
                    _ => GapKind::FamilyUnread,
                },
                count: 1,
                detail: format!("could not read {}: {error}", path.display()).into(),
                hint: match protocol {
                    Protocol::Udp => "IPv6 sockets of UDP are missing".into(),
                    _ => "IPv6 sockets are missing".into(),
                },
            }),
            Err(reason) => {
                let hint = if let Some(limit @ (Errno::MFILE | Errno::NFILE)) =
                    Errno::from_io_error(&reason)
                {
                    format!("; {}", hint_of(limit, ""))
                } else if reason.kind() != io::ErrorKind::NotFound {
                    String::new()
                } else if is_ours(&request.proc_root) {
                    "; is /proc mounted?".to_owned()
                } else {
                    format!("; is {} a procfs?", request.proc_root.display())
                };
                return Err(CollectError::Procfs { path, reason, hint });
            }
        }
    }
    for (path, reading) in pieces {
        gaps.push(in_pieces(&path, reading));
    }
    if malformed > 0 {
        gaps.push(Gap {
            kind: GapKind::Malformed,
            count: malformed,
            detail: format!(
                "{malformed} lines of {0}/{name} or {name}6 could not be understood",
                net.display()
            )
            .into(),
            hint: "compare with the file itself".into(),
        });
    }
    Ok(())
}

/// The gap for a text that was read in pieces.
fn in_pieces(path: &Path, reading: proc_net::Reading) -> Gap {
    let proc_net::Reading {
        repeated,
        ambiguous,
        ..
    } = reading;
    let mut detail = format!(
        "{} is read in pieces: sockets that opened or closed meanwhile may be missing, or counted \
         beside those that took their place",
        path.display()
    );
    if repeated > 0 {
        detail.push_str(&format!("; {repeated} came twice and count once"));
    }
    if ambiguous > 0 {
        detail.push_str(&format!(
            "; {ambiguous} more that look the same are left out, though they may be others"
        ));
    }
    Gap {
        kind: GapKind::InPieces,
        count: repeated.saturating_add(ambiguous).max(1),
        detail: detail.into(),
        hint: "read through sock_diag, which tells each socket from every other".into(),
    }
}
