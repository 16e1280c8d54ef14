//! How many sockets there are, by state and program, cause and age.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::classifier::Report;
use crate::classifier::owner::GroupOwner;
use crate::model::{Cause, Holders, Pid, Side, State};
use crate::renderer::format::openmetrics::writer::Metrics;

/// The upper bounds of the ages, in seconds.
const AGES: [u64; 9] = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];

/// The label of the series that a limit leaves out.
const OTHER: &str = "other";

/// The side if it is unknown.
const UNKNOWN: &str = "unknown";

/// One series of sockets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    state: State,
    /// By name: namespaces with the same name are one series.
    netns: Option<String>,
    side: &'static str,
    port: String,
    device: Option<String>,
    program: String,
}

pub(super) fn sockets<W: Write>(
    report: &Report<'_>,
    limit: usize,
    metrics: &mut Metrics<'_, W>,
) -> io::Result<()> {
    let mut all = series(report);
    // CLOSE_WAIT comes first, then the largest.
    all.sort_by_key(|(series, count)| {
        let waits = series.state == State::CloseWait;
        (!waits, std::cmp::Reverse(*count), series.clone())
    });
    let mut rest: BTreeMap<State, u64> = BTreeMap::new();
    for (series, count) in all.split_off(all.len().min(limit)) {
        *rest.entry(series.state).or_default() += count;
    }
    metrics.family(
        "closewait_sockets",
        Some("sockets"),
        "TCP sockets by state, side, port of the service, and program.",
    )?;
    for (series, count) in &all {
        let mut labels = vec![
            ("state", series.state.name()),
            ("side", series.side),
            ("port", &series.port),
            ("program", &series.program),
        ];
        let device = series.device.as_deref();
        labels.extend(device.map(|device| ("device", device)));
        labels.extend(series.netns.as_deref().map(|netns| ("netns", netns)));
        metrics.sample("", &labels, *count)?;
    }
    for (state, count) in &rest {
        metrics.sample("", &summed(*state, OTHER), *count)?;
    }
    // A state without sockets needs one series, so that its 0 is visible.
    for state in State::ALL {
        if report.states.of(state) == Some(0) {
            metrics.sample("", &summed(state, ""), 0)?;
        }
    }
    Ok(())
}

/// The labels of a series for all sockets of a state.
fn summed(state: State, label: &str) -> [(&'static str, &str); 4] {
    [
        ("state", state.name()),
        ("side", label),
        ("port", label),
        ("program", label),
    ]
}

/// The series of all groups, with their counts.
fn series(report: &Report<'_>) -> Vec<(Series, u64)> {
    let several = report.snapshot.only_namespace().is_none();
    let mut counts: BTreeMap<Series, u64> = BTreeMap::new();
    for group in report.groups() {
        let namespace = report.snapshot.netns(group.netns);
        let label = namespace.label.as_ref();
        let netns = || label.map_or("?".into(), |label| label.lossy().into());
        let device = namespace.device(group.service.device);
        let series = Series {
            state: group.state,
            netns: several.then(netns),
            side: group.service.side().map_or(UNKNOWN, Side::name),
            port: group.service.port().unwrap_or(0).to_string(),
            device: device.map(|device| device.lossy().into()),
            program: program(&group.owner, report),
        };
        *counts.entry(series).or_default() += group.sockets;
    }
    counts.into_iter().collect()
}

/// The names of the programs that hold sockets; empty for the kernel, `?` if unknown.
fn program(owner: &GroupOwner, report: &Report<'_>) -> String {
    match owner.kind {
        Some("kernel") => String::new(),
        _ if owner.pids.is_empty() => "?".to_owned(),
        _ => {
            let mut names: Vec<String> = owner
                .pids
                .iter()
                .map(|pid| name(*pid, report.holders()))
                .collect();
            names.sort_unstable();
            names.dedup();
            names.join(",")
        }
    }
}

pub(super) fn name(pid: Pid, holders: &Holders) -> String {
    holders
        .name(pid)
        .map_or("?".to_owned(), |name| name.lossy().into())
}

pub(super) fn causes<W: Write>(
    report: &Report<'_>,
    metrics: &mut Metrics<'_, W>,
) -> io::Result<()> {
    if report.states.of(State::CloseWait).is_none() {
        return Ok(());
    }
    let mut counts = [0u64; Cause::ALL.len()];
    for cause in report.rows().filter_map(|row| row.cause) {
        counts[cause as usize] += 1;
    }
    metrics.family(
        "closewait_close_wait_sockets",
        Some("sockets"),
        "CLOSE_WAIT sockets by the cause they are consistent with.",
    )?;
    for cause in Cause::ALL {
        metrics.sample("", &[("cause", cause.name())], counts[cause as usize])?;
    }
    Ok(())
}

pub(super) fn ages<W: Write>(report: &Report<'_>, metrics: &mut Metrics<'_, W>) -> io::Result<()> {
    if report.states.of(State::CloseWait).is_none() {
        return Ok(());
    }
    let (mut sum, mut count, mut unknown) = (0u64, 0u64, 0u64);
    let mut buckets = [0u64; AGES.len()];
    let waits = report.rows();
    for row in waits.filter(|row| row.socket.state == State::CloseWait) {
        let Some(idle) = row.idle else {
            unknown += 1;
            continue;
        };
        count += 1;
        sum += idle.at_least_ms;
        for (bucket, bound) in buckets.iter_mut().zip(AGES) {
            *bucket += u64::from(idle.at_least_ms <= bound * 1_000);
        }
    }
    metrics.typed(
        "closewait_close_wait_age_seconds",
        "histogram",
        Some("seconds"),
        "Lower bound of the time that CLOSE_WAIT sockets have been in that state, at this moment: \
         not a counter.",
    )?;
    for (bucket, bound) in buckets.iter().zip(AGES) {
        metrics.sample("_bucket", &[("le", &format!("{bound}.0"))], *bucket)?;
    }
    metrics.sample("_bucket", &[("le", "+Inf")], count)?;
    metrics.labelled("_sum", &[])?;
    writeln!(metrics.out, " {}", sum as f64 / 1000.0)?;
    metrics.sample("_count", &[], count)?;
    metrics.family(
        "closewait_close_wait_unknown_age_sockets",
        Some("sockets"),
        "CLOSE_WAIT sockets of unknown age.",
    )?;
    metrics.sample("", &[], unknown)
}
