//! What prevents a process from running, as files of the kernel show it. Every part is optional:
//! `None` if it was not found or cannot be read.

use serde::{Deserialize, Serialize};

use super::{Name, Pid};

/// What prevents a process, or some of its threads, from running.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Halt {
    /// It is in a frozen control group.
    pub freezer: Option<Freezer>,
    /// Its threads are stopped by this tracer.
    pub tracer: Option<Tracer>,
    /// A thread waits for a child in vfork(2).
    pub vfork: Option<Vfork>,
    pub quota: Option<Quota>,
    /// Threads that were in uninterruptible sleep for the whole sample, the most frequent place first.
    pub stuck: Vec<Stuck>,
    /// File locks that its threads wait for.
    pub locks: Vec<FileLock>,
}

impl Halt {
    /// Whether nothing prevents it.
    pub fn is_none(&self) -> bool {
        *self == Halt::default()
    }

    /// The number of threads in uninterruptible sleep.
    pub fn stuck_threads(&self) -> u32 {
        let threads = self.stuck.iter().map(|stuck| stuck.threads);
        threads.fold(0, u32::saturating_add)
    }

    /// The number of threads that wait for file locks.
    pub fn lock_threads(&self) -> u32 {
        let threads = self.locks.iter().map(|lock| lock.threads);
        threads.fold(0, u32::saturating_add)
    }
}

/// A frozen control group: `cgroup.freeze` in version 2, `freezer.state` in version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freezer {
    /// The directory of the group that is frozen itself; `None` if that lies above the visible part of
    /// the hierarchy.
    pub directory: Option<Name>,
    pub version: Version,
    /// The container whose group it is.
    pub container: Option<Container>,
    /// The systemd unit whose group it is.
    pub unit: Option<Name>,
}

/// A version of control groups (cgroups(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Version {
    V1,
    V2,
}

/// A container, by the name of its control group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub engine: Option<Engine>,
    /// Its id, or its name if the group is named by that.
    pub id: Name,
}

/// The engine that runs a container, if the name of the group shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    Docker,
    Podman,
    Nerdctl,
    Lxc,
}

/// A process that traces another (ptrace(2)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracer {
    /// `None` if it is outside the PID namespace of /proc.
    pub pid: Option<Pid>,
    pub name: Option<Name>,
}

/// A thread in vfork(2), or in clone(2) with `CLONE_VFORK`: it sleeps until the child calls execve(2)
/// or ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vfork {
    pub thread: Pid,
    pub child: Option<Pid>,
    /// The name of the child, which is inherited from its parent.
    pub name: Option<Name>,
    /// The age of the child, in milliseconds.
    pub age_ms: Option<u64>,
    /// The system call that the child waits in.
    pub call: Option<Name>,
}

/// A limit of CPU time: `cpu.max` in version 2, `cpu.cfs_quota_us` in version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// The directory of the group that is limited.
    pub directory: Name,
    pub container: Option<Container>,
    pub unit: Option<Name>,
    /// The CPU time of all processes of the group in each period, in microseconds.
    pub quota_us: u64,
    pub period_us: u64,
    /// Since the group was created.
    pub total: Periods,
    /// Between two readings; `None` if there was only one.
    pub sample: Option<Periods>,
}

/// Numbers of quota periods (`cpu.stat`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Periods {
    /// Periods in which a process of the group was ready to run.
    pub all: u64,
    /// Periods in which the quota ran out.
    pub throttled: u64,
}

/// Threads in uninterruptible sleep at the same place in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// The kernel function that waits (`/proc/PID/task/TID/wchan`); `None` if unknown.
    pub place: Option<Name>,
    /// The system call.
    pub call: Option<Name>,
    pub threads: u32,
}

/// A lock on a file that threads wait for: flock(2), or fcntl(2) with `F_SETLKW`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLock {
    /// `None` if the lock belongs to an open file description (`F_OFD_SETLKW`), or to a process that
    /// /proc does not show.
    pub holder: Option<Pid>,
    pub name: Option<Name>,
    pub threads: u32,
}
