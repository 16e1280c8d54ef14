//! The sockets of the chosen network namespaces: each is entered and read, or read from files where it
//! cannot be entered.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rustix::io::Errno;

use super::access::{by_capability, hint_of};
use super::error::CollectError;
use super::namespaces::netns::{self, NetnsError};
use super::namespaces::{Chosen, Entered, Target};
use super::request::{Request, SourceChoice};
use super::sockets::sock_diag::Dumped;
use super::sockets::{self, Table};
use super::steps::Steps;
use crate::model::{Gap, GapKind, Name, Namespace};

/// What was read of all namespaces together.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) namespaces: Vec<Namespace>,
    pub(super) found: Dumped,
    pub(super) gaps: Vec<Gap>,
}

impl Tables {
    /// Whether no socket can be missing.
    pub(super) fn is_complete(&self) -> bool {
        let misses_sockets = |gap: &Gap| {
            matches!(
                gap.kind,
                GapKind::NetnsUnread
                    | GapKind::DumpInterrupted
                    | GapKind::FamilyUnread
                    | GapKind::MptcpUnread
            )
        };
        !self.gaps.iter().any(misses_sockets)
    }
}

/// Reads the sockets of all chosen namespaces. One that no longer exists is no gap.
///
/// # Errors
/// When none could be read.
pub(super) fn read(
    chosen: Chosen,
    request: &Request,
    steps: &mut Steps<'_>,
) -> Result<Tables, CollectError> {
    let several = chosen.targets.len() > 1;
    let mut reading = Reading::default();
    for target in chosen.targets {
        reading.read(target, request, steps);
    }
    if reading.tables.namespaces.is_empty() {
        return Err(reading.error.unwrap_or_else(|| NetnsError::NoMatch.into()));
    }
    let from_files = reading.gap_of_files(several);
    let unread = reading.gap_of_unread();
    let mut tables = reading.tables;
    if several {
        tables.gaps.extend(merged(reading.gaps));
    } else {
        tables
            .gaps
            .extend(reading.gaps.into_iter().map(|(gap, _)| gap));
    }
    tables.gaps.extend(from_files);
    tables.gaps.extend(unread);
    tables.gaps.extend(chosen.gaps);
    Ok(tables)
}

/// The namespaces read so far, and those that were not.
#[derive(Default)]
struct Reading {
    tables: Tables,
    /// Each gap, with the label of its namespace.
    gaps: Vec<(Gap, Name)>,
    /// The inode of /proc/net/tcp in each namespace that was read.
    seen: BTreeSet<u64>,
    /// One was read whose inode is unknown.
    unidentified: bool,
    /// How many were read from files, and from which and why the first.
    from_files: u64,
    first_files: Option<(PathBuf, Option<String>)>,
    /// How many were not read, and why the first was not.
    unread: u64,
    first_unread: Option<(String, Option<Errno>)>,
    error: Option<CollectError>,
}

/// How the sockets of one namespace were read.
enum One {
    Entered(Option<u64>, Table),
    /// From a directory such as /proc/PID/net, and why.
    FromFiles(Option<u64>, Table, PathBuf, Option<String>),
    /// It no longer exists, or was read before by another way.
    Skipped,
    Failed(CollectError),
}

impl Reading {
    fn read(&mut self, target: Target, request: &Request, steps: &mut Steps<'_>) {
        if target.table.is_some_and(|table| self.seen.contains(&table)) {
            return;
        }
        if self.unidentified && !target.way.is_here() {
            // Reading it twice would count its sockets twice.
            self.not_read("it may be one of those that were read, whose inode is unknown");
            return;
        }
        if self.tables.namespaces.len() > usize::from(u16::MAX) {
            self.not_read("there are too many");
            return;
        }
        let described = target.described.clone();
        match read_one(target, &self.seen, request, steps) {
            One::Entered(inside, table) => {
                self.unidentified |= described.inode.or(inside).is_none();
                self.add(described, inside, table);
            }
            One::FromFiles(inside, table, net, why) => {
                self.from_files += 1;
                self.first_files.get_or_insert((net, why));
                self.add(described, inside, table);
            }
            One::Skipped => {}
            One::Failed(error) => {
                self.unread += 1;
                self.first_unread
                    .get_or_insert_with(|| (error.to_string(), error.errno()));
                self.error.get_or_insert(error);
            }
        }
    }

    fn not_read(&mut self, why: &str) {
        self.unread += 1;
        self.first_unread
            .get_or_insert_with(|| (why.to_owned(), None));
    }

    fn add(&mut self, described: Namespace, inside: Option<u64>, table: Table) {
        let Ok(at) = u16::try_from(self.tables.namespaces.len()) else {
            return;
        };
        self.seen.extend(inside);
        let read = table.describe(described);
        let Table {
            mut found, gaps, ..
        } = table;
        let label = read.label.clone().unwrap_or_default();
        self.gaps
            .extend(gaps.into_iter().map(|gap| (gap, label.clone())));
        found.place(at);
        self.tables.namespaces.push(read);
        self.tables.found.append(found);
    }

    fn gap_of_files(&self, several: bool) -> Option<Gap> {
        const LACKS: &str = "which has no ages, cookies and accept queue limits";
        let (net, why) = self.first_files.as_ref()?;
        let (detail, hint) = match why {
            _ if several => (
                format!(
                    "{} could not be entered: read from /proc/PID/net, {LACKS}",
                    namespaces(self.from_files)
                ),
                by_capability("CAP_SYS_ADMIN").into(),
            ),
            Some(why) => (format!("read {}, {LACKS}: {why}", net.display()), "".into()),
            None => (
                format!("read {}, {LACKS}", net.display()),
                "run as root, without --source procfs".into(),
            ),
        };
        Some(Gap {
            kind: GapKind::ProcSource,
            count: self.from_files,
            detail: detail.into(),
            hint,
        })
    }

    fn gap_of_unread(&self) -> Option<Gap> {
        let (reason, errno) = self.first_unread.as_ref()?;
        // A mount cannot be matched with a process whose namespace cannot be read.
        let among = if self.from_files > 0 {
            " (they may be among those read from /proc/PID/net)"
        } else {
            ""
        };
        Some(Gap {
            kind: GapKind::NetnsUnread,
            count: self.unread,
            detail: format!(
                "{} could not be read{among}: {reason}",
                namespaces(self.unread)
            )
            .into(),
            hint: match errno {
                Some(errno) => hint_of(*errno, "CAP_SYS_ADMIN"),
                None => by_capability("CAP_SYS_ADMIN").into(),
            },
        })
    }
}

fn namespaces(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} network namespace{plural}")
}

/// Enters a namespace and reads its sockets there. If that fails, reads the files that show them to
/// everyone, unless only sock_diag is wanted.
fn read_one(target: Target, seen: &BTreeSet<u64>, request: &Request, steps: &mut Steps<'_>) -> One {
    let is_seen = |inside: Option<u64>| inside.is_some_and(|table| seen.contains(&table));
    let read_here = || {
        let inside = netns::current_table();
        let table = (!is_seen(inside)).then(|| sockets::read(request, None, steps));
        (inside, table)
    };
    let (mut error, why): (Option<CollectError>, _) = match target.way.enter(read_here) {
        Entered::Done((inside, Some(Ok(table)))) => return One::Entered(inside, table),
        Entered::Done((_, None)) | Entered::Gone => return One::Skipped,
        Entered::Done((_, Some(Err(error)))) => {
            let why = error.to_string();
            (Some(error.into()), Some(why))
        }
        Entered::Refused(error) => {
            let why = error.to_string();
            (Some(error.into()), Some(why))
        }
        Entered::NotTried(why) => (None, why),
    };
    if request.source != SourceChoice::Netlink {
        for net in (target.files)() {
            let inside = netns::table_in(&net).ok();
            if is_seen(inside) {
                return One::Skipped;
            }
            match sockets::read(request, Some(&net), steps) {
                Ok(table) => return One::FromFiles(inside, table, net, why),
                // The first error says what prevents more.
                Err(unreadable) => _ = error.get_or_insert(unreadable.into()),
            }
        }
    }
    One::Failed(error.unwrap_or_else(|| NetnsError::NoMatch.into()))
}

/// Merges gaps that several namespaces share into one each, and adds where they are.
fn merged(gaps: Vec<(Gap, Name)>) -> Vec<Gap> {
    let mut merged: Vec<(Gap, Vec<Name>)> = Vec::new();
    for (gap, label) in gaps {
        let same = merged
            .iter_mut()
            .find(|(known, _)| known.kind == gap.kind && known.detail == gap.detail);
        match same {
            Some((known, labels)) => {
                known.count += gap.count;
                labels.push(label);
            }
            None => merged.push((gap, vec![label])),
        }
    }
    merged
        .into_iter()
        .map(|(gap, labels)| Gap {
            detail: match labels.as_slice() {
                [label] => format!("{} (in {label})", gap.detail),
                several => format!("{} (in {} network namespaces)", gap.detail, several.len()),
            }
            .into(),
            ..gap
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_from_several_namespaces_is_one_gap() {
        let gap = |detail: &'static str| Gap {
            kind: GapKind::ProcSource,
            count: 1,
            detail: detail.into(),
            hint: "".into(),
        };
        let merged = merged(vec![
            (gap("no ages"), "a".into()),
            (gap("no ages"), "b".into()),
            (gap("other"), "b".into()),
        ]);
        let details: Vec<_> = merged
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
