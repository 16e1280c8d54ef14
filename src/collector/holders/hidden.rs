//! Holders that are in no `/proc/PID/fd`. They are searched for only if a socket has no holder, so that an
//! ordinary run is not slowed down.
//!
//! A thread may have its own descriptor table (unshare(2) with `CLONE_FILES`), or outlive the main thread
//! of its process, whose `/proc/PID/fd` is then empty. A socket may be registered with an io_uring, whose
//! fdinfo shows it. Otherwise the socket may have no descriptor at all: it is in flight between
//! processes, in use by a system call, or mapped. Those are counted as blind spots.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;
use rustix::fs::CWD;
use rustix::time::{ClockId, clock_gettime};

use crate::collector::holders::blind_spots::blind_spots;
use crate::collector::holders::found::Found;
use crate::collector::holders::kcmp::shares_files;
use crate::collector::holders::procfs::Processes;
use crate::collector::procfs::{is_ours, numbers_in, socket_at, socket_inode, threads_in};
use crate::collector::{file, syscalls};
use crate::model::{BlindSpot, Holder, Holding, Pid, Process, Scanned};

/// The most descriptors of threads' own tables that are read.
const DESCRIPTORS_MAX: usize = 200_000;
/// The most files of one io_uring that are read: as many as it can have (`IORING_MAX_FIXED_FILES`).
const FIXED_MAX: usize = 1 << 20;
/// How many other tables of its process the table of a thread is compared with.
const TABLES: usize = 8;
/// The limits of the search for sockets without a descriptor: processor time, which a busy host does not
/// shorten, and wall-clock time.
const CPU_LIMIT: Duration = Duration::from_millis(250);
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// Searches for holders of the sockets that are left, and for blind spots if some have none after all.
pub(in crate::collector) fn find_hidden(proc_root: &Path, left: FxHashSet<u32>, found: &mut Found) {
    if left.is_empty() {
        return;
    }
    let mut search = HiddenSearch {
        proc_root,
        left,
        descriptors: 0,
        holders: Vec::new(),
        fds: Vec::new(),
    };
    for (pid, ring) in &found.rings {
        search.ring(*pid, *ring);
    }
    let pids: Vec<Pid> = numbers(proc_root).map(Pid).collect();
    for pid in &pids {
        search.threads(*pid);
    }
    for holder in &search.holders {
        search.left.remove(&holder.inode);
    }
    if !search.left.is_empty() {
        let scan = &found.scan;
        let unread = scan.processes_seen.saturating_sub(scan.processes_read);
        if scan.processes_seen > 0 {
            found.scan.blind_spots = blind_spots(proc_root, unread);
        }
        search.add_holding(&pids, &mut found.scan.blind_spots);
    }
    search.finish(found);
}

struct HiddenSearch<'a> {
    proc_root: &'a Path,
    /// The inodes of the sockets without a holder.
    left: FxHashSet<u32>,
    /// How many descriptors were read in threads' own tables.
    descriptors: usize,
    holders: Vec<Holder>,
    /// The processes that hold some of them, and their numbers of open files.
    fds: Vec<(Pid, u64)>,
}

impl HiddenSearch<'_> {
    /// Searches the descriptor tables of threads that do not share that of the main thread.
    fn threads(&mut self, pid: Pid) {
        let tasks = self.process(pid).join("task");
        if !is_threaded(&tasks) {
            return;
        }
        let mut tables = vec![pid];
        for thread in numbers(&tasks).map(Pid) {
            let is_known = |table: &Pid| self.shares_table(thread, *table);
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

    /// Whether two threads share a descriptor table. If unknown, false: the table is then read twice.
    fn shares_table(&self, one: Pid, other: Pid) -> bool {
        // The numbers in another procfs may not be those of the kernel.
        is_ours(self.proc_root) && shares_files(one, other).unwrap_or(false)
    }

    fn table(&mut self, pid: Pid, table: &Path) {
        let before = self.holders.len();
        let mut fds = 0;
        for fd in numbers(table) {
            if self.descriptors >= DESCRIPTORS_MAX {
                break;
            }
            self.descriptors += 1;
            fds += 1;
            if let Some(inode) = socket_at(&table.join(fd.to_string())) {
                self.hold(inode, pid, fd);
            }
        }
        if self.holders.len() > before {
            self.fds.push((pid, fds));
        }
    }

    /// Searches the files that are registered with an io_uring: lines such as `    0: socket:[182483]` after
    /// `UserFiles:` in its fdinfo.
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

    /// Adds the processes with descriptors in flight, system calls on closed descriptors, or mappings of the
    /// sockets, as far as the time limits allow.
    fn add_holding(&self, pids: &[Pid], blind_spots: &mut Vec<BlindSpot>) {
        let (start, cpu_start) = (Instant::now(), cpu_time());
        let is_time = || {
            let used = cpu_time().saturating_sub(cpu_start);
            used < CPU_LIMIT && start.elapsed() < TIME_LIMIT
        };
        let mut procfs = Processes::open(self.proc_root);
        // This process is itself in a system call, on the file that it reads.
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

    /// How many of the sockets a process has mapped, from lines such as
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

/// How many descriptors wait in the UNIX sockets of a process to be received, from lines such as
/// `scm_fds: 8` in their fdinfo.
fn in_flight(process: &Path) -> u64 {
    let fds = process.join("fd");
    let of_socket = |fd: u32| {
        socket_at(&fds.join(fd.to_string()))?;
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
    let is_on_closed = |thread: &u32| {
        let task = tasks.join(thread.to_string());
        let text = file::text(&task.join("syscall")).unwrap_or_default();
        let fd = syscalls::descriptor(&text);
        fd.is_some_and(|fd| {
            let link = fs::symlink_metadata(task.join("fd").join(fd.to_string()));
            link.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        })
    };
    numbers(&tasks).filter(is_on_closed).count() as u64
}

/// The processor time of the calling thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn is_threaded(tasks: &Path) -> bool {
    threads_in(tasks).is_ok_and(|threads| threads > 1)
}

/// The numbered entries of a directory; none if it cannot be read.
fn numbers(dir: &Path) -> impl Iterator<Item = u32> {
    let (numbers, _) = numbers_in(CWD, dir);
    numbers.into_iter()
}
