//! The scan with a BPF iterator: holders, and the other facts about their processes, from what the walk
//! has seen.

use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::collector::holders::bpf::{BpfError, Other, Seen, Walk};
use crate::collector::holders::found::{Found, Progress, UNMATCHED_FEW, UNMATCHED_MAX};
use crate::collector::holders::procfs::{self, Processes};
use crate::collector::holders::wanted::Wanted;
use crate::model::{Holder, Pid, Process, Scan, Scanned};

/// What the scan needs besides the walk.
pub(super) struct BpfScan<'a> {
    pub(super) proc_root: &'a Path,
    pub(super) wanted: &'a Wanted,
    pub(super) progress: &'a Progress,
}

impl BpfScan<'_> {
    /// Evaluates a walk. If a wanted socket has no holder, it may have been opened after the walk, so
    /// there is a second one, and the holders of both count.
    ///
    /// # Errors
    /// If the second walk fails.
    pub(super) fn found(&self, mut walk: Walk, seen: Seen) -> Result<Found, BpfError> {
        let mut found = self.evaluate(&seen);
        found.method = "a BPF iterator".to_owned();
        if self.wanted.without(&found.holders).is_empty() {
            return Ok(found);
        }
        let before = found;
        let mut found = self.evaluate(&walk.walk()?);
        found.method = "a BPF iterator, twice".to_owned();
        let again: FxHashSet<Pid> = found.processes.iter().map(|process| process.pid).collect();
        let ended = before.processes.into_iter();
        found
            .processes
            .extend(ended.filter(|process| !again.contains(&process.pid)));
        found.holders.extend(before.holders);
        Ok(found)
    }

    /// The holders in one walk. Processes that the walk has not seen are read in /proc: they are younger
    /// than the walk, or hidden from it.
    fn evaluate(&self, seen: &Seen) -> Found {
        let sockets = seen.sockets.iter().copied();
        let holders: Vec<Holder> = sockets
            .filter(|socket| self.wanted.contains(socket.inode))
            .collect();
        let mut holding: FxHashSet<Pid> = holders.iter().map(|holder| holder.pid).collect();
        holding.extend(with_unmatched(seen, self.wanted));
        let processes = seen.fds.len() as u32;
        let mut procfs = Processes::open(self.proc_root);
        let process = |pid: &Pid| Process {
            pid: *pid,
            name: procfs.as_mut().and_then(|procfs| procfs.name(*pid)),
            age_ms: None,
            ancestors: Vec::new(),
        };
        let mut found = Found {
            holders,
            processes: holding.iter().map(process).collect(),
            scanned: describe(seen, self.wanted, &holding),
            rings: self.rings(seen),
            scan: Scan {
                processes_seen: processes,
                processes_read: processes,
                fds_read: seen.fds.values().sum(),
                ..Scan::default()
            },
            method: String::new(),
        };
        let is_known = |pid| seen.fds.contains_key(&pid);
        // Without /proc, the walk is all there is.
        if let Ok(others) =
            procfs::scan_others(self.proc_root, is_known, self.wanted, self.progress)
        {
            found.append(others);
        }
        found
    }

    /// The descriptors that are io_urings. All of these have the same file operations, so it is enough to
    /// read the link in /proc of one descriptor per kind.
    fn rings(&self, seen: &Seen) -> Vec<(Pid, u32)> {
        let mut kinds = FxHashMap::default();
        let mut procfs = Processes::open(self.proc_root);
        let mut is_ring = |file: &Other| {
            *kinds.entry(file.operations).or_insert_with(|| {
                procfs
                    .as_mut()
                    .is_some_and(|procfs| procfs.is_ring(file.pid, file.fd))
            })
        };
        let others = seen.others.iter();
        others
            .filter(|file| is_ring(file))
            .map(|file| (file.pid, file.fd))
            .collect()
    }
}

/// The processes with many unmatched descriptors.
fn with_unmatched(seen: &Seen, wanted: &Wanted) -> Vec<Pid> {
    let mut counts: FxHashMap<Pid, usize> = FxHashMap::default();
    if wanted.whole {
        let others = seen.sockets.iter();
        for socket in others.filter(|socket| !wanted.contains(socket.inode)) {
            *counts.entry(socket.pid).or_default() += 1;
        }
    }
    counts.retain(|_, unmatched| *unmatched >= UNMATCHED_FEW);
    counts.into_keys().collect()
}

/// What else is open in the processes that hold wanted sockets or have many unmatched descriptors.
fn describe(seen: &Seen, wanted: &Wanted, holding: &FxHashSet<Pid>) -> Vec<Scanned> {
    let with_fds = |pid: &Pid| {
        let scanned = Scanned {
            pid: *pid,
            fds: seen.fds.get(pid).copied().unwrap_or_default(),
            fd_limit: None,
            epolls: Vec::new(),
            unmatched: wanted.whole.then(Vec::new),
        };
        (*pid, scanned)
    };
    let mut scanned: FxHashMap<Pid, Scanned> = holding.iter().map(with_fds).collect();
    for (pid, fd) in &seen.epolls {
        if let Some(scanned) = scanned.get_mut(pid) {
            scanned.epolls.push(*fd);
        }
    }
    if wanted.whole {
        let others = seen.sockets.iter();
        for socket in others.filter(|socket| !wanted.contains(socket.inode)) {
            if let Some(scanned) = scanned.get_mut(&socket.pid)
                && let Some(unmatched) = &mut scanned.unmatched
                && unmatched.len() < UNMATCHED_MAX
            {
                unmatched.push((socket.fd, socket.inode));
            }
        }
    }
    scanned.into_values().collect()
}
