//! Workers: what the processes that hold a set of sockets wait for, added up.
//!
//! In a service of many processes with one thread each, as in one process with many threads, it
//! matters what most threads wait for.

mod connections;
mod sum;

pub use self::connections::Connections;
pub(super) use self::sum::join;
use crate::model::{Endpoint, LockOwner, LockPlace, Name, NamedThreads, Pid, WaitKind, WaitTarget};

/// The processes that serve the sockets of a set, or should.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Workers {
    /// The number of workers. A process that only holds the listener for others, such as a master,
    /// or only sleeps, is not counted.
    pub total: u64,
    /// How many of them have known waits, and how many threads those have.
    pub asked: u64,
    pub threads: u64,
    /// How many hold an accepted connection of the service.
    pub serving: u64,
    /// Their threads by name, the most frequent first; empty if each process has one thread.
    pub thread_names: Vec<NamedThreads>,
    /// What they wait for, the most telling first.
    pub waits: Vec<SharedWait>,
    /// The locks that most of them wait for, those with the most waiters first.
    pub locks: Vec<ContendedLock>,
    /// The number of threads that wait for file locks, and the first process that has one.
    locked: u64,
    locked_out: Option<Pid>,
    /// The number of threads that a runtime has parked, which probably have no work.
    parked: u64,
}

/// A wait that threads of one or several processes share.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedWait {
    /// The system call of some of these threads, and whether it is that of all.
    pub call: Name,
    pub is_one_call: bool,
    pub kind: WaitKind,
    pub on: WaitsFor,
    /// The number of processes and of threads.
    pub workers: u64,
    pub threads: u64,
    /// One of the processes.
    pub pid: Pid,
    /// The threads by name, the most frequent first.
    pub thread_names: Vec<NamedThreads>,
}

/// What is waited for, the most telling first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WaitsFor {
    /// The remote end of connections that the workers opened.
    Service(Endpoint),
    File(Name),
    /// A connection to accept.
    Listener(Endpoint),
    /// The peers of connections that the workers accepted.
    Clients,
    /// Nothing with a name: another thread, a time, one of many descriptors.
    Nothing,
}

/// A lock that several threads or processes wait for.
#[derive(Debug, Clone, PartialEq)]
pub struct ContendedLock {
    pub place: LockPlace,
    pub workers: u64,
    pub threads: u64,
    pub pid: Pid,
    pub thread_names: Vec<NamedThreads>,
    pub held_by: Option<LockOwner>,
}

impl Workers {
    /// The number of threads that may be working: all except those that a runtime has parked.
    pub fn working(&self) -> u64 {
        self.threads.saturating_sub(self.parked)
    }

    /// The number of threads that may be working on something other than this wait, without those
    /// that accept.
    pub fn others(&self, common: &SharedWait) -> u64 {
        let accepts = |other: &&SharedWait| matches!(other.on, WaitsFor::Listener(_));
        let accept: u64 = self
            .waits
            .iter()
            .filter(accepts)
            .map(|other| other.threads)
            .sum();
        self.working()
            .saturating_sub(common.threads)
            .saturating_sub(accept)
    }

    /// The wait for a service that most working threads share.
    pub fn backend(&self) -> Option<(Endpoint, &SharedWait)> {
        self.waits.iter().find_map(|common| match common.on {
            WaitsFor::Service(remote) => {
                let is_most = common.threads.saturating_mul(2) > self.working();
                (common.threads > 1 && is_most).then_some((remote, common))
            }
            _ => None,
        })
    }

    /// Whether most workers wait for one lock that processes share, and each has a connection to
    /// serve, so that they do not just take turns at accept(2).
    pub fn share_a_lock(&self) -> bool {
        let shared = |contended_lock: &ContendedLock| {
            matches!(contended_lock.place, LockPlace::Shared { .. })
        };
        let is_most = |contended_lock: &ContendedLock| {
            contended_lock.threads.saturating_mul(2) > self.threads
        };
        self.serving == self.total
            && self
                .locks
                .iter()
                .any(|contended_lock| shared(contended_lock) && is_most(contended_lock))
    }

    /// The only service that workers wait for, if there is exactly one.
    pub fn service(&self) -> Option<Endpoint> {
        let mut services = self.waits.iter().filter_map(|common| match common.on {
            WaitsFor::Service(remote) => Some(remote),
            _ => None,
        });
        services.next().filter(|_| services.next().is_none())
    }

    /// Whether all workers are known, and no thread runs or waits for a service, a peer or a file,
    /// although the runtime has threads for work. Then the reason is inside the program.
    pub fn are_all_parked(&self) -> bool {
        let known: u64 = self.waits.iter().map(|common| common.threads).sum();
        let is_outside = |common: &SharedWait| {
            !matches!(common.on, WaitsFor::Nothing | WaitsFor::Listener(_))
                || common.kind == WaitKind::Other
        };
        self.parked > 0
            && self.asked == self.total
            && known == self.threads
            && !self.waits.iter().any(is_outside)
    }

    /// Whether all workers are known, and each thread waits for a connection to accept.
    pub fn are_all_idle(&self) -> bool {
        let known: u64 = self.waits.iter().map(|common| common.threads).sum();
        let accepts = |common: &SharedWait| matches!(common.on, WaitsFor::Listener(_));
        known > 0
            && self.asked == self.total
            && known == self.threads
            && self.waits.iter().all(accepts)
    }

    /// Whether all workers are known, and each thread waits for a connection or for events.
    pub fn all_watch(&self) -> bool {
        let known: u64 = self.waits.iter().map(|common| common.threads).sum();
        let watches = |common: &SharedWait| {
            matches!(common.on, WaitsFor::Listener(_)) || common.kind == WaitKind::Events
        };
        known > 0
            && self.asked == self.total
            && known == self.threads
            && self.waits.iter().all(watches)
    }

    /// The lock that most working threads wait for, if its holder is known. Workers that take turns
    /// at accept(2) do not count.
    pub fn contended_lock(&self) -> Option<(&ContendedLock, &LockOwner)> {
        let is_most = |contended_lock: &&ContendedLock| {
            contended_lock.threads > 1 && contended_lock.threads.saturating_mul(2) > self.threads
        };
        let contended_lock = self.locks.iter().find(is_most)?;
        let held_by = contended_lock.held_by.as_ref()?;
        let takes_turns = matches!(held_by.target, Some(WaitTarget::Listener(_)))
            || held_by.call.as_ref().is_some_and(is_of_a_loop);
        (!takes_turns).then_some((contended_lock, held_by))
    }

    /// One of the processes, if most working threads wait for file locks.
    pub fn locked_out(&self) -> Option<Pid> {
        let is_most = self.locked.saturating_mul(2) > self.threads;
        self.locked_out.filter(|_| is_most)
    }

    /// Whether every worker has one thread, and each is busy: none waits for a connection or for
    /// events.
    pub fn are_all_taken(&self) -> bool {
        let is_free = |common: &SharedWait| {
            let is_loop = common.kind == WaitKind::Events;
            match common.on {
                WaitsFor::Listener(_) => true,
                WaitsFor::Service(_) => false,
                WaitsFor::File(_) | WaitsFor::Clients | WaitsFor::Nothing => is_loop,
            }
        };
        self.total > 1
            && self.asked == self.total
            && self.serving == self.total
            && self.threads == self.total
            && !self.waits.iter().any(is_free)
    }

    /// The process to inspect: one with the most telling wait.
    pub fn example(&self) -> Option<Pid> {
        let first = self.waits.first()?;
        if let Some(waiting) = self.locked_out() {
            return Some(waiting);
        }
        match (self.backend(), self.contended_lock()) {
            (Some((_, common)), _) => Some(common.pid),
            (None, Some((_, held_by))) => Some(held_by.pid),
            (None, None) => Some(first.pid),
        }
    }
}

fn is_of_a_loop(call: &Name) -> bool {
    [
        "accept", "poll", "epoll", "select", "pselect", "ppoll", "io_uring",
    ]
    .iter()
    .any(|start| call.bytes().starts_with(start.as_bytes()))
}
