//! The holders and control groups in a recording, converted from and to those of a snapshot.

use serde::{Deserialize, Serialize};

use crate::model::{Cgroup, Cgroups, FdLimit, Holder, Holders, Pid, Process, Scanned, Snapshot};

/// Who holds which socket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Owners {
    /// Inode, process and descriptor.
    pub(super) holders: Vec<(u32, u32, u32)>,
    pub(super) processes: Vec<Process>,
    /// How many files a process has open.
    pub(super) open_files: Vec<(Pid, u64)>,
    /// How many it may have open. Older recordings have this only for suspects, in the evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) fd_limits: Vec<(Pid, FdLimit)>,
    /// The inodes of sockets that were closed during the search for holders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) closed: Vec<u32>,
}

/// The control groups by process, and by number.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Groups {
    pub(super) processes: Vec<(Pid, Cgroup)>,
    pub(super) numbers: Vec<(u64, Cgroup)>,
}

impl Owners {
    pub(super) fn of(snapshot: &Snapshot) -> Owners {
        let Some(holders) = &snapshot.holders else {
            return Owners::default();
        };
        let numbers = |holder: &Holder| (holder.inode, holder.pid.0, holder.fd);
        let files = |scanned: &Scanned| (scanned.pid, scanned.fds);
        let limit = |scanned: &Scanned| Some((scanned.pid, scanned.fd_limit?));
        Owners {
            holders: holders.all().iter().map(numbers).collect(),
            processes: holders.processes().to_vec(),
            open_files: snapshot.scanned.iter().map(files).collect(),
            fd_limits: snapshot.scanned.iter().filter_map(limit).collect(),
            closed: holders.closed().to_vec(),
        }
    }

    pub(super) fn holders(&self) -> Holders {
        let holder = |(inode, pid, fd): &(u32, u32, u32)| Holder {
            inode: *inode,
            pid: Pid(*pid),
            fd: *fd,
        };
        let holders = self.holders.iter().map(holder).collect();
        Holders::new(holders, self.processes.clone()).with_closed(self.closed.clone())
    }
}

impl Groups {
    pub(super) fn of(cgroups: Option<&Cgroups>) -> Groups {
        let Some(cgroups) = cgroups else {
            return Groups::default();
        };
        let mut groups = Groups {
            processes: cgroups.of_process.clone().into_iter().collect(),
            numbers: cgroups.by_id.clone().into_iter().collect(),
        };
        groups.processes.sort_unstable();
        groups.numbers.sort_unstable();
        groups
    }

    pub(super) fn cgroups(&self) -> Cgroups {
        Cgroups {
            of_process: self.processes.iter().cloned().collect(),
            by_id: self.numbers.iter().cloned().collect(),
        }
    }
}
