//! Carries out an inspection: collect, classify, examine the processes named in findings, render.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;

use super::evidence::find;
use super::twice::{Readings, add_growth};
use super::{Inspection, Naming};

use crate::classifier::Report;
use crate::classifier::service::ServedAt;
use crate::collector::resolve;
use crate::exit::Outcome;
use crate::model::{State, StateSet, Step};
use crate::output;
use crate::renderer::order;
use crate::renderer::{self, Format, Page, Since, units};

/// Inspects. Diagnostics go to `err`.
///
/// # Errors
/// If nothing could be read, or the output could not be written.
pub fn run(
    plan: &Inspection,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<Outcome> {
    match &plan.output {
        // With -q nothing is printed, so no file is replaced.
        Some(path) if !plan.quiet => inspect_into(path, plan, err),
        _ => inspect(plan, out, err),
    }
}

/// Inspects into a file. If the reading fails, metrics are written that report the failure, because
/// older metrics would look current.
fn inspect_into(path: &Path, plan: &Inspection, err: &mut impl Write) -> anyhow::Result<Outcome> {
    let failed = match output::replace(path, |mut out| inspect(plan, &mut out, err)) {
        Err(error) if matches!(plan.view.format, Format::Prometheus { .. }) => error,
        answer => return answer,
    };
    output::replace(path, |mut out| {
        Ok(renderer::format::openmetrics::failure(&mut out)?)
    })?;
    Err(failed)
}

fn inspect(
    plan: &Inspection,
    out: &mut impl Write,
    err: &mut impl Write,
) -> anyhow::Result<Outcome> {
    let readings = Readings::new(plan)?;
    let (start, snapshot) = (readings.last.began, &readings.last.snapshot);
    let collected = Instant::now();
    let mut report = readings.classify(plan);
    let mut before = readings.classify_first(plan);
    let growth = before
        .as_mut()
        .and_then(|before| readings.growth(plan, before, &mut report));
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
            report_gaps(&report, err)?;
        }
        return Ok(outcome);
    }
    let (mut findings, examined) = find(plan, snapshot, &mut report);
    if let Some(growth) = &growth {
        add_growth(growth, &mut findings);
    }
    let since = growth.as_ref().zip(before.as_ref());
    let since = since.map(|(growth, before)| Since {
        growth,
        before,
        latest: None,
    });
    let named = plan.naming.map(|naming| name(naming, plan, &mut report));
    renderer::render(&report, &findings, since, &plan.view, start.elapsed(), out)
        .and_then(|()| out.flush())
        .context("could not write the output")?;
    if plan.verbose {
        for step in snapshot.steps.iter().chain(&examined).chain(&named) {
            writeln!(
                err,
                "closewait: {} in {}",
                step.what,
                units::took(step.took)
            )?;
        }
        writeln!(
            err,
            "closewait: judged in {}, printed in {}",
            units::took(classified - collected),
            units::took(classified.elapsed())
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
        report_the_rest(plan, &report, since, err)?;
    }
    if let (Page::Tally(_), Format::Table | Format::Jsonl | Format::Csv) =
        (&plan.view.page, plan.view.format)
    {
        report_no_match(plan, &report, err)?;
    }
    if let (Page::Tally(_), Format::Jsonl | Format::Csv) = (&plan.view.page, plan.view.format) {
        report_gaps(&report, err)?;
    }
    let is_whole = before.as_ref().is_none_or(Report::is_complete);
    Ok(if plan.strict && !(report.is_all_there_is() && is_whole) {
        Outcome::Partial
    } else {
        Outcome::Done
    })
}

/// Looks up names for the rows that will be printed.
pub(in crate::command) fn name(naming: Naming, plan: &Inspection, report: &mut Report<'_>) -> Step {
    let start = Instant::now();
    let sources = resolve::Sources::of_host(naming.services);
    report.resolved = match plan.view.page {
        Page::List { .. } => {
            let order = order::rows(report, plan.view.sort, plan.view.limit);
            let ends = order
                .rows(report)
                .flat_map(|row| [row.socket.local.addr, row.socket.remote.addr]);
            resolve::resolve(&sources, ends, naming.deadline)
        }
        _ => {
            let groups = report.groups();
            let ends = groups.iter().filter_map(|group| match group.service.at {
                ServedAt::Remote(remote) => Some(remote.addr),
                ServedAt::Unknown(addr) => Some(addr),
                ServedAt::Local(_) => None,
            });
            resolve::resolve(&sources, ends, naming.deadline)
        }
    };
    Step {
        what: "names".into(),
        took: start.elapsed(),
    }
}

/// Reports what a list does not show: rows beyond --limit, and gaps.
pub(in crate::command) fn report_the_rest(
    plan: &Inspection,
    report: &Report<'_>,
    since: Option<Since<'_>>,
    err: &mut impl Write,
) -> io::Result<()> {
    let left_out = order::left_out(report, since, plan.view.limit);
    if left_out > 0 {
        writeln!(
            err,
            "closewait: {left_out} more sockets; use --limit 0 to see them all"
        )?;
    }
    report_no_match(plan, report, err)?;
    report_gaps(report, err)
}

/// Reports an empty selection that names a port, program or process: the name may be mistyped.
fn report_no_match(plan: &Inspection, report: &Report<'_>, err: &mut impl Write) -> io::Result<()> {
    let is_certain = report.undecided == 0 && !report.may_miss_sockets();
    let Some(selection) = (plan.view.selection.as_ref()).filter(|_| is_certain) else {
        return Ok(());
    };
    let named = report.named();
    if report.listed() > 0 || named.is_empty() {
        return Ok(());
    }
    let hints = named
        .iter()
        .map(|term| renderer::did_you_mean(report, term));
    let hint: String = hints.collect();
    let others = StateSet::ALL
        .iter()
        .filter(|state| !report.asks_for(*state));
    let hint = match hint.is_empty() && others.eq([State::Listen]) {
        true => "; use -a to include listeners".to_owned(),
        false => hint,
    };
    writeln!(err, "closewait: no socket matches {selection}{hint}")
}

pub(in crate::command) fn report_gaps(report: &Report<'_>, err: &mut impl Write) -> io::Result<()> {
    for gap in &report.gaps {
        writeln!(err, "closewait: not seen: {gap}")?;
    }
    if let Some(others) = report.not_looked_at() {
        writeln!(err, "closewait: {others}")?;
    }
    Ok(())
}
