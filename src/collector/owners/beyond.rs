//! Holders that no `/proc/PID/fd` shows: looked for only where a socket is left without one, so
//! that an ordinary run pays nothing.
//!
//! A thread may have a table of descriptors of its own (unshare(2) with `CLONE_FILES`), or outlive
//! the leader of its process, whose `/proc/PID/fd` is empty then. A socket may be registered with
//! an io_uring, whose fdinfo names it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashSet;

use super::kcmp::shares_files;
use super::procfs::{Processes, processes, socket_inode};
use super::{Found, Wanted};
use crate::model::{Holder, Pid, Process, Scanned};

/// The most descriptors that are read of threads' own tables.
const LINKS_MAX: usize = 200_000;
/// The most files of one io_uring that are read: as many as it may have (`IORING_MAX_FIXED_FILES`).
const FIXED_MAX: usize = 1 << 20;
/// With how many other tables of its process a thread's is compared.
const TABLES: usize = 8;

/// Looks for holders of the wanted sockets that were not found so far.
pub(super) fn look(proc_root: &Path, wanted: &Wanted, found: &mut Found) {
    let mut look = Look {
        proc_root,
        left: wanted.without(&found.holders),
        links: 0,
        holders: Vec::new(),
        fds: Vec::new(),
    };
    if look.left.is_empty() {
        return;
    }
    let rings = std::mem::take(&mut found.rings);
    for (pid, ring) in &rings {
        look.ring(*pid, *ring);
    }
    for pid in processes(proc_root).unwrap_or_default() {
        if look.left.is_empty() {
            break;
        }
        look.threads(pid);
    }
    look.finish(found);
}

struct Look<'a> {
    proc_root: &'a Path,
    /// The sockets without a holder.
    left: FxHashSet<u32>,
    links: usize,
    holders: Vec<Holder>,
    /// How many files are open in the processes that hold some.
    fds: Vec<(Pid, u64)>,
}

impl Look<'_> {
    /// Looks into the tables of those threads that do not share their leader's.
    fn threads(&mut self, pid: Pid) {
        let tasks = self.process(pid).join("task");
        // A directory has a link for itself, one in its parent, and here one for each thread
        // (`proc_task_getattr`).
        if !fs::metadata(&tasks).is_ok_and(|tasks| tasks.nlink() > 3) {
            return;
        }
        let mut tables = vec![pid];
        for thread in numbers(&tasks).map(Pid) {
            let is_known = |table: &Pid| self.is_one_table(thread, *table);
            if thread == pid || tables.iter().any(is_known) {
                continue;
            }
            if tables.len() > TABLES {
                tables.remove(1);
            }
            tables.push(thread);
            self.table(pid, &tasks.join(thread.to_string()).join("fd"));
        }
    }

    /// Where the kernel does not tell, a table is read once more.
    fn is_one_table(&self, one: Pid, other: Pid) -> bool {
        // Another procfs may number the processes otherwise.
        self.proc_root == Path::new("/proc") && shares_files(one, other).unwrap_or(false)
    }

    fn table(&mut self, pid: Pid, table: &Path) {
        let before = self.holders.len();
        let mut fds = 0;
        for fd in numbers(table) {
            if self.links >= LINKS_MAX {
                break;
            }
            self.links += 1;
            fds += 1;
            let Ok(target) = fs::read_link(table.join(fd.to_string())) else {
                continue;
            };
            if let Some(inode) = socket_inode(target.as_os_str().as_bytes()) {
                self.hold(inode, pid, fd);
            }
        }
        if self.holders.len() > before {
            self.fds.push((pid, fds));
        }
    }

    /// Looks among the files that are registered with an io_uring: lines such as
    /// `    0: socket:[182483]` after `UserFiles:` in its fdinfo.
    fn ring(&mut self, pid: Pid, ring: u32) {
        let path = self.process(pid).join("fdinfo").join(ring.to_string());
        let Ok(file) = File::open(path) else { return };
        let before = self.holders.len();
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        for line in lines.take(FIXED_MAX) {
            let fixed = line.split_once(": ").map(|(_, file)| file.trim());
            if let Some(inode) = fixed.and_then(|file| socket_inode(file.as_bytes())) {
                self.hold(inode, pid, ring);
            }
        }
        if self.holders.len() > before {
            let fds = numbers(&self.process(pid).join("fd")).count();
            self.fds.push((pid, fds as u64));
        }
    }

    fn hold(&mut self, inode: u32, pid: Pid, fd: u32) {
        if self.left.contains(&inode) {
            self.holders.push(Holder { inode, pid, fd });
        }
    }

    fn process(&self, pid: Pid) -> PathBuf {
        self.proc_root.join(pid.to_string())
    }

    fn finish(self, found: &mut Found) {
        let mut procfs = Processes::open(self.proc_root);
        for (pid, fds) in self.fds {
            if !found.processes.iter().any(|process| process.pid == pid) {
                found.processes.push(Process {
                    pid,
                    name: procfs.as_mut().and_then(|procfs| procfs.name(pid)),
                    age_ms: None,
                    forebears: Vec::new(),
                });
            }
            match found.scanned.iter_mut().find(|known| known.pid == pid) {
                Some(known) => known.fds = known.fds.max(fds),
                None => found.scanned.push(Scanned {
                    pid,
                    fds,
                    epolls: Vec::new(),
                    strays: None,
                }),
            }
        }
        found.holders.extend(self.holders);
    }
}

/// The entries of a directory that are numbers; none of one that cannot be read.
fn numbers(dir: &Path) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
