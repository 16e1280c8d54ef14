//! What keeps a suspect from running: a frozen control group, a tracer, a vfork child, a processor
//! quota, the kernel, a file lock. With two readings, only what lasted from one to the other counts.

mod freezer;
mod hierarchy;
mod locks;
mod quota;
mod stuck;
mod vfork;

use std::path::Path;

use crate::collector::file;
pub(super) use crate::collector::processes::halt::freezer::whose;
pub(super) use crate::collector::processes::halt::hierarchy::Hierarchies;
use crate::collector::processes::halt::quota::Limits;
use crate::collector::processes::threads::{
    ThreadState, Ticks, directory, in_state_throughout, status,
};
use crate::collector::procfs::{comm, status_field};
use crate::model::{Freezer, Halt, Pid, Tracer, Wait};

/// The most bytes of /proc/PID/cgroup: one line per hierarchy, with a path of up to 4 kB.
pub(super) const CGROUP_MAX: u64 = 128 * 1024;

/// The control groups of a process at the first reading.
#[derive(Debug, Default)]
pub(super) struct FirstReading {
    freezer: Option<Freezer>,
    limits: Limits,
}

impl FirstReading {
    /// Reads a process, by its directory in /proc.
    pub(super) fn of(root: &Path, hierarchies: &Hierarchies) -> FirstReading {
        let text = file::head(&root.join("cgroup"), CGROUP_MAX).unwrap_or_default();
        let mut freezers = hierarchies.groups(&text, b"freezer").into_iter();
        let cpu = hierarchies.groups(&text, b"cpu").into_iter().flatten();
        FirstReading {
            freezer: freezers.find_map(|groups| freezer::of(&groups)),
            limits: Limits::of(cpu.collect()),
        }
    }
}

/// What has been read of a process.
pub(super) struct Readings<'a> {
    pub(super) proc_root: &'a Path,
    pub(super) pid: Pid,
    /// Its directory in /proc.
    pub(super) root: &'a Path,
    pub(super) first: FirstReading,
    pub(super) waits: Option<&'a [Wait]>,
    pub(super) uptime_ms: Option<u64>,
}

impl Readings<'_> {
    /// What keeps the process from running, given its threads at one or two readings.
    pub(super) fn halt(self, first: &Ticks, second: Option<&Ticks>) -> Halt {
        let lasting = |state| match second {
            Some(second) => in_state_throughout(first, second, state),
            None => first.all(state),
        };
        let uninterruptible = lasting(ThreadState::Uninterruptible);
        let vfork = vfork::of(self.proc_root, self.root, &uninterruptible, self.uptime_ms);
        let mut stuck = Vec::new();
        // The threads of a frozen group of version 1 are in this state too.
        if self.first.freezer.is_none() && second.is_some() {
            let forking = vfork.as_ref().map(|vfork| vfork.thread);
            stuck = stuck::of(
                self.root,
                uninterruptible
                    .iter()
                    .filter(|thread| Some(**thread) != forking),
            );
        }
        Halt {
            freezer: self.first.freezer,
            tracer: lasting(ThreadState::Traced)
                .first()
                .map(|thread| tracer(self.proc_root, &directory(self.root, *thread))),
            vfork,
            quota: self.first.limits.quota(second.is_some()),
            stuck,
            locks: locks::of(self.proc_root, self.pid, self.waits.unwrap_or_default()),
        }
    }
}

/// The tracer of a thread.
fn tracer(proc_root: &Path, task: &Path) -> Tracer {
    let text = status(task).unwrap_or_default();
    let number = status_field(&text, "TracerPid:").and_then(|pid| pid.parse().ok());
    let pid = number.filter(|pid| *pid != 0).map(Pid);
    Tracer {
        pid,
        name: pid.and_then(|pid| comm(&proc_root.join(pid.to_string()))),
    }
}
