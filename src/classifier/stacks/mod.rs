//! Where in its code a program waits: the stacks of all processes of a finding, added up by the functions
//! that say something, the most telling first.

mod doing;
mod fold;

use std::cmp::Reverse;
use std::collections::BTreeMap;

pub use self::doing::{Doing, LockKind};
pub use self::fold::Folded;
use crate::classifier::process::spinning;
use crate::classifier::socket_set::SocketSet;
use crate::classifier::workers::{Connections, WaitsFor, join};
use crate::model::{
    Endpoint, Evidence, Frame, Name, NamedThreads, Part, Pid, Runtime, StackGroup, StackOf,
    StackTarget, Stacks, Words,
};

/// The stacks of the processes of a finding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SharedStacks {
    /// The most telling first.
    pub stacks: Vec<SharedStack>,
    /// How many processes have stacks.
    pub processes: u64,
    /// How many ran or moved while they were read, and how many were left out.
    pub moved: u64,
    pub left_out: u64,
    /// What could not be read, and of which process.
    pub unread: Vec<(Pid, Words)>,
    /// Every stack was read to its first function, and each waits for a connection. In an event loop this
    /// stays `false`: no stack shows what its handlers await.
    pub nobody_works: bool,
    totals: BTreeMap<StackOf, u64>,
}

/// A stack that threads, goroutines or tasks of one or several processes share; or those of one process
/// that wait for the same lock.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedStack {
    pub of: StackOf,
    pub count: u64,
    /// How many processes have it, and one of them.
    pub workers: u64,
    pub pid: Pid,
    pub runtime: Runtime,
    /// The names of the threads, the most frequent first.
    pub thread_names: Vec<NamedThreads>,
    /// The system call of the threads; the state or wait reason of the goroutines.
    pub state: Option<Name>,
    /// The shortest and the longest wait, in milliseconds.
    pub waited_ms: Option<(u64, u64)>,
    /// What is waited for, by how many, the most frequent first.
    pub targets: Vec<(WaitsFor, u64)>,
    pub doing: Doing,
    pub lock: Option<LockKind>,
    /// The functions of most of them.
    pub folded: Folded,
    /// How many different stacks these are.
    pub places: u64,
    /// The last process that was added.
    last: Pid,
}

/// What is equal in a [`SharedStack`].
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Lock(Pid, u64),
    Stack(StackOf, Option<Name>, Doing, Folded),
}

impl SharedStacks {
    /// Adds up the stacks of these processes, which are those of the set that were read.
    pub(super) fn of(
        set: &SocketSet,
        evidence: &[Evidence],
        connections: &Connections,
    ) -> SharedStacks {
        let mut shared = SharedStacks::default();
        let mut by_key: BTreeMap<Key, SharedStack> = BTreeMap::new();
        let mut all_idle = !evidence.is_empty() && evidence.len() == set.by_weight.len();
        for evidence in evidence {
            let Some(stacks) = &evidence.stacks else {
                all_idle = false;
                continue;
            };
            shared.count(evidence, stacks);
            all_idle &= is_whole(evidence, stacks);
            for group in &stacks.groups {
                let on =
                    |one: &StackTarget| (connections.on(Some(&one.target)), u64::from(one.count));
                let targets = group.targets.iter().map(on).collect();
                let waiters = waiters(stacks, group.lock);
                let stack = SharedStack::of(group, waiters, evidence, targets);
                all_idle &= matches!(stack.doing, Doing::Idles | Doing::Apart);
                all_idle &= !is_loop(group) || is_of_goroutines(stacks);
                let key = match (stack.doing, group.lock) {
                    (Doing::Locked, Some(lock)) => Key::Lock(evidence.pid, lock),
                    (doing, _) => {
                        let (state, folded) = (stack.state.clone(), stack.folded.clone());
                        Key::Stack(stack.of, state, doing, folded)
                    }
                };
                match by_key.get_mut(&key) {
                    Some(known) => known.add(stack),
                    None => {
                        by_key.insert(key, stack);
                    }
                }
            }
        }
        shared.stacks = by_key.into_values().collect();
        // A thread that writes a log does not come before all those that wait for its lock.
        let weight = |stack: &SharedStack| (stack.doing.max(Doing::Locked), Reverse(stack.count));
        shared.stacks.sort_by_key(weight);
        let some_idle = shared
            .stacks
            .iter()
            .any(|stack| stack.doing == Doing::Idles);
        // Whoever asked a service and has no answer may be a handler.
        let awaits = set.requests.iter().any(|requests| requests.unanswered > 0);
        shared.nobody_works = all_idle && some_idle && !awaits;
        shared
    }

    fn count(&mut self, evidence: &Evidence, stacks: &Stacks) {
        let unread = stacks.unread.iter();
        self.unread
            .extend(unread.map(|why| (evidence.pid, why.clone())));
        self.processes += u64::from(!stacks.groups.is_empty());
        self.moved += u64::from(stacks.moved);
        self.left_out += u64::from(stacks.left_out);
        let mut counts: BTreeMap<StackOf, u64> = BTreeMap::new();
        for group in &stacks.groups {
            *counts.entry(group.of).or_default() += u64::from(group.count);
        }
        let others = u64::from(stacks.moved).saturating_add(stacks.left_out.into());
        // What a runtime counts for itself is in no other table.
        let whose = counts.keys().next_back().copied();
        if let Some(count) = whose.and_then(|whose| counts.get_mut(&whose)) {
            *count = count.saturating_add(others);
        }
        if let Some(count) = counts.get_mut(&StackOf::Threads) {
            let all = evidence.threads.map_or(0, |threads| threads.total.into());
            *count = (*count).max(all);
        }
        for (of, count) in counts {
            *self.totals.entry(of).or_default() += count;
        }
    }

    /// All threads, goroutines or tasks, whether their stacks were read or not.
    pub fn total(&self, of: StackOf) -> u64 {
        self.totals.get(&of).copied().unwrap_or_default()
    }

    /// Those that say something about the work.
    pub fn telling(&self) -> impl Iterator<Item = &SharedStack> {
        self.stacks.iter().filter(|stack| stack.is_telling())
    }

    /// The service that most goroutines or tasks that may be working wait for, in functions of the program,
    /// and how many do. A library may read a connection that nobody waits for.
    pub fn backend(&self) -> Option<(Endpoint, u64)> {
        let of = [StackOf::Goroutines, StackOf::Tasks];
        of.into_iter().find_map(|of| self.backend_of(of))
    }

    fn backend_of(&self, of: StackOf) -> Option<(Endpoint, u64)> {
        let telling = || self.telling().filter(|stack| stack.of == of);
        let mut by_remote: BTreeMap<Endpoint, u64> = BTreeMap::new();
        for stack in telling().filter(|stack| stack.is_own()) {
            for (remote, count) in stack.services() {
                *by_remote.entry(remote).or_default() += count;
            }
        }
        let (remote, count) = by_remote.into_iter().max_by_key(|(_, count)| *count)?;
        let known: u64 = telling().map(|stack| stack.count).sum();
        let working = known
            .saturating_add(self.moved)
            .saturating_add(self.left_out);
        (count > 1 && count.saturating_mul(2) > working).then_some((remote, count))
    }

    /// Whether any thread, goroutine or task waits for a service.
    pub fn await_a_service(&self) -> bool {
        let mut stacks = self.stacks.iter();
        stacks.any(|stack| stack.services().next().is_some())
    }

    /// Where the work waits: the most telling stack, if it is in functions with names.
    pub fn main(&self) -> Option<&SharedStack> {
        let first = self.telling().next()?;
        let is_it = matches!(first.doing, Doing::Awaits | Doing::Locked | Doing::Works);
        let has_name = first.folded.own().is_some_and(|(_, frame)| has_name(frame));
        (is_it && has_name).then_some(first)
    }
}

impl SharedStack {
    fn of(
        group: &StackGroup,
        waiters: u64,
        evidence: &Evidence,
        targets: Vec<(WaitsFor, u64)>,
    ) -> SharedStack {
        let folded = Folded::of(group, evidence.runtime);
        let lock = LockKind::of(group);
        SharedStack {
            of: group.of,
            count: group.count.into(),
            workers: 1,
            pid: evidence.pid,
            runtime: evidence.runtime,
            thread_names: group.thread_names.clone(),
            state: group.state.clone(),
            waited_ms: group.waited_ms,
            doing: Doing::of(group, &targets, lock.filter(|_| waiters > 1), &folded),
            targets,
            lock,
            folded,
            places: 1,
            last: evidence.pid,
        }
    }

    /// The stack of one thread, if it is among those whose numbers are kept.
    pub fn of_thread(evidence: &Evidence, thread: Pid) -> Option<SharedStack> {
        let mut groups = evidence.stacks.iter().flat_map(|stacks| &stacks.groups);
        let is_its = |group: &&StackGroup| {
            group.of == StackOf::Threads && group.ids.contains(&u64::from(thread.0))
        };
        Some(SharedStack::of(
            groups.find(is_its)?,
            1,
            evidence,
            Vec::new(),
        ))
    }

    /// Adds those that wait in the same way for another lock.
    pub fn merge(&mut self, other: &SharedStack) {
        self.add(other.clone());
    }

    fn add(&mut self, other: SharedStack) {
        self.count = self.count.saturating_add(other.count);
        self.workers += u64::from(self.last != other.pid);
        self.last = other.pid;
        self.places += u64::from(self.folded != other.folded);
        join(&mut self.thread_names, &other.thread_names);
        self.waited_ms = match (self.waited_ms, other.waited_ms) {
            (Some((least, most)), Some((other_least, other_most))) => {
                Some((least.min(other_least), most.max(other_most)))
            }
            _ => None,
        };
        for (target, count) in other.targets {
            match self.targets.iter_mut().find(|(known, _)| *known == target) {
                Some((_, known)) => *known = known.saturating_add(count),
                None => self.targets.push((target, count)),
            }
        }
        self.targets.sort_by_key(|(_, count)| Reverse(*count));
    }

    /// The services that are waited for, each with how many wait for it.
    pub fn services(&self) -> impl Iterator<Item = (Endpoint, u64)> {
        let targets = self.targets.iter();
        targets.filter_map(|(on, count)| match on {
            WaitsFor::Service(remote) => Some((*remote, *count)),
            _ => None,
        })
    }

    /// Whether any function is of the program itself.
    pub fn is_own(&self) -> bool {
        let mut frames = self.folded.frames.iter();
        frames.any(|(part, _)| *part == Part::Own)
    }

    fn is_telling(&self) -> bool {
        match self.doing {
            Doing::Awaits | Doing::Locked | Doing::Works => true,
            Doing::Parks => self.folded.says(),
            Doing::Idles | Doing::Apart => false,
        }
    }
}

/// How many threads or goroutines of a process wait for this lock.
fn waiters(stacks: &Stacks, lock: Option<u64>) -> u64 {
    let groups = stacks.groups.iter();
    let same = groups.filter(|group| lock.is_some() && group.lock == lock);
    same.map(|group| u64::from(group.count)).sum()
}

/// Whether every thread, or every goroutine, has a stack that was read to its first function.
fn is_whole(evidence: &Evidence, stacks: &Stacks) -> bool {
    let is_known = |frame: &Frame| frame.function.is_some() || frame.module.is_some();
    let groups = stacks.groups.iter();
    let threads: u64 = (groups.clone())
        .filter(|group| group.of == StackOf::Threads)
        .map(|group| u64::from(group.count))
        .sum();
    let has_goroutines = is_of_goroutines(stacks);
    // Handlers of the others need no thread and no stack of their own.
    let has_visible = matches!(
        evidence.runtime,
        Runtime::Native | Runtime::Nginx | Runtime::Go | Runtime::Python
    );
    let all = evidence.threads.map(|threads| u64::from(threads.total));
    has_visible
        && stacks.moved == 0
        && stacks.left_out == 0
        && stacks.unread.is_empty()
        && evidence.threads.is_some_and(|threads| threads.running == 0)
        && spinning(evidence).is_none()
        && (has_goroutines || all == Some(threads))
        && (groups.clone()).all(|group| group.complete && group.frames.iter().all(is_known))
}

fn is_of_goroutines(stacks: &Stacks) -> bool {
    let mut groups = stacks.groups.iter();
    groups.any(|group| group.of == StackOf::Goroutines)
}

/// Whether threads wait for events, such as of an event loop: its handlers have no stacks.
fn is_loop(group: &StackGroup) -> bool {
    group.of == StackOf::Threads && doing::waits_for_events(group)
}

fn has_name(frame: &Frame) -> bool {
    frame.function.is_some()
}

/// Whether a Go program serves HTTP: a goroutine is in the server of net/http. `None` if not all goroutines
/// were read.
pub fn serves_http(evidence: &Evidence) -> Option<bool> {
    let stacks = evidence.stacks.as_ref();
    let stacks = stacks.filter(|stacks| is_of_goroutines(stacks))?;
    let mut frames = stacks.groups.iter().flat_map(|group| &group.frames);
    // Also "(*connReader)", which reads ahead.
    let server: [&[u8]; 2] = [b"net/http.(*conn", b"net/http.(*Server)"];
    let is_server = |frame: &Frame| {
        let function = frame.function.as_ref();
        function.is_some_and(|function| {
            let mut all = server.iter();
            all.any(|start| function.bytes().starts_with(start))
        })
    };
    let all = stacks.moved == 0
        && stacks.left_out == 0
        && stacks.unread.is_empty()
        && stacks.groups.iter().all(|group| group.complete);
    match frames.any(is_server) {
        true => Some(true),
        false => all.then_some(false),
    }
}

/// Whether the stacks of a process show all that a debugger would: each that says anything has names, and
/// none is missing.
pub fn are_told(evidence: &Evidence) -> bool {
    evidence.stacks.as_ref().is_some_and(|stacks| {
        let is_told = |group: &StackGroup| {
            let folded = Folded::of(group, evidence.runtime);
            let is_named = folded.own().is_none_or(|(_, frame)| has_name(frame));
            group.complete && is_named && group.frames.iter().any(has_name)
        };
        let runs = evidence.threads.map_or(0, |threads| threads.running);
        !stacks.groups.is_empty()
            && stacks.left_out == 0
            && stacks.moved <= runs
            && stacks.unread.is_empty()
            && stacks.groups.iter().all(is_told)
    })
}
