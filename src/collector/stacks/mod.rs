//! Where in its code a process waits: the stacks of its threads, copied from its memory while it runs.
//!
//! Nothing is attached, stopped, signalled or written. It needs the right to trace the process: root, or
//! the same user where Yama allows it (ptrace(2), "Ptrace access mode checking"). Everything read is
//! hostile: addresses lead anywhere, lists have no end, files change meanwhile.

mod budget;
mod elf;
pub(crate) mod go;
mod group;
pub(crate) mod jvm;
mod maps;
mod memory;
pub(crate) mod native;
mod pages;
pub(crate) mod perf_map;
pub(crate) mod python;
mod threads;

use std::io;
use std::path::Path;
use std::time::Instant;

use self::budget::Limit;
use self::group::{Found, grouped};
use self::maps::Mappings;
use self::memory::ProcessMemory;
use crate::collector::watchdog;
use crate::model::{Runtime, Stacks, WaitTarget, Words};

pub(in crate::collector) use self::budget::Budget;
pub(in crate::collector) use self::threads::{Threads, Waiting};

/// Reads the stacks of a process, from its directory in /proc and its threads. `target` tells
/// what one of its descriptors refers to.
pub(in crate::collector) fn of(
    root: &Path,
    threads: Threads,
    runtime: Runtime,
    budget: &mut Budget,
    target: impl FnMut(u32) -> Option<WaitTarget>,
) -> Stacks {
    let start = Instant::now();
    let found = match budget.of_a_process() {
        None => unread("its stacks were not read: the time for all processes was used up".into()),
        Some(limit) => {
            let root = root.to_owned();
            let read = move || Ok::<_, io::Error>(read(&root, &threads, runtime, limit));
            let found = watchdog::with_timeout(read);
            match found {
                Ok(Ok(found)) => found,
                Ok(Err(why)) => unread(why),
                Err(_) => unread("its stacks were not read: its files do not answer".into()),
            }
        }
    };
    let stacks = grouped(found, Limit::of_lookups(), target);
    budget.spend(start);
    stacks
}

fn unread(why: Words) -> Found {
    Found {
        unread: vec![why],
        ..Found::default()
    }
}

fn read(root: &Path, threads: &Threads, runtime: Runtime, limit: Limit) -> Result<Found, Words> {
    let refused = "its memory may not be read (needs root, or its user)";
    let mappings = Mappings::read(root).ok_or(refused)?;
    let memory = ProcessMemory::open(root, &mappings).ok_or(refused)?;
    let process = Process {
        root,
        mappings: &mappings,
        memory: &memory,
        waiting: &threads.waiting,
        limit,
    };
    if runtime == Runtime::Go {
        // The goroutines of a Go program say more than its threads, which run any of them.
        return go::stacks(&process).or_else(|why| {
            let mut found = unread(why);
            found.add(native::stacks(&process)?);
            found.moved = found.moved.saturating_add(threads.others);
            Ok(found)
        });
    }
    let Some(read) = python::stacks(&process, runtime) else {
        let mut found = native::stacks(&process)?;
        found.moved = found.moved.saturating_add(threads.others);
        if runtime == Runtime::Java {
            found.version = jvm::version(&mappings, &memory);
            jvm::forget_locks(&mut found.stacks);
        }
        return Ok(found);
    };
    let python::Read {
        mut found,
        absent,
        others,
    } = read.unwrap_or_else(|why| python::Read {
        found: unread(why),
        absent: 0,
        others: threads.waiting.clone(),
    });
    // Threads that are not Python's.
    if !others.is_empty() {
        let waiting = &others;
        found.add(native::stacks(&Process { waiting, ..process })?);
    }
    // A thread of Python that does not wait is among those that run.
    found.moved = found.moved.saturating_add(absent.max(threads.others));
    Ok(found)
}

/// A process whose stacks are read.
struct Process<'a> {
    /// `/proc/PID`.
    root: &'a Path,
    mappings: &'a Mappings,
    memory: &'a ProcessMemory<'a>,
    /// Its waiting threads, in ascending order.
    waiting: &'a [Waiting],
    limit: Limit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_for_which_no_time_is_left_says_so() {
        let mut budget = Budget::of_a_run();
        let long_ago = Instant::now().checked_sub(std::time::Duration::from_secs(60));
        budget.spend(long_ago.unwrap());
        let root = Path::new("/proc/self");
        let stacks = of(
            root,
            Threads::default(),
            Runtime::Native,
            &mut budget,
            |_| None,
        );
        let why = "its stacks were not read: the time for all processes was used up";
        assert_eq!(stacks.unread, [Words::from(why)]);
        assert!(stacks.groups.is_empty());
    }

    #[test]
    fn threads_that_run_are_counted_as_missing() {
        let threads = Threads {
            waiting: Vec::new(),
            others: 3,
        };
        let root = Path::new("/proc/self");
        for runtime in [Runtime::Native, Runtime::Java] {
            let mut budget = Budget::of_a_run();
            let stacks = of(root, threads.clone(), runtime, &mut budget, |_| None);
            assert_eq!((stacks.moved, stacks.groups.len()), (3, 0));
        }
    }
}
