//! When a process started, whether its oldest socket is as old, and whether its files were replaced
//! since.

use crate::classifier::Report;
use crate::classifier::beginning::{self, Moment, NewFile};
use crate::classifier::finding::Finding;
use crate::model::{Evidence, Executable, Manager, Runtime};
use crate::renderer::findings::halt::short;
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::names::{self, process};
use crate::renderer::{style, units};

/// The most libraries that are named.
const LIBRARIES: usize = 3;
/// The most columns of the name of a script.
const SCRIPT: usize = 40;
/// Differences below this, in milliseconds, are not told apart: the clocks are not that exact.
const LEAST_MS: u64 = 1_000;

pub(super) fn lines(
    report: &Report<'_>,
    finding: &Finding,
    evidence: &Evidence,
    lines: &mut Lines,
) {
    started(report, finding, evidence, lines);
    executable(report, finding, evidence, lines);
    libraries(report, finding, evidence, lines);
    deleted_libraries(report, evidence, lines);
    script(report, finding, evidence, lines);
}

/// When it started, and with what.
fn started(report: &Report<'_>, finding: &Finding, evidence: &Evidence, lines: &mut Lines) {
    let Some(age) = evidence.age_ms else { return };
    let runtime = match evidence.runtime {
        Runtime::Native => String::new(),
        runtime => format!(" ({})", names::runtime(runtime)),
    };
    let name = process(report, evidence.pid);
    let age = units::duration(age);
    let beginning = finding.beginning(evidence.pid);
    let started = |with: &str| format!("{name} started {age} ago{with}{runtime}");
    let Some((beginning, (moment, later_ms))) =
        beginning.and_then(|beginning| Some((beginning, beginning.start()?)))
    else {
        return lines.add(Rank::Plain, started(""));
    };
    let manager = evidence.inside.manager.as_ref();
    let with = match (moment, manager) {
        (Moment::Service, Some(Manager::Service { name, .. })) => format!(" with {name}"),
        (Moment::Container, Some(Manager::Container(container))) => {
            format!(" with container {}", short(container))
        }
        (Moment::Container, _) => " with its container".to_owned(),
        _ => String::new(),
    };
    let package = evidence.origin.package.as_ref();
    let new_file = match (beginning.new_file, package) {
        (Some(NewFile::Script { at_ms }), _) => {
            format!(
                "; {} is of {}",
                script_name(evidence),
                units::clock_of(at_ms)
            )
        }
        (Some(NewFile::Written { at_ms }), _) => {
            format!("; its executable is of {}", units::clock_of(at_ms))
        }
        (Some(NewFile::Installed { at_ms }), Some(package)) => {
            let at = units::clock_of(at_ms);
            format!("; package {} was installed {at}", package.name)
        }
        _ => String::new(),
    };
    let later = later(later_ms);
    lines.add(
        Rank::Telling,
        format!(
            "{}, and its oldest CLOSE_WAIT here began at most {later} later{new_file}",
            started(&with)
        ),
    );
}

/// That it runs an executable which is not at its path any more.
fn executable(report: &Report<'_>, finding: &Finding, evidence: &Evidence, lines: &mut Lines) {
    let name = process(report, evidence.pid);
    match evidence.origin.executable {
        Some(Executable::Current { .. }) | None => {}
        Some(Executable::Deleted) => lines.add(
            Rank::Plain,
            format!("the executable of {name} was deleted after it had started"),
        ),
        Some(Executable::Replaced { .. }) => {
            let at = beginning::replaced_at(evidence, now_ms(report));
            let at = at.map_or(String::new(), |at| format!(" {}", units::clock_of(at)));
            let package = evidence.origin.package.as_ref();
            let package = package.map_or(String::new(), |package| {
                format!(" (package {})", package.name)
            });
            let (rank, oldest) = oldest(finding, evidence, Moment::Executable);
            let line = format!(
                "the executable of {name}{package} was replaced{at}, after it had started: it still \
                 runs the old one{oldest}"
            );
            lines.add(rank, line);
        }
    }
}

/// That it uses libraries which are not at their paths any more.
fn libraries(report: &Report<'_>, finding: &Finding, evidence: &Evidence, lines: &mut Lines) {
    let old = &evidence.origin.old_libraries;
    let first: Vec<String> = old
        .iter()
        .take(LIBRARIES)
        .map(|library| library.name.to_string())
        .collect();
    if first.is_empty() {
        return;
    }
    let all = (old.len() as u64).saturating_add(evidence.origin.more_libraries.into());
    let more = match all.saturating_sub(first.len() as u64) {
        0 => String::new(),
        more => format!(" +{more}"),
    };
    let at = beginning::libraries_at(evidence, now_ms(report)).map(units::clock_of);
    let at = match (at, all) {
        (None, _) => String::new(),
        (Some(at), 1) => format!(", replaced {at}"),
        (Some(at), _) => format!(", the last replaced {at}"),
    };
    let (rank, oldest) = oldest(finding, evidence, Moment::Libraries);
    let name = process(report, evidence.pid);
    let old = if all == 1 { "library" } else { "libraries" };
    let first = first.join(", ");
    lines.add(
        rank,
        format!("{name} still uses the old {old} {first}{more}{at}{oldest}"),
    );
}

/// That it uses libraries whose paths have no file any more.
fn deleted_libraries(report: &Report<'_>, evidence: &Evidence, lines: &mut Lines) {
    let deleted = &evidence.origin.deleted_libraries;
    let shown = deleted.iter().take(LIBRARIES);
    let first: Vec<String> = shown.map(ToString::to_string).collect();
    let all = (deleted.len() as u64).saturating_add(evidence.origin.more_deleted.into());
    let more = match all.saturating_sub(first.len() as u64) {
        0 => String::new(),
        more => format!(" +{more}"),
    };
    let libraries = match all {
        0 => return,
        1 => "library",
        _ => "libraries",
    };
    let (name, first) = (process(report, evidence.pid), first.join(", "));
    lines.add(
        Rank::Plain,
        format!("{name} uses the deleted {libraries} {first}{more}"),
    );
}

/// That the script that it runs was changed or deleted since.
fn script(report: &Report<'_>, finding: &Finding, evidence: &Evidence, lines: &mut Lines) {
    if evidence.origin.script_deleted {
        let (script, name) = (script_name(evidence), process(report, evidence.pid));
        let line = format!("{script} was deleted: {name} runs what was there before");
        lines.add(Rank::Plain, line);
    }
    if let Some(at) = beginning::script_at(evidence, now_ms(report)) {
        let (rank, oldest) = oldest(finding, evidence, Moment::Script);
        let name = process(report, evidence.pid);
        let (script, at) = (script_name(evidence), units::clock_of(at));
        let line = format!(
            "{script} was changed {at}, after {name} had started: it runs what was there before, \
             unless it has read it again{oldest}"
        );
        lines.add(rank, line);
    }
}

/// `app.py` of `/srv/app.py`.
fn script_name(evidence: &Evidence) -> String {
    let runs = evidence.command.as_ref().map(|command| &command.runs);
    let mut name = runs.map_or("its script".to_owned(), |runs| runs.to_string());
    style::cut_start(&mut name, SCRIPT);
    match name.rsplit_once('/') {
        Some((_, name)) => name.to_owned(),
        None => name,
    }
}

/// That the oldest socket came with the replacement of a file.
fn oldest(finding: &Finding, evidence: &Evidence, moment: Moment) -> (Rank, String) {
    let beginning = finding.beginning(evidence.pid);
    let came = beginning.and_then(|beginning| beginning.replacement());
    match came.filter(|(with, _)| *with == moment) {
        Some((_, later_ms)) => {
            let later = later(later_ms);
            let words = format!("; its oldest CLOSE_WAIT here began at most {later} after that");
            (Rank::Telling, words)
        }
        None => (Rank::Plain, String::new()),
    }
}

fn later(later_ms: u64) -> String {
    units::duration(units::rounded_up(later_ms.max(LEAST_MS)))
}

/// When the sockets were read, in milliseconds since 1970.
fn now_ms(report: &Report<'_>) -> u64 {
    u64::try_from(report.snapshot.taken_at_ns / 1_000_000).unwrap_or_default()
}
