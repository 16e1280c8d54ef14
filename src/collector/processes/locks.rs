//! The locks in memory that threads wait for (futex(2)), and their owners.

use std::collections::BTreeMap;
use std::path::Path;

use crate::collector::file;
use crate::collector::processes::calls::Process;
use crate::collector::procfs::{comm, status_numbers};
use crate::collector::stacks::Waiting;
use crate::collector::thread_names::most_frequent;
use crate::model::{Lock, LockOwner, LockPlace, Name, Pid};

/// The most locks of one process that are kept.
const LOCKS_MAX: usize = 8;
/// The most lines of /proc/PID/maps that are read.
const LINES_MAX: usize = 65_536;

/// The `op` argument of futex(2): the operation, and the flag of a futex that no other process uses.
const OPERATION: u64 = 0x7f;
const PRIVATE: u64 = 0x80;
const WAIT: u64 = 0;
const LOCK_PI: u64 = 6;
const LOCK_PI2: u64 = 13;
/// The owning thread in the word of a futex with priority inheritance (`FUTEX_TID_MASK`).
const OWNER: u32 = 0x3fff_ffff;
/// The word of a glibc mutex that is locked and has waiters (`nptl/lowlevellock.h`). Waits for a
/// condition or a semaphore use another operation.
const CONTENDED: u32 = 2;

/// The locks that the threads of a process wait for, in descending order of waiters. A place in the
/// process's own memory counts from two threads on: runtimes park a single thread that way.
pub(super) fn of(process: &Process<'_>, threads: &[Pid], in_calls: &[Waiting]) -> Vec<Lock> {
    let mut waiters: BTreeMap<LockPlace, Vec<&Waiting>> = BTreeMap::new();
    for thread in in_calls {
        if let Some(place) = place(process, thread) {
            waiters.entry(place).or_default().push(thread);
        }
    }
    waiters.retain(|place, waiters| waiters.len() > 1 || !matches!(place, LockPlace::Own(_)));
    let mut waiters: Vec<(LockPlace, Vec<&Waiting>)> = waiters.into_iter().collect();
    waiters.sort_by_key(|(_, waiters)| std::cmp::Reverse(waiters.len()));
    waiters.truncate(LOCKS_MAX);
    let lock = |(place, waiters): (LockPlace, Vec<&Waiting>)| {
        let mut thread_names: BTreeMap<Name, u32> = BTreeMap::new();
        for thread_name in waiters.iter().filter_map(|thread| thread.name.clone()) {
            *thread_names.entry(thread_name).or_default() += 1;
        }
        Lock {
            held_by: held_by(process, &place, threads, &waiters),
            place,
            threads: u32::try_from(waiters.len()).unwrap_or(u32::MAX),
            thread_names: most_frequent(thread_names),
        }
    };
    waiters.into_iter().map(lock).collect()
}

/// The place of the lock that a thread waits for, if it waits for one.
fn place(process: &Process<'_>, thread: &Waiting) -> Option<LockPlace> {
    let [address, operation, _] = thread.arguments;
    match thread.call.bytes() {
        b"futex" if operation & PRIVATE != 0 => Some(LockPlace::Own(address)),
        b"futex" => Some(shared(&process.root, address).unwrap_or(LockPlace::Own(address))),
        _ => None,
    }
}

/// The place of an address in shared memory, from lines such as
/// `7f2c14000000-7f2c14021000 rw-s 00000000 00:01 4097 /dev/zero (deleted)`. `None` if the memory is
/// the process's own.
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

/// The owner of a lock.
fn held_by(
    process: &Process<'_>,
    place: &LockPlace,
    threads: &[Pid],
    waiters: &[&Waiting],
) -> Option<LockOwner> {
    let proc_root = process.root.parent()?;
    match place {
        LockPlace::Own(address) => {
            let owner = owner(process, *address, waiters)?;
            // The owner's number is that in the process's own PID namespace.
            let is_owner = |thread: &Pid| {
                let task = process.root.join("task").join(thread.to_string());
                inner(&task) == Some(owner)
            };
            let thread = threads
                .iter()
                .find(|thread| thread.0 == owner && is_owner(thread))
                .or_else(|| threads.iter().find(|thread| is_owner(thread)))?;
            Some(lock_owner(process, *thread))
        }
        LockPlace::Shared { .. } => {
            let owner = owner(process, waiters.first()?.arguments[0], waiters)?;
            let thread = proc_root.join(owner.to_string());
            if inner(&thread) != Some(owner) {
                return None;
            }
            let group = field(&thread, "Tgid:")?.first().copied()?;
            let other = Process::open(&proc_root.join(group.to_string()), process.sockets);
            Some(lock_owner(&other, Pid(owner)))
        }
    }
}

/// The owner in a mutex, a thread number in the process's own PID namespace. `None` if the place is no
/// mutex, or has no owner by now. `struct __pthread_mutex_s` starts with the word, a count, the owner.
fn owner(process: &Process<'_>, address: u64, waiters: &[&Waiting]) -> Option<u32> {
    let word: [u8; 12] = process.memory(address)?;
    let number = |at: usize| {
        let bytes = word.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes))
    };
    let operation = |thread: &&Waiting| thread.arguments[1] & OPERATION;
    let owner = if waiters
        .iter()
        .all(|thread| operation(thread) == WAIT && thread.arguments[2] as u32 == CONTENDED)
        && number(0)? == CONTENDED
    {
        number(8)?
    } else if waiters
        .iter()
        .all(|thread| matches!(operation(thread), LOCK_PI | LOCK_PI2))
    {
        number(0)? & OWNER
    } else {
        return None;
    };
    (owner != 0).then_some(owner)
}

/// A thread of a process, with the call it is in.
fn lock_owner(process: &Process<'_>, thread: Pid) -> LockOwner {
    let task = process.root.join("task").join(thread.to_string());
    let pid = field(&task, "Tgid:").and_then(|numbers| numbers.first().copied());
    let (call, target) = process.call_of(thread).unzip();
    LockOwner {
        pid: pid.map_or(thread, Pid),
        name: comm(&task),
        thread: Some(thread),
        call: call.map(Name::from),
        target: target.flatten(),
    }
}

/// The number of a thread in its own PID namespace.
fn inner(task: &Path) -> Option<u32> {
    field(task, "NSpid:")?.last().copied()
}

/// The numbers of a field of a thread's status.
fn field(task: &Path, name: &str) -> Option<Vec<u32>> {
    status_numbers(&file::text(&task.join("status")).ok()?, name)
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
