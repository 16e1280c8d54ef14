//! What the workers of a finding wait for, in words: each wait that tells something in a line of
//! its own, the rest together.

use crate::classifier::Report;
use crate::classifier::culprit::{Culprit, parks_threads};
use crate::classifier::finding::Finding;
use crate::classifier::workers::{Common, Jam, On, Workers};
use crate::model::{Crew, Endpoint, Keeper, LockPlace, Pid, Side, WaitKind, WaitTarget};
use crate::renderer::page::findings::evidence::{Lines, Rank};
use crate::renderer::page::findings::far;
use crate::renderer::page::findings::words::process;

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
    let services = |common: &&Common| matches!(common.on, On::Service(_));
    for common in services_of(workers) {
        let rank = match (finding.culprit, &common.on) {
            (Some(Culprit::Behind(remote)), On::Service(on)) if remote == *on => Rank::Decisive,
            _ => Rank::Telling,
        };
        lines.add(rank, told.common(common));
    }
    for jam in told.jams() {
        let decides = workers.jam().is_some_and(|(most, _)| most == jam) || workers.share_a_lock();
        let rank = if decides {
            Rank::Decisive
        } else {
            Rank::Telling
        };
        lines.add(rank, told.jam(jam));
    }
    let mut rest = Vec::new();
    for common in workers.waits.iter().filter(|common| !services(common)) {
        let is_told = match common.on {
            On::Nothing => common.threads > told.jammed(common),
            _ => true,
        };
        // What one of many does is chance.
        let is_chance = common.threads < 2 && workers.threads > 1;
        match common.on {
            _ if !is_told => {}
            On::Nothing => rest.push(common),
            _ if is_chance => {}
            _ => lines.add(told.rank(common), told.common(common)),
        }
    }
    rest.sort_by_key(|common| std::cmp::Reverse(common.threads));
    match rest.as_slice() {
        [] => {}
        [only] if only.threads < 2 && workers.threads > 1 => {}
        [only] if told.jammed(only) == 0 => lines.add(told.rank(only), told.common(only)),
        several => {
            let each: Vec<String> = several
                .iter()
                .map(|common| {
                    let threads = common.threads - told.jammed(common);
                    let call = &common.call;
                    let what = match (common.kind, names(&common.crews, workers)) {
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
                .map(|common| common.threads - told.jammed(common))
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
fn services_of(workers: &Workers) -> impl Iterator<Item = &Common> {
    let all = workers.waits.iter();
    let services = all.filter(|common| matches!(common.on, On::Service(_)));
    services.take(EACH)
}

/// Whether a wait for this service is told.
pub(super) fn tells(finding: &Finding, remote: Endpoint) -> bool {
    services_of(&finding.workers).any(|common| common.on == On::Service(remote))
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
    fn jams(&self) -> impl Iterator<Item = &Jam> {
        let locks = self.workers.locks.iter();
        let is_told = |jam: &&Jam| jam.keeper.is_some() || !self.parks;
        locks.filter(is_told).take(EACH)
    }

    /// How many of the threads in a wait are told with a lock.
    fn jammed(&self, common: &Common) -> u64 {
        if common.call != *"futex" {
            return 0;
        }
        let jammed: u64 = self.jams().map(|jam| jam.threads).sum();
        jammed.min(common.threads)
    }

    fn rank(&self, common: &Common) -> Rank {
        let is_most = common.threads * 2 > self.workers.threads;
        match common.kind {
            WaitKind::Lock if self.parks => Rank::Plain,
            WaitKind::Descriptor | WaitKind::Lock if is_most => Rank::Decisive,
            _ => Rank::Plain,
        }
    }

    /// `4 of 4 workers of gunicorn wait`, `20 of 41 threads (pool-1-thread-*) of java[7] wait`.
    fn who(&self, workers: u64, threads: u64, pid: Pid, crews: &[Crew]) -> String {
        let all = self.workers;
        let verb = |count: u64| if count == 1 { "waits" } else { "wait" };
        if all.total <= 1 {
            let plural = if all.threads == 1 { "" } else { "s" };
            return format!(
                "{threads} of {} thread{plural}{} of {} {}",
                all.threads,
                names(crews, all),
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
                names(crews, all),
                verb(threads)
            )
        }
    }

    fn common(&self, common: &Common) -> String {
        let who = self.who(common.workers, common.threads, common.pid, &common.crews);
        let call = &common.call;
        let on = match &common.on {
            On::Service(remote) => {
                format!(" on {remote}{}", far::since(self.finding, *remote))
            }
            On::File(file) => format!(" on {file}"),
            On::Listener(local) => format!(" on the listener {local}: nothing to do"),
            On::Clients => " on clients".to_owned(),
            On::Nothing => match common.kind {
                WaitKind::Lock if self.parks => ": a lock, or nothing to do".to_owned(),
                WaitKind::Lock => ": a lock or a condition".to_owned(),
                WaitKind::Events if self.is_waiting => ": an event loop".to_owned(),
                WaitKind::Events => ": an event loop with nothing to do".to_owned(),
                _ => String::new(),
            },
        };
        format!("{who} in {call}{on}")
    }

    fn jam(&self, jam: &Jam) -> String {
        let who = self.who(jam.workers, jam.threads, jam.pid, &jam.crews);
        let what = match (&jam.place, &jam.keeper) {
            (LockPlace::Shared { .. }, _) => "one lock in memory that processes share",
            (LockPlace::Own(_), Some(_)) => "one lock",
            (LockPlace::Own(_), None) => "one lock or condition",
        };
        let has = match &jam.keeper {
            Some(keeper) => format!(": {}", self.keeper(jam, keeper)),
            None => String::new(),
        };
        format!("{who} for {what}{has}")
    }

    /// `thread 77 (cleaner) has it, and waits in read on 10.0.0.5:3306`.
    fn keeper(&self, jam: &Jam, keeper: &Keeper) -> String {
        let who = match (keeper.thread, &keeper.name) {
            (Some(thread), Some(name)) if keeper.pid == jam.pid => {
                format!("thread {thread} ({name})")
            }
            (_, Some(name)) => format!("{name}[{}]", keeper.pid),
            (_, None) => format!("process {}", keeper.pid),
        };
        let does = match (&keeper.call, &keeper.target) {
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
fn names(crews: &[Crew], all: &Workers) -> String {
    if all.crews.len() < 2 || crews.is_empty() {
        return String::new();
    }
    let total = |crew: &Crew| {
        let known = all.crews.iter().find(|known| known.name == crew.name);
        known.map_or(0, |known| known.threads)
    };
    let name = |crew: &Crew| {
        let star = if total(crew) > 1 { "*" } else { "" };
        format!("{}{star}", crew.name)
    };
    match crews {
        [one] if one.threads == total(one) && one.threads > 1 => format!(" (all of {})", name(one)),
        [one] => format!(" ({})", name(one)),
        several => {
            let told = several.iter().take(NAMES);
            let each: Vec<String> = told
                .map(|crew| format!("{} {}", crew.threads, name(crew)))
                .collect();
            let more = match several.len().saturating_sub(NAMES) {
                0 => "",
                _ => ", …",
            };
            format!(" ({}{more})", each.join(", "))
        }
    }
}
