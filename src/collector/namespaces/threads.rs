//! The network namespaces of threads, which may differ from that of their process.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;

use super::find::{Search, namespace_link};
use super::omission::Omission;
use super::place::Place;
use crate::collector::kernel;
use crate::collector::procfs::{PathBuffer, is_gone, numbers_in, threads_in};
use crate::model::Pid;

/// So many threads may start and exit while they are counted.
const THREADS_SLACK: u64 = 64;

impl Search<'_> {
    /// Reads the namespaces of a process whose main thread has exited from its other threads.
    pub(super) fn leaderless(&mut self, root: &OwnedFd, pid: Pid) {
        let mut first = true;
        let (threads, failure) = self.threads_of(root, pid);
        if let Some(error) = failure.or(threads.is_empty().then_some(Errno::NOENT)) {
            self.incomplete.miss(self.proc_root, pid, "threads", error);
        }
        for (thread, inode) in threads {
            let place = self.thread(pid, thread, inode);
            place.processes += u64::from(std::mem::take(&mut first));
        }
    }

    pub(super) fn thread(&mut self, pid: Pid, thread: Pid, inode: u64) -> &mut Place {
        let key = self.key(inode);
        let link = format!("{pid}/task/{thread}/ns/net");
        let link = self.proc_root.join(link);
        let place = self.found.places.entry(key).or_default();
        place.link(link);
        place
    }

    /// The threads of a process with their namespaces, and the error if some are missing.
    pub(super) fn threads_of(&self, root: &OwnedFd, pid: Pid) -> (Vec<(Pid, u64)>, Option<Errno>) {
        let mut path = PathBuffer::default();
        let (threads, mut failure) = numbers_in(root, Path::new(&format!("{pid}/task")));
        let mut found = Vec::with_capacity(threads.len());
        for thread in threads {
            let link = path.of(pid, format_args!("task/{thread}/ns/net"));
            match namespace_link(root, link, "net") {
                Ok(inode) => found.push((Pid(thread), inode)),
                // It has exited.
                Err(error) if is_gone(error) => {}
                Err(error) => failure = Some(error),
            }
        }
        (found, failure)
    }

    /// A thread may be in another namespace than its process.
    pub(super) fn threads(&mut self, root: &OwnedFd, pids: &[Pid]) {
        let before = kernel::threads();
        let mut seen = 0;
        for &pid in pids {
            let threads = match threads_in(&self.process(pid).join("task")) {
                Ok(threads) => threads,
                Err(error) => {
                    self.incomplete.miss(self.proc_root, pid, "threads", error);
                    continue;
                }
            };
            seen += threads;
            if threads > 1 {
                let (threads, failure) = self.threads_of(root, pid);
                if let Some(error) = failure.or(threads.is_empty().then_some(Errno::NOENT)) {
                    self.incomplete.miss(self.proc_root, pid, "threads", error);
                }
                for (thread, inode) in threads {
                    self.thread(pid, thread, inode);
                }
            }
        }
        // If neither count is known, none is missing.
        self.are_all_seen(seen, before.min(kernel::threads()).unwrap_or_default());
    }

    /// Compares the threads in the procfs with the number that the kernel runs.
    pub(super) fn are_all_seen(&mut self, seen: u64, running: u64) {
        let missing = running.saturating_sub(seen);
        if missing > THREADS_SLACK && missing > running / 8 && self.found.omissions.is_empty() {
            self.found.omissions.push(Omission {
                detail: format!(
                    "{} shows {seen} threads, but the kernel runs {running}",
                    self.proc_root.display()
                ),
                hint: "run on the host, or with the host's --proc".into(),
            });
        }
    }
}
