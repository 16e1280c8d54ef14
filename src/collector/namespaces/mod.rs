//! Every network namespace of the host: found through processes, names and mounts, and read one
//! after the other.
//!
//! A namespace lives as long as a process is in it, or something is mounted on it. Where it may
//! not be entered, /proc/PID/net of a process in it shows its tables to everyone.

mod find;
mod lives;
mod lost;
mod mounts;
pub mod netns;
mod omission;
mod place;
pub(super) mod sknet;

use std::collections::BTreeSet;
use std::path::Path;

use rustix::io::Errno;

use self::find::{Depth, Found, Search, find};
use self::lives::Homes;
pub use self::lives::whereabouts;
use self::omission::Omission;
use self::place::{Key, Place};
use super::{CollectError, Steps};
use crate::collector::access::{by_capability, hint_of};
use crate::collector::namespaces::netns::Netns;
use crate::collector::procfs::is_ours;
use crate::collector::request::{NetnsChoice, Request, SourceChoice};
use crate::collector::sockets::sock_diag::Dumped;
use crate::collector::sockets::{Table, namespace, netns_label, read_table};
use crate::model::{Gap, GapKind, Name, Namespace, OtherNamespaces, Pid, Words};

/// What was read of all namespaces together.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) namespaces: Vec<Namespace>,
    pub(super) found: Dumped,
    pub(super) gaps: Vec<Gap>,
}

/// Reads every namespace that the filter does not exclude.
///
/// # Errors
/// When none could be read. One that went away meanwhile is no error.
pub(super) fn read_all(request: &Request, steps: &mut Steps) -> Result<Tables, CollectError> {
    read_found(find(&request.proc_root, Depth::Everything), request, steps)
}

/// Reads the namespaces in which processes and their sockets live.
///
/// # Errors
/// When none could be read.
pub(super) fn read_of(
    pids: &[Pid],
    request: &Request,
    steps: &mut Steps,
) -> Result<Tables, CollectError> {
    let search = Search::of_processes(&request.proc_root);
    let Homes {
        mut found,
        keys,
        closed,
        omission,
    } = lives::homes(search, pids);
    found.places.retain(|key, _| keys.contains(key));
    // What is not looked for is not missed.
    found.omissions = omission.into_iter().collect();
    found.untold = 0;
    let mut tables = read_found(found, request, steps)?;
    tables.gaps.extend(closed.map(|(count, first, reason)| Gap {
        kind: GapKind::NetnsUnread,
        count,
        detail: match count {
            1 => format!("the network namespace of process {first} could not be read: {reason}").into(),
            more => format!(
                "the network namespaces of {more} processes could not be read, such as {first}: \
                 {reason}"
            ).into(),
        },
        hint: hint_of(reason, "CAP_SYS_PTRACE"),
    }));
    Ok(tables)
}

fn read_found(found: Found, request: &Request, steps: &mut Steps) -> Result<Tables, CollectError> {
    if found.places.is_empty() {
        let root = request.proc_root.clone();
        return Err(CollectError::NoNetnsIn(root));
    }
    let mut all = Reading::default();
    for (key, place) in &found.places {
        all.read(*key, place, request, steps);
    }
    if all.tables.namespaces.is_empty() {
        return Err(all.error.unwrap_or(CollectError::NoNetns));
    }
    let mut tables = all.tables;
    tables.gaps.extend(told_once(all.gaps));
    tables.gaps.extend(all.unentered.gaps(found.untold));
    tables
        .gaps
        .extend(found.omissions.into_iter().map(Gap::from));
    Ok(tables)
}

/// The namespace with this number, if it is found and may be opened.
pub(super) fn open_inode(inode: u64, proc_root: &Path) -> Option<Netns> {
    if netns::current() == Some(inode) {
        return Netns::at(Path::new("/proc/thread-self/ns/net")).ok();
    }
    let found = find(proc_root, Depth::Everything);
    let place = found.places.get(&Key::Inode(inode))?;
    place.open(Some(inode), proc_root).ok()?
}

/// A process in the namespace with this number.
pub(super) fn process_in(inode: u64, proc_root: &Path) -> Option<Pid> {
    let found = find(proc_root, Depth::Processes);
    let place = found.places.get(&Key::Inode(inode))?;
    place.pids.first().copied()
}

/// Reads the namespace that PID 1 of another procfs is in; `None` where there is no such process.
///
/// # Errors
/// When it is there, and its sockets cannot be read.
pub(super) fn read_first(
    request: &Request,
    steps: &mut Steps,
) -> Result<Option<(Namespace, Table)>, CollectError> {
    let root = &request.proc_root;
    let search = Search::of_processes(root);
    let Some(key) = search.key_of(Pid(1)) else {
        return Ok(None);
    };
    let unknown = Place::default();
    let place = search.found.places.get(&key).unwrap_or(&unknown);
    let inode = match key {
        Key::Inode(inode) => Some(inode),
        Key::Own | Key::Table(_) => None,
    };
    let asked = root.join("1/ns/net").to_string_lossy().into_owned();
    let asked = Name::from(asked);
    let described = Namespace {
        label: inode.map(netns_label).or_else(|| Some(asked.clone())),
        asked: Some(asked),
        inode,
        ..Namespace::UNKNOWN
    };
    let mut refused: Option<CollectError> = None;
    if request.source != SourceChoice::Procfs {
        let entered = place.open(inode, root).and_then(|netns| {
            let read = |netns: Netns| netns.within(|| read_table(request, None, steps));
            netns.map(read).transpose()
        });
        match entered {
            Ok(Some(Ok(table))) => return Ok(Some((described, table))),
            Ok(Some(Err(error))) => refused = Some(error),
            Ok(None) => {}
            Err(error) => refused = Some(error.into()),
        }
    }
    let net = root.join("1/net");
    if request.source == SourceChoice::Netlink {
        return match refused {
            Some(error) => Err(error),
            None => Ok(None),
        };
    }
    let mut table = read_table(request, Some(&net), steps)?;
    let reason = refused.map_or(String::new(), |error| format!("{error}: "));
    table.gaps.push(Gap {
        kind: GapKind::ProcSource,
        count: 1,
        detail: format!(
            "{reason}read {}, which has no ages and no accept queue limits",
            net.display()
        )
        .into(),
        hint: "run as root to enter the namespace, without --source procfs".into(),
    });
    Ok(Some((described, table)))
}

/// Counts the namespaces beside those that were read; `None` where all were to be read.
pub(super) fn others(request: &Request, read: &[Namespace]) -> Option<OtherNamespaces> {
    let of_one = match &request.netns {
        NetnsChoice::All | NetnsChoice::Of { .. } | NetnsChoice::Missing(_) => return None,
        NetnsChoice::Own => Some(Pid(1)).filter(|_| !is_ours(&request.proc_root)),
        NetnsChoice::One(name) => name.0.parse().ok().map(Pid),
    };
    let search = Search::of_processes(&request.proc_root);
    let of_one = of_one.and_then(|pid| search.key_of(pid));
    let found = search.found();
    let was_read = |key: &Key| {
        let inode = |namespace: &Namespace| namespace.inode;
        match key {
            Key::Own => request.netns == NetnsChoice::Own || is_own(read),
            Key::Inode(number) => read.iter().filter_map(inode).any(|read| read == *number),
            // It was read by the files of a process in it.
            Key::Table(_) => of_one == Some(*key),
        }
    };
    let mut others = OtherNamespaces {
        unknown: found.untold,
        doubt: found
            .omissions
            .first()
            .map(Omission::words)
            .map(Words::from),
        ..OtherNamespaces::default()
    };
    let mut closed = 0;
    for (key, place) in found.places.iter().filter(|(key, _)| !was_read(key)) {
        others.namespaces += 1;
        others.processes += place.processes;
        closed += u64::from(matches!(key, Key::Table(_)));
    }
    // Nothing counts twice.
    others.namespaces -= found.unasked.min(closed);
    Some(others)
}

/// Whether one of the namespaces is the one that the tool runs in.
fn is_own(read: &[Namespace]) -> bool {
    let own = netns::current();
    own.is_some() && read.iter().any(|namespace| namespace.inode == own)
}

impl From<Omission> for Gap {
    fn from(omission: Omission) -> Gap {
        Gap {
            kind: GapKind::NetnsUnread,
            count: 1,
            detail: format!("network namespaces may be missing: {}", omission.detail).into(),
            hint: omission.hint,
        }
    }
}

#[derive(Default)]
struct Reading {
    tables: Tables,
    /// Of each namespace: the gap, and the namespace's label.
    gaps: Vec<(Gap, Name)>,
    unentered: Unentered,
    error: Option<CollectError>,
    /// The inodes of /proc/net/tcp in the namespaces that were read.
    read: BTreeSet<u64>,
    /// A namespace was read whose number is not known.
    nameless: bool,
}

/// Namespaces that could not be entered.
#[derive(Default)]
struct Unentered {
    /// Those that were read from /proc/PID/net instead.
    from_proc: u64,
    /// Those that were not read at all, and why the first was not.
    unread: u64,
    reason: Option<String>,
    /// What the system said of that one.
    errno: Option<Errno>,
}

impl Reading {
    fn read(&mut self, key: Key, place: &Place, request: &Request, steps: &mut Steps) {
        let inode = match key {
            Key::Own => netns::current(),
            Key::Inode(inode) => Some(inode),
            Key::Table(_) => None,
        };
        let through = || {
            let process = request.proc_root.join(place.pids.first()?.to_string());
            Some(process.join("ns/net").to_string_lossy().into_owned().into())
        };
        let label = place
            .name
            .clone()
            .map(Name::from)
            .or_else(|| inode.map(netns_label))
            .or_else(through);
        let asked = match key {
            Key::Own => None,
            _ => place.asked().map(Name::from),
        };
        let described = Namespace {
            label,
            asked,
            inode,
            ..Namespace::UNKNOWN
        };
        if request.filter.excludes(&described) {
            return;
        }
        if let Key::Table(table) = key
            && self.read.contains(&table)
        {
            // It was entered by its name.
            return;
        }
        if self.nameless && key != Key::Own {
            // What is read twice counts twice.
            let reason = "it may be one of those that were read, whose number is unknown";
            self.unentered.refuse(reason.to_owned());
            return;
        }
        if self.tables.namespaces.len() > usize::from(u16::MAX) {
            self.unentered.refuse("there are too many".to_owned());
            return;
        }
        let mut look = || (netns::current_table(), read_table(request, None, steps));
        let read = match key {
            Key::Own => Ok(look()),
            _ => match place.open(inode, &request.proc_root) {
                Ok(Some(netns)) => netns.within(look),
                // It went away.
                Ok(None) => return,
                Err(error) => Err(error),
            },
        };
        match read {
            // It was reached in another way before.
            Ok((Some(inside), _)) if self.read.contains(&inside) => {}
            Ok((inside, Ok(table))) => {
                self.nameless |= inode.or(inside).is_none();
                self.read.extend(inside);
                self.add(described, table);
            }
            Ok((_, Err(error))) => {
                self.unentered.refuse_for(&error, error.errno());
                self.error.get_or_insert(error);
            }
            Err(error) => match self.read_proc(place, request, steps) {
                Some((inside, _)) if self.read.contains(&inside) => {}
                Some((inside, table)) => {
                    self.read.insert(inside);
                    self.unentered.from_proc += 1;
                    self.add(described, table);
                }
                None => {
                    self.unentered.refuse_for(&error, error.errno());
                    self.error.get_or_insert(error.into());
                }
            },
        }
    }

    /// Reads the tables in the files of a process that is in the namespace.
    fn read_proc(
        &self,
        place: &Place,
        request: &Request,
        steps: &mut Steps,
    ) -> Option<(u64, Table)> {
        if request.source == SourceChoice::Netlink {
            return None;
        }
        place.pids.iter().find_map(|pid| {
            let net = request.proc_root.join(pid.to_string()).join("net");
            let inside = netns::table_in(&net).ok()?;
            let table = read_table(request, Some(&net), steps).ok()?;
            Some((inside, table))
        })
    }

    fn add(&mut self, described: Namespace, table: Table) {
        let Ok(at) = u16::try_from(self.tables.namespaces.len()) else {
            return;
        };
        let read = namespace(described, &table);
        let label = read.label.clone().unwrap_or_default();
        let with_label = |gap| (gap, label.clone());
        self.gaps.extend(table.gaps.into_iter().map(with_label));
        let mut found = table.found;
        found.place(at);
        self.tables.namespaces.push(read);
        self.tables.found.append(found);
    }
}

impl Unentered {
    fn refuse(&mut self, reason: String) {
        self.unread += 1;
        self.reason.get_or_insert(reason);
    }

    fn refuse_for(&mut self, error: &dyn std::error::Error, errno: Option<Errno>) {
        if self.reason.is_none() {
            self.errno = errno;
        }
        self.refuse(error.to_string());
    }

    fn gaps(&self, untold: u64) -> Vec<Gap> {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let mut gaps = Vec::new();
        if self.from_proc > 0 {
            gaps.push(Gap {
                kind: GapKind::ProcSource,
                count: self.from_proc,
                detail: format!(
                    "{} network namespace{} may not be entered: read from /proc/PID/net, which has \
                     no ages, cookies and accept queue limits",
                    self.from_proc,
                    plural(self.from_proc)
                )
                .into(),
                hint: by_capability("CAP_SYS_ADMIN").into(),
            });
        }
        if self.unread > 0 {
            let reason = self.reason.as_deref().unwrap_or_default();
            gaps.push(Gap {
                kind: GapKind::NetnsUnread,
                count: self.unread,
                detail: format!(
                    "{} network namespace{} could not be read{}: {reason}",
                    self.unread,
                    plural(self.unread),
                    // A mount cannot be told to be the namespace of a process that is closed.
                    if self.from_proc > 0 {
                        ", which may be among those that were read from /proc/PID/net"
                    } else {
                        ""
                    }
                )
                .into(),
                hint: match self.errno {
                    Some(errno) => hint_of(errno, "CAP_SYS_ADMIN"),
                    None => by_capability("CAP_SYS_ADMIN").into(),
                },
            });
        }
        if untold > 0 {
            gaps.push(Gap {
                kind: GapKind::NetnsUnread,
                count: untold,
                detail: format!(
                    "{untold} process{} may be in other network namespaces, which could not be read",
                    if untold == 1 { "" } else { "es" }
                ).into(),
                hint: by_capability("CAP_SYS_PTRACE").into(),
            });
        }
        gaps
    }
}

/// Puts what is missing from several namespaces into one gap each, and says from which.
fn told_once(gaps: Vec<(Gap, Name)>) -> Vec<Gap> {
    let mut once: Vec<(Gap, Vec<Name>)> = Vec::new();
    for (gap, label) in gaps {
        let same = once
            .iter_mut()
            .find(|(known, _)| known.kind == gap.kind && known.detail == gap.detail);
        match same {
            Some((known, labels)) => {
                known.count += gap.count;
                labels.push(label);
            }
            None => once.push((gap, vec![label])),
        }
    }
    once.into_iter()
        .map(|(mut gap, labels)| {
            let detail = gap.detail;
            gap.detail = match labels.as_slice() {
                [label] => format!("{detail} (in {label})"),
                several => format!("{detail} (in {} network namespaces)", several.len()),
            }
            .into();
            gap
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_from_several_namespaces_is_told_once() {
        let gap = |detail: &'static str| Gap {
            kind: GapKind::ProcSource,
            count: 1,
            detail: detail.into(),
            hint: "".into(),
        };
        let told = told_once(vec![
            (gap("no ages"), "a".into()),
            (gap("no ages"), "b".into()),
            (gap("other"), "b".into()),
        ]);
        let details: Vec<_> = told
            .iter()
            .map(|gap| (gap.detail.raw(), gap.count))
            .collect();
        assert_eq!(
            details,
            [
                ("no ages (in 2 network namespaces)", 2),
                ("other (in b)", 1)
            ]
        );
    }
}
