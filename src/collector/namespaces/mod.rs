//! Which network namespaces are read, and how to enter each: this one, one by its name, those of some
//! processes, or every one of the host. Nothing here reads sockets.
//!
//! A namespace exists as long as a process is in it, something is mounted on it, or a descriptor or
//! socket refers to it. Where it cannot be entered, /proc/PID/net of a process in it shows its sockets
//! to everyone.

mod everything;
mod find;
mod incomplete;
mod mounts;
pub mod netns;
mod omission;
mod others;
mod place;
mod selected;
pub(super) mod sknet;
mod target;
mod threads;

use std::path::{Path, PathBuf};

use self::find::{Depth, Found, Search, find};
pub use self::mounts::names;
use self::netns::{Netns, NetnsError};
pub(super) use self::others::others;
use self::place::Key;
pub use self::selected::choose_for;
use self::selected::{Namespaces, namespaces_of};
use self::target::label;
pub(super) use self::target::{Entered, Target, Way};
use super::access::{by_capability, hint_of};
use super::procfs::is_ours;
use super::request::{NetnsChoice, NetnsName, Request, SourceChoice};
use crate::filter::Filter;
use crate::model::{Gap, GapKind, Namespace, Pid};

/// The namespaces that are to be read, and why some may be missing.
pub(super) struct Chosen {
    pub(super) targets: Vec<Target>,
    pub(super) gaps: Vec<Gap>,
}

/// The namespaces that a request is about.
///
/// # Errors
/// When there is none.
pub(super) fn choose(request: &Request) -> Result<Chosen, NetnsError> {
    let root = &request.proc_root;
    match &request.netns {
        NetnsChoice::Own if is_ours(root) => Ok(only(Target::here())),
        NetnsChoice::Own => Ok(of_first_process(root, request.source)),
        NetnsChoice::One(name) => Ok(only(named(name, root))),
        NetnsChoice::Of { pids, .. } => of_processes(pids, root, &request.filter),
        NetnsChoice::All => chosen(find(root, Depth::Everything), root, &request.filter),
        NetnsChoice::Missing(missing) => Err(missing.clone().into()),
    }
}

fn only(target: Target) -> Chosen {
    Chosen {
        targets: vec![target],
        gaps: Vec::new(),
    }
}

/// The namespace that the user named.
fn named(name: &NetnsName, proc_root: &Path) -> Target {
    let number = netns::inode_in(&name.0);
    let (way, inode) = match Netns::open(name, proc_root) {
        Ok(netns) => {
            let inode = netns.inode();
            (Way::Open(netns), Some(inode))
        }
        Err(error) => (Way::Closed(error), None),
    };
    // A number is that of a namespace or, without brackets, of a process.
    let of_process = name.0.parse().ok().map(Pid);
    let root = proc_root.to_owned();
    let files = move || {
        let process = number.and_then(|number| process_in(number, &root).or(of_process));
        let net = process.map(|pid| root.join(pid.to_string()).join("net"));
        net.into_iter().collect()
    };
    Target {
        described: Namespace {
            label: match inode {
                Some(inode) if number == Some(inode) => Some(label(inode)),
                _ => Some(name.0.as_str().into()),
            },
            asked: Some(name.0.as_str().into()),
            inode,
            ..Namespace::UNKNOWN
        },
        way,
        files: Box::new(files),
        table: None,
    }
}

/// The namespace of PID 1 of another procfs. A directory without PID 1 may have tables of its own;
/// else the namespace of this process takes its place, with a gap.
fn of_first_process(root: &Path, source: SourceChoice) -> Chosen {
    let mut search = Search::of_processes(root);
    let files = |net: PathBuf| Box::new(move || vec![net]);
    if let Some(key) = search.key_of(Pid(1)) {
        let place = search.found.places.remove(&key);
        let asked = root.join("1/ns/net").to_string_lossy().into_owned();
        let way = match place {
            Some(place) if source != SourceChoice::Procfs => Some(Way::Found {
                place,
                inode: key.inode(),
                proc_root: root.to_owned(),
            }),
            _ if source == SourceChoice::Netlink => None,
            _ => Some(Way::Files(None)),
        };
        if let Some(way) = way {
            return only(Target {
                described: Namespace {
                    label: Some(key.inode().map_or_else(|| asked.as_str().into(), label)),
                    asked: Some(asked.into()),
                    inode: key.inode(),
                    ..Namespace::UNKNOWN
                },
                way,
                files: files(root.join("1/net")),
                table: None,
            });
        }
    }
    let no_process = format!("no process 1 in {}", root.display());
    let net = root.join("net");
    match source {
        SourceChoice::Procfs => only(Target {
            described: Namespace::UNKNOWN,
            ..Target::here()
        }),
        SourceChoice::Auto if net.join("tcp").exists() => only(Target {
            described: Namespace::UNKNOWN,
            way: Way::Files(Some(no_process)),
            files: files(net),
            table: None,
        }),
        SourceChoice::Auto | SourceChoice::Netlink => Chosen {
            targets: vec![Target::here()],
            gaps: vec![Gap {
                kind: GapKind::NetnsUnread,
                count: 1,
                detail: format!(
                    "{no_process}: the network namespace of closewait was read instead"
                )
                .into(),
                hint: "give the right --proc".into(),
            }],
        },
    }
}

/// The namespaces of processes and of their sockets.
fn of_processes(pids: &[Pid], root: &Path, filter: &Filter) -> Result<Chosen, NetnsError> {
    let Namespaces {
        mut found,
        keys,
        unread,
        omission,
    } = namespaces_of(pids, Search::of_processes(root));
    found.places.retain(|key, _| keys.contains(key));
    // Other processes and namespaces do not matter here.
    found.omissions = omission.into_iter().collect();
    found.unknown = 0;
    let mut chosen = chosen(found, root, filter)?;
    chosen.gaps.extend(unread.map(|(count, first, reason)| {
        Gap {
            kind: GapKind::NetnsUnread,
            count,
            detail: match count {
                1 => format!("could not read the network namespace of process {first}: {reason}"),
                _ => format!(
                    "could not read the network namespaces of {count} processes (first: {first}): \
                 {reason}"
                ),
            }
            .into(),
            hint: hint_of(reason, "CAP_SYS_PTRACE"),
        }
    }));
    Ok(chosen)
}

/// What a search found, without the namespaces that the filter excludes.
fn chosen(found: Found, root: &Path, filter: &Filter) -> Result<Chosen, NetnsError> {
    if found.places.is_empty() {
        return Err(NetnsError::NoneIn(root.to_owned()));
    }
    let places = found.places.into_iter();
    let targets: Vec<Target> = places
        .map(|(key, place)| Target::found(key, place, root))
        .filter(|target| !filter.excludes(&target.described))
        .collect();
    if targets.is_empty() {
        return Err(NetnsError::NoMatch);
    }
    let plural = if found.unknown == 1 { "" } else { "es" };
    let unknown = (found.unknown > 0).then(|| Gap {
        kind: GapKind::NetnsUnread,
        count: found.unknown,
        detail: format!(
            "{} process{plural} may be in other network namespaces, which could not be read",
            found.unknown
        )
        .into(),
        hint: by_capability("CAP_SYS_PTRACE").into(),
    });
    let omissions = found.omissions.into_iter().map(|omission| Gap {
        kind: GapKind::NetnsUnread,
        count: 1,
        detail: format!("network namespaces may be missing: {}", omission.detail).into(),
        hint: omission.hint,
    });
    Ok(Chosen {
        targets,
        gaps: unknown.into_iter().chain(omissions).collect(),
    })
}

/// The namespace with this number, if it is found and may be opened.
fn open_inode(inode: u64, proc_root: &Path) -> Option<Netns> {
    if netns::current() == Some(inode) {
        return Netns::at(Path::new("/proc/thread-self/ns/net")).ok();
    }
    let found = find(proc_root, Depth::Everything);
    let place = found.places.get(&Key::Inode(inode))?;
    place.open(Some(inode), proc_root).ok()?
}

/// A process in the namespace with this number.
fn process_in(inode: u64, proc_root: &Path) -> Option<Pid> {
    let found = find(proc_root, Depth::Processes);
    let place = found.places.get(&Key::Inode(inode))?;
    place.pids.first().copied()
}
