//! What a stack shows of the work.

use super::fold::Folded;
use crate::classifier::workers::WaitsFor;
use crate::model::{Name, StackGroup, StackOf};

/// The innermost functions that tell how a thread waits.
const INNERMOST: usize = 8;

/// What a stack shows of the work, the most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// It waits for an answer of another service, or for a file.
    Awaits,
    /// It waits for a lock, as others do.
    Locked,
    /// It is in functions of the program.
    Works,
    /// It waits for a condition, or for one of several descriptors: there may be nothing to do.
    Parks,
    /// It waits for a connection or for events.
    Idles,
    /// It is only in the runtime.
    Apart,
}

/// What a futex is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    Lock,
    /// A condition or a semaphore: another thread ends the wait when there is something to do.
    Condition,
    /// One or the other.
    Either,
}

impl LockKind {
    /// By the functions that wait; `None` if it waits for no lock.
    pub(super) fn of(group: &StackGroup) -> Option<LockKind> {
        let state = group.state.as_ref().map_or(b"".as_slice(), Name::bytes);
        if group.of == StackOf::Goroutines {
            let is_lock = state.starts_with(b"sync.Mutex") || state.starts_with(b"sync.RWMutex");
            // Before Go 1.20, the function tells what it is.
            let is_in = |names: [&[u8]; 2]| {
                let mut functions = group.frames.iter().take(INNERMOST);
                functions.any(|frame| {
                    let function = frame.function.as_ref().map_or(b"".as_slice(), Name::bytes);
                    names.iter().any(|name| function.starts_with(name))
                })
            };
            return match state {
                _ if is_lock => Some(LockKind::Lock),
                b"semacquire" if is_in([b"sync.(*Mutex)", b"sync.(*RWMutex)"]) => {
                    Some(LockKind::Lock)
                }
                b"semacquire" if is_in([b"sync.(*WaitGroup)", b"sync.(*Cond)"]) => {
                    Some(LockKind::Condition)
                }
                b"semacquire" => Some(LockKind::Either),
                b"sync.Cond.Wait" | b"sync.WaitGroup.Wait" => Some(LockKind::Condition),
                _ => None,
            };
        }
        group.lock?;
        let innermost = || {
            let frames = group.frames.iter().take(INNERMOST);
            frames.filter_map(|frame| frame.function.as_ref().map(Name::bytes))
        };
        let is =
            |words: &[&[u8]]| innermost().any(|name| words.iter().any(|word| contains(name, word)));
        let conditions: [&[u8]; 7] = [
            b"cond_",
            b"Condvar",
            b"condition_variable",
            b"sem_",
            b"Condition.",
            b"park",
            b"Park",
        ];
        let locks: [&[u8]; 6] = [
            b"mutex",
            b"Mutex",
            b"rwlock",
            b"RwLock",
            b"lll_lock",
            b"Lock.acquire",
        ];
        Some(if is(&conditions) {
            LockKind::Condition
        } else if is(&locks) {
            LockKind::Lock
        } else {
            LockKind::Either
        })
    }
}

impl Doing {
    /// By what is waited for, and how. `lock` is one that several wait for.
    pub(super) fn of(
        group: &StackGroup,
        targets: &[(WaitsFor, u64)],
        lock: Option<LockKind>,
        folded: &Folded,
    ) -> Doing {
        let is_path =
            |name: &Name| name.bytes().starts_with(b"/") && !name.bytes().starts_with(b"/dev/");
        let is_goroutine = group.of == StackOf::Goroutines;
        match targets.first() {
            Some((WaitsFor::Service(_), _)) => return Doing::Awaits,
            Some((WaitsFor::File(name), _)) if is_path(name) => return Doing::Awaits,
            Some((WaitsFor::Listener(_), _)) => return Doing::Idles,
            _ => {}
        }
        let kind = LockKind::of(group);
        // The state of a goroutine says that it is a lock, whoever else waits for it.
        let lock = lock.or(kind.filter(|kind| *kind == LockKind::Lock && is_goroutine));
        match lock {
            Some(LockKind::Lock | LockKind::Either) if folded.says() => return Doing::Locked,
            _ => {}
        }
        let state = state_of(group);
        let (is_loop, is_poll) = (is_loop(state), is_poll(state));
        let accepts = state.starts_with(b"accept");
        match group.of {
            StackOf::Threads if is_loop || accepts => Doing::Idles,
            _ if !folded.says() => Doing::Apart,
            StackOf::Threads if is_poll && targets.is_empty() => Doing::Parks,
            _ if kind.is_some() => Doing::Parks,
            _ => Doing::Works,
        }
    }
}

/// Whether it waits for one of several descriptors.
pub(super) fn waits_for_events(group: &StackGroup) -> bool {
    let state = state_of(group);
    is_loop(state) || is_poll(state)
}

fn state_of(group: &StackGroup) -> &[u8] {
    group.state.as_ref().map_or(b"".as_slice(), Name::bytes)
}

fn is_loop(state: &[u8]) -> bool {
    state.starts_with(b"epoll_") || state == b"io_uring_enter"
}

fn is_poll(state: &[u8]) -> bool {
    state.starts_with(b"poll") || state == b"ppoll" || contains(state, b"select")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
