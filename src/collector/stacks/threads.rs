//! The threads of a process that wait, as they were read: where each is in its code, and what it waits
//! for. See proc_pid_syscall(5).

use std::path::{Path, PathBuf};

use crate::collector::{file, syscalls};
use crate::model::{Name, Pid, WaitKind, WaitTarget};

/// All threads of a process.
#[derive(Debug, Clone, Default)]
pub(in crate::collector) struct Threads {
    /// In ascending order.
    pub(in crate::collector) waiting: Vec<Waiting>,
    /// How many more there are. They run, or it is unknown where they are: they have no stack.
    pub(in crate::collector) others: u32,
}

/// A thread that waits.
#[derive(Debug, Clone)]
pub(in crate::collector) struct Waiting {
    pub(in crate::collector) thread: Pid,
    /// Its name without digits at the end; `None` if the process has one thread.
    pub(in crate::collector) name: Option<Name>,
    /// The name of its system call, or `system call N`.
    pub(in crate::collector) call: Name,
    pub(in crate::collector) kind: WaitKind,
    pub(in crate::collector) target: Option<WaitTarget>,
    pub(in crate::collector) arguments: [u64; 3],
    /// The text of its `syscall`, which ends with the stack pointer and the program counter.
    pub(in crate::collector) text: String,
}

impl Waiting {
    /// Whether the thread is still in the same call, at the same place. Its stack has not changed then,
    /// unless it returned meanwhile and came back.
    pub(super) fn is_still(&self, root: &Path) -> bool {
        self.now(root).is_some_and(|text| text == self.text)
    }

    /// The stack pointer and the program counter as they are now, if the thread waits in the same call for
    /// the same thing: it may have done something in between.
    pub(super) fn registers_now(&self, root: &Path) -> Option<(u64, u64)> {
        let text = self.now(root)?;
        let waits_for = |text| syscalls::parse(text).map(|(call, [first, ..])| (call, first));
        let is_same = waits_for(&text).is_some_and(|now| Some(now) == waits_for(&self.text));
        registers(&text).filter(|_| is_same)
    }

    fn now(&self, root: &Path) -> Option<String> {
        file::text(&self.task(root).join("syscall")).ok()
    }

    /// How often the thread has begun to run on a processor. `None` if the kernel does not count it, see
    /// `sched_info_arrive` in kernel/sched/stats.h. If the number is the same before a look at a waiting
    /// thread and later, it has not run in between.
    pub(super) fn runs(&self, root: &Path) -> Option<u64> {
        let text = file::text(&self.task(root).join("schedstat")).ok()?;
        let runs = text.split_ascii_whitespace().nth(2)?.parse().ok()?;
        (runs > 0).then_some(runs)
    }

    fn task(&self, root: &Path) -> PathBuf {
        root.join("task").join(self.thread.to_string())
    }
}

/// The last two numbers of a `syscall` text.
fn registers(text: &str) -> Option<(u64, u64)> {
    let mut last = text.split_ascii_whitespace().rev();
    let mut register = || u64::from_str_radix(last.next()?.strip_prefix("0x")?, 16).ok();
    let program_counter = register()?;
    Some((register()?, program_counter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(text: &str) -> Waiting {
        Waiting {
            thread: Pid(std::process::id()),
            name: None,
            call: Name::new(*b"read"),
            kind: WaitKind::Descriptor,
            target: None,
            arguments: [0; 3],
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_last_two_numbers_are_stack_pointer_and_program_counter() {
        let text = "0 0x3 0x7ffe 0x1000 0x0 0x0 0x0 0x7ffe10 0x7f01\n";
        assert_eq!(registers(text), Some((0x7ffe10, 0x7f01)));
        assert_eq!(registers("running\n"), None);
        assert_eq!(registers("0x1"), None);
        assert!(!waiting(text).is_still(Path::new("/proc/self")));
    }
}
