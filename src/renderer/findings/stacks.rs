//! Where in their code the threads, goroutines and tasks of a finding wait.

use crate::classifier::Report;
use crate::classifier::culprit::Culprit;
use crate::classifier::finding::Finding;
use crate::classifier::stacks::{Doing, LockKind, SharedStack};
use crate::classifier::workers::WaitsFor;
use crate::model::{Endpoint, Evidence, Name, NamedThreads, Part, Pid, StackOf};
use crate::renderer::findings::functions::function;
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::names::process;
use crate::renderer::units::{self, plural};

/// The most stacks with a line of their own.
const EACH: usize = 3;
/// The most names of threads, and of remote ends, in one line.
const NAMES: usize = 3;
/// From so many threads on, what a single one does is no fact about the program.
const MANY: u64 = 8;
/// Missing stacks are told from this share of all on, in percent.
const MISSING_PERCENT: u64 = 10;

pub(super) fn lines(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    let shared = &finding.stacks;
    // What one thread of many does is chance.
    let is_chance = |stack: &&SharedStack| {
        let is_waited_for = matches!(stack.doing, Doing::Awaits | Doing::Locked);
        stack.count < 2 && shared.total(stack.of) >= MANY && !is_waited_for
    };
    let (chance, told): (Vec<&SharedStack>, Vec<&SharedStack>) =
        shared.telling().partition(is_chance);
    let (told, others) = alike(&told);
    for (stack, locks) in &told {
        let rank = match stack.doing {
            Doing::Awaits | Doing::Locked | Doing::Works => Rank::Decisive,
            Doing::Parks | Doing::Idles | Doing::Apart => Rank::Plain,
        };
        lines.add(rank, line(finding, stack, *locks));
    }
    if let Some(first) = others.first() {
        let rest = || {
            others
                .iter()
                .chain(&chance)
                .filter(|stack| stack.of == first.of)
        };
        let more: u64 = rest().map(|stack| stack.count).sum();
        let places: u64 = rest().map(|stack| stack.places).sum();
        let are = if more == 1 { "is" } else { "are" };
        let (nouns, others) = (nouns(finding, first.of, more), plural(places));
        let all = match is_all_in_json(finding) {
            true => " (--json has all)",
            false => "",
        };
        lines.add(
            Rank::Plain,
            format!("{more} more {nouns} {are} in {places} other place{others}{all}"),
        );
    }
    if shared.nobody_works {
        let (of, count) = match shared.total(StackOf::Goroutines) {
            0 => (StackOf::Threads, shared.total(StackOf::Threads)),
            count => (StackOf::Goroutines, count),
        };
        let noun = noun(of);
        let all = match count {
            1 => format!("the only {noun} waits"),
            _ => format!("all {} {noun}s wait", units::count(count)),
        };
        lines.add(
            Rank::Decisive,
            format!("no {noun} is in a handler: {all} for connections or events"),
        );
    }
    missing(report, finding, lines);
}

/// The first stacks, each with how many locks are waited for in the same way, and the others.
fn alike<'a>(stacks: &[&'a SharedStack]) -> (Vec<(SharedStack, u64)>, Vec<&'a SharedStack>) {
    let mut told: Vec<(SharedStack, u64)> = Vec::new();
    let mut others = Vec::new();
    for stack in stacks {
        let is_alike = |(known, _): &&mut (SharedStack, u64)| {
            let is_locked = known.doing == Doing::Locked && stack.doing == Doing::Locked;
            let whose = |stack: &SharedStack| (stack.pid, stack.of, stack.lock, stack.places);
            is_locked && whose(known) == whose(stack) && known.folded == stack.folded
        };
        let has_room = told.len() < EACH;
        match told.iter_mut().find(is_alike) {
            Some((known, locks)) => {
                known.merge(stack);
                *locks += 1;
            }
            None if has_room => told.push(((*stack).clone(), 1)),
            None => others.push(*stack),
        }
    }
    (told, others)
}

/// What is missing from the stacks, if that may matter.
fn missing(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    let shared = &finding.stacks;
    for (pid, why) in shared.unread.iter().take(EACH) {
        let name = process(report, *pid);
        lines.add(Rank::Plain, format!("unknown about {name}: {why}"));
    }
    let all = [StackOf::Threads, StackOf::Goroutines, StackOf::Tasks];
    let all: u64 = all.map(|of| shared.total(of)).iter().sum();
    for (count, why) in [
        (shared.moved, "ran or moved meanwhile"),
        (shared.left_out, "would have taken too long"),
    ] {
        if count.saturating_mul(100) >= all.saturating_mul(MISSING_PERCENT).max(1) {
            let line = match count {
                1 => format!("1 stack was not read: it {why}"),
                _ => format!("{} stacks were not read: they {why}", units::count(count)),
            };
            lines.add(Rank::Plain, line);
        }
    }
}

/// `31 of 32 threads: recv ← mysql_read ← query_db (worker-*) → 10.0.0.5:3306`.
fn line(finding: &Finding, stack: &SharedStack, locks: u64) -> String {
    let who = who(finding, stack, stack.count);
    let how = match (stack.doing, stack.lock) {
        (Doing::Locked, Some(LockKind::Lock)) if stack.of == StackOf::Threads => match locks {
            1 => " on one lock".to_owned(),
            _ => format!(" on {locks} locks"),
        },
        (Doing::Locked, _) if stack.of == StackOf::Threads => match locks {
            1 => " on one lock or condition".to_owned(),
            _ => format!(" on {locks} locks or conditions"),
        },
        _ => String::new(),
    };
    let places = match stack.places {
        0 | 1 => String::new(),
        places => format!(" in {places} places, most"),
    };
    let state = state(stack);
    let code = code(stack);
    let names = thread_names(&stack.thread_names, &finding.workers.thread_names);
    let target = targets(stack);
    format!("{who}{how}{state}{places}: {code}{names}{target}")
}

/// `31 of 32 threads`, `7 of 8 workers`.
fn who(finding: &Finding, stack: &SharedStack, count: u64) -> String {
    let shared = &finding.stacks;
    let total = shared.total(stack.of).max(stack.count);
    let noun = noun(stack.of);
    if are_processes(finding, stack.of) {
        return format!("{count} of {total} processes");
    }
    let of = match shared.processes {
        0 | 1 => String::new(),
        processes => format!(" of {processes} processes"),
    };
    let (count, s) = (units::count(count), plural(total));
    format!("{count} of {} {noun}{s}{of}", units::count(total))
}

/// Whether each thread is a process of its own.
fn are_processes(finding: &Finding, of: StackOf) -> bool {
    let shared = &finding.stacks;
    of == StackOf::Threads && shared.processes > 1 && shared.total(of) == shared.processes
}

/// `threads`, or `processes` if each has one thread.
fn nouns(finding: &Finding, of: StackOf, count: u64) -> String {
    match (are_processes(finding, of), count) {
        (true, 1) => "process".to_owned(),
        (true, _) => "processes".to_owned(),
        (false, _) => format!("{}{}", noun(of), plural(count)),
    }
}

/// Whether JSON has the stacks of all processes: it lists only some of many.
fn is_all_in_json(finding: &Finding) -> bool {
    let listed = finding.evidence.iter();
    let listed = listed.filter(|evidence| {
        let stacks = evidence.stacks.as_ref();
        stacks.is_some_and(|stacks| !stacks.groups.is_empty())
    });
    listed.count() as u64 == finding.stacks.processes && finding.stacks.left_out == 0
}

fn noun(of: StackOf) -> &'static str {
    match of {
        StackOf::Threads => "thread",
        StackOf::Goroutines => "goroutine",
        StackOf::Tasks => "task",
    }
}

/// `, IO wait for 3m–5m`. The call of a thread is its first function.
fn state(stack: &SharedStack) -> String {
    let waited = stack.waited_ms.map(|(least, most)| {
        let (least, most) = (units::duration(least), units::duration(most));
        match least == most {
            true => format!(" for {least}"),
            false => format!(" for {least}–{most}"),
        }
    });
    let waited = waited.unwrap_or_default();
    match (&stack.state, stack.of) {
        (Some(state), StackOf::Goroutines | StackOf::Tasks) => format!(", {state}{waited}"),
        _ if waited.is_empty() => String::new(),
        _ => format!(",{waited}"),
    }
}

/// `recv ← mysql_read ← query_db`.
fn code(stack: &SharedStack) -> String {
    let frames = stack.folded.frames.iter();
    let mut functions: Vec<String> = Vec::new();
    // Scripts make system calls in functions of their interpreter, and a call may have no name.
    let has_call = (frames.clone().next()).is_some_and(|(part, frame)| {
        matches!(part, Part::System | Part::Runtime) && frame.file.is_none()
    });
    if let Some(state) =
        (stack.state.as_ref()).filter(|_| !has_call && stack.of == StackOf::Threads)
    {
        functions.push(state.to_string());
    }
    functions.extend(frames.map(|(part, frame)| function(*part, frame, stack.of)));
    // A recursion is told once.
    functions.dedup();
    if stack.folded.is_cut {
        functions.push("…".to_owned());
    }
    if functions.is_empty() {
        // No function has a name.
        return stack.state.as_ref().map_or("?".to_owned(), Name::to_string);
    }
    functions.join(" ← ")
}

/// ` (worker-*)`.
fn thread_names(thread_names: &[NamedThreads], all: &[NamedThreads]) -> String {
    // If all threads have one name, it is that of the program.
    if all.len() < 2 {
        return String::new();
    }
    let name = |named: &NamedThreads| {
        let known = all.iter().find(|known| known.name == named.name);
        let total = known.map_or(named.threads, |known| known.threads);
        let star = if total > 1 { "*" } else { "" };
        format!("{}{star}", named.name)
    };
    let shown: Vec<String> = thread_names.iter().take(NAMES).map(name).collect();
    let more = if thread_names.len() > NAMES {
        ", …"
    } else {
        ""
    };
    match shown.is_empty() {
        true => String::new(),
        false => format!(" ({}{more})", shown.join(", ")),
    }
}

/// ` → 10.0.0.5:3306`; with counts, if not all wait for it: ` → 4 × 10.0.0.5:3306, 2 × 10.0.0.6:3306`.
fn targets(stack: &SharedStack) -> String {
    let all = named_targets(stack);
    let is_all = matches!(all.as_slice(), [(_, count)] if *count == stack.count);
    let shown: Vec<String> = (all.iter().take(NAMES))
        .map(|(name, count)| match is_all {
            true => name.clone(),
            false => format!("{} × {name}", units::count(*count)),
        })
        .collect();
    let more = if all.len() > NAMES { ", …" } else { "" };
    match shown.is_empty() {
        true => String::new(),
        false => format!(" → {}{more}", shown.join(", ")),
    }
}

/// The services and files that are waited for, each with how many wait for it.
fn named_targets(stack: &SharedStack) -> Vec<(String, u64)> {
    let named = |(on, count): &(WaitsFor, u64)| match on {
        WaitsFor::Service(remote) => Some((remote.to_string(), *count)),
        WaitsFor::File(file) => Some((file.to_string(), *count)),
        WaitsFor::Listener(_) | WaitsFor::Clients | WaitsFor::Nothing => None,
    };
    stack.targets.iter().filter_map(named).collect()
}

/// Where the work waits, in a sentence: `31 of 32 threads are in query_db, and wait for 10.0.0.5:3306.`
pub(super) fn sentence(finding: &Finding) -> Option<String> {
    let stack = finding.stacks.main()?;
    let (part, frame) = stack.folded.own()?;
    let own = function(*part, frame, stack.of);
    let wait = |count: u64| if count == 1 { "waits" } else { "wait" };
    if let (Doing::Awaits, Some(Culprit::Backend(remote))) = (stack.doing, finding.culprit) {
        let mut targets = stack.targets.iter();
        let of_it = targets.find(|(on, _)| *on == WaitsFor::Service(remote));
        if let Some(count) = of_it.map(|(_, count)| (*count).min(stack.count)) {
            let who = who(finding, stack, count);
            return Some(format!("{who} {} for it in {own}.", wait(count)));
        }
    }
    let telling: Vec<&SharedStack> = finding.stacks.telling().collect();
    let (told, _) = alike(&telling);
    let (count, locks) = told
        .first()
        .map_or((stack.count, 1), |(stack, locks)| (stack.count, *locks));
    let who = who(finding, stack, count);
    let are = if count == 1 { "is" } else { "are" };
    let and_waits = |on: &str| format!(", and {} for {on}", wait(count));
    let on = match stack.doing {
        Doing::Awaits => and_waits(&each_target(stack)),
        Doing::Locked if locks > 1 && stack.lock == Some(LockKind::Lock) => {
            and_waits(&format!("{locks} locks"))
        }
        Doing::Locked if locks > 1 => and_waits(&format!("{locks} locks or conditions")),
        Doing::Locked if stack.lock == Some(LockKind::Lock) => and_waits("a lock"),
        Doing::Locked => and_waits("a lock or a condition"),
        // The line of its stack says as much.
        _ if count == 1 => return None,
        _ => String::new(),
    };
    Some(format!("{who} {are} in {own}{on}."))
}

/// `10.0.0.5:3306`; if not all wait for it, `10.0.0.5:3306 (4) and 10.0.0.6:3306 (2)`.
fn each_target(stack: &SharedStack) -> String {
    let all = named_targets(stack);
    match all.as_slice() {
        [(name, count)] if *count == stack.count => name.clone(),
        several => {
            let counted = several.iter().take(NAMES);
            let mut each: Vec<String> = counted
                .map(|(name, count)| format!("{name} ({})", units::count(*count)))
                .collect();
            if several.len() > NAMES {
                each.push("others".to_owned());
            }
            let last = each.pop().unwrap_or_default();
            match each.is_empty() {
                true => last,
                false => format!("{} and {last}", each.join(", ")),
            }
        }
    }
}

/// The service that the most telling stack waits for, and who waits: `8 goroutines wait for it`.
pub(super) fn awaited(finding: &Finding) -> Option<(Endpoint, String)> {
    // A library may read a connection that no goroutine or task waits for.
    let is_work = |stack: &&SharedStack| stack.of == StackOf::Threads || stack.is_own();
    let main = finding.stacks.main().filter(is_work)?;
    let (remote, _) = main.services().next()?;
    let count = count_on(finding, main.of, remote);
    let words = format!("{} {}s wait for it", units::count(count), noun(main.of));
    (count > 1).then_some((remote, words))
}

/// How many goroutines or tasks of a finding wait for this service, in words.
pub(super) fn who_awaits(finding: &Finding, remote: Endpoint) -> Option<String> {
    let of = [StackOf::Goroutines, StackOf::Tasks];
    let counts = of.map(|of| (of, count_on(finding, of, remote)));
    let (of, count) = counts.into_iter().find(|(_, count)| *count > 1)?;
    Some(format!("{} {}s wait for it", units::count(count), noun(of)))
}

fn count_on(finding: &Finding, of: StackOf, remote: Endpoint) -> u64 {
    let stacks = finding.stacks.stacks.iter().filter(|stack| stack.of == of);
    let services = stacks.flat_map(SharedStack::services);
    services
        .filter(|(on, _)| *on == remote)
        .map(|(_, count)| count)
        .sum()
}

/// The functions of one thread: `flush_cache ← cleaner`.
pub(super) fn of_thread(evidence: &Evidence, thread: Pid) -> Option<String> {
    let stack = SharedStack::of_thread(evidence, thread)?;
    stack.folded.own()?;
    Some(code(&stack))
}
