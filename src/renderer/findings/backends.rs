//! The services behind a program: its unanswered requests to them, and the processes that serve
//! them on this host.

use crate::classifier::Report;
use crate::classifier::chain::{Hop, IdleTransaction, Says};
use crate::classifier::finding::Finding;
use crate::classifier::owner::GroupOwner;
use crate::classifier::process::is_halted;
use crate::classifier::requests::Role;
use crate::classifier::silent::Silent;
use crate::model::{Pid, Titled, Wait, WaitTarget};
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::findings::requests::{unanswered, unawaited};
use crate::renderer::findings::{halt, waits};
use crate::renderer::names::{self, process};
use crate::renderer::units::{self, plural};

/// The most different titles, and lock holders, that are listed.
const SAYS_MAX: usize = 4;
const KEEPERS_MAX: usize = 3;

/// The facts about requests that explain a finding, or seem to.
pub(super) fn lines(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    let first = finding.set.by_weight.first();
    let name = first.and_then(|pid| report.holders().name(*pid));
    let all = finding.set.requests.iter();
    for requests in all.filter(|requests| requests.role == Role::Explains) {
        if waits::has_line(finding, requests.remote) {
            continue;
        }
        match requests.are_awaited(&finding.evidence) {
            Some(false) => lines.add(Rank::Telling, unawaited(requests)),
            Some(true) => lines.add(Rank::Decisive, unanswered(requests, name)),
            None => lines.add(Rank::Telling, unanswered(requests, name)),
        }
    }
    for hop in &finding.chain {
        lines.add(Rank::Decisive, served(report, finding, hop));
    }
}

/// The unanswered requests of a program that no finding covers.
pub fn silent(report: &Report<'_>, silent: &Silent) -> String {
    let text = unanswered(&silent.requests, report.holders().name(silent.pid));
    let place = match report.snapshot.only_namespace() {
        Some(_) => String::new(),
        None => format!(" in {}", names::netns_of(report, silent.netns)),
    };
    format!("{text}{place}: consistent with a service that hangs, or with long polls")
}

/// The processes that serve the requests, and what blocks them.
fn served(report: &Report<'_>, finding: &Finding, hop: &Hop) -> String {
    let kind = match hop.connections.saturating_sub(hop.unaccepted) {
        0 => "listener",
        _ => "process",
    };
    let owner = names::owner_of(
        report,
        &GroupOwner {
            kind: Some(kind),
            pids: hop.pids.clone(),
        },
    );
    let place = match hop.netns == finding.set.netns {
        true => "on this host".to_owned(),
        false => format!("in {}", names::netns_of(report, hop.netns)),
    };
    let parts = parts(report, hop).join("; ");
    let end = if parts.is_empty() { "" } else { ": " };
    let remote = hop.remote;
    format!(
        "{remote} is {} {place}{end}{parts}",
        owner.trim_end_matches(" (not accepted)")
    )
}

fn parts(report: &Report<'_>, hop: &Hop) -> Vec<String> {
    let mut parts = Vec::new();
    if hop.is_loop {
        parts.push("it waits for itself".to_owned());
    }
    let mut halted = hop.evidence.iter().filter(|evidence| is_halted(evidence));
    let halt = halted.next().map(|first| (first, halted.count()));
    if let Some((first, more)) = halt {
        parts.extend(halt::lines(report, first));
        if more > 0 {
            parts.push(format!(
                "{} others cannot run either",
                units::count(more as u64)
            ));
        }
    }
    let backends = hop
        .says
        .iter()
        .filter(|says| says.title.of == Titled::Postgres);
    let all: usize = backends.clone().map(|says| says.pids.len()).sum();
    let says: Vec<String> = backends.take(SAYS_MAX).map(says_words).collect();
    if !says.is_empty() {
        parts.push(format!(
            "of {} backends, {}",
            units::count(all as u64),
            says.join(", ")
        ));
    }
    let keepers = hop.idle_transactions.iter().take(KEEPERS_MAX);
    parts.extend(keepers.filter_map(|held_by| client(report, held_by)));
    if hop.unaccepted > 0 {
        parts.push(format!(
            "{} of {} requests wait in its accept queue",
            units::count(hop.unaccepted),
            units::count(hop.connections)
        ));
    }
    let name = hop.pids.first().and_then(|pid| report.holders().name(*pid));
    match hop.awaited().next() {
        Some(requests) => parts.push(unanswered(requests, name)),
        None if hop.says.is_empty() && halt.is_none() => parts.extend(waits(hop)),
        None => {}
    }
    parts
}

/// `10 say "UPDATE waiting"`; with the processes, if there are one or two.
fn says_words(says: &Says) -> String {
    let count = says.pids.len();
    let what = &says.title.says;
    let verb = if count == 1 { "says" } else { "say" };
    let who = match says.pids.as_slice() {
        few @ ([_] | [_, _]) if !says.title.is_blocked() => {
            let few: Vec<String> = few.iter().map(|pid| backend(*pid)).collect();
            format!(" ({})", few.join(", "))
        }
        _ => String::new(),
    };
    format!("{} {verb} \"{what}\"{who}", units::count(count as u64))
}

fn backend(pid: Pid) -> String {
    format!("{}[{pid}]", Titled::Postgres.name())
}

/// The client of an open transaction.
fn client(report: &Report<'_>, held_by: &IdleTransaction) -> Option<String> {
    let backend = backend(held_by.pid);
    let end = held_by.end?;
    let Some(client) = held_by.client else {
        return Some(format!("the client of {backend} is {end}"));
    };
    let waits = held_by.evidence.as_ref().and_then(|evidence| {
        let waits = evidence.waits.as_ref()?;
        let all = evidence.threads?.total;
        // With a single thread it is certain that this is the one that counts.
        let wait = waits.first().filter(|_| all == 1)?;
        Some(format!(", which waits in {}", on(wait)))
    });
    Some(format!(
        "the client of {backend} is {}{}",
        process(report, client),
        waits.unwrap_or_default()
    ))
}

/// What most threads of a service wait in.
fn waits(hop: &Hop) -> Option<String> {
    let mut counts: Vec<(&Wait, u32)> = Vec::new();
    let all: u32 = hop
        .at_work()
        .filter_map(|evidence| Some(evidence.threads?.total))
        .fold(0, u32::saturating_add);
    for wait in hop
        .at_work()
        .filter_map(|evidence| evidence.waits.as_ref())
        .flatten()
    {
        let same = |known: &Wait| (&known.call, &known.target) == (&wait.call, &wait.target);
        match counts.iter_mut().find(|(known, _)| same(known)) {
            Some((_, count)) => *count = count.saturating_add(wait.threads),
            None => counts.push((wait, wait.threads)),
        }
    }
    let (wait, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    let verb = if count == 1 { "waits" } else { "wait" };
    Some(format!(
        "{count} of {all} thread{} {verb} in {}",
        plural(all.into()),
        on(wait)
    ))
}

fn on(wait: &Wait) -> String {
    let call = &wait.call;
    match &wait.target {
        Some(WaitTarget::Remote(remote)) => format!("{call} on {remote}"),
        Some(WaitTarget::Listener(local)) => format!("{call} on its listener {local}"),
        Some(WaitTarget::File(_)) | None => call.to_string(),
    }
}

/// Where the chain ends, in a sentence; `None` if that adds nothing.
pub(super) fn end(finding: &Finding) -> Option<String> {
    let last = finding.chain.last()?;
    let blocked = last.says.iter().filter(|says| says.title.is_blocked());
    let blocked: usize = blocked.map(|says| says.pids.len()).sum();
    Some(match last.idle_transactions.as_slice() {
        _ if last.is_loop => {
            "The chain ends where it began: the service waits for itself.".to_owned()
        }
        [held_by] => format!(
            "The chain ends at {}: its transaction is open and idle, and {} other{} wait{} for \
             locks, consistent with a client that does not commit.",
            backend(held_by.pid),
            units::count(blocked as u64),
            plural(blocked as u64),
            if blocked == 1 { "s" } else { "" },
        ),
        [_, _, ..] => format!(
            "The chain ends at {}: {} of its transactions are open and idle, and {blocked} wait for \
             locks.",
            last.remote,
            last.idle_transactions.len(),
        ),
        [] => match last.awaited().next() {
            Some(requests) => format!("That service in turn waits for {}.", requests.remote),
            None if finding.chain.len() > 1 => format!("The chain ends at {}.", last.remote),
            None => return None,
        },
    })
}
