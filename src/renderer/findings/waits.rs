//! What the workers of a finding wait for, in words: each wait that tells something in a line of
//! its own, the rest together.

use crate::classifier::Report;
use crate::classifier::culprit::{Culprit, parks_threads};
use crate::classifier::finding::Finding;
use crate::classifier::workers::{ContendedLock, SharedWait, WaitsFor, Workers};
use crate::model::{Endpoint, LockOwner, LockPlace, NamedThreads, Pid, Side, WaitKind, WaitTarget};
use crate::renderer::findings::evidence::{Lines, Rank};
use crate::renderer::findings::far;
use crate::renderer::names::process;

/// The most services, and the most locks, that are told each.
const EACH: usize = 4;
/// The most names of threads in one line.
const NAMES: usize = 3;

pub(super) fn wait_lines(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    let workers = &finding.workers;
    let noun = match finding.set.end.side() {
        Some(Side::Client) => "processes",
        _ => "workers",
    };
    let told = Told {
        report,
        finding,
        workers,
        noun,
        parks: finding
            .evidence
            .iter()
            .any(|evidence| parks_threads(evidence.runtime)),
        is_waiting: far::is_waiting(finding),
    };
    let services = |common: &&SharedWait| matches!(common.on, WaitsFor::Service(_));
    for common in services_of(workers) {
        let rank = match (finding.culprit, &common.on) {
            (Some(Culprit::Backend(remote)), WaitsFor::Service(on)) if remote == *on => {
                Rank::Decisive
            }
            _ => Rank::Telling,
        };
        lines.add(rank, told.common(common));
    }
    for contended_lock in told.jams() {
        let decides = workers
            .contended_lock()
            .is_some_and(|(most, _)| most == contended_lock)
            || workers.share_a_lock();
        let rank = if decides {
            Rank::Decisive
        } else {
            Rank::Telling
        };
        lines.add(rank, told.contended_lock(contended_lock));
    }
    let mut rest = Vec::new();
    for common in workers.waits.iter().filter(|common| !services(common)) {
        let is_told = match common.on {
            WaitsFor::Nothing => common.threads > told.waiting_for_locks(common),
            _ => true,
        };
        // What one of many does is chance.
        let is_chance = common.threads < 2 && workers.threads > 1;
        match common.on {
            _ if !is_told => {}
            WaitsFor::Nothing => rest.push(common),
            _ if is_chance => {}
            _ => lines.add(told.rank(common), told.common(common)),
        }
    }
    rest.sort_by_key(|common| std::cmp::Reverse(common.threads));
    match rest.as_slice() {
        [] => {}
        [only] if only.threads < 2 && workers.threads > 1 => {}
        [only] if told.waiting_for_locks(only) == 0 => {
            lines.add(told.rank(only), told.common(only))
        }
        several => {
            let each: Vec<String> = several
                .iter()
                .map(|common| {
                    let threads = common.threads - told.waiting_for_locks(common);
                    let call = &common.call;
                    let what = match (common.kind, names(&common.thread_names, workers)) {
                        (WaitKind::Lock, names) if told.parks => {
                            // Which pool is parked tells more than that one is.
                            let names = names.replacen(" (", ": ", 1);
                            format!(" (a lock, or nothing to do{}", close(names))
                        }
                        (WaitKind::Lock, names) => names,
                        _ => String::new(),
                    };
                    format!("{threads} in {call}{what}")
                })
                .collect();
            let all: u64 = several
                .iter()
                .map(|common| common.threads - told.waiting_for_locks(common))
                .sum();
            let (more, plural, verb) = match (all == workers.threads, all) {
                (true, 1) => ("", "", "waits"),
                (true, _) => ("", "s", "wait"),
                (false, 1) => (" more", "", "waits"),
                (false, _) => (" more", "s", "wait"),
            };
            let text = format!("{all}{more} thread{plural} {verb}: {}", each.join(", "));
            lines.add(Rank::Plain, text);
        }
    }
}

/// The waits for services that are told each.
fn services_of(workers: &Workers) -> impl Iterator<Item = &SharedWait> {
    let all = workers.waits.iter();
    let services = all.filter(|common| matches!(common.on, WaitsFor::Service(_)));
    services.take(EACH)
}

/// Whether a wait for this service is told.
pub(super) fn tells(finding: &Finding, remote: Endpoint) -> bool {
    services_of(&finding.workers).any(|common| common.on == WaitsFor::Service(remote))
}

struct Told<'a> {
    report: &'a Report<'a>,
    finding: &'a Finding,
    workers: &'a Workers,
    noun: &'static str,
    /// The runtime parks threads that have nothing to do.
    parks: bool,
    /// Its requests to another service are unanswered.
    is_waiting: bool,
}

impl Told<'_> {
    /// The locks that are told. Where a runtime parks threads, a place at which several wait may be
    /// a condition as well as a lock, unless it is known who has it.
    fn jams(&self) -> impl Iterator<Item = &ContendedLock> {
        let locks = self.workers.locks.iter();
        let is_told =
            |contended_lock: &&ContendedLock| contended_lock.held_by.is_some() || !self.parks;
        locks.filter(is_told).take(EACH)
    }

    /// How many of the threads in a wait are told with a lock.
    fn waiting_for_locks(&self, common: &SharedWait) -> u64 {
        if common.call != *"futex" {
            return 0;
        }
        let waiting_for_locks: u64 = self
            .jams()
            .map(|contended_lock| contended_lock.threads)
            .sum();
        waiting_for_locks.min(common.threads)
    }

    fn rank(&self, common: &SharedWait) -> Rank {
        let is_most = common.threads * 2 > self.workers.threads;
        match common.kind {
            WaitKind::Lock if self.parks => Rank::Plain,
            WaitKind::Descriptor | WaitKind::Lock if is_most => Rank::Decisive,
            _ => Rank::Plain,
        }
    }

    /// `4 of 4 workers of gunicorn wait`, `20 of 41 threads (pool-1-thread-*) of java[7] wait`.
    fn who(&self, workers: u64, threads: u64, pid: Pid, thread_names: &[NamedThreads]) -> String {
        let all = self.workers;
        let verb = |count: u64| if count == 1 { "waits" } else { "wait" };
        if all.total <= 1 {
            let plural = if all.threads == 1 { "" } else { "s" };
            return format!(
                "{threads} of {} thread{plural}{} of {} {}",
                all.threads,
                names(thread_names, all),
                process(self.report, pid),
                verb(threads)
            );
        }
        let of = match self.report.holders().name(pid) {
            Some(name) => format!(" of {name}"),
            None => String::new(),
        };
        let noun = self.noun;
        let asked = match all.asked {
            asked if asked < all.total => format!("{asked} {noun}{of} ({} in all)", all.total),
            asked => format!("{asked} {noun}{of}"),
        };
        if all.threads == all.asked {
            format!("{workers} of {asked} {}", verb(workers))
        } else {
            format!(
                "{threads} of {} threads{} of {asked} {}",
                all.threads,
                names(thread_names, all),
                verb(threads)
            )
        }
    }

    fn common(&self, common: &SharedWait) -> String {
        let who = self.who(
            common.workers,
            common.threads,
            common.pid,
            &common.thread_names,
        );
        let call = &common.call;
        let on = match &common.on {
            WaitsFor::Service(remote) => {
                format!(" on {remote}{}", far::since(self.finding, *remote))
            }
            WaitsFor::File(file) => format!(" on {file}"),
            WaitsFor::Listener(local) => format!(" on the listener {local}: nothing to do"),
            WaitsFor::Clients => " on clients".to_owned(),
            WaitsFor::Nothing => match common.kind {
                WaitKind::Lock if self.parks => ": a lock, or nothing to do".to_owned(),
                WaitKind::Lock => ": a lock or a condition".to_owned(),
                WaitKind::Events if self.is_waiting => ": an event loop".to_owned(),
                WaitKind::Events => ": an event loop with nothing to do".to_owned(),
                _ => String::new(),
            },
        };
        format!("{who} in {call}{on}")
    }

    fn contended_lock(&self, contended_lock: &ContendedLock) -> String {
        let who = self.who(
            contended_lock.workers,
            contended_lock.threads,
            contended_lock.pid,
            &contended_lock.thread_names,
        );
        let what = match (&contended_lock.place, &contended_lock.held_by) {
            (LockPlace::Shared { .. }, _) => "one lock in memory that processes share",
            (LockPlace::Own(_), Some(_)) => "one lock",
            (LockPlace::Own(_), None) => "one lock or condition",
        };
        let has = match &contended_lock.held_by {
            Some(held_by) => format!(": {}", self.held_by(contended_lock, held_by)),
            None => String::new(),
        };
        format!("{who} for {what}{has}")
    }

    /// `thread 77 (cleaner) has it, and waits in read on 10.0.0.5:3306`.
    fn held_by(&self, contended_lock: &ContendedLock, held_by: &LockOwner) -> String {
        let who = match (held_by.thread, &held_by.name) {
            (Some(thread), Some(name)) if held_by.pid == contended_lock.pid => {
                format!("thread {thread} ({name})")
            }
            (_, Some(name)) => format!("{name}[{}]", held_by.pid),
            (_, None) => format!("process {}", held_by.pid),
        };
        let does = match (&held_by.call, &held_by.target) {
            (Some(call), Some(WaitTarget::Remote(end))) => {
                format!(", and waits in {call} on {end}")
            }
            (Some(call), _) => format!(", and waits in {call}"),
            (None, _) => String::new(),
        };
        format!("{who} has it{does}")
    }
}

/// The same with a parenthesis at its end.
fn close(mut names: String) -> String {
    if !names.ends_with(')') {
        names.push(')');
    }
    names
}

/// ` (all of pool-1-thread-*)`; nothing where all threads have one name.
fn names(thread_names: &[NamedThreads], all: &Workers) -> String {
    if all.thread_names.len() < 2 || thread_names.is_empty() {
        return String::new();
    }
    let total = |thread_name: &NamedThreads| {
        let known = all
            .thread_names
            .iter()
            .find(|known| known.name == thread_name.name);
        known.map_or(0, |known| known.threads)
    };
    let name = |thread_name: &NamedThreads| {
        let star = if total(thread_name) > 1 { "*" } else { "" };
        format!("{}{star}", thread_name.name)
    };
    match thread_names {
        [one] if one.threads == total(one) && one.threads > 1 => format!(" (all of {})", name(one)),
        [one] => format!(" ({})", name(one)),
        several => {
            let told = several.iter().take(NAMES);
            let each: Vec<String> = told
                .map(|thread_name| format!("{} {}", thread_name.threads, name(thread_name)))
                .collect();
            let more = match several.len().saturating_sub(NAMES) {
                0 => "",
                _ => ", …",
            };
            format!(" ({}{more})", each.join(", "))
        }
    }
}
