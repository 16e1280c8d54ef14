//! Running processes of which something could not be read: network namespaces that only they keep alive
//! may be missing.

use std::path::Path;

use rustix::io::Errno;
use rustix::process::test_kill_process;

use super::omission::Omission;
use crate::collector::access::hint_of;
use crate::collector::procfs::{is_gone, is_ours, stat};
use crate::model::Pid;

/// So many processes may be unreadable even to root: a security module protects them, which the search
/// for holders reports.
const CLOSED_MAX: usize = 8;

/// The processes of which something could not be read.
#[derive(Debug, Default)]
pub(super) struct Incomplete {
    /// Those of which not even the namespace may be read.
    closed: Vec<Pid>,
    last: Option<Pid>,
    processes: u64,
    first: Option<(Pid, &'static str, Errno)>,
}

impl Incomplete {
    /// The namespace of a process cannot be read.
    pub(super) fn close(&mut self, pid: Pid, reason: Errno) {
        if self.closed.is_empty() {
            self.first.get_or_insert((pid, "network namespace", reason));
        }
        self.closed.push(pid);
    }

    /// Something of a process could not be read.
    pub(super) fn miss(&mut self, proc_root: &Path, pid: Pid, what: &'static str, reason: Errno) {
        if self.closed.contains(&pid) || self.last == Some(pid) {
            return;
        }
        if is_gone(reason) && is_ending(proc_root, pid) {
            return;
        }
        if self.processes == 0 {
            self.first = Some((pid, what, reason));
        }
        self.last = Some(pid);
        self.processes += 1;
    }

    /// Why namespaces may be missing, given the number of all processes.
    pub(super) fn omission(&self, all: usize) -> Option<Omission> {
        let closed = self.closed.len();
        let count = match self.processes {
            0 if closed > CLOSED_MAX && closed > all / 8 => closed as u64,
            0 => return None,
            some => some,
        };
        let (pid, what, reason) = self.first?;
        let whose = match count {
            1 => format!("process {pid}"),
            more => format!("{more} processes (first: {pid})"),
        };
        Some(Omission {
            detail: format!("could not read the {what} of {whose}: {reason}"),
            hint: hint_of(reason, "CAP_SYS_PTRACE"),
        })
    }
}

/// Whether a process has ended, or is a zombie. If its files are missing, kill(2) decides: they may be
/// hidden.
pub(super) fn is_ending(proc_root: &Path, pid: Pid) -> bool {
    match stat(&proc_root.join(pid.to_string())) {
        Ok(fields) => fields.starts_with(['Z', 'X']),
        Err(error) => {
            Errno::from_io_error(&error).is_some_and(is_gone) && !is_running(proc_root, pid)
        }
    }
}

fn is_running(proc_root: &Path, pid: Pid) -> bool {
    let raw = i32::try_from(pid.0).ok();
    let pid = raw.and_then(rustix::process::Pid::from_raw);
    let answer = pid.map(test_kill_process);
    is_ours(proc_root) && matches!(answer, Some(Ok(()) | Err(Errno::PERM)))
}
