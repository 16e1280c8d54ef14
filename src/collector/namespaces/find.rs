//! Finds the network namespaces of a host: by its processes, by names and mounts, and by
//! descriptors that processes keep open.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RawDir, readlinkat_raw};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::lost::{Lost, is_ending};
use super::mounts;
use super::omission::{self, Omission};
use super::place::{Key, Place};
use super::sknet::Sockets;
use crate::collector::access::{by_capability, hiding, is_capable};
use crate::collector::file;
use crate::collector::hang::Pending;
use crate::collector::kernel;
use crate::collector::namespaces::netns::{self, Netns};
use crate::collector::procfs::{
    DIRENTS, PathBuffer, has_our_numbers, is_gone, is_ours, namespace_at, namespace_inode,
    numbers_in, threads_in,
};
use crate::model::Pid;

/// The most descriptors of one process that are looked at for the namespaces that they keep, and
/// the most sockets among them.
const FDS_MAX: usize = 4_096;
const SOCKETS_MAX: usize = 1_000;
/// So many threads may come and go while they are counted.
const THREADS_SLACK: u64 = 64;
/// `net:[4294967295]` and some.
const LINK: usize = 32;

/// How far namespaces are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Names, mounts, and a link of each process.
    Processes,
    /// Also the threads and the descriptors of each, and other mount namespaces.
    Everything,
}

/// The namespaces that were found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) places: BTreeMap<Key, Place>,
    /// Processes whose namespace is not known.
    pub(super) untold: u64,
    /// Mounts that may be of the namespaces of processes that may not be looked at.
    pub(super) unasked: u64,
    /// Why there may be more.
    pub(super) omissions: Vec<Omission>,
}

/// Finds all namespaces: the own one, those with a name or another mount, those of processes.
pub(super) fn find(proc_root: &Path, depth: Depth) -> Found {
    let mut search = Search::of_processes(proc_root);
    if depth == Depth::Everything {
        search.go_on();
    }
    search.found()
}

/// A search, and what it has found so far.
pub(super) struct Search<'a> {
    pub(super) proc_root: &'a Path,
    pub(super) found: Found,
    pub(super) pids: Vec<Pid>,
    /// The inode of the namespace that the tool runs in, where that is one of those that are looked
    /// for by itself.
    own: Option<u64>,
    /// Which namespace the inode of a table belongs to.
    tables: BTreeMap<u64, Key>,
    /// A socket told its namespace.
    answered: bool,
    /// Why one did not, though nothing is missing for that.
    refused: Option<Errno>,
    pub(super) lost: Lost,
    /// Why not all processes were listed.
    unlisted: Option<Omission>,
}

impl<'a> Search<'a> {
    /// Names, mounts, and a link of each process.
    pub(super) fn of_processes(proc_root: &'a Path) -> Search<'a> {
        let ours = is_ours(proc_root);
        let (pids, failure) = numbers_in(CWD, proc_root);
        let mut search = Search {
            proc_root,
            found: Found::default(),
            pids: pids.into_iter().map(Pid).collect(),
            own: ours.then(netns::current).flatten(),
            tables: BTreeMap::new(),
            answered: false,
            refused: None,
            lost: Lost::default(),
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
            .extend(self.lost.omission(self.pids.len()));
        self.found
    }

    /// Threads, descriptors, and what is mounted elsewhere.
    fn go_on(&mut self) {
        match self.root() {
            Ok(root) => {
                let pids = self.pids.clone();
                self.threads(&root, &pids);
                self.mounts_elsewhere(&root, &pids);
                self.descriptors(&pids);
            }
            Err(error) => {
                let omission = Omission::could_not("open", self.proc_root, &error.into());
                self.found.omissions.push(omission);
            }
        }
    }

    /// Why there may be processes that were not seen.
    pub(super) fn hidden(&self) -> Option<Omission> {
        let hiding = || hiding(self.proc_root);
        let hidden = || Some(omission::hidden(self.proc_root, &hiding()?));
        self.unlisted.clone().or_else(hidden)
    }

    /// Why the namespace of a process is not told.
    pub(super) fn unreadable(&self, pid: Pid) -> Errno {
        let link = file::link(&self.process(pid).join("ns/net"));
        let reason = link.err().as_ref().and_then(Errno::from_io_error);
        reason.unwrap_or(Errno::NOENT)
    }

    fn root(&self) -> Result<OwnedFd, Errno> {
        file::directory(CWD, self.proc_root)
    }

    /// The namespace that a plain run reads: the own one, or that of PID 1 of another procfs.
    pub(super) fn usual(&self) -> Option<Key> {
        if is_ours(self.proc_root) {
            Some(Key::Own)
        } else {
            self.key_of(Pid(1))
        }
    }

    /// The namespace of a process; of one whose leader has exited, that of its other threads.
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
    /// The namespace that a table belongs to.
    fn key_of_table(&self, table: u64) -> Key {
        let known = self.tables.get(&table);
        known.copied().unwrap_or(Key::Table(table))
    }

    fn key(&self, inode: u64) -> Key {
        if Some(inode) == self.own {
            Key::Own
        } else {
            Key::Inode(inode)
        }
    }

    fn process(&self, pid: Pid) -> PathBuf {
        self.proc_root.join(pid.to_string())
    }

    /// Those that are mounted where the tool runs, or, of another procfs, where its PID 1 does.
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

    fn add_mounts(&mut self, mounts: Vec<mounts::Mount>) {
        for mount in mounts {
            let key = self.key(mount.inode);
            let place = self.found.places.entry(key).or_default();
            // A name outweighs a path; of several the first stays.
            if place.name.is_none() && (mount.name.is_some() || place.path.is_none()) {
                place.path = Some(mount.path);
                place.name = mount.name;
            }
        }
    }

    /// One link of each process tells its namespace.
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
                // Its other threads may go on without their leader.
                Err(error) if is_gone(error) => self.leaderless(root, pid),
                Err(error) => {
                    self.lost.close(pid, error);
                    closed.push(pid);
                }
            }
        }
        let mut asked = false;
        for pid in closed {
            match netns::table_in(&self.process(pid).join("net")) {
                Ok(table) => {
                    if !self.tables.contains_key(&table) && !std::mem::replace(&mut asked, true) {
                        self.ask_mounts();
                    }
                    let key = self.key_of_table(table);
                    self.found.places.entry(key).or_default().add(pid);
                }
                Err(error) if is_gone(error) && is_ending(self.proc_root, pid) => {}
                Err(_) => self.found.untold += 1,
            }
        }
    }

    /// Mounts that no process is known to be in are asked for their tables, by which those of
    /// processes that may not be looked at are told to be the same.
    fn ask_mounts(&mut self) {
        for (key, place) in &self.found.places {
            let Key::Inode(inode) = *key else { continue };
            if !place.pids.is_empty() {
                continue;
            }
            let opened = place.open(Some(inode), self.proc_root).ok().flatten();
            let table = opened.and_then(|netns| netns.within(netns::current_table).ok()?);
            self.found.unasked += u64::from(table.is_none());
            self.tables.extend(table.map(|table| (table, *key)));
        }
    }

    /// A process whose main thread has exited is where its other threads are.
    fn leaderless(&mut self, root: &OwnedFd, pid: Pid) {
        let mut first = true;
        let (threads, failure) = self.threads_of(root, pid);
        if let Some(error) = failure.or(threads.is_empty().then_some(Errno::NOENT)) {
            self.lost.lose(self.proc_root, pid, "thread", error);
        }
        for (thread, inode) in threads {
            let place = self.thread(pid, thread, inode);
            place.processes += u64::from(std::mem::take(&mut first));
        }
    }

    fn thread(&mut self, pid: Pid, thread: Pid, inode: u64) -> &mut Place {
        let key = self.key(inode);
        let link = format!("{pid}/task/{thread}/ns/net");
        let link = self.proc_root.join(link);
        let place = self.found.places.entry(key).or_default();
        place.link(link);
        place
    }

    /// The threads of a process and their namespaces, and why not all of them are told.
    fn threads_of(&self, root: &OwnedFd, pid: Pid) -> (Vec<(Pid, u64)>, Option<Errno>) {
        let mut path = PathBuffer::default();
        let (threads, mut failure) = numbers_in(root, Path::new(&format!("{pid}/task")));
        let mut told = Vec::with_capacity(threads.len());
        for thread in threads {
            let link = path.of(pid, format_args!("task/{thread}/ns/net"));
            match namespace_link(root, link, "net") {
                Ok(inode) => told.push((Pid(thread), inode)),
                // It has exited.
                Err(error) if is_gone(error) => {}
                Err(error) => failure = Some(error),
            }
        }
        (told, failure)
    }

    /// A thread may have entered another namespace than its process.
    fn threads(&mut self, root: &OwnedFd, pids: &[Pid]) {
        let before = kernel::threads();
        let mut seen = 0;
        for &pid in pids {
            let threads = match threads_in(&self.process(pid).join("task")) {
                Ok(threads) => threads,
                Err(error) => {
                    self.lost.lose(self.proc_root, pid, "thread", error);
                    continue;
                }
            };
            seen += threads;
            if threads > 1 {
                let (threads, failure) = self.threads_of(root, pid);
                if let Some(error) = failure.or(threads.is_empty().then_some(Errno::NOENT)) {
                    self.lost.lose(self.proc_root, pid, "thread", error);
                }
                for (thread, inode) in threads {
                    self.thread(pid, thread, inode);
                }
            }
        }
        // Of two that are not told, none is missing.
        self.are_all_seen(seen, before.min(kernel::threads()).unwrap_or_default());
    }

    /// The kernel counts its threads, whatever a procfs shows. Some come and go meanwhile.
    fn are_all_seen(&mut self, seen: u64, running: u64) {
        let missing = running.saturating_sub(seen);
        if missing > THREADS_SLACK && missing > running / 8 && self.found.omissions.is_empty() {
            self.found.omissions.push(Omission {
                detail: format!(
                    "{} shows {seen} threads, and the kernel runs {running}",
                    self.proc_root.display()
                ),
                hint: "run it on the host, or with the host's --proc".into(),
            });
        }
    }

    /// What is mounted for other processes only.
    fn mounts_elsewhere(&mut self, root: &OwnedFd, pids: &[Pid]) {
        let mut path = PathBuffer::default();
        let mut seen = BTreeSet::new();
        let own = namespace_at(Path::new("/proc/thread-self/ns/mnt"), "mnt");
        seen.extend(own.filter(|_| is_ours(self.proc_root)));
        for &pid in pids {
            let told = match namespace_link(root, path.of(pid, "ns/mnt"), "mnt") {
                Ok(inode) if !seen.insert(inode) => continue,
                Ok(_) => file::read(&self.process(pid).join("mountinfo"), file::LIST_MAX)
                    .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)),
                Err(error) => Err(error),
            };
            match told {
                Ok(text) => {
                    let mounts = mounts::of_text(&text, Some(&self.process(pid).join("root")));
                    self.add_mounts(mounts);
                }
                Err(error) => self.lost.lose(self.proc_root, pid, "mount", error),
            }
        }
    }

    /// Namespaces that no process is in: a descriptor keeps one alive, and so does a socket in it.
    fn descriptors(&mut self, pids: &[Pid]) {
        let may_ask = has_our_numbers(self.proc_root);
        let own = Pid(std::process::id());
        // What this process has open, it has opened to look.
        for &pid in pids.iter().filter(|pid| !may_ask || **pid != own) {
            if let Err(error) = self.descriptors_of(pid, may_ask, &mut BTreeSet::new()) {
                self.lost.lose(self.proc_root, pid, "descriptor", error);
            }
        }
        let rights = [
            (CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE"),
            (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
        ];
        let missing = rights.into_iter().filter(|(right, _)| !is_capable(*right));
        let missing: Vec<&str> = missing.map(|(_, name)| name).collect();
        if !missing.is_empty() {
            self.found.omissions.push(Omission {
                detail: "those that no process is in".to_owned(),
                hint: by_capability(&missing.join(" and ")).into(),
            });
        } else if let Some(error) = self.refused.filter(|_| !self.answered) {
            self.found.omissions.push(Omission {
                detail: format!("those that no process is in: no socket may be asked ({error})"),
                hint: "allow pidfd_getfd and the ioctl SIOCGSKNS (a seccomp filter?)".into(),
            });
        }
    }

    /// Finds the namespaces of the descriptors of a process, and adds those of its sockets to
    /// `homes`; whether each socket told its own.
    ///
    /// # Errors
    /// When its descriptors cannot be listed.
    pub(super) fn descriptors_of(
        &mut self,
        pid: Pid,
        may_ask: bool,
        homes: &mut BTreeSet<Key>,
    ) -> Result<bool, Errno> {
        let dir = self.process(pid).join("fd");
        let dir_fd = file::directory(CWD, &dir)?;
        let _pending = Pending::on(&dir);
        let mut buffer = vec![MaybeUninit::uninit(); DIRENTS];
        let mut entries = RawDir::new(dir_fd.as_fd(), &mut buffer);
        let mut asked = None;
        if may_ask {
            match Sockets::of(pid) {
                Ok(sockets) => asked = Some(sockets),
                Err(error) => self.refuse(pid, error),
            }
        }
        let (mut looked_at, mut sockets) = (0, 0);
        let mut all_told = true;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if looked_at >= FDS_MAX {
                return Ok(false);
            }
            let number = std::str::from_utf8(entry.file_name().to_bytes()).ok();
            let Some(number) = number.and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let mut link = [MaybeUninit::uninit(); LINK];
            let (target, _) = match readlinkat_raw(&dir_fd, entry.file_name(), &mut link) {
                Ok(read) => read,
                // Closed meanwhile.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            };
            looked_at += 1;
            if let Some(inode) = netns::link_inode(target) {
                let path = dir.join(number.to_string());
                let key = self.key(inode);
                self.found.places.entry(key).or_default().link(path);
            } else if target.starts_with(b"socket:[") {
                sockets += 1;
                let asking = asked.as_ref().filter(|_| sockets <= SOCKETS_MAX);
                match asking.map(|asked| asked.namespace(number)) {
                    Some(Ok(Some(namespace))) => {
                        self.answered = true;
                        homes.insert(self.held(namespace)?);
                    }
                    // Of another family, or closed meanwhile.
                    Some(Ok(None) | Err(Errno::BADF | Errno::SRCH)) => {}
                    Some(Err(error)) => {
                        self.refuse(pid, error);
                        asked = None;
                        all_told = false;
                    }
                    None => all_told = false,
                }
            }
        }
        Ok(all_told)
    }

    /// The sockets of a process do not tell their namespaces. Where none does, that is one reason.
    fn refuse(&mut self, pid: Pid, error: Errno) {
        match error {
            Errno::PERM | Errno::NOSYS | Errno::ACCESS => _ = self.refused.get_or_insert(error),
            error => self.lost.lose(self.proc_root, pid, "socket", error),
        }
    }

    fn held(&mut self, namespace: OwnedFd) -> Result<Key, Errno> {
        let namespace = Netns::of(namespace)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let key = self.key(namespace.inode());
        let place = self.found.places.entry(key).or_default();
        // A thread that is in it may leave: another run of this tool does, after some milliseconds.
        if key != Key::Own && place.pids.is_empty() && place.name.is_none() {
            place.held.get_or_insert(namespace);
        }
        Ok(key)
    }
}

/// The inode in a link such as `net:[4026531840]`.
fn namespace_link(root: &OwnedFd, path: &CStr, kind: &str) -> Result<u64, Errno> {
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
    /// that may not be read is stood for by one that leads elsewhere.
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
        let told: Vec<(Key, u64)> = found
            .places
            .iter()
            .map(|(key, place)| (*key, place.processes))
            .collect();
        assert_eq!(told, [(Key::Inode(7), 1), (Key::Inode(8), 2)]);
        assert_eq!((found.untold, found.omissions.len()), (0, 0));
    }

    #[test]
    fn a_process_whose_namespace_cannot_be_told_is_counted() {
        // No link of a namespace, and no table.
        let root = fake(&[(1, "net:[7]"), (20, "elsewhere")]);
        assert_eq!(find(root.path(), Depth::Processes).untold, 1);
    }

    #[test]
    fn where_no_process_can_be_listed_there_is_a_doubt() {
        let empty = tempfile::tempdir().unwrap();
        let found = find(empty.path(), Depth::Processes);
        assert!(found.places.is_empty());
        let told: Vec<&str> = found
            .omissions
            .iter()
            .map(|omission| omission.detail.as_str())
            .collect();
        assert!(
            told.iter().any(|told| told.contains("shows no process")),
            "{told:?}"
        );
        let file = empty.path().join("file");
        fs::write(&file, "").unwrap();
        let (numbers, failure) = numbers_in(CWD, &file);
        assert_eq!((numbers.len(), failure), (0, Some(Errno::NOTDIR)));
    }

    #[test]
    fn fewer_threads_than_the_kernel_counts_are_a_doubt() {
        let root = fake(&[(1, "net:[7]")]);
        let mut search = Search::of_processes(root.path());
        search.found.omissions.clear();
        search.are_all_seen(900, 950);
        assert!(search.found.omissions.is_empty());
        search.are_all_seen(500, 950);
        assert_eq!(search.found.omissions.len(), 1);
    }
}
