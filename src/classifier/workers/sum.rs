//! Adds up what the processes of a set wait for.

use std::collections::BTreeMap;

use rustc_hash::FxHashSet;

use super::connections::Connections;
use super::{ContendedLock, SharedWait, WaitsFor, Workers};
use crate::classifier::process::{HaltReason, parks_threads};
use crate::classifier::report::Report;
use crate::classifier::socket_set::SocketSet;
use crate::model::{
    Evidence, Lock, LockPlace, Name, NamedThreads, Pid, Wait, WaitKind, WaitTarget,
};

impl Workers {
    /// Adds up the evidence of the processes of a set.
    pub fn of(
        report: &Report<'_>,
        set: &SocketSet,
        evidence: &[Evidence],
        connections: &Connections,
    ) -> Workers {
        let evidence_of = |pid: &Pid| evidence.iter().find(|evidence| evidence.pid == *pid);
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
            let one = evidence_of(pid).filter(|evidence| evidence.waits.is_some());
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
        // If there are no others, these are the ones that should work.
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
            // The waits of a stopped process mean nothing.
            if is_held(evidence) {
                continue;
            }
            let locked = evidence.halt.lock_threads();
            if locked > 0 {
                self.locked += u64::from(locked);
                self.locked_out.get_or_insert(evidence.pid);
            }
            self.asked += 1;
            self.threads += u64::from(threads(evidence));
            join(&mut self.thread_names, &evidence.thread_names);
            let mut seen: FxHashSet<(WaitsFor, WaitKind, &[u8])> = FxHashSet::default();
            for wait in evidence.waits.iter().flatten() {
                let on = match connections.on(wait.target.as_ref()) {
                    WaitsFor::File(name) if asked.len() > 1 => WaitsFor::File(kind_of(name)),
                    on => on,
                };
                // All ways of waiting for a service are the same wait.
                let call = match on {
                    WaitsFor::Service(_) | WaitsFor::Clients => b"".as_slice(),
                    _ => wait.call.bytes(),
                };
                let key = (on, wait.kind, call);
                let common = waits.entry(key.clone()).or_insert_with(|| SharedWait {
                    call: wait.call.clone(),
                    is_one_call: true,
                    kind: wait.kind,
                    on: key.0.clone(),
                    workers: 0,
                    threads: 0,
                    pid: evidence.pid,
                    thread_names: Vec::new(),
                });
                common.is_one_call &= common.call == wait.call;
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
        // A parked thread is the least telling.
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

/// Adds named threads to others, the most frequent first.
pub(in crate::classifier) fn join(thread_names: &mut Vec<NamedThreads>, more: &[NamedThreads]) {
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

/// Whether every thread of a process only sleeps or waits for a child.
fn only_sleeps(evidence: &Evidence) -> bool {
    all(evidence, |wait| {
        matches!(wait.kind, WaitKind::Sleep | WaitKind::Child)
    })
}

/// Whether every thread only sleeps, or waits for a child, another thread, a pipe or events, as in
/// a supervisor.
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
    let known = evidence.waiting_threads();
    known > 0 && known == threads(evidence) && waits.iter().all(is_so)
}

/// Each process has its own pipes; they are shown together.
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
