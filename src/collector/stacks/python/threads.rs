//! The threads that the interpreter knows, and which thread of the kernel each of them is.

use std::path::Path;

use rustc_hash::{FxHashMap, FxHashSet};

use super::object::Objects;
use crate::collector::file;
use crate::collector::stacks::budget::Limit;
use crate::collector::stacks::memory::Memory;
use crate::model::Pid;

/// The most interpreters: a program may have several (PEP 734).
const INTERPRETERS_MAX: usize = 64;
/// The most threads of all interpreters.
const THREADS_MAX: usize = 10_000;
/// The bytes of a thread's `struct pthread` that are searched for its number. glibc has it at 720 on x86-64,
/// musl at 48.
const HANDLE_SIZE: usize = 1024;
/// How many threads are tried first.
const SAMPLE: usize = 16;

/// A thread of the interpreter (`PyThreadState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) address: u64,
    handle: u64,
    /// As the thread itself sees it: within its PID namespace.
    number: Option<u64>,
}

/// What the interpreter runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Running {
    /// The addresses of the interpreters.
    pub(super) interpreters: Vec<u64>,
    pub(super) threads: Vec<State>,
}

/// The interpreters of a process and their threads. `None` if there are none.
pub(super) fn running<M: Memory>(objects: &Objects<'_, M>, runtime: u64) -> Option<Running> {
    let layout = objects.layout;
    let mut running = Running::default();
    let mut interpreter = objects.pointer(runtime, layout.interpreters);
    while let Some(address) = interpreter {
        if running.interpreters.len() == INTERPRETERS_MAX || running.interpreters.contains(&address)
        {
            break;
        }
        running.interpreters.push(address);
        let mut thread = objects.pointer(address, layout.interpreter.threads);
        while let Some(found) = thread {
            // A list that changes may lead anywhere, or in a circle.
            let is_its = objects.pointer(found, layout.thread.interpreter) == Some(address);
            let is_full = running.threads.len() == THREADS_MAX || objects.limit.is_reached();
            if !is_its || is_full {
                break;
            }
            running.threads.extend(state(objects, found));
            thread = objects.pointer(found, layout.thread.next);
        }
        interpreter = objects.pointer(address, layout.interpreter.next);
    }
    let mut seen = FxHashSet::default();
    running.threads.retain(|thread| seen.insert(thread.address));
    (!running.threads.is_empty()).then_some(running)
}

fn state<M: Memory>(objects: &Objects<'_, M>, address: u64) -> Option<State> {
    let layout = objects.layout.thread;
    let at = |offset| objects.memory.u64_at(address.checked_add(offset)?);
    Some(State {
        address,
        handle: at(layout.handle)?,
        number: layout.number.and_then(at),
    })
}

/// The threads of a process, by the number that each has in its own PID namespace.
#[derive(Debug, Default)]
pub(super) struct Numbers(pub(super) FxHashMap<u64, Pid>);

impl Numbers {
    pub(super) fn read(root: &Path, limit: Limit) -> Numbers {
        let mut numbers = FxHashMap::default();
        let entries = file::entries(&root.join("task")).into_iter().flatten();
        for entry in entries.flatten().take(THREADS_MAX) {
            let name = entry.file_name();
            let Some(thread) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            numbers.insert(u64::from(thread), Pid(thread));
        }
        if is_in_other_namespace(root) {
            let inner = |thread: &Pid| {
                if limit.is_reached() {
                    return None;
                }
                let status = root.join("task").join(thread.to_string()).join("status");
                innermost(&file::text(&status).ok()?)
            };
            let threads = numbers.into_values();
            numbers = threads
                .filter_map(|thread| Some((inner(&thread)?, thread)))
                .collect();
        }
        Numbers(numbers)
    }

    /// Which thread of the kernel each thread of the interpreter is.
    pub(super) fn of<M: Memory>(&self, memory: &M, threads: &[State]) -> Vec<Option<Pid>> {
        let recorded = |thread: &State| self.0.get(&thread.number?).copied();
        let recorded: Vec<Option<Pid>> = threads.iter().map(recorded).collect();
        let known: FxHashSet<Pid> = recorded.iter().flatten().copied().collect();
        let is_complete = known.len() == threads.len();
        if is_complete {
            return recorded;
        }
        // None is recorded before 3.11, and after a fork it may be that of the parent.
        self.by_handle(memory, threads).unwrap_or(recorded)
    }

    /// By the number in each thread's `struct pthread`, whose place is not the same in every C library: at
    /// only one offset all have different numbers of this process's threads.
    fn by_handle<M: Memory>(&self, memory: &M, threads: &[State]) -> Option<Vec<Option<Pid>>> {
        let blocks: Vec<Option<Vec<u8>>> = threads
            .iter()
            .map(|thread| memory.bytes(thread.handle, HANDLE_SIZE))
            .collect();
        let readable = blocks.iter().flatten().count();
        let number = |block: &Option<Vec<u8>>, offset: usize| {
            let bytes = block.as_ref()?.get(offset..)?.first_chunk()?;
            self.0.get(&u64::from(u32::from_le_bytes(*bytes))).copied()
        };
        let mut best: Option<Vec<Option<Pid>>> = None;
        let mut most = 0;
        for offset in (0..HANDLE_SIZE).step_by(4) {
            // Mostly the first threads tell that it is not there.
            if !blocks
                .iter()
                .take(SAMPLE)
                .any(|block| number(block, offset).is_some())
            {
                continue;
            }
            let found: Vec<Option<Pid>> =
                blocks.iter().map(|block| number(block, offset)).collect();
            let count = found.iter().flatten().count();
            let different: FxHashSet<&Pid> = found.iter().flatten().collect();
            if different.len() != count || count < most || count == 0 {
                continue;
            }
            match &best {
                // Two offsets that say different things: neither is known to be right.
                Some(other) if count == most && *other != found => best = None,
                _ => best = Some(found),
            }
            most = count;
        }
        best.filter(|_| most * 2 > readable)
    }
}

fn is_in_other_namespace(root: &Path) -> bool {
    let status = file::text(&root.join("status")).unwrap_or_default();
    numbers(&status).count() > 1
}

/// The number of a thread in each PID namespace, the innermost last.
fn numbers(status: &str) -> impl DoubleEndedIterator<Item = &str> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    line.unwrap_or_default().split_ascii_whitespace()
}

fn innermost(status: &str) -> Option<u64> {
    numbers(status).next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::stacks::memory::Pieces;

    /// The `struct pthread` of three threads, with numbers at some offsets.
    fn memory(numbers: &[(usize, [u32; 3])]) -> (Pieces, Vec<State>) {
        let handles = [0x1000, 0x2000, 0x3000];
        let mut pieces = Pieces::default();
        for (index, handle) in handles.iter().enumerate() {
            let mut block = vec![0; HANDLE_SIZE];
            for (offset, values) in numbers {
                block[*offset..][..4].copy_from_slice(&values[index].to_le_bytes());
            }
            pieces.0.push((*handle, block));
        }
        let state = |handle: &u64| State {
            address: *handle,
            handle: *handle,
            number: None,
        };
        (pieces, handles.iter().map(state).collect())
    }

    fn of(numbers: &[(usize, [u32; 3])]) -> Vec<u32> {
        let known = [10, 11, 12, 13].map(|number: u32| (number.into(), Pid(number)));
        let (memory, threads) = memory(numbers);
        let found = Numbers(known.into_iter().collect()).of(&memory, &threads);
        found.iter().map(|pid| pid.map_or(0, |pid| pid.0)).collect()
    }

    #[test]
    fn the_number_of_a_thread_is_where_all_have_different_ones() {
        let right = (720, [10, 12, 11]);
        assert_eq!(of(&[right]), [10, 12, 11]);
        // Behind it, older C libraries have the number of the process.
        assert_eq!(of(&[right, (724, [10; 3])]), [10, 12, 11]);
        assert_eq!(of(&[(16, [0, 0, 10]), right]), [10, 12, 11]);
        // One has ended.
        assert_eq!(of(&[(48, [10, 99, 11])]), [10, 0, 11]);
        // Two places that say different things; too few.
        assert_eq!(of(&[right, (48, [10, 11, 12])]), [0, 0, 0]);
        assert_eq!(of(&[right, (48, [10, 12, 11])]), [10, 12, 11]);
        assert_eq!(of(&[(48, [10, 0, 0])]), [0, 0, 0]);
    }

    #[test]
    fn numbers_that_the_interpreter_records_need_no_search() {
        let (memory, mut threads) = memory(&[(720, [10, 11, 12])]);
        for (thread, number) in threads.iter_mut().zip([12, 11, 10]) {
            thread.number = Some(number);
        }
        let known = [10, 11, 12].map(|number: u32| (number.into(), Pid(number)));
        let numbers = Numbers(known.into_iter().collect());
        assert_eq!(
            numbers.of(&memory, &threads),
            [12, 11, 10].map(|it| Some(Pid(it)))
        );
        // After a fork one is still that of the parent.
        threads[0].number = Some(5);
        assert_eq!(
            numbers.of(&memory, &threads),
            [10, 11, 12].map(|it| Some(Pid(it)))
        );
    }

    #[test]
    fn the_number_in_the_own_namespace_is_the_last() {
        let status = "Name:\tpython3\nNSpid:\t1200\t17\t1\nThreads:\t3\n";
        assert_eq!(innermost(status), Some(1));
        assert_eq!(numbers(status).count(), 3);
        assert_eq!(innermost("Name:\tpython3\n"), None);
        let numbers = Numbers::read(Path::new("/proc/self"), Limit::none());
        assert!(numbers.0.contains_key(&std::process::id().into()));
    }
}
