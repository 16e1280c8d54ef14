//! What keeps the threads of a process from running, as the kernel's files tell. Each part is
//! optional: what was not found, or may not be read, is `None`.

use serde::{Deserialize, Serialize};

use super::{Name, Pid};

/// What keeps a process, or threads of it, from running.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Halt {
    /// A control group that it is in is frozen.
    pub freezer: Option<Freezer>,
    /// Its threads are stopped, and this process traces it.
    pub tracer: Option<Tracer>,
    /// A thread waits for a child that uses its memory.
    pub vfork: Option<Vfork>,
    pub quota: Option<Quota>,
    /// Where its threads were in uninterruptible sleep throughout, the most frequent place first.
    pub stuck: Vec<Stuck>,
    /// The locks on files that its threads wait for.
    pub locks: Vec<FileLock>,
}

impl Halt {
    /// Whether nothing does.
    pub fn is_none(&self) -> bool {
        *self == Halt::default()
    }
}

/// A frozen control group: `cgroup.freeze` in version 2, `freezer.state` in version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freezer {
    /// The directory of the group that is frozen itself; `None` where it lies above what is to be
    /// seen here.
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

/// A container, by what its control group is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub engine: Option<Engine>,
    /// Its id, or its name where the group has that.
    pub id: Name,
}

/// What runs a container, where the name of the group tells.
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
    /// `None` where it lives outside of the PID namespace of /proc.
    pub pid: Option<Pid>,
    pub name: Option<Name>,
}

/// A thread in vfork(2), or in clone(2) with `CLONE_VFORK`: it sleeps until the child executes a
/// program or ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vfork {
    pub thread: Pid,
    pub child: Option<Pid>,
    /// The name of the child, which has it from its parent.
    pub name: Option<Name>,
    /// How long ago the child was made, in milliseconds.
    pub age_ms: Option<u64>,
    /// The system call that the child waits in.
    pub call: Option<Name>,
}

/// A limit of processor time: `cpu.max` in version 2, `cpu.cfs_quota_us` in version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// The directory of the group that is limited.
    pub directory: Name,
    pub container: Option<Container>,
    pub unit: Option<Name>,
    /// The time that all processes of the group may run in each period, in microseconds.
    pub quota_us: u64,
    pub period_us: u64,
    /// Since the group was made.
    pub total: Periods,
    /// Between two readings.
    pub sample: Option<Periods>,
}

/// Periods of a quota, as `cpu.stat` counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Periods {
    /// In which a process of the group wanted to run.
    pub all: u64,
    /// Those in which the quota ran out.
    pub throttled: u64,
}

/// Threads in uninterruptible sleep at one place of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// The function of the kernel that waits; `None` where it is not told.
    pub place: Option<Name>,
    /// The system call.
    pub call: Option<Name>,
    pub threads: u32,
}

/// A lock on a file that threads wait for: flock(2), or fcntl(2) with `F_SETLKW`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLock {
    /// `None` where the lock belongs to an open file (`F_OFD_SETLKW`), or to a process that
    /// /proc does not show.
    pub holder: Option<Pid>,
    pub name: Option<Name>,
    pub threads: u32,
}
