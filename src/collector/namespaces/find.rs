//! Finds the network namespaces of a host by names, mounts, and one link of each process. The search of
//! threads, descriptors and sockets is in everything.rs.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, readlinkat_raw};
use rustix::io::Errno;

use super::incomplete::{Incomplete, is_ending};
use super::mounts;
use super::omission::{self, Omission};
use super::place::{Key, Place};
use crate::collector::access::hiding;
use crate::collector::file;
use crate::collector::namespaces::netns;
use crate::collector::procfs::{
    PathBuffer, is_gone, is_ours, namespace_at, namespace_inode, numbers_in,
};
use crate::model::Pid;

/// Longer than `net:[4294967295]`.
pub(super) const LINK: usize = 32;

/// Where namespaces are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Names, mounts, and one link of each process.
    Processes,
    /// Also the threads and descriptors of each process, and other mount namespaces.
    Everything,
}

/// The namespaces that were found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) places: BTreeMap<Key, Place>,
    /// Processes whose namespace is unknown.
    pub(super) unknown: u64,
    /// Mounts that may be the namespaces of processes whose link cannot be read.
    pub(super) unidentified: u64,
    /// Why there may be more.
    pub(super) omissions: Vec<Omission>,
}

/// Finds the namespaces of a host: the one of this process, those with a name or another mount, and
/// those of processes.
pub(super) fn find(proc_root: &Path, depth: Depth) -> Found {
    let mut search = Search::of_processes(proc_root);
    if depth == Depth::Everything {
        search.everything();
    }
    search.found()
}

/// A search, and what it has found so far.
pub(super) struct Search<'a> {
    pub(super) proc_root: &'a Path,
    pub(super) found: Found,
    pub(super) pids: Vec<Pid>,
    /// The inode of the namespace of this process, if the procfs is its own.
    own: Option<u64>,
    /// The namespaces by the inode of their /proc/net/tcp.
    tables: BTreeMap<u64, Key>,
    /// The namespace of a socket was read.
    pub(super) socket_read: bool,
    /// The first error of reading that of one, if the system does not allow it at all.
    pub(super) sockets_refused: Option<Errno>,
    pub(super) incomplete: Incomplete,
    /// Why not all processes were listed.
    unlisted: Option<Omission>,
}

impl<'a> Search<'a> {
    /// Searches names, mounts, and one link of each process.
    pub(super) fn of_processes(proc_root: &'a Path) -> Search<'a> {
        let ours = is_ours(proc_root);
        let (pids, failure) = numbers_in(CWD, proc_root);
        let mut search = Search {
            proc_root,
            found: Found::default(),
            pids: pids.into_iter().map(Pid).collect(),
            own: ours.then(netns::current).flatten(),
            tables: BTreeMap::new(),
            socket_read: false,
            sockets_refused: None,
            incomplete: Incomplete::default(),
            unlisted: None,
        };
        if ours {
            search.found.places.entry(Key::Own).or_default();
            let own_table = netns::current_table();
            search
                .tables
                .extend(own_table.map(|table| (table, Key::Own)));
        }
        search.mounts();
        let is_empty = search.pids.is_empty();
        if !is_empty {
            search
                .found
                .omissions
                .extend(omission::of_procfs(proc_root));
        }
        if let Some(error) = failure {
            let omission = Omission::could_not("list the processes of", proc_root, &error.into());
            search.unlisted = Some(omission.clone());
            search.found.omissions.push(omission);
        } else if is_empty {
            search.found.omissions.push(Omission {
                detail: format!("{} shows no process", proc_root.display()),
                hint: "is a procfs mounted there?".into(),
            });
        }
        match search.root() {
            Ok(root) => search.processes(&root),
            Err(_) if is_empty => {}
            Err(error) => {
                let omission = Omission::could_not("open", proc_root, &error.into());
                search.found.omissions.push(omission);
            }
        }
        search
    }

    /// What was found, and what may be missing.
    pub(super) fn found(mut self) -> Found {
        self.found
            .omissions
            .extend(self.incomplete.omission(self.pids.len()));
        self.found
    }

    /// Why some processes may not have been listed.
    pub(super) fn hidden(&self) -> Option<Omission> {
        let hiding = || hiding(self.proc_root);
        let hidden = || Some(omission::hidden(self.proc_root, &hiding()?));
        self.unlisted.clone().or_else(hidden)
    }

    /// Why the namespace of a process could not be read.
    pub(super) fn unreadable(&self, pid: Pid) -> Errno {
        let link = file::link(&self.process(pid).join("ns/net"));
        let reason = link.err().as_ref().and_then(Errno::from_io_error);
        reason.unwrap_or(Errno::NOENT)
    }

    pub(super) fn root(&self) -> Result<OwnedFd, Errno> {
        file::directory(CWD, self.proc_root)
    }

    /// The namespace that is read by default: that of this process or, with another procfs, of its PID 1.
    pub(super) fn usual(&self) -> Option<Key> {
        if is_ours(self.proc_root) {
            Some(Key::Own)
        } else {
            self.key_of(Pid(1))
        }
    }

    /// The namespace of a process or, if its main thread has exited, of its other threads.
    pub(super) fn key_of(&self, pid: Pid) -> Option<Key> {
        let process = self.process(pid);
        if let Some(inode) = namespace_at(&process.join("ns/net"), "net") {
            return Some(self.key(inode));
        }
        if let Ok(table) = netns::table_in(&process.join("net")) {
            return Some(self.key_of_table(table));
        }
        let (threads, _) = self.threads_of(&self.root().ok()?, pid);
        let (_, inode) = *threads.first()?;
        Some(self.key(inode))
    }
}

impl Search<'_> {
    /// The namespace with this inode of /proc/net/tcp.
    fn key_of_table(&self, table: u64) -> Key {
        let known = self.tables.get(&table);
        known.copied().unwrap_or(Key::Table(table))
    }

    pub(super) fn key(&self, inode: u64) -> Key {
        if Some(inode) == self.own {
            Key::Own
        } else {
            Key::Inode(inode)
        }
    }

    pub(super) fn process(&self, pid: Pid) -> PathBuf {
        self.proc_root.join(pid.to_string())
    }

    /// Mounts in the mount namespace of this process or, with another procfs, of its PID 1.
    fn mounts(&mut self) {
        let (root, mountinfo) = if is_ours(self.proc_root) {
            let process = self.proc_root.join("thread-self");
            (None, process.join("mountinfo"))
        } else {
            let first = self.proc_root.join("1");
            (Some(first.join("root")), first.join("mountinfo"))
        };
        let mounts = mounts::of_root(root.as_deref(), &mountinfo, &mut self.found.omissions);
        self.add_mounts(mounts);
    }

    pub(super) fn add_mounts(&mut self, mounts: Vec<mounts::Mount>) {
        for mount in mounts {
            let key = self.key(mount.inode);
            let place = self.found.places.entry(key).or_default();
            // A name replaces a path; otherwise the first stays.
            if place.name.is_none() && (mount.name.is_some() || place.path.is_none()) {
                place.path = Some(mount.path);
                place.name = mount.name;
            }
        }
    }

    /// Reads the namespace of each process from its link.
    fn processes(&mut self, root: &OwnedFd) {
        let mut path = PathBuffer::default();
        let mut closed = Vec::new();
        for pid in self.pids.clone() {
            match namespace_link(root, path.of(pid, "ns/net"), "net") {
                Ok(inode) => {
                    let key = self.key(inode);
                    let place = self.found.places.get(&key);
                    let first = place.is_none_or(|place| place.pids.is_empty());
                    if first && let Ok(table) = netns::table_in(&self.process(pid).join("net")) {
                        self.tables.insert(table, key);
                    }
                    self.found.places.entry(key).or_default().add(pid);
                }
                // Other threads may outlive the main thread.
                Err(error) if is_gone(error) => self.leaderless(root, pid),
                Err(error) => {
                    self.incomplete.close(pid, error);
                    closed.push(pid);
                }
            }
        }
        let mut identified = false;
        for pid in closed {
            match netns::table_in(&self.process(pid).join("net")) {
                Ok(table) => {
                    if !self.tables.contains_key(&table)
                        && !std::mem::replace(&mut identified, true)
                    {
                        self.identify_mounts();
                    }
                    let key = self.key_of_table(table);
                    self.found.places.entry(key).or_default().add(pid);
                }
                Err(error) if is_gone(error) && is_ending(self.proc_root, pid) => {}
                Err(_) => self.found.unknown += 1,
            }
        }
    }

    /// Reads the inode of /proc/net/tcp in each mounted namespace without a known process: it identifies
    /// the namespaces of processes whose link cannot be read.
    fn identify_mounts(&mut self) {
        for (key, place) in &self.found.places {
            let Key::Inode(inode) = *key else { continue };
            if !place.pids.is_empty() {
                continue;
            }
            let opened = place.open(Some(inode), self.proc_root).ok().flatten();
            let table = opened.and_then(|netns| netns.within(netns::current_table).ok()?);
            self.found.unidentified += u64::from(table.is_none());
            self.tables.extend(table.map(|table| (table, *key)));
        }
    }
}

/// The inode in a link such as `net:[4026531840]`.
pub(super) fn namespace_link(root: &OwnedFd, path: &CStr, kind: &str) -> Result<u64, Errno> {
    let mut link = [MaybeUninit::uninit(); LINK];
    let (target, _) = readlinkat_raw(root, path, &mut link)?;
    namespace_inode(target, kind).ok_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A procfs of processes with the namespaces that their links name; without a name, a link
    /// that cannot be read is replaced by one that leads elsewhere.
    fn fake(processes: &[(u32, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (pid, link) in processes {
            let process = root.path().join(pid.to_string());
            fs::create_dir_all(process.join("ns")).unwrap();
            fs::write(process.join("stat"), "1 (x) S 0").unwrap();
            symlink(link, process.join("ns/net")).unwrap();
        }
        fs::create_dir_all(root.path().join("1/ns")).unwrap();
        symlink("pid:[4026531836]", root.path().join("1/ns/pid")).unwrap();
        fs::write(root.path().join("1/mountinfo"), "").unwrap();
        root
    }

    #[test]
    fn processes_are_counted_by_their_namespaces() {
        let root = fake(&[(1, "net:[7]"), (20, "net:[8]"), (21, "net:[8]")]);
        let search = Search::of_processes(root.path());
        assert_eq!(search.key_of(Pid(21)), Some(Key::Inode(8)));
        let found = search.found();
        let counted: Vec<(Key, u64)> = found
            .places
            .iter()
            .map(|(key, place)| (*key, place.processes))
            .collect();
        assert_eq!(counted, [(Key::Inode(7), 1), (Key::Inode(8), 2)]);
        assert_eq!((found.unknown, found.omissions.len()), (0, 0));
    }

    #[test]
    fn a_process_whose_namespace_is_unknown_is_counted() {
        // Neither the link of a namespace nor a table.
        let root = fake(&[(1, "net:[7]"), (20, "elsewhere")]);
        assert_eq!(find(root.path(), Depth::Processes).unknown, 1);
    }

    #[test]
    fn where_no_process_can_be_listed_some_may_be_missing() {
        let empty = tempfile::tempdir().unwrap();
        let found = find(empty.path(), Depth::Processes);
        assert!(found.places.is_empty());
        let details: Vec<&str> = found
            .omissions
            .iter()
            .map(|omission| omission.detail.as_str())
            .collect();
        assert!(
            details
                .iter()
                .any(|detail| detail.contains("shows no process")),
            "{details:?}"
        );
        let file = empty.path().join("file");
        fs::write(&file, "").unwrap();
        let (numbers, failure) = numbers_in(CWD, &file);
        assert_eq!((numbers.len(), failure), (0, Some(Errno::NOTDIR)));
    }

    #[test]
    fn with_fewer_threads_than_the_kernel_counts_some_may_be_missing() {
        let root = fake(&[(1, "net:[7]")]);
        let mut search = Search::of_processes(root.path());
        search.found.omissions.clear();
        search.are_all_seen(900, 950);
        assert!(search.found.omissions.is_empty());
        search.are_all_seen(500, 950);
        assert_eq!(search.found.omissions.len(), 1);
    }
}
