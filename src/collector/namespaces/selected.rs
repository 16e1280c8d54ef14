//! The network namespaces of the processes that a filter names, and of their sockets; or why there are
//! no such processes.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::io::Errno;

use super::find::{Found, Search};
use super::incomplete::{Incomplete, is_ending};
use super::omission::Omission;
use super::place::Key;
use crate::collector::file;
use crate::collector::placement::cgroup;
use crate::collector::procfs::{has_our_numbers, is_gone};
use crate::collector::request::{Missing, NetnsChoice};
use crate::filter::Term;
use crate::model::{Cgroup, Name, Pid};

/// Chooses the namespaces of the processes that a filter names. Each group of terms must name one.
///
/// # Errors
/// When a group names no process, or none can be listed.
pub fn choose_for(groups: &[Vec<&Term>], proc_root: &Path) -> Result<NetnsChoice, Missing> {
    let search = Search::of_processes(proc_root);
    let pids = search.pids.clone();
    if pids.is_empty() {
        // The last omission of a search without processes is about them.
        let why = search.found.omissions.last().map(Omission::words);
        return Err(Missing::Unlisted(why.unwrap_or_default()));
    }
    let in_groups = groups.iter().flatten().any(|term| term.needs_cgroup());
    let with_cgroup = |pid: &Pid| {
        let path = proc_root.join(pid.to_string()).join("cgroup");
        let read = || file::read(&path, file::TEXT_MAX).ok();
        let cgroup = in_groups.then(read).flatten();
        (*pid, cgroup.and_then(|text| cgroup::of_process(&text)))
    };
    let processes: Vec<(Pid, Option<Cgroup>)> = pids.iter().map(with_cgroup).collect();
    let mut named = BTreeSet::new();
    for group in groups {
        let is_named = |(pid, cgroup): &&(Pid, Option<Cgroup>)| {
            group.iter().any(|term| term.is_of(*pid, cgroup.as_ref()))
        };
        let mut of_group = processes.iter().filter(is_named).peekable();
        if of_group.peek().is_none() {
            let missing = missing(group, &processes, proc_root);
            let may_be_hidden = !matches!(missing, Missing::Thread { .. });
            let why = search.hidden().filter(|_| may_be_hidden);
            return Err(match why {
                Some(why) => Missing::Unseen {
                    missing: Box::new(missing),
                    why: why.words(),
                },
                None => missing,
            });
        }
        named.extend(of_group.map(|(pid, _)| *pid));
    }
    let pids: Vec<Pid> = named.into_iter().collect();
    let namespaces = namespaces_of(&pids, search);
    let is_complete = namespaces.unread.is_none() && namespaces.omission.is_none();
    Ok(if is_complete && namespaces.keys.iter().eq([&Key::Own]) {
        NetnsChoice::Own
    } else {
        NetnsChoice::Of {
            pids,
            several: namespaces.keys.len() > 1,
        }
    })
}

/// The namespaces of processes and of their sockets.
pub(super) struct Namespaces {
    pub(super) found: Found,
    /// Those among the found.
    pub(super) keys: BTreeSet<Key>,
    /// How many of the processes could not be read, the first of them, and why.
    pub(super) unread: Option<(u64, Pid, Errno)>,
    /// Why their sockets may be in other namespaces too.
    pub(super) omission: Option<Omission>,
}

/// The namespaces of processes and of their sockets. If the namespace of any socket is unknown, the one
/// that is read by default is among them.
pub(super) fn namespaces_of(pids: &[Pid], mut search: Search<'_>) -> Namespaces {
    let by_sockets = has_our_numbers(search.proc_root);
    let mut keys = BTreeSet::new();
    let mut unread: Option<(u64, Pid, Errno)> = None;
    let mut all_read = true;
    // Other processes do not matter here.
    search.incomplete = Incomplete::default();
    for &pid in pids {
        let read = match search.key_of(pid) {
            Some(key) => {
                keys.insert(key);
                // Whatever led to the namespace may have failed before.
                search.found.places.entry(key).or_default().know(pid);
                search.descriptors_of(pid, by_sockets, &mut keys)
            }
            None => Err(search.unreadable(pid)),
        };
        match read {
            Ok(read) => all_read &= read,
            Err(error) => {
                all_read = false;
                if !is_gone(error) || !is_ending(search.proc_root, pid) {
                    unread.get_or_insert((0, pid, error)).0 += 1;
                }
            }
        }
    }
    let omission = search.incomplete.omission(pids.len());
    if !all_read || keys.is_empty() {
        keys.extend(search.usual());
    }
    Namespaces {
        found: search.found,
        keys,
        unread,
        omission,
    }
}

fn missing(group: &[&Term], processes: &[(Pid, Option<Cgroup>)], proc_root: &Path) -> Missing {
    let known = |of: fn(&Cgroup) -> Option<&Name>| {
        let all: BTreeSet<String> = processes
            .iter()
            .filter_map(|(_, cgroup)| of(cgroup.as_ref()?))
            .map(|name| String::from_utf8_lossy(name.bytes()).into_owned())
            .collect();
        all.into_iter().collect()
    };
    let unread = || {
        let is_unreadable = |pid: &Pid| {
            let read = file::text(&proc_root.join(pid.to_string()).join("cgroup"));
            let reason = read.err().as_ref().and_then(Errno::from_io_error);
            reason.is_some_and(|reason| !is_gone(reason))
        };
        let pids = processes.iter().map(|(pid, _)| pid);
        pids.filter(|pid| is_unreadable(pid)).count()
    };
    match group {
        [Term::Pid(pid)] => match process_of(*pid, proc_root) {
            Some(process) => Missing::Thread {
                thread: *pid,
                process,
            },
            None => Missing::Process(*pid),
        },
        [unit @ (Term::Unit(_) | Term::UnitLike(_))] => Missing::Group {
            wanted: wanted("unit", unit),
            what: "unit",
            known: known(|cgroup| cgroup.unit.as_ref()),
            unread: unread(),
        },
        [container @ (Term::Container(_) | Term::ContainerLike(_))] => Missing::Group {
            wanted: wanted("container", container),
            what: "container",
            known: known(|cgroup| cgroup.container.as_ref()),
            unread: unread(),
        },
        _ => Missing::All,
    }
}

fn wanted(what: &str, term: &Term) -> String {
    match term {
        Term::Unit(name) | Term::Container(name) => {
            format!("{what} {:?}", String::from_utf8_lossy(name))
        }
        _ => format!("a {what} like that"),
    }
}

/// The process of a thread. A procfs does not list threads, but opens them by number.
fn process_of(thread: Pid, proc_root: &Path) -> Option<Pid> {
    let status = file::text(&proc_root.join(thread.to_string()).join("status")).ok()?;
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    process.trim().parse().ok().map(Pid)
}
