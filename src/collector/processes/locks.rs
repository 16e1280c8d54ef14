//! The locks in memory that threads wait for (futex(2)), and who has them.

use std::collections::BTreeMap;
use std::path::Path;

use crate::collector::file;
use crate::collector::processes::waits::{self, COMM_MAX, Process, Thread};
use crate::model::{Lock, LockOwner, LockPlace, Name, Pid};

/// The most locks of one process that are told.
const LOCKS_MAX: usize = 8;
/// The most lines that are read of a table of the kernel's.
const LINES_MAX: usize = 65_536;

/// `op` of futex(2): the operation, and whether the process shares its futex with no other.
const OPERATION: u64 = 0x7f;
const PRIVATE: u64 = 0x80;
const WAIT: u64 = 0;
const LOCK_PI: u64 = 6;
const LOCK_PI2: u64 = 13;
/// Of the word of a futex with priority inheritance, the thread that owns it (`FUTEX_TID_MASK`).
const OWNER: u32 = 0x3fff_ffff;
/// What glibc's mutex has in its word while it is locked and waited for (`nptl/lowlevellock.h`).
/// A condition or a semaphore is waited for by another operation.
const CONTENDED: u32 = 2;

/// The locks that the threads of a process wait for, those with most waiters first. A place in the
/// process's own memory counts from two threads on: one alone is how runtimes park a thread.
pub(super) fn of(process: &Process<'_>, threads: &[Pid], inside: &[Thread]) -> Vec<Lock> {
    let mut waiters: BTreeMap<LockPlace, Vec<&Thread>> = BTreeMap::new();
    for thread in inside {
        if let Some(place) = place(process, thread) {
            waiters.entry(place).or_default().push(thread);
        }
    }
    waiters.retain(|place, waiters| waiters.len() > 1 || !matches!(place, LockPlace::Own(_)));
    let mut waiters: Vec<(LockPlace, Vec<&Thread>)> = waiters.into_iter().collect();
    waiters.sort_by_key(|(_, waiters)| std::cmp::Reverse(waiters.len()));
    waiters.truncate(LOCKS_MAX);
    let lock = |(place, waiters): (LockPlace, Vec<&Thread>)| {
        let mut thread_names: BTreeMap<Name, u32> = BTreeMap::new();
        for thread_name in waiters
            .iter()
            .filter_map(|thread| thread.thread_name.clone())
        {
            *thread_names.entry(thread_name).or_default() += 1;
        }
        Lock {
            held_by: held_by(process, &place, threads, &waiters),
            place,
            threads: u32::try_from(waiters.len()).unwrap_or(u32::MAX),
            thread_names: waits::most(thread_names),
        }
    };
    waiters.into_iter().map(lock).collect()
}

/// Where the lock is that a thread waits for, if it waits for one.
fn place(process: &Process<'_>, thread: &Thread) -> Option<LockPlace> {
    let [address, operation, _] = thread.arguments;
    match thread.call?.name {
        "futex" if operation & PRIVATE != 0 => Some(LockPlace::Own(address)),
        "futex" => Some(shared(&process.root, address).unwrap_or(LockPlace::Own(address))),
        _ => None,
    }
}

/// The place in shared memory that an address is, by lines such as
/// `7f2c14000000-7f2c14021000 rw-s 00000000 00:01 4097 /dev/zero (deleted)`; `None` where the
/// memory is the process's own.
fn shared(root: &Path, address: u64) -> Option<LockPlace> {
    let lines = file::lines(&root.join("maps")).ok()?;
    let mut lines = lines.map_while(Result::ok).take(LINES_MAX);
    lines.find_map(|line| parse_mapping(&line, address))
}

fn parse_mapping(line: &str, address: u64) -> Option<LockPlace> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let (start, end) = (hex(start)?, hex(end)?);
    let is_shared = words.next()?.ends_with('s');
    if !is_shared || !(start..end).contains(&address) {
        return None;
    }
    let mapped_from = hex(words.next()?)?;
    Some(LockPlace::Shared {
        device: words.next()?.to_owned().into(),
        inode: words.next()?.parse().ok()?,
        offset: mapped_from.checked_add(address - start)?,
    })
}

/// Who has a lock.
fn held_by(
    process: &Process<'_>,
    place: &LockPlace,
    threads: &[Pid],
    waiters: &[&Thread],
) -> Option<LockOwner> {
    let proc_root = process.root.parent()?;
    match place {
        LockPlace::Own(address) => {
            let owner = owner(process, *address, waiters)?;
            // Its number may be another one in the process's own PID namespace.
            let is_it = |thread: &Pid| {
                let task = process.root.join("task").join(thread.to_string());
                inner(&task) == Some(owner)
            };
            let thread = threads
                .iter()
                .find(|thread| thread.0 == owner && is_it(thread))
                .or_else(|| threads.iter().find(|thread| is_it(thread)))?;
            Some(told(process, *thread))
        }
        LockPlace::Shared { .. } => {
            let owner = owner(process, waiters.first()?.arguments[0], waiters)?;
            let thread = proc_root.join(owner.to_string());
            if inner(&thread) != Some(owner) {
                return None;
            }
            let group = field(&thread, "Tgid:")?.first().copied()?;
            let other = Process::open(&proc_root.join(group.to_string()), process.ends);
            Some(told(&other, Pid(owner)))
        }
    }
}

/// The thread that a mutex names as its owner, as the process numbers it; `None` where the place is
/// no mutex, or nobody's by now. `struct __pthread_mutex_s`: the word, a count, the owner.
fn owner(process: &Process<'_>, address: u64, waiters: &[&Thread]) -> Option<u32> {
    let word: [u8; 12] = process.memory(address)?;
    let number = |at: usize| {
        let bytes = word.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes))
    };
    let asks = |thread: &&Thread| thread.arguments[1] & OPERATION;
    let owner = if waiters
        .iter()
        .all(|thread| asks(thread) == WAIT && thread.arguments[2] as u32 == CONTENDED)
        && number(0)? == CONTENDED
    {
        number(8)?
    } else if waiters
        .iter()
        .all(|thread| matches!(asks(thread), LOCK_PI | LOCK_PI2))
    {
        number(0)? & OWNER
    } else {
        return None;
    };
    (owner != 0).then_some(owner)
}

/// A thread of a process, with what it does.
fn told(process: &Process<'_>, thread: Pid) -> LockOwner {
    let task = process.root.join("task").join(thread.to_string());
    let comm = file::head(&task.join("comm"), COMM_MAX).ok();
    let pid = field(&task, "Tgid:").and_then(|numbers| numbers.first().copied());
    let (call, target) = process.doing(thread).unzip();
    LockOwner {
        pid: pid.map_or(thread, Pid),
        name: comm.map(|comm| Name::new(comm.trim_ascii_end())),
        thread: Some(thread),
        call: call.map(Name::from),
        target: target.flatten(),
    }
}

/// What a thread is numbered in its own PID namespace.
fn inner(task: &Path) -> Option<u32> {
    field(task, "NSpid:")?.last().copied()
}

/// The numbers of a line of /proc/PID/status.
fn field(task: &Path, name: &str) -> Option<Vec<u32>> {
    let text = file::text(&task.join("status")).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace()
        .map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_shared_memory_is_the_same_place_for_all() {
        let line = "7f2c14000000-7f2c14021000 rw-s 00001000 00:01 4097   /dev/zero (deleted)";
        let place = |offset| {
            Some(LockPlace::Shared {
                device: "00:01".into(),
                inode: 4097,
                offset,
            })
        };
        assert_eq!(parse_mapping(line, 0x7f2c_1400_0040), place(0x1040));
        assert_eq!(parse_mapping(line, 0x7f2c_1402_1000), None);
        let own = line.replace("rw-s", "rw-p");
        assert_eq!(parse_mapping(&own, 0x7f2c_1400_0040), None);
        assert_eq!(parse_mapping("7f2c-", 1), None);
    }
}
