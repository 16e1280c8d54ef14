//! Every network namespace of the host: found through processes, names and mounts, and read one
//! after the other.
//!
//! A namespace lives as long as a process is in it, or something is mounted on it. Where it may
//! not be entered, /proc/PID/net of a process in it shows its tables to everyone.

mod find;

use self::find::{Key, Place, find};
use super::netns;
use super::sock_diag::Dumped;
use super::table::{Table, namespace, netns_label, read_table};
use super::{CollectError, Request, SourceChoice, Steps};
use crate::model::{Gap, GapKind, Namespace};

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
    let found = find(&request.proc_root);
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
    Ok(tables)
}

#[derive(Default)]
struct Reading {
    tables: Tables,
    /// Of each namespace: the gap, and the namespace's label.
    gaps: Vec<(Gap, String)>,
    unentered: Unentered,
    error: Option<CollectError>,
}

/// Namespaces that could not be entered.
#[derive(Default)]
struct Unentered {
    /// Those that were read from /proc/PID/net instead.
    from_proc: u64,
    /// Those that were not read at all, and why the first was not.
    unread: u64,
    reason: Option<String>,
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
            Some(process.join("ns/net").to_string_lossy().into_owned())
        };
        let label = place
            .name
            .clone()
            .or_else(|| inode.map(netns_label))
            .or_else(through);
        let asked = match key {
            Key::Own => None,
            _ => place.asked(),
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
        if self.tables.namespaces.len() > usize::from(u16::MAX) {
            self.unentered.refuse("there are too many".to_owned());
            return;
        }
        let read = match key {
            Key::Own => Ok(read_table(request, None, steps)),
            _ => match place.open(inode, &request.proc_root) {
                Ok(Some(netns)) => netns.within(|| read_table(request, None, steps)),
                // It went away.
                Ok(None) => return,
                Err(error) => Err(error),
            },
        };
        match read {
            Ok(Ok(table)) => self.add(described, table),
            Ok(Err(error)) => {
                self.unentered.refuse(error.to_string());
                self.error.get_or_insert(error);
            }
            Err(error) => match self.read_proc(place, request, steps) {
                Some(table) => {
                    self.unentered.from_proc += 1;
                    self.add(described, table);
                }
                None => {
                    self.unentered.refuse(error.to_string());
                    self.error.get_or_insert(error.into());
                }
            },
        }
    }

    /// Reads the tables in the files of a process that is in the namespace.
    fn read_proc(&self, place: &Place, request: &Request, steps: &mut Steps) -> Option<Table> {
        if request.source == SourceChoice::Netlink {
            return None;
        }
        place.pids.iter().find_map(|pid| {
            let net = request.proc_root.join(pid.to_string()).join("net");
            let readable = net.join("tcp").exists();
            readable.then(|| read_table(request, Some(&net), steps).ok())?
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
        if let Some(tape) = &mut found.tape {
            tape.place(at);
        }
        for socket in &mut found.sockets {
            socket.netns = at;
        }
        self.tables.namespaces.push(read);
        self.tables.found.append(found);
    }
}

impl Unentered {
    fn refuse(&mut self, reason: String) {
        self.unread += 1;
        self.reason.get_or_insert(reason);
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
                ),
                hint: "run as root".into(),
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
                ),
                hint: "run as root".into(),
            });
        }
        if untold > 0 {
            gaps.push(Gap {
                kind: GapKind::NetnsUnread,
                count: untold,
                detail: format!(
                    "{untold} process{} may be in other network namespaces: theirs could not be \
                     told",
                    if untold == 1 { "" } else { "es" }
                ),
                hint: "run as root".into(),
            });
        }
        gaps
    }
}

/// Puts what is missing from several namespaces into one gap each, and says from which.
fn told_once(gaps: Vec<(Gap, String)>) -> Vec<Gap> {
    let mut once: Vec<(Gap, Vec<String>)> = Vec::new();
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
            match labels.as_slice() {
                [label] => gap.detail.push_str(&format!(" (in {label})")),
                several => gap
                    .detail
                    .push_str(&format!(" (in {} network namespaces)", several.len())),
            }
            gap
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_from_several_namespaces_is_told_once() {
        let gap = |detail: &str| Gap {
            kind: GapKind::ProcSource,
            count: 1,
            detail: detail.to_owned(),
            hint: "".into(),
        };
        let told = told_once(vec![
            (gap("no ages"), "a".to_owned()),
            (gap("no ages"), "b".to_owned()),
            (gap("other"), "b".to_owned()),
        ]);
        let details: Vec<_> = told
            .iter()
            .map(|gap| (gap.detail.as_str(), gap.count))
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
