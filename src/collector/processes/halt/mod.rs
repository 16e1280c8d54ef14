//! What keeps a suspect from running: a frozen control group, a tracer, a child that has its memory,
//! a quota of processor time, the kernel, a lock on a file. Where two readings can be had, what did
//! not last from one to the other is left out.

mod freezer;
mod hierarchy;
mod locks;
mod quota;
mod stuck;
mod vfork;

use std::path::Path;

pub(in crate::collector) use crate::collector::processes::halt::hierarchy::Hierarchies;
use crate::collector::processes::halt::hierarchy::bounded;
use crate::collector::processes::halt::quota::Limits;
use crate::collector::processes::threads::{Doing, Ticks, constant, directory, field, status};
use crate::model::{Freezer, Halt, Name, Pid, Tracer, Wait};

/// The text of /proc/PID/cgroup: a line for each hierarchy, and a path is at most 4 kB.
const CGROUP_MAX: u64 = 128 * 1024;

/// What holds for a process as a whole, at the first reading.
#[derive(Debug, Default)]
pub(super) struct Before {
    freezer: Option<Freezer>,
    limits: Limits,
}

/// The first reading of a process, by its directory in /proc.
pub(super) fn before(root: &Path, hierarchies: &Hierarchies) -> Before {
    let text = bounded(&root.join("cgroup"), CGROUP_MAX).unwrap_or_default();
    let mut freezers = hierarchies.groups(&text, b"freezer").into_iter();
    let cpu = hierarchies.groups(&text, b"cpu").into_iter().flatten();
    Before {
        freezer: freezers.find_map(|groups| freezer::of(&groups)),
        limits: Limits::of(cpu.collect()),
    }
}

/// A process that is asked.
pub(super) struct Asked<'a> {
    pub(super) proc_root: &'a Path,
    pub(super) pid: Pid,
    /// Its directory in /proc.
    pub(super) root: &'a Path,
    pub(super) before: Before,
    pub(super) waits: Option<&'a [Wait]>,
    pub(super) uptime_ms: Option<u64>,
}

impl Asked<'_> {
    /// What keeps it from running, by its threads at one or two readings.
    pub(super) fn halt(self, first: &Ticks, second: Option<&Ticks>) -> Halt {
        let lasting = |state| match second {
            Some(second) => constant(first, second, state),
            None => first.all(state),
        };
        let deep = lasting(Doing::Deep);
        let vfork = vfork::of(self.proc_root, self.root, &deep, self.uptime_ms);
        let mut stuck = Vec::new();
        // In version 1 the threads of a frozen group are shown so, too.
        if self.before.freezer.is_none() && second.is_some() {
            let forking = vfork.as_ref().map(|vfork| vfork.thread);
            stuck = stuck::of(
                self.root,
                deep.iter().filter(|thread| Some(**thread) != forking),
            );
        }
        Halt {
            freezer: self.before.freezer,
            tracer: lasting(Doing::Traced)
                .first()
                .map(|thread| tracer(self.proc_root, &directory(self.root, *thread))),
            vfork,
            quota: self.before.limits.quota(second.is_some()),
            stuck,
            locks: locks::of(self.proc_root, self.pid, self.waits.unwrap_or_default()),
        }
    }
}

/// Who traces a thread.
fn tracer(proc_root: &Path, task: &Path) -> Tracer {
    let text = status(task).unwrap_or_default();
    let number = field(&text, "TracerPid:").and_then(|pid| pid.parse().ok());
    let pid = number.filter(|pid| *pid != 0).map(Pid);
    Tracer {
        pid,
        name: pid.and_then(|pid| name(proc_root, pid)),
    }
}

/// What a process calls itself.
fn name(proc_root: &Path, pid: Pid) -> Option<Name> {
    /// `TASK_COMM_LEN`, and longer for threads of the kernel.
    const NAME_MAX: u64 = 64;
    let name = bounded(&proc_root.join(pid.to_string()).join("comm"), NAME_MAX)?;
    Some(Name::new(name.strip_suffix(b"\n").unwrap_or(&name)))
}
