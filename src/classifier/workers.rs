//! Workers: what the processes behind a set of sockets wait for, summed over all of them.
//!
//! A service of many processes with a thread each tells what one process of many threads does:
//! that most of them wait for the same.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Report;
use super::culprit::parks_threads;
use super::halt::HaltReason;
use super::listeners::Bound;
use super::socket_set::SocketSet;
use crate::model::{
    Endpoint, Evidence, Lock, LockOwner, LockPlace, Name, NamedThreads, Pid, Side, State, Wait,
    WaitKind, WaitTarget,
};

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

/// What the whole table tells of those who were asked.
#[derive(Debug, Default)]
pub struct Connections {
    /// The remote ends that threads wait for and that are peers of accepted connections.
    clients: FxHashSet<Endpoint>,
    /// Who holds connections that a listener accepted.
    serving: FxHashMap<Bound, FxHashSet<Pid>>,
}

impl Connections {
    /// Looks at the connections on which threads wait, and at those of the listeners of sets.
    pub fn of(report: &Report<'_>, sets: &[SocketSet], evidence: &[Evidence]) -> Connections {
        let mut found = Connections::default();
        let waits = evidence.iter().flat_map(|evidence| evidence.waits.iter());
        let targets = waits.flatten().filter_map(|wait| wait.target.as_ref());
        let remotes: FxHashSet<Endpoint> = targets
            .filter_map(|target| match target {
                WaitTarget::Remote(remote) => Some(*remote),
                _ => None,
            })
            .collect();
        for bound in sets.iter().filter_map(|set| set.listener) {
            found.serving.entry(bound).or_default();
        }
        if evidence.is_empty() {
            return found;
        }
        let ports: FxHashSet<u16> = found.serving.keys().map(|bound| bound.local.port).collect();
        let mut services = FxHashSet::default();
        for socket in &report.snapshot.sockets {
            if socket.inode == 0 || socket.state == State::Listen {
                continue;
            }
            let remote = socket.remote.canonical();
            if remotes.contains(&remote) {
                match report.judged(socket).side() {
                    Some(Side::Server) => found.clients.insert(remote),
                    Some(Side::Client) | None => services.insert(remote),
                };
            }
            if ports.contains(&socket.local.port)
                && let Some(listener) = report.listeners().covering(socket)
                && let Some(serving) = found.serving.get_mut(&listener.bound)
            {
                let holders = report.holders().of(socket.inode).iter();
                serving.extend(holders.map(|holder| holder.pid));
            }
        }
        found.clients.retain(|remote| !services.contains(remote));
        found
    }

    /// Whether a process has connections of a set's service at hand.
    fn serves(&self, set: &SocketSet, pid: Pid) -> bool {
        let serving = set.listener.and_then(|bound| self.serving.get(&bound));
        !set.holds(pid).is_empty() || serving.is_some_and(|serving| serving.contains(&pid))
    }

    fn on(&self, wait: &Wait) -> WaitsFor {
        match &wait.target {
            Some(WaitTarget::Remote(remote)) if self.clients.contains(remote) => WaitsFor::Clients,
            Some(WaitTarget::Remote(remote)) => WaitsFor::Service(*remote),
            Some(WaitTarget::Listener(local)) => WaitsFor::Listener(*local),
            Some(WaitTarget::File(name)) => WaitsFor::File(name.clone()),
            None => WaitsFor::Nothing,
        }
    }
}

impl Workers {
    /// Sums what the processes of a set told.
    pub fn of(
        report: &Report<'_>,
        set: &SocketSet,
        evidence: &[Evidence],
        connections: &Connections,
    ) -> Workers {
        let told = |pid: &Pid| evidence.iter().find(|evidence| evidence.pid == *pid);
        let is_ancestor = |pid: Pid| {
            let mut others = set.by_weight.iter().filter(|other| **other != pid);
            others.any(|other| {
                let mut line = report.holders().ancestors(*other).iter();
                line.any(|(ancestor, _)| *ancestor == pid)
            })
        };
        let mut workers = Workers::default();
        let mut asked: Vec<&Evidence> = Vec::new();
        let mut beside: Vec<&Evidence> = Vec::new();
        for pid in &set.by_weight {
            let serves = connections.serves(set, *pid);
            let one = told(pid).filter(|evidence| evidence.waits.is_some());
            match one {
                Some(one) if !serves && only_sleeps(one) => beside.push(one),
                Some(one) if !serves && is_ancestor(*pid) && only_watches(one) => beside.push(one),
                Some(one) => asked.push(one),
                None if serves || !is_ancestor(*pid) => {}
                None => continue,
            }
            workers.total += 1;
            workers.serving += u64::from(serves);
        }
        // Where nobody else is, they are those who should work.
        if workers.total == beside.len() as u64 {
            asked.append(&mut beside);
        }
        workers.total -= beside.len() as u64;
        workers.add(&asked, connections);
        workers
    }

    fn add(&mut self, asked: &[&Evidence], connections: &Connections) {
        let mut waits: BTreeMap<(WaitsFor, WaitKind, &[u8]), SharedWait> = BTreeMap::new();
        let mut locks: BTreeMap<(LockPlace, Option<Pid>), ContendedLock> = BTreeMap::new();
        for evidence in asked {
            // What it waited for when it was stopped says nothing.
            if is_held(evidence) {
                continue;
            }
            let locked: u32 = evidence
                .halt
                .locks
                .iter()
                .map(|lock| lock.threads)
                .fold(0, u32::saturating_add);
            if locked > 0 {
                self.locked += u64::from(locked);
                self.locked_out.get_or_insert(evidence.pid);
            }
            self.asked += 1;
            self.threads += u64::from(threads(evidence));
            join(&mut self.thread_names, &evidence.thread_names);
            let mut seen: FxHashSet<(WaitsFor, WaitKind, &[u8])> = FxHashSet::default();
            for wait in evidence.waits.iter().flatten() {
                let on = match connections.on(wait) {
                    WaitsFor::File(name) if asked.len() > 1 => WaitsFor::File(kind_of(name)),
                    on => on,
                };
                // However somebody waits for a service, it is the same wait.
                let call = match on {
                    WaitsFor::Service(_) | WaitsFor::Clients => b"".as_slice(),
                    _ => wait.call.bytes(),
                };
                let key = (on, wait.kind, call);
                let common = waits.entry(key.clone()).or_insert_with(|| SharedWait {
                    call: wait.call.clone(),
                    kind: wait.kind,
                    on: key.0.clone(),
                    workers: 0,
                    threads: 0,
                    pid: evidence.pid,
                    thread_names: Vec::new(),
                });
                common.workers += u64::from(seen.insert(key));
                common.threads += u64::from(wait.threads);
                join(&mut common.thread_names, &wait.thread_names);
                if wait.kind == WaitKind::Lock && parks_threads(evidence.runtime) {
                    self.parked += u64::from(wait.threads);
                }
            }
            for lock in &evidence.locks {
                let whose = matches!(lock.place, LockPlace::Own(_)).then_some(evidence.pid);
                let contended_lock =
                    locks
                        .entry((lock.place.clone(), whose))
                        .or_insert_with(|| ContendedLock {
                            place: lock.place.clone(),
                            workers: 0,
                            threads: 0,
                            pid: evidence.pid,
                            thread_names: Vec::new(),
                            held_by: None,
                        });
                contended_lock.take(lock);
            }
        }
        self.waits = waits.into_values().collect();
        self.waits
            .sort_by(|a, b| a.rank().cmp(&b.rank()).then(b.threads.cmp(&a.threads)));
        self.locks = locks.into_values().collect();
        self.locks.retain(|contended_lock| {
            contended_lock.threads > 1 || contended_lock.held_by.is_some()
        });
        self.locks
            .sort_by_key(|contended_lock| std::cmp::Reverse(contended_lock.threads));
    }

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

impl SharedWait {
    fn rank(&self) -> (u8, bool) {
        let what = match self.on {
            WaitsFor::Service(_) => 0,
            WaitsFor::File(_) => 1,
            WaitsFor::Listener(_) => 2,
            WaitsFor::Clients => 3,
            WaitsFor::Nothing => 4,
        };
        // One that is parked tells least.
        (what, self.kind == WaitKind::Lock)
    }
}

impl ContendedLock {
    fn take(&mut self, lock: &Lock) {
        self.workers += 1;
        self.threads += u64::from(lock.threads);
        join(&mut self.thread_names, &lock.thread_names);
        if self.held_by.is_none() {
            self.held_by.clone_from(&lock.held_by);
        }
    }
}

/// Adds crews to others, the most frequent first.
fn join(thread_names: &mut Vec<NamedThreads>, more: &[NamedThreads]) {
    for thread_name in more {
        match thread_names
            .iter_mut()
            .find(|known| known.name == thread_name.name)
        {
            Some(known) => known.threads = known.threads.saturating_add(thread_name.threads),
            None => thread_names.push(thread_name.clone()),
        }
    }
    thread_names.sort_by_key(|thread_name| std::cmp::Reverse(thread_name.threads));
}

/// Whether a process is stopped, whatever it waited for.
fn is_held(evidence: &Evidence) -> bool {
    matches!(
        HaltReason::of(evidence),
        Some(HaltReason::Frozen | HaltReason::Traced | HaltReason::Stopped)
    )
}

fn threads(evidence: &Evidence) -> u32 {
    evidence.threads.map_or(0, |threads| threads.total)
}

/// Whether every thread of a process only sleeps, or waits for a child.
fn only_sleeps(evidence: &Evidence) -> bool {
    all(evidence, |wait| {
        matches!(wait.kind, WaitKind::Sleep | WaitKind::Child)
    })
}

/// The same, or waits for another thread, or for whatever comes by a pipe or one of many
/// descriptors: a supervisor.
fn only_watches(evidence: &Evidence) -> bool {
    all(evidence, |wait| match (&wait.target, wait.kind) {
        (None, WaitKind::Descriptor | WaitKind::Other) => false,
        (None, _) => true,
        (Some(WaitTarget::File(_)), _) => true,
        (Some(WaitTarget::Remote(_) | WaitTarget::Listener(_)), _) => false,
    })
}

fn all(evidence: &Evidence, is_so: impl Fn(&Wait) -> bool) -> bool {
    let waits = evidence.waits.as_deref().unwrap_or_default();
    let told: u32 = waits
        .iter()
        .map(|wait| wait.threads)
        .fold(0, u32::saturating_add);
    told > 0 && told == threads(evidence) && waits.iter().all(is_so)
}

/// Each process has pipes of its own, which are told together.
fn kind_of(file: Name) -> Name {
    let is = |start: &[u8]| file.bytes().starts_with(start);
    if is(b"pipe:[") {
        Name::new(*b"pipes")
    } else if is(b"socket:[") {
        Name::new(*b"sockets of other kinds")
    } else {
        file
    }
}

fn is_of_a_loop(call: &Name) -> bool {
    [
        "accept", "poll", "epoll", "select", "pselect", "ppoll", "io_uring",
    ]
    .iter()
    .any(|start| call.bytes().starts_with(start.as_bytes()))
}
