//! Holders that no `/proc/PID/fd` shows: looked for only where a socket is left without one, so
//! that an ordinary run pays nothing.
//!
//! A thread may have a table of descriptors of its own (unshare(2) with `CLONE_FILES`), or outlive
//! the main thread of its process, whose `/proc/PID/fd` is empty then. A socket may be registered
//! with an io_uring, whose fdinfo names it. If none of these has it, the search turns to where a
//! socket may be without a name: in flight between processes, in a system call.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;
use rustix::fs::CWD;
use rustix::time::{ClockId, clock_gettime};

use super::{Found, sight};
use crate::collector::file;
use crate::collector::holders::kcmp::shares_files;
use crate::collector::holders::procfs::Processes;
use crate::collector::processes::waits::descriptor_of_call;
use crate::collector::procfs::{is_ours, numbers_in, socket_inode, threads_in};
use crate::model::{BlindSpot, Holder, Holding, Pid, Process, Scanned};

/// The most descriptors that are read in tables of threads.
const LINKS_MAX: usize = 200_000;
/// The most files of one io_uring that are read: as many as it may have (`IORING_MAX_FIXED_FILES`).
const FIXED_MAX: usize = 1 << 20;
/// How many other tables of its process the table of a thread is compared with.
const TABLES: usize = 8;
/// How long to search where sockets have no name: of processor time, since a host that is busy has no
/// fewer places to look at, and by the clock.
const BEHIND_MAX: Duration = Duration::from_millis(250);
const BEHIND_WAIT: Duration = Duration::from_secs(2);

/// Looks for holders of these sockets, which were not found so far, and for what may hide them.
pub fn look(proc_root: &Path, left: FxHashSet<u32>, found: &mut Found) {
    if left.is_empty() {
        return;
    }
    let mut look = Look {
        proc_root,
        left,
        links: 0,
        holders: Vec::new(),
        fds: Vec::new(),
    };
    for (pid, ring) in &found.rings {
        look.ring(*pid, *ring);
    }
    let pids: Vec<Pid> = numbers(proc_root).map(Pid).collect();
    for pid in &pids {
        look.threads(*pid);
    }
    for holder in &look.holders {
        look.left.remove(&holder.inode);
    }
    if !look.left.is_empty() {
        let scan = &found.scan;
        let unread = scan.processes_seen.saturating_sub(scan.processes_read);
        if scan.processes_seen > 0 {
            found.scan.blind_spots = sight::blind_spots(proc_root, unread);
        }
        look.behind(&pids, &mut found.scan.blind_spots);
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
        if !is_threaded(&tasks) {
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
        is_ours(self.proc_root) && shares_files(one, other).unwrap_or(false)
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
            let Ok(target) = file::link(&table.join(fd.to_string())) else {
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
        let Ok(lines) = file::lines(&path) else {
            return;
        };
        let before = self.holders.len();
        for line in lines.map_while(Result::ok).take(FIXED_MAX) {
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

    /// Looks for descriptors in flight, for calls on descriptors that are closed, and for
    /// mappings, as far as the time allows.
    fn behind(&self, pids: &[Pid], blind_spots: &mut Vec<BlindSpot>) {
        let (start, worked) = (Instant::now(), worked());
        let is_time = || {
            let worked = crate::collector::holders::beyond::worked().saturating_sub(worked);
            worked < BEHIND_MAX && start.elapsed() < BEHIND_WAIT
        };
        let mut procfs = Processes::open(self.proc_root);
        // A thread of this process is in a call on the file by which it looks at itself.
        let own = file::link(&self.proc_root.join("self")).unwrap_or_default();
        let others = pids
            .iter()
            .filter(|pid| own != Path::new(&pid.0.to_string()));
        for pid in others.take_while(|_| is_time()) {
            let process = self.process(*pid);
            let mut holding = |count| {
                (count > 0).then(|| Holding {
                    pid: *pid,
                    name: procfs.as_mut().and_then(|procfs| procfs.name(*pid)),
                    count,
                })
            };
            blind_spots.extend(holding(in_flight(&process)).map(BlindSpot::InFlight));
            blind_spots.extend(holding(calls(&process)).map(BlindSpot::Call));
            blind_spots.extend(holding(self.mappings(&process)).map(BlindSpot::Mapping));
        }
    }

    /// How many of the sockets are mapped: lines such as
    /// `7f0a10000000-7f0a10010000 r--s 00000000 00:09 182483 socket:[182483]`.
    fn mappings(&self, process: &Path) -> u64 {
        let Ok(lines) = file::lines(&process.join("maps")) else {
            return 0;
        };
        let mapped: FxHashSet<u32> = lines
            .map_while(Result::ok)
            .filter_map(|line| socket_inode(line.split_ascii_whitespace().next_back()?.as_bytes()))
            .filter(|inode| self.left.contains(inode))
            .collect();
        mapped.len() as u64
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
                    ancestors: Vec::new(),
                });
            }
            match found.scanned.iter_mut().find(|known| known.pid == pid) {
                Some(known) => known.fds = known.fds.max(fds),
                None => found.scanned.push(Scanned {
                    pid,
                    fds,
                    fd_limit: None,
                    epolls: Vec::new(),
                    unmatched: None,
                }),
            }
        }
        found.holders.extend(self.holders);
    }
}

/// How many descriptors wait in the UNIX sockets of a process to be received: `scm_fds: 8` in their
/// fdinfo.
fn in_flight(process: &Path) -> u64 {
    let fds = process.join("fd");
    let of_socket = |fd: u32| {
        let target = file::link(&fds.join(fd.to_string())).ok()?;
        socket_inode(target.as_os_str().as_bytes())?;
        let info = file::text(&process.join("fdinfo").join(fd.to_string())).ok()?;
        let count = info
            .lines()
            .find_map(|line| line.strip_prefix("scm_fds:"))?;
        count.trim().parse::<u64>().ok()
    };
    numbers(&fds)
        .filter_map(of_socket)
        .fold(0, u64::saturating_add)
}

/// How many threads of a process are in a system call on a descriptor that is not open.
fn calls(process: &Path) -> u64 {
    let tasks = process.join("task");
    if !is_threaded(&tasks) {
        return 0;
    }
    let is_on_a_closed_one = |thread: &u32| {
        let task = tasks.join(thread.to_string());
        let text = file::text(&task.join("syscall")).unwrap_or_default();
        let fd = descriptor_of_call(&text);
        fd.is_some_and(|fd| {
            let link = fs::symlink_metadata(task.join("fd").join(fd.to_string()));
            link.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        })
    };
    numbers(&tasks).filter(is_on_a_closed_one).count() as u64
}

/// How long the calling thread has worked.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn is_threaded(tasks: &Path) -> bool {
    threads_in(tasks).is_ok_and(|threads| threads > 1)
}

/// The entries of a directory that are numbers; none of one that cannot be read.
fn numbers(dir: &Path) -> impl Iterator<Item = u32> {
    let (numbers, _) = numbers_in(CWD, dir);
    numbers.into_iter()
}
