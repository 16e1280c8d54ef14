//! Workers: what the processes behind a set of sockets wait for, summed over all of them.
//!
//! A service of many processes with a thread each tells what one process of many threads does:
//! that most of them wait for the same.

mod connections;
mod sum;

pub use self::connections::Connections;
use crate::model::{Endpoint, LockOwner, LockPlace, Name, NamedThreads, Pid, WaitKind, WaitTarget};

/// Those who work on the sockets of a set, or should.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Workers {
    /// How many processes there are. Who only holds the listener for them, as a master does, or
    /// sleeps beside them is none.
    pub total: u64,
    /// Those of them that told what they wait for, and how many threads these have.
    pub asked: u64,
    pub threads: u64,
    /// How many have a connection of the service at hand that they accepted.
    pub serving: u64,
    /// All of their threads by name, the most frequent first; empty where each has one.
    pub thread_names: Vec<NamedThreads>,
    /// What they wait for, that which tells most first.
    pub waits: Vec<SharedWait>,
    /// The locks at which most of them wait, those with most waiters first.
    pub locks: Vec<ContendedLock>,
    /// Threads that wait for locks on files, and the first process that has one.
    locked: u64,
    locked_out: Option<Pid>,
    /// Threads that are parked by a runtime that has threads of its own, and may be at work on
    /// nothing.
    parked: u64,
}

/// A wait that threads of one or several processes have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedWait {
    /// The call in which most of them are.
    pub call: Name,
    pub kind: WaitKind,
    pub on: WaitsFor,
    /// In how many processes, and how many threads in all.
    pub workers: u64,
    pub threads: u64,
    /// One of the processes.
    pub pid: Pid,
    /// The threads by name, the most frequent first.
    pub thread_names: Vec<NamedThreads>,
}

/// What is waited for. The order is that in which it tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WaitsFor {
    /// The remote end of connections that the workers made.
    Service(Endpoint),
    File(Name),
    /// A connection to accept.
    Listener(Endpoint),
    /// The peers of connections that the workers accepted.
    Clients,
    /// Nothing that has a name: another thread, a time, any of many descriptors.
    Nothing,
}

/// A lock for which several threads, or processes, wait.
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
    /// How many threads may be at work on something: all but those that a runtime has parked.
    pub fn working(&self) -> u64 {
        self.threads.saturating_sub(self.parked)
    }

    /// How many may be at work on something else than what these wait for, and do not accept.
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

    /// The wait for a service in which most of those are that work.
    pub fn backend(&self) -> Option<(Endpoint, &SharedWait)> {
        self.waits.iter().find_map(|common| match common.on {
            WaitsFor::Service(remote) => {
                let is_most = common.threads.saturating_mul(2) > self.working();
                (common.threads > 1 && is_most).then_some((remote, common))
            }
            _ => None,
        })
    }

    /// Whether most of them wait for one lock that processes share, whoever has it, while each has a
    /// connection to work on: they do not take turns at accept(2).
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

    /// A service that any of them waits for, if it is one.
    pub fn service(&self) -> Option<Endpoint> {
        let mut services = self.waits.iter().filter_map(|common| match common.on {
            WaitsFor::Service(remote) => Some(remote),
            _ => None,
        });
        services.next().filter(|_| services.next().is_none())
    }

    /// Whether all told, and no thread runs, or waits for a service, a peer or a file, though the
    /// runtime has threads for work: what they are at, if at anything, is inside of the program.
    pub fn are_all_parked(&self) -> bool {
        let told: u64 = self.waits.iter().map(|common| common.threads).sum();
        let is_outside = |common: &SharedWait| {
            !matches!(common.on, WaitsFor::Nothing | WaitsFor::Listener(_))
                || common.kind == WaitKind::Other
        };
        self.parked > 0
            && self.asked == self.total
            && told == self.threads
            && !self.waits.iter().any(is_outside)
    }

    /// Whether all told, and each thread waits for a connection to accept.
    pub fn are_all_idle(&self) -> bool {
        let told: u64 = self.waits.iter().map(|common| common.threads).sum();
        let accepts = |common: &SharedWait| matches!(common.on, WaitsFor::Listener(_));
        told > 0
            && self.asked == self.total
            && told == self.threads
            && self.waits.iter().all(accepts)
    }

    /// The lock that holds up most of those that work, where it is known who has it. Workers that
    /// take turns at accept(2) by a lock are not held up.
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

    /// One of the processes, where most of those that work wait for locks on files.
    pub fn locked_out(&self) -> Option<Pid> {
        let is_most = self.locked.saturating_mul(2) > self.threads;
        self.locked_out.filter(|_| is_most)
    }

    /// Whether there is a thread in each process that told, and each is taken: none waits for a
    /// connection, and none for whatever comes.
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

    /// The process to look at: one that is in the wait that tells most.
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
