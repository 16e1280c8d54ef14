//! What the threads of a process wait for: the system call of each, the descriptor it is on, and the
//! thread's name. See proc_pid_syscall(5).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::collector::processes::by_inode::SocketsByInode;
use crate::collector::processes::calls::{self, Process};
use crate::collector::processes::locks;
use crate::collector::processes::runtime::is_32_bit;
use crate::collector::stacks::Waiting;
use crate::collector::thread_names::{most_frequent, pool_name};
use crate::collector::{file, syscalls};
use crate::model::{Lock, Name, NamedThreads, Pid, Wait, WaitKind, WaitTarget};

/// What the threads of one process wait for.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// In descending order of threads.
    pub(super) waits: Vec<Wait>,
    pub(super) thread_names: Vec<NamedThreads>,
    pub(super) locks: Vec<Lock>,
    /// The threads one by one, in ascending order.
    pub(super) threads: Vec<Waiting>,
    /// How many more there are: they run, are blocked outside a system call, or could not be read.
    pub(super) others: u32,
}

/// The call, its kind, and what it waits for.
type WaitKey = (String, WaitKind, Option<WaitTarget>);

/// What these threads wait for. `None` if none of them could be read.
pub(super) fn of(root: &Path, threads: &[Pid], sockets: &SocketsByInode<'_>) -> Option<Waits> {
    if is_32_bit(root) {
        // Its system calls have other numbers.
        return None;
    }
    let process = Process::open(root, sockets);
    let mut readable = false;
    let mut others = 0_u32;
    let mut thread_names: BTreeMap<Name, u32> = BTreeMap::new();
    let mut in_calls: Vec<Waiting> = Vec::new();
    let mut counts: BTreeMap<WaitKey, BTreeMap<Option<Name>, u32>> = BTreeMap::new();
    for thread in threads {
        let task = root.join("task").join(thread.to_string());
        let text = match file::text(&task.join("syscall")) {
            Ok(text) => text,
            Err(error) => {
                others += u32::from(!has_ended(&error));
                continue;
            }
        };
        readable = true;
        // The name of a single thread is that of the process.
        let thread_name = (threads.len() > 1).then(|| pool_name(&task)).flatten();
        if let Some(thread_name) = &thread_name {
            *thread_names.entry(thread_name.clone()).or_default() += 1;
        }
        let Some((number, arguments)) = syscalls::parse(&text) else {
            others += 1;
            continue;
        };
        let call = syscalls::call(number);
        let (kind, target) = process.waits_on(call, arguments);
        let name = calls::name(call, number);
        in_calls.push(Waiting {
            thread: *thread,
            name: thread_name.clone(),
            call: name.as_str().into(),
            kind,
            target: target.clone(),
            arguments,
            text,
        });
        let by_name = counts.entry((name, kind, target)).or_default();
        *by_name.entry(thread_name).or_default() += 1;
    }
    let mut waits: Vec<Wait> = counts
        .into_iter()
        .map(|((call, kind, target), by_name)| Wait {
            call: call.into(),
            kind,
            target,
            threads: by_name.values().sum(),
            thread_names: most_frequent(
                by_name.into_iter().filter_map(|(name, n)| Some((name?, n))),
            ),
        })
        .collect();
    waits.sort_by_key(|wait| std::cmp::Reverse(wait.threads));
    readable.then(|| Waits {
        waits,
        thread_names: most_frequent(thread_names),
        locks: locks::of(&process, threads, &in_calls),
        threads: in_calls,
        others,
    })
}

/// Whether a thread is no more: there is no such file, or no such thread any more.
fn has_ended(error: &io::Error) -> bool {
    let gone = rustix::io::Errno::SRCH.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(gone)
}
