//! What the workers of a finding wait for: informative waits in a line each, the rest together.

use crate::classifier::Report;
use crate::classifier::culprit::Culprit;
use crate::classifier::finding::Finding;
use crate::classifier::process::parks_threads;
use crate::classifier::workers::{ContendedLock, SharedWait, WaitsFor, Workers};
use crate::model::{
    Endpoint, LockOwner, LockPlace, NamedThreads, Pid, Side, StackOf, WaitKind, WaitTarget,
};
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::findings::requests;
use crate::renderer::names::process;
use crate::renderer::units::plural;

/// The most services, and the most locks, with a line of their own.
const EACH: usize = 4;
/// The most names of threads in one line.
const NAMES: usize = 3;

pub(super) fn wait_lines(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    let evidence = &finding.evidence;
    let waits = Waits {
        report,
        finding,
        workers: &finding.workers,
        noun: match finding.set.end.side() {
            Some(Side::Client) => "processes",
            _ => "workers",
        },
        parks: evidence.iter().any(|of| parks_threads(of.runtime)),
        is_waiting: requests::is_waiting(finding) || finding.stacks.total(StackOf::Tasks) > 0,
    };
    waits.services(lines);
    waits.locks(lines);
    waits.rest(lines);
}

/// The waits for services that get a line each.
fn services_of(workers: &Workers) -> impl Iterator<Item = &SharedWait> {
    let all = workers.waits.iter();
    let services = all.filter(|common| matches!(common.on, WaitsFor::Service(_)));
    services.take(EACH)
}

/// Whether a wait for this service has a line.
pub(super) fn has_line(finding: &Finding, remote: Endpoint) -> bool {
    services_of(&finding.workers).any(|common| common.on == WaitsFor::Service(remote))
}

/// The waits of a finding's workers.
struct Waits<'a> {
    report: &'a Report<'a>,
    finding: &'a Finding,
    workers: &'a Workers,
    noun: &'static str,
    /// The runtime parks threads that have nothing to do.
    parks: bool,
    /// Its requests to another service are unanswered, or its tasks wait.
    is_waiting: bool,
}

impl Waits<'_> {
    fn services(&self, lines: &mut Lines) {
        for common in services_of(self.workers) {
            let rank = match (self.finding.culprit, &common.on) {
                (Some(Culprit::Backend(remote)), WaitsFor::Service(on)) if remote == *on => {
                    Rank::Decisive
                }
                _ => Rank::Telling,
            };
            lines.add(rank, self.common(common));
        }
    }

    fn locks(&self, lines: &mut Lines) {
        let most = self.workers.contended_lock().map(|(most, _)| most);
        // Locks with the same waiters and the same holder are told once.
        let mut told: Vec<(Rank, &ContendedLock, u64)> = Vec::new();
        for lock in self.contended_locks() {
            let decides = most == Some(lock) || self.workers.share_a_lock();
            let rank = if decides {
                Rank::Decisive
            } else {
                Rank::Telling
            };
            let line = self.contended_lock(lock, 1);
            let is_same = |(_, known, _): &&mut (Rank, &ContendedLock, u64)| {
                self.contended_lock(known, 1) == line
            };
            match told.iter_mut().find(is_same) {
                Some((_, _, locks)) => *locks += 1,
                None => told.push((rank, lock, 1)),
            }
        }
        for (rank, lock, locks) in told {
            lines.add(rank, self.contended_lock(lock, locks));
        }
    }

    /// Waits for anything else: with a known target in a line each, the others together.
    fn rest(&self, lines: &mut Lines) {
        // What one thread of many does is chance.
        let is_chance = |common: &SharedWait| common.threads < 2 && self.workers.threads > 1;
        let mut rest = Vec::new();
        for common in &self.workers.waits {
            match common.on {
                WaitsFor::Service(_) => {}
                WaitsFor::Nothing if self.without_locks(common) > 0 => rest.push(common),
                WaitsFor::Nothing => {}
                _ if is_chance(common) => {}
                _ => lines.add(self.rank(common), self.common(common)),
            }
        }
        rest.sort_by_key(|common| std::cmp::Reverse(common.threads));
        match rest.as_slice() {
            [] => {}
            [only] if is_chance(only) => {}
            [only] if self.without_locks(only) == only.threads => {
                lines.add(self.rank(only), self.common(only));
            }
            several => lines.add(Rank::Plain, self.together(several)),
        }
    }

    /// `41 threads wait: 40 in futex, 1 in epoll_wait`.
    fn together(&self, waits: &[&SharedWait]) -> String {
        let each: Vec<String> = waits
            .iter()
            .map(|common| {
                let what = match (common.kind, names(&common.thread_names, self.workers)) {
                    (WaitKind::Lock, names) if self.parks => {
                        // The name of the parked pool is the useful part.
                        let names = names.replacen(" (", ": ", 1);
                        format!(" (a lock, or nothing to do{}", close(names))
                    }
                    (WaitKind::Lock, names) => names,
                    _ => String::new(),
                };
                format!("{} in {}{what}", self.without_locks(common), common.call)
            })
            .collect();
        let all: u64 = waits.iter().map(|common| self.without_locks(common)).sum();
        let more = match all == self.workers.threads {
            true => "",
            false => " more",
        };
        let (s, verb) = (plural(all), if all == 1 { "waits" } else { "wait" });
        format!("{all}{more} thread{s} {verb}: {}", each.join(", "))
    }

    /// The locks that get a line. If a runtime parks threads, an address at which several wait may
    /// be a condition as well as a lock, unless its holder is known.
    fn contended_locks(&self) -> impl Iterator<Item = &ContendedLock> {
        let locks = self.workers.locks.iter();
        let is_told =
            |contended_lock: &&ContendedLock| contended_lock.held_by.is_some() || !self.parks;
        locks.filter(is_told).take(EACH)
    }

    /// How many of the threads in a wait are not counted in the line of a lock.
    fn without_locks(&self, common: &SharedWait) -> u64 {
        if common.call != *"futex" {
            return common.threads;
        }
        let counted: u64 = self.contended_locks().map(|lock| lock.threads).sum();
        common.threads.saturating_sub(counted)
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
            let plural = plural(all.threads);
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
        // All ways of waiting for a service are one wait.
        let (call, on) = match common.is_one_call {
            true => (format!(" in {}", common.call), "on"),
            false => (String::new(), "for"),
        };
        let on = match &common.on {
            WaitsFor::Service(remote) => {
                format!(" {on} {remote}{}", requests::since(self.finding, *remote))
            }
            WaitsFor::File(file) => format!(" on {file}"),
            WaitsFor::Listener(local) => format!(" on the listener {local}: nothing to do"),
            WaitsFor::Clients => format!(" {on} clients"),
            WaitsFor::Nothing => match common.kind {
                WaitKind::Lock if self.parks => ": a lock, or nothing to do".to_owned(),
                WaitKind::Lock => ": a lock or a condition".to_owned(),
                WaitKind::Events if self.is_waiting => ": an event loop".to_owned(),
                WaitKind::Events => ": an event loop with nothing to do".to_owned(),
                _ => String::new(),
            },
        };
        format!("{who}{call}{on}")
    }

    fn contended_lock(&self, contended_lock: &ContendedLock, locks: u64) -> String {
        let who = self.who(
            contended_lock.workers,
            contended_lock.threads,
            contended_lock.pid,
            &contended_lock.thread_names,
        );
        let what = match (&contended_lock.place, &contended_lock.held_by) {
            (LockPlace::Shared { .. }, _) if locks > 1 => {
                format!("each of {locks} locks in shared memory")
            }
            (LockPlace::Shared { .. }, _) => "one lock in shared memory".to_owned(),
            (LockPlace::Own(_), Some(_)) if locks > 1 => format!("each of {locks} locks"),
            (LockPlace::Own(_), None) if locks > 1 => {
                format!("each of {locks} locks or conditions")
            }
            (LockPlace::Own(_), Some(_)) => "one lock".to_owned(),
            (LockPlace::Own(_), None) => "one lock or condition".to_owned(),
        };
        let has = match &contended_lock.held_by {
            Some(held_by) => format!(": {}", self.held_by(contended_lock, held_by, locks)),
            None => String::new(),
        };
        format!("{who} for {what}{has}")
    }

    /// `thread 77 (cleaner) holds it, and waits in read on 10.0.0.5:3306`.
    fn held_by(&self, contended_lock: &ContendedLock, held_by: &LockOwner, locks: u64) -> String {
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
        let it = if locks > 1 { "them" } else { "it" };
        format!("{who} holds {it}{does}")
    }
}

/// Closes the parenthesis of the names, if they have none.
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
            let shown = several.iter().take(NAMES);
            let each: Vec<String> = shown
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
