//! What the threads of a process wait for: the system call that each is in, on which descriptor,
//! under which name. See proc_pid_syscall(5) and proc_pid_fdinfo(5).

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::collector::file::{self, Opened};
use crate::collector::processes::locks;
use crate::collector::processes::{Ends, is_32_bit};
use crate::collector::procfs::socket_inode;
use crate::collector::syscalls::{self, Call, Takes};
use crate::model::{Lock, Name, NamedThreads, Pid, State, Wait, WaitKind, WaitTarget};

/// A wait on more descriptors than this is an event loop's, not one for one of them.
const FEW: usize = 8;
/// The highest descriptor that select(2) takes (`FD_SETSIZE`), and one.
const SELECT_MAX: u64 = 1024;
/// The most names of threads that are told of one wait.
const THREAD_NAMES_MAX: usize = 16;
/// A name of a thread has 15 bytes, one of the kernel's up to 63.
pub(super) const COMM_MAX: u64 = 64;

/// What the threads of one process wait for.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The most frequent first.
    pub(super) waits: Vec<Wait>,
    pub(super) thread_names: Vec<NamedThreads>,
    pub(super) locks: Vec<Lock>,
}

/// The call, its kind, and what it is on.
type What = (String, WaitKind, Option<WaitTarget>);

/// A thread in a system call.
#[derive(Debug, Clone)]
pub(super) struct Thread {
    pub(super) thread_name: Option<Name>,
    pub(super) call: Option<Call>,
    pub(super) arguments: [u64; 3],
}

/// What these threads wait for; `None` when not one of them may be asked.
pub(super) fn of(root: &Path, threads: &[Pid], ends: &Ends<'_>) -> Option<Waiting> {
    if is_32_bit(root) {
        // Its system calls have numbers of their own.
        return None;
    }
    let process = Process::open(root, ends);
    let mut asked = false;
    let mut thread_names: BTreeMap<Name, u32> = BTreeMap::new();
    let mut inside: Vec<Thread> = Vec::new();
    let mut counts: BTreeMap<What, BTreeMap<Option<Name>, u32>> = BTreeMap::new();
    for thread in threads {
        let task = root.join("task").join(thread.to_string());
        let Ok(text) = file::text(&task.join("syscall")) else {
            continue;
        };
        asked = true;
        // The only thread is called what the process is.
        let thread_name = (threads.len() > 1).then(|| thread_name(&task)).flatten();
        if let Some(thread_name) = &thread_name {
            *thread_names.entry(thread_name.clone()).or_default() += 1;
        }
        let Some((number, arguments)) = parse_syscall(&text) else {
            continue;
        };
        let call = syscalls::call(number);
        let (kind, target) = process.waits_on(call, arguments);
        let name = name(call, number);
        let by_name = counts.entry((name, kind, target)).or_default();
        *by_name.entry(thread_name.clone()).or_default() += 1;
        inside.push(Thread {
            thread_name,
            call,
            arguments,
        });
    }
    let mut waits: Vec<Wait> = counts
        .into_iter()
        .map(|((call, kind, target), by_name)| Wait {
            call: call.into(),
            kind,
            target,
            threads: by_name.values().sum(),
            thread_names: most(by_name.into_iter().filter_map(|(name, n)| Some((name?, n)))),
        })
        .collect();
    waits.sort_by_key(|wait| std::cmp::Reverse(wait.threads));
    asked.then(|| Waiting {
        waits,
        thread_names: most(thread_names),
        locks: locks::of(&process, threads, &inside),
    })
}

/// The most frequent names first, and not too many.
pub(super) fn most(thread_names: impl IntoIterator<Item = (Name, u32)>) -> Vec<NamedThreads> {
    let thread_name = |(name, threads)| NamedThreads { name, threads };
    let mut thread_names: Vec<NamedThreads> = thread_names.into_iter().map(thread_name).collect();
    thread_names.sort_by_key(|thread_name| std::cmp::Reverse(thread_name.threads));
    thread_names.truncate(THREAD_NAMES_MAX);
    thread_names
}

/// The name of a thread without the digits at its end: those of a pool are numbered.
fn thread_name(task: &Path) -> Option<Name> {
    Some(folded(
        file::head(&task.join("comm"), COMM_MAX)
            .ok()?
            .trim_ascii_end(),
    ))
}

fn folded(comm: &[u8]) -> Name {
    let stem_end = comm.iter().rposition(|byte| !byte.is_ascii_digit());
    let stem = stem_end.and_then(|last| comm.get(..=last));
    Name::new(stem.unwrap_or(comm))
}

fn name(call: Option<Call>, number: u64) -> String {
    match call {
        Some(call) => call.name.to_owned(),
        None => format!("system call {number}"),
    }
}

/// The number and the first arguments of a line of /proc/TID/syscall; `None` of a thread that
/// runs, or is blocked outside of a system call.
pub(super) fn parse_syscall(text: &str) -> Option<(u64, [u64; 3])> {
    let mut words = text.split_ascii_whitespace();
    let number = words.next()?.parse().ok()?;
    let mut arguments = [0; 3];
    for argument in &mut arguments {
        *argument = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
    }
    Some((number, arguments))
}

/// The descriptor that a thread's system call is on, by its /proc/TID/syscall; `None` also where
/// the call takes none, or several.
pub(in crate::collector) fn descriptor_of_call(text: &str) -> Option<u32> {
    let (number, arguments) = parse_syscall(text)?;
    let is_on_one = syscalls::call(number)?.takes == Takes::One;
    is_on_one.then_some(low(arguments[0]))
}

/// A C int in a register.
fn low(argument: u64) -> u32 {
    (argument & u64::from(u32::MAX)) as u32
}

/// A process whose threads are looked at.
pub(super) struct Process<'a> {
    /// `/proc/PID`.
    pub(super) root: PathBuf,
    memory: Option<Opened>,
    pub(super) ends: &'a Ends<'a>,
}

impl<'a> Process<'a> {
    pub(super) fn open(root: &Path, ends: &'a Ends<'a>) -> Process<'a> {
        Process {
            root: root.to_owned(),
            memory: file::open(&root.join("mem")).ok(),
            ends,
        }
    }

    /// Some bytes of its memory.
    pub(super) fn memory<const LENGTH: usize>(&self, at: u64) -> Option<[u8; LENGTH]> {
        let mut bytes = [0; LENGTH];
        self.memory.as_ref()?.read_at(&mut bytes, at).ok()?;
        Some(bytes)
    }

    /// The name of the call that a thread is in, and on what.
    pub(super) fn doing(&self, thread: Pid) -> Option<(String, Option<WaitTarget>)> {
        let path = self.root.join("task").join(thread.to_string());
        let text = file::text(&path.join("syscall")).ok()?;
        let (number, arguments) = parse_syscall(&text)?;
        let call = syscalls::call(number);
        let (_, target) = self.waits_on(call, arguments);
        Some((name(call, number), target))
    }

    /// What kind of wait a call is, and on what. A poll on one descriptor is a wait for it, as a
    /// read is.
    fn waits_on(&self, call: Option<Call>, arguments: [u64; 3]) -> (WaitKind, Option<WaitTarget>) {
        let Some(call) = call else {
            return (WaitKind::Other, None);
        };
        match (call.takes, self.descriptors(call.takes, arguments)) {
            (Takes::One, Some(fds)) => {
                let target = fds.first().and_then(|fd| self.target(*fd));
                (call.kind, target)
            }
            (takes, Some(fds)) => match self.only(&fds) {
                // Whoever has an epoll set is an event loop, whatever is in it.
                Some(target) if takes == Takes::Epoll => (call.kind, Some(target)),
                Some(target) => (WaitKind::Descriptor, Some(target)),
                None => (call.kind, None),
            },
            (_, None) => (call.kind, None),
        }
    }

    /// The descriptors that a call is on, where they are few and can be read.
    fn descriptors(&self, takes: Takes, [first, second, third]: [u64; 3]) -> Option<Vec<u32>> {
        match takes {
            Takes::Nothing => None,
            Takes::One => Some(vec![low(first)]),
            Takes::Array => {
                /// The size of a `struct pollfd`: a descriptor and what is asked of it.
                const ENTRY: u64 = 8;
                if !(1..=FEW as u64).contains(&second) {
                    return None;
                }
                let mut fds = Vec::new();
                for nth in 0..second {
                    let entry: [u8; 4] = self.memory(first.checked_add(nth * ENTRY)?)?;
                    // A negative one is an entry that is switched off.
                    fds.extend(u32::try_from(i32::from_ne_bytes(entry)));
                }
                Some(fds)
            }
            Takes::Sets => {
                /// The sets are arrays of `long`.
                const WORD: u64 = 64;
                if !(1..=SELECT_MAX).contains(&first) {
                    return None;
                }
                let mut fds = Vec::new();
                for set in [second, third].into_iter().filter(|set| *set != 0) {
                    for nth in 0..first.div_ceil(WORD) {
                        let word = u64::from_ne_bytes(self.memory(set.checked_add(nth * 8)?)?);
                        let bits = (0..WORD).filter(|bit| word >> bit & 1 == 1);
                        let of_word = bits.map(|bit| nth * WORD + bit).filter(|fd| *fd < first);
                        fds.extend(of_word.map(low));
                    }
                }
                Some(fds)
            }
            Takes::Epoll => {
                let path = self.root.join("fdinfo").join(low(first).to_string());
                let watched = file::lines(&path)
                    .ok()?
                    .map_while(Result::ok)
                    .filter_map(|line| {
                        let rest = line.strip_prefix("tfd:")?;
                        rest.split_ascii_whitespace().next()?.parse().ok()
                    });
                Some(watched.take(FEW + 1).collect())
            }
        }
    }

    /// What several descriptors are waited for, if it is one thing: the only socket, listeners, or
    /// pipes. What else is among them wakes the waiter for reasons of its own.
    fn only(&self, fds: &[u32]) -> Option<WaitTarget> {
        let mut fds = fds.to_vec();
        fds.sort_unstable();
        fds.dedup();
        if fds.len() > FEW {
            return None;
        }
        let targets: Vec<WaitTarget> = fds
            .iter()
            .map(|fd| self.target(*fd))
            .collect::<Option<_>>()?;
        let is_file = |start: &'static [u8]| move |target: &&WaitTarget| matches!(target, WaitTarget::File(name) if name.bytes().starts_with(start));
        let (is_pipe, is_socket_of_another_kind) = (is_file(b"pipe:["), is_file(b"socket:["));
        let is_socket = |target: &&WaitTarget| {
            !matches!(target, WaitTarget::File(_)) || is_socket_of_another_kind(target)
        };
        let is_listener = |target: &&WaitTarget| matches!(target, WaitTarget::Listener(_));
        let sockets: Vec<&WaitTarget> = targets.iter().filter(is_socket).collect();
        match sockets.as_slice() {
            [] if targets.iter().all(|target| is_pipe(&target)) => targets.into_iter().next(),
            [] => None,
            [only] => Some((*only).clone()),
            several if several.iter().all(is_listener) => Some((*several.first()?).clone()),
            _ => None,
        }
    }

    fn target(&self, fd: u32) -> Option<WaitTarget> {
        let link = file::link(&self.root.join("fd").join(fd.to_string())).ok()?;
        let name = link.as_os_str().as_bytes();
        let found = socket_inode(name).and_then(|inode| self.ends.find(inode));
        Some(match found {
            Some(socket) if socket.state == State::Listen => WaitTarget::Listener(socket.local),
            // A UDP socket without a peer waits for anybody.
            Some(socket) if socket.is_unconnected() => WaitTarget::File(Name::new(name)),
            Some(socket) => WaitTarget::Remote(socket.remote.canonical()),
            None => WaitTarget::File(Name::new(name)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_threads_call_and_arguments_are_read() {
        let text = "45 0x9 0x7f00 0x2000 0x0 0x0 0x0 0x7ffd 0x7f24\n";
        assert_eq!(parse_syscall(text), Some((45, [9, 0x7f00, 0x2000])));
        assert_eq!(parse_syscall("running\n"), None);
        assert_eq!(parse_syscall("-1 0x7ffd 0x7f24\n"), None);
        assert_eq!(parse_syscall(""), None);
    }

    #[test]
    fn threads_of_a_pool_have_one_name() {
        for (comm, name) in [
            ("pool-1-thread-1", "pool-1-thread-"),
            ("http-nio-8080-e", "http-nio-8080-e"),
            ("worker12", "worker"),
            ("4711", "4711"),
            ("", ""),
        ] {
            assert_eq!(folded(comm.as_bytes()).bytes(), name.as_bytes());
        }
    }
}
