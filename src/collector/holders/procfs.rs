//! The scan of /proc/*/fd, on all processors: one readlinkat(2) and no allocation per open file. See
//! proc_pid_fd(5).

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::fs::{CWD, RawDir, readlinkat_raw};
use rustix::io::Errno;

use crate::collector::file;
use crate::collector::holders::found::{Found, Progress, UNMATCHED_FEW, UNMATCHED_MAX};
use crate::collector::holders::wanted::Wanted;
use crate::collector::procfs::{DIRENTS, PathBuffer, number, numbers_in, socket_inode};
use crate::collector::watchdog::Pending;
use crate::model::{Holder, Name, Pid, Process, Scanned};

const RING: &[u8] = b"anon_inode:[io_uring]";
/// The most bytes of a link that are read; `socket:[4294967295]` has 19.
const LINK: usize = 32;

/// Finds every holder of the wanted sockets among the processes under `proc_root`.
///
/// # Errors
/// If the processes cannot be listed.
pub(super) fn scan(proc_root: &Path, wanted: &Wanted, progress: &Progress) -> io::Result<Found> {
    let root = file::directory(CWD, proc_root)?;
    let pids = processes(&root)?;
    Ok(scan_these(&root, &pids, wanted, progress))
}

/// Finds every holder of the wanted sockets among all processes except the known ones.
///
/// # Errors
/// If the processes cannot be listed.
pub(super) fn scan_others(
    proc_root: &Path,
    is_known: impl Fn(Pid) -> bool,
    wanted: &Wanted,
    progress: &Progress,
) -> io::Result<Found> {
    let root = file::directory(CWD, proc_root)?;
    let mut pids = processes(&root)?;
    pids.retain(|pid| !is_known(*pid));
    Ok(scan_these(&root, &pids, wanted, progress))
}

fn scan_these(root: &OwnedFd, pids: &[Pid], wanted: &Wanted, progress: &Progress) -> Found {
    progress.processes.store(pids.len(), Ordering::Relaxed);
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<Found> = thread::scope(|scope| {
        let work = || work(root, pids, &next, wanted, progress);
        // If no more threads can be started, fewer do the work: at least this one.
        let threads: Vec<_> = (1..workers.min(pids.len()))
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let mut parts = vec![work()];
        parts.extend(threads.into_iter().map(|thread| match thread.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        }));
        parts
    });
    let mut whole = Found::default();
    for part in parts {
        whole.append(part);
    }
    whole
}

fn work(
    root: &OwnedFd,
    pids: &[Pid],
    next: &AtomicUsize,
    wanted: &Wanted,
    progress: &Progress,
) -> Found {
    let mut part = Found::default();
    let mut worker = Worker {
        root,
        wanted,
        path: PathBuffer::default(),
        dirents: [MaybeUninit::uninit(); DIRENTS],
        fds: 0,
        epolls: Vec::new(),
        rings: Vec::new(),
        unmatched: Vec::new(),
    };
    while let Some(&pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
        let before = part.holders.len();
        match worker.scan_process(pid, &mut part.holders) {
            Ok(()) => {
                part.scan.processes_seen += 1;
                part.scan.processes_read += 1;
            }
            // The process has ended and holds nothing any more.
            Err(Errno::NOENT | Errno::SRCH) => {
                part.holders.truncate(before);
                worker.unmatched.clear();
            }
            Err(_) => part.scan.processes_seen += 1,
        }
        if part.holders.len() > before || worker.unmatched.len() >= UNMATCHED_FEW {
            part.processes.push(Process {
                pid,
                name: read_name(root, pid, &mut worker.path),
                age_ms: None,
                ancestors: Vec::new(),
            });
            part.scanned.push(Scanned {
                pid,
                fds: worker.fds,
                fd_limit: None,
                epolls: worker.epolls.clone(),
                unmatched: wanted.whole.then(|| worker.unmatched.clone()),
            });
        }
        part.rings
            .extend(worker.rings.iter().map(|ring| (pid, *ring)));
        part.scan.fds_read += worker.fds;
        progress.fds.fetch_add(worker.fds, Ordering::Relaxed);
        progress.done.fetch_add(1, Ordering::Relaxed);
    }
    part
}

/// The buffers of one thread, reused for each process.
struct Worker<'a> {
    root: &'a OwnedFd,
    wanted: &'a Wanted,
    path: PathBuffer,
    dirents: [MaybeUninit<u8>; DIRENTS],
    fds: u64,
    epolls: Vec<u32>,
    rings: Vec<u32>,
    unmatched: Vec<(u32, u32)>,
}

impl Worker<'_> {
    fn scan_process(&mut self, pid: Pid, holders: &mut Vec<Holder>) -> Result<(), Errno> {
        self.fds = 0;
        self.epolls.clear();
        self.rings.clear();
        self.unmatched.clear();
        let dir = file::directory(self.root, self.path.of(pid, "fd"))?;
        let _pending = Pending::on(format!("{pid}/fd"));
        let mut entries = RawDir::new(dir.as_fd(), &mut self.dirents);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let Some(fd) = number(entry.file_name().to_bytes()) else {
                continue;
            };
            self.fds += 1;
            let mut link = [MaybeUninit::uninit(); LINK];
            let target: &[u8] = match readlinkat_raw(&dir, entry.file_name(), &mut link) {
                Ok((target, _)) => target,
                // Closed since the directory was read.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            };
            match socket_inode(target) {
                Some(inode) if self.wanted.contains(inode) => {
                    holders.push(Holder { inode, pid, fd });
                }
                Some(inode) if self.wanted.whole && self.unmatched.len() < UNMATCHED_MAX => {
                    self.unmatched.push((fd, inode));
                }
                None if target == b"anon_inode:[eventpoll]" => self.epolls.push(fd),
                None if target == RING => self.rings.push(fd),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads single processes.
pub(super) struct Processes {
    root: OwnedFd,
    path: PathBuffer,
}

impl Processes {
    /// `None` if there is no procfs.
    pub(super) fn open(proc_root: &Path) -> Option<Processes> {
        Some(Processes {
            root: file::directory(CWD, proc_root).ok()?,
            path: PathBuffer::default(),
        })
    }

    /// The name of a process; `None` if it has ended.
    pub(super) fn name(&mut self, pid: Pid) -> Option<Name> {
        read_name(&self.root, pid, &mut self.path)
    }

    /// Whether a descriptor is an io_uring.
    pub(super) fn is_ring(&mut self, pid: Pid, fd: u32) -> bool {
        let path = self.path.of(pid, format_args!("fd/{fd}"));
        let mut link = [MaybeUninit::uninit(); LINK];
        let target = readlinkat_raw(&self.root, path, &mut link);
        target.is_ok_and(|(target, _)| target == RING)
    }
}

fn processes(root: &OwnedFd) -> io::Result<Vec<Pid>> {
    // Through a new descriptor: two readers of one share its position.
    match numbers_in(root, Path::new(".")) {
        (pids, None) => Ok(pids.into_iter().map(Pid).collect()),
        (_, Some(error)) => Err(error.into()),
    }
}

/// `/proc/PID/comm`, without its newline.
fn read_name(root: &OwnedFd, pid: Pid, path: &mut PathBuffer) -> Option<Name> {
    let mut file = file::open_at(root, path.of(pid, "comm")).ok()?;
    let mut bytes = [0; 64];
    let length = file.read(&mut bytes).ok()?;
    let name = bytes.get(..length)?;
    Some(Name::new(name.strip_suffix(b"\n").unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    type FakeProcess<'a> = (u32, &'a str, &'a [(u32, &'a str)]);

    fn fake_proc(processes: &[FakeProcess<'_>]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (pid, comm, fds) in processes {
            let dir = root.path().join(pid.to_string());
            std::fs::create_dir_all(dir.join("fd")).unwrap();
            std::fs::write(dir.join("comm"), format!("{comm}\n")).unwrap();
            for (fd, target) in *fds {
                symlink(target, dir.join("fd").join(fd.to_string())).unwrap();
            }
        }
        std::fs::write(root.path().join("uptime"), "1 1").unwrap();
        root
    }

    #[test]
    fn every_process_that_holds_a_wanted_socket_is_found_with_its_descriptor() {
        let root = fake_proc(&[
            (
                10,
                "java",
                &[(0, "/dev/null"), (5, "socket:[77]"), (6, "socket:[78]")],
            ),
            (11, "sh) x", &[(3, "socket:[77]")]),
            (12, "idle", &[(3, "socket:[1]")]),
        ]);
        let wanted = Wanted::new([77, 0].into_iter(), true);
        let found = scan(root.path(), &wanted, &Progress::default()).unwrap();
        let (mut holders, mut processes, scan) = (found.holders, found.processes, found.scan);
        let java = found
            .scanned
            .iter()
            .find(|scanned| scanned.pid == Pid(10))
            .unwrap();
        assert_eq!(
            (java.fds, java.unmatched.as_deref()),
            (3, Some([(6, 78)].as_slice()))
        );
        holders.sort_unstable();
        processes.sort_unstable_by_key(|process| process.pid);
        let held: Vec<_> = holders.iter().map(|h| (h.inode, h.pid.0, h.fd)).collect();
        assert_eq!(held, [(77, 10, 5), (77, 11, 3)]);
        let names: Vec<_> = processes
            .iter()
            .map(|process| process.name.as_ref().unwrap().bytes())
            .collect();
        assert_eq!(names, [b"java".as_slice(), b"sh) x"]);
        assert_eq!(
            (scan.processes_seen, scan.processes_read, scan.fds_read),
            (3, 3, 5)
        );
    }

    #[test]
    fn a_root_that_cannot_be_listed_is_an_error() {
        let missing = Path::new("/nonexistent/proc");
        assert!(
            scan(
                missing,
                &Wanted::new([1].into_iter(), false),
                &Progress::default()
            )
            .is_err()
        );
    }
}
