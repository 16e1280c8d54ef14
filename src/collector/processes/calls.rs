//! The system calls of a process's threads: which descriptors each is on, and what those are. See
//! proc_pid_syscall(5), proc_pid_fdinfo(5) and proc_pid_mem(5).

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::collector::file::{self, Opened};
use crate::collector::processes::by_inode::SocketsByInode;
use crate::collector::procfs::socket_inode;
use crate::collector::syscalls::{self, Call, Takes, low};
use crate::model::{Name, Pid, State, WaitKind, WaitTarget};

/// A wait on more descriptors than this belongs to an event loop, not to one of them.
const FEW: usize = 8;
/// The number of descriptors that select(2) takes (`FD_SETSIZE`).
const SELECT_MAX: u64 = 1024;

/// The name of a call, or its number.
pub(super) fn name(call: Option<Call>, number: u64) -> String {
    match call {
        Some(call) => call.name.to_owned(),
        None => format!("system call {number}"),
    }
}

/// A process whose threads are read.
pub(super) struct Process<'a> {
    /// `/proc/PID`.
    pub(super) root: PathBuf,
    memory: Option<Opened>,
    pub(super) sockets: &'a SocketsByInode<'a>,
}

impl<'a> Process<'a> {
    pub(super) fn open(root: &Path, sockets: &'a SocketsByInode<'a>) -> Process<'a> {
        Process {
            root: root.to_owned(),
            memory: file::open(&root.join("mem")).ok(),
            sockets,
        }
    }

    /// Some bytes of its memory.
    pub(super) fn memory<const LENGTH: usize>(&self, at: u64) -> Option<[u8; LENGTH]> {
        let mut bytes = [0; LENGTH];
        self.memory.as_ref()?.read_at(&mut bytes, at).ok()?;
        Some(bytes)
    }

    /// The name of the call that a thread is in, and what the call waits for.
    pub(super) fn call_of(&self, thread: Pid) -> Option<(String, Option<WaitTarget>)> {
        let task = self.root.join("task").join(thread.to_string());
        let text = file::text(&task.join("syscall")).ok()?;
        let (number, arguments) = syscalls::parse(&text)?;
        let call = syscalls::call(number);
        let (_, target) = self.waits_on(call, arguments);
        Some((name(call, number), target))
    }

    /// The kind of wait that a call is, and what it waits for. A poll on a single descriptor counts as a
    /// wait for that, like a read.
    pub(super) fn waits_on(
        &self,
        call: Option<Call>,
        arguments: [u64; 3],
    ) -> (WaitKind, Option<WaitTarget>) {
        let Some(call) = call else {
            return (WaitKind::Other, None);
        };
        match (call.takes, self.descriptors(call.takes, arguments)) {
            (Takes::One, Some(fds)) => {
                let target = fds.first().and_then(|fd| self.target(*fd));
                (call.kind, target)
            }
            (takes, Some(fds)) => match self.only(&fds) {
                // A thread with an epoll set runs an event loop, whatever the set contains.
                Some(target) if takes == Takes::Epoll => (call.kind, Some(target)),
                Some(target) => (WaitKind::Descriptor, Some(target)),
                None => (call.kind, None),
            },
            (_, None) => (call.kind, None),
        }
    }

    /// The descriptors that a call is on, if they are few and can be read.
    fn descriptors(&self, takes: Takes, [first, second, third]: [u64; 3]) -> Option<Vec<u32>> {
        match takes {
            Takes::Nothing => None,
            Takes::One => Some(vec![low(first)]),
            Takes::Array => {
                /// The size of a `struct pollfd`, in bytes: a descriptor and its events.
                const ENTRY: u64 = 8;
                if !(1..=FEW as u64).contains(&second) {
                    return None;
                }
                let mut fds = Vec::new();
                for nth in 0..second {
                    let entry: [u8; 4] = self.memory(first.checked_add(nth * ENTRY)?)?;
                    // A negative descriptor disables the entry.
                    fds.extend(u32::try_from(i32::from_ne_bytes(entry)));
                }
                Some(fds)
            }
            Takes::Sets => {
                /// The bits of a `long`; the sets are arrays of it.
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

    /// What a wait on several descriptors is for: the only socket among them, one of several
    /// listeners, or one of several pipes. Other descriptors, such as timers, are ignored.
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

    /// What a descriptor refers to.
    pub(super) fn target(&self, fd: u32) -> Option<WaitTarget> {
        let link = file::link(&self.root.join("fd").join(fd.to_string())).ok()?;
        let name = link.as_os_str().as_bytes();
        let found = socket_inode(name).and_then(|inode| self.sockets.find(inode));
        Some(match found {
            Some(socket) if socket.state == State::Listen => WaitTarget::Listener(socket.local),
            // A UDP socket without a peer receives from anyone.
            Some(socket) if socket.is_unconnected() => WaitTarget::File(Name::new(name)),
            Some(socket) => WaitTarget::Remote(socket.remote.canonical()),
            None => WaitTarget::File(Name::new(name)),
        })
    }
}
