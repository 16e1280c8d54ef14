//! From what a walk in the kernel met to holders, and what else is told of their processes.

use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use super::bpf::{BpfError, Seen, Walk};
use super::procfs::Processes;
use super::{Found, STRAYS_MAX, Wanted};
use crate::model::{Holder, Pid, Process, Scan, Scanned};

/// Takes what a walk met. Where a wanted socket has no holder in it, that may have been opened
/// since: it is walked once more, and the holders of both times count.
pub(super) fn gather(
    mut walk: Walk,
    mut seen: Seen,
    proc_root: &Path,
    wanted: &Wanted,
) -> Result<Found, BpfError> {
    let mut way = "a BPF iterator";
    let mut holders: Vec<Holder> = holders(&seen, wanted).collect();
    if !wanted.are_all_in(&holders) {
        seen = walk.walk()?;
        holders.extend(self::holders(&seen, wanted));
        way = "a BPF iterator, twice";
    }
    let holding: FxHashSet<Pid> = holders.iter().map(|holder| holder.pid).collect();
    let processes = seen.fds.len() as u32;
    let mut procfs = Processes::open(proc_root);
    let process = |pid: &Pid| Process {
        pid: *pid,
        name: procfs.as_mut().and_then(|procfs| procfs.name(*pid)),
        age_ms: None,
        forebears: Vec::new(),
    };
    Ok(Found {
        holders,
        processes: holding.iter().map(process).collect(),
        scanned: describe(&seen, wanted, &holding),
        scan: Scan {
            processes_seen: processes,
            processes_read: processes,
            fds_read: seen.fds.values().sum(),
            privileged: rustix::process::geteuid().is_root(),
        },
        way: way.to_owned(),
    })
}

fn holders(seen: &Seen, wanted: &Wanted) -> impl Iterator<Item = Holder> {
    let sockets = seen.sockets.iter().copied();
    sockets.filter(|socket| wanted.contains(socket.inode))
}

/// What else is open in the processes that hold wanted sockets.
fn describe(seen: &Seen, wanted: &Wanted, holding: &FxHashSet<Pid>) -> Vec<Scanned> {
    let with_fds = |pid: &Pid| {
        let scanned = Scanned {
            pid: *pid,
            fds: seen.fds.get(pid).copied().unwrap_or_default(),
            epolls: Vec::new(),
            strays: wanted.whole.then(Vec::new),
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
                && let Some(strays) = &mut scanned.strays
                && strays.len() < STRAYS_MAX
            {
                strays.push((socket.fd, socket.inode));
            }
        }
    }
    scanned.into_values().collect()
}
