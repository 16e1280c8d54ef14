//! closewait: TCP socket states, and why connections pile up in CLOSE_WAIT.
//!
//! ```text
//! args ─ plan ─┬─► collector ── Snapshot ──► classifier ── Report ──► renderer ──► bytes
//!              │   all I/O                   pure judgement           words
//!              └─► exit code
//! ```
//!
//! Only the collector (and `main`) touches the system. Everything between is a function of its
//! arguments.

#![deny(unsafe_code)]

pub mod args;
mod check;
pub mod classifier;
pub mod collector;
mod diff;
pub mod exit;
pub mod explain;
pub mod filter;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod manual;
pub mod memory;
pub mod model;
mod output;
pub mod panics;
pub mod plan;
pub mod progress;
mod record;
pub mod renderer;
pub mod rights;
mod start;
pub mod stdout;

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;

use crate::classifier::finding::{self, Findings};
use crate::classifier::group::At;
use crate::classifier::queue;
use crate::collector::owners::Progress;
use crate::collector::process::Suspect;
use crate::collector::resolve;
use crate::exit::Outcome;
use crate::model::{Gap, GapKind, Snapshot, Step};
use crate::plan::{Inspection, Plan};
use crate::renderer::guard::{Form, Guard};
use crate::renderer::{Format, Page, list};

/// Carries a plan out: collect, classify, render into `out`, with what is said beside it going
/// to `err`.
///
/// # Errors
/// When nothing could be read, or `out` could not be written.
pub fn run(plan: &Plan, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<Outcome> {
    let err = &mut Guard::new(err, Form::Text { colour: false });
    match plan {
        Plan::Explain(topic) => out
            .write_all(explain::text(*topic).as_bytes())
            .and_then(|()| out.flush())
            .context("could not write the output")
            .map(|()| Outcome::Done),
        Plan::Columns => renderer::columns::help::help(out)
            .and_then(|()| out.flush())
            .context("could not write the output")
            .map(|()| Outcome::Done),
        Plan::Completions(shell) => manual::completions(*shell, out)
            .and_then(|()| out.flush())
            .context("could not write the output")
            .map(|()| Outcome::Done),
        Plan::Man => manual::page(out)
            .and_then(|()| out.flush())
            .context("could not write the output")
            .map(|()| Outcome::Done),
        Plan::Check(check) => Ok(check::run(check, out, err)),
        Plan::Record(record) => record::run(record, out, err),
        Plan::Diff(diff) => diff::run(diff, out, err),
        Plan::Inspect(inspection) => match &inspection.output {
            // What prints nothing replaces nothing.
            Some(path) if !inspection.quiet => inspect_into(path, inspection, err),
            _ => inspect(inspection, out, err),
        },
    }
}

/// The same into a file. Metrics of a reading that failed say so: those of an older one would look
/// fresh.
fn inspect_into(path: &Path, plan: &Inspection, err: &mut impl Write) -> anyhow::Result<Outcome> {
    let failed = match output::replace(path, |mut out| inspect(plan, &mut out, err)) {
        Err(error) if matches!(plan.view.format, Format::Prometheus { .. }) => error,
        answer => return answer,
    };
    output::replace(path, |mut out| Ok(renderer::prometheus::failure(&mut out)?))?;
    Err(failed)
}

fn inspect(
    plan: &Inspection,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let progress = Progress::default();
    let snapshot = progress::shown(&progress, || collector::collect(&plan.request, &progress))?;
    let collected = Instant::now();
    let mut report = classifier::classify(&snapshot, &plan.rules);
    let classified = Instant::now();
    if plan.quiet {
        let outcome = match (report.listed(), report.undecided) {
            (1.., _) => Outcome::Matched,
            (0, 0) if report.may_miss_sockets() => Outcome::Undecided,
            (0, 0) if plan.strict && !report.is_all_there_is() => Outcome::Undecided,
            (0, 0) => Outcome::NoMatch,
            (0, _) => Outcome::Undecided,
        };
        if outcome == Outcome::Undecided {
            tell_gaps(&report, err)?;
        }
        return Ok(outcome);
    }
    let (findings, examined) = find(plan, &snapshot, &mut report);
    let named = plan.naming.map(|naming| name(naming, plan, &mut report));
    renderer::render(&report, &findings, &plan.view, start.elapsed(), out)
        .and_then(|()| out.flush())
        .context("could not write the output")?;
    if plan.verbose {
        for step in snapshot.steps.iter().chain(&examined).chain(&named) {
            writeln!(err, "closewait: {} in {:.1?}", step.what, step.took)?;
        }
        writeln!(
            err,
            "closewait: judged in {:.1?}, printed in {:.1?}",
            classified - collected,
            classified.elapsed()
        )?;
    }
    if report.resolved.unanswered > 0 {
        let unanswered = report.resolved.unanswered;
        let have = if unanswered == 1 {
            "address has"
        } else {
            "addresses have"
        };
        writeln!(
            err,
            "closewait: {unanswered} {have} no name yet: no name server answered in time; see --resolve-timeout"
        )?;
    }
    if let (Page::List { .. }, Format::Table | Format::Jsonl | Format::Csv) =
        (&plan.view.page, plan.view.format)
    {
        tell_beside(plan, &report, err)?;
    }
    if let (Page::Tally(_), Format::Jsonl | Format::Csv) = (&plan.view.page, plan.view.format) {
        tell_gaps(&report, err)?;
    }
    Ok(if plan.strict && !report.is_all_there_is() {
        Outcome::Partial
    } else {
        Outcome::Done
    })
}

/// Names what will be printed.
fn name(naming: plan::Naming, plan: &Inspection, report: &mut classifier::Report<'_>) -> Step {
    let start = Instant::now();
    let sources = resolve::Sources::of_host(naming.services);
    report.resolved = match plan.view.page {
        Page::List { .. } => {
            let order = list::order(report, plan.view.sort, plan.view.limit);
            let ends = order
                .rows(report)
                .flat_map(|row| [row.socket.local.addr, row.socket.remote.addr]);
            resolve::resolve(&sources, ends, naming.deadline)
        }
        _ => {
            let groups = report.groups();
            let ends = groups.iter().filter_map(|group| match group.service.at {
                At::Remote(remote) => Some(remote.addr),
                At::Untold(addr) => Some(addr),
                At::Local(_) => None,
            });
            resolve::resolve(&sources, ends, naming.deadline)
        }
    };
    Step {
        what: "names".to_owned(),
        took: start.elapsed(),
    }
}

/// Findings, where the page has a place for them: asks those whom they name for evidence.
fn find(
    plan: &Inspection,
    snapshot: &Snapshot,
    report: &mut classifier::Report<'_>,
) -> (Findings, Option<Step>) {
    if !plan.view.has_findings() {
        return (Findings::default(), None);
    }
    let thresholds = &plan.rules.thresholds;
    let sets = finding::sets(report);
    let queues = queue::queues(report);
    let named = finding::suspects(&sets, &queues, thresholds);
    if named.left_out > 0 && plan.evidence {
        report.gaps.push(Gap {
            kind: GapKind::EvidenceMissing,
            count: named.left_out,
            detail: format!(
                "{} more processes were not asked for evidence",
                named.left_out
            ),
            hint: "select with --pid or --port".into(),
        });
    }
    let suspects: Vec<Suspect> = named
        .asked
        .into_iter()
        .map(|(pid, stuck)| Suspect { pid, stuck })
        .collect();
    let mut suspects = suspects;
    let (hoarders, left_out) = if plan.evidence {
        let is_meant = |pid| report.asks_about_dead(pid);
        collector::hoarders(&plan.request, snapshot, is_meant)
    } else {
        (Vec::new(), 0)
    };
    report.gaps.extend(not_asked(left_out));
    for pid in &hoarders {
        if !suspects.iter().any(|suspect| suspect.pid == *pid) {
            let stuck = Vec::new();
            suspects.push(Suspect { pid: *pid, stuck });
        }
    }
    let asked = suspects.len();
    let (evidence, step) = if suspects.is_empty() || !plan.evidence {
        (Vec::new(), None)
    } else {
        let (evidence, step) = collector::examine(&plan.request, snapshot, &suspects, plan.sample);
        (evidence, Some(step))
    };
    if plan.request.from.is_some() && plan.evidence && evidence.len() < asked {
        let missing = (asked - evidence.len()) as u64;
        report.gaps.push(Gap {
            kind: GapKind::EvidenceMissing,
            count: missing,
            detail: format!("nothing was recorded of what {missing} of the processes do"),
            hint: "".into(),
        });
    }
    // Those that ended meanwhile have no open files.
    let untold = evidence.iter().filter(|evidence| {
        evidence.dead_sockets.is_none()
            && evidence.open_fds.is_some()
            && hoarders.contains(&evidence.pid)
    });
    for pid in untold.map(|evidence| evidence.pid) {
        let name = renderer::findings::process(report, pid);
        report.gaps.push(Gap {
            kind: GapKind::EvidenceMissing,
            count: 1,
            detail: format!("whether TCP sockets of {name} that are in no table are dead"),
            hint: "run as root".into(),
        });
    }
    let mut evidence = evidence;
    loop {
        let (sets, queues) = (sets.clone(), queues.clone());
        let found = finding::findings(report, sets, queues, &evidence, thresholds);
        let behind = if plan.evidence {
            found.unasked()
        } else {
            Vec::new()
        };
        let told = collector::follow(&plan.request, snapshot, &behind);
        if told.is_empty() {
            return (found, step);
        }
        evidence.extend(told);
    }
}

/// Processes that were not asked about sockets that are in no table.
fn not_asked(processes: u64) -> Option<Gap> {
    let whose = match processes {
        0 => return None,
        1 => "1 process has".to_owned(),
        several => format!("{several} processes have"),
    };
    Some(Gap {
        kind: GapKind::EvidenceMissing,
        count: processes,
        detail: format!("{whose} too many sockets in no TCP table to tell whether they are dead"),
        hint: "select with --pid".into(),
    })
}

/// What a listing has no place for: rows that a limit left out, and what could not be seen.
fn tell_beside(
    plan: &Inspection,
    report: &classifier::Report<'_>,
    err: &mut impl Write,
) -> io::Result<()> {
    let left_out = list::left_out(report, plan.view.limit);
    if left_out > 0 {
        writeln!(err, "closewait: {left_out} more sockets: --limit 0")?;
    }
    tell_gaps(report, err)
}

fn tell_gaps(report: &classifier::Report<'_>, err: &mut impl Write) -> io::Result<()> {
    for gap in &report.gaps {
        let gap = renderer::escape::gap(gap);
        writeln!(err, "closewait: not seen: {gap}")?;
    }
    if let Some(others) = report.not_looked_at() {
        writeln!(err, "closewait: {}", renderer::escape::line(&others))?;
    }
    Ok(())
}
