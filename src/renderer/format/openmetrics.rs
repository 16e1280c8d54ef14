//! OpenMetrics text, for Prometheus and the textfile collector of its node_exporter.
//!
//! The types are those that the older text format has too: its parser, which node_exporter uses,
//! fails on `info`, `stateset` and `gaugehistogram`, and takes the lines of UNIT and EOF for
//! comments.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::time::Duration;

use crate::classifier::Report;
use crate::classifier::finding::Findings;
use crate::classifier::group::GroupOwner;
use crate::classifier::severity::Severity;
use crate::model::{Cause, FdLimit, Holders, Pid, Side, State};
use crate::renderer::names;

/// The upper bounds of the ages, in seconds.
const AGES: [u64; 9] = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];
/// What series that a limit leaves out are summed under.
const OTHER: &str = "other";
/// What `closewait_complete` says.
const COMPLETE: &str = "Whether nothing is missing from the network namespaces that were read; if 0, a count may be too low.";
/// The side where it is not known.
const UNKNOWN: &str = "unknown";

/// Writes all metrics of a report. At most `limit` series tell ports, programs or queues; the rest
/// of the sockets is summed for each state.
pub fn exposition(
    report: &Report<'_>,
    found: &Findings,
    limit: usize,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut metrics = Metrics { out, name: "" };
    metrics.family("closewait_up", None, "Whether the sockets could be read.")?;
    metrics.sample("", &[], 1)?;
    metrics.family("closewait_complete", None, COMPLETE)?;
    metrics.sample("", &[], report.is_complete().into())?;
    others(report, &mut metrics)?;
    sockets(report, limit, &mut metrics)?;
    causes(report, &mut metrics)?;
    ages(report, &mut metrics)?;
    queues(report, found, limit, &mut metrics)?;
    processes(report, found, limit, &mut metrics)?;
    findings(found, &mut metrics)?;
    gaps(report, &mut metrics)?;
    let taken = report.snapshot.taken_at_ns as f64 / 1e9;
    metrics.family(
        "closewait_reading_timestamp_seconds",
        Some("seconds"),
        "When the reading began, since 1970.",
    )?;
    metrics.figure(&[], taken)?;
    metrics.family(
        "closewait_reading_duration_seconds",
        Some("seconds"),
        "How long the reading took.",
    )?;
    metrics.figure(&[], elapsed.as_secs_f64())?;
    build(&mut metrics)
}

/// Network namespaces that were not looked at; nothing where all were.
fn others<W: Write>(report: &Report<'_>, metrics: &mut Metrics<'_, W>) -> io::Result<()> {
    let Some(others) = &report.snapshot.others else {
        return Ok(());
    };
    metrics.family(
        "closewait_other_namespaces",
        None,
        "Network namespaces that were not read; closewait_complete does not cover them.",
    )?;
    metrics.sample("", &[], others.namespaces)?;
    metrics.family(
        "closewait_other_namespaces_processes",
        None,
        "Processes in network namespaces that were not read.",
    )?;
    metrics.sample("", &[], others.processes)?;
    metrics.family(
        "closewait_other_namespaces_known",
        None,
        "Whether these are all; if 0, there may be processes or namespaces that cannot be seen.",
    )?;
    let known = others.unknown == 0 && others.doubt.is_none();
    metrics.sample("", &[], known.into())
}

/// Writes that nothing could be read: an older file must not look fresh.
pub fn failure(out: &mut impl Write) -> io::Result<()> {
    let mut metrics = Metrics { out, name: "" };
    metrics.family("closewait_up", None, "Whether the sockets could be read.")?;
    metrics.sample("", &[], 0)?;
    metrics.family("closewait_complete", None, COMPLETE)?;
    metrics.sample("", &[], 0)?;
    build(&mut metrics)
}

fn build<W: Write>(metrics: &mut Metrics<'_, W>) -> io::Result<()> {
    metrics.family("closewait_build_info", None, "The version of closewait.")?;
    metrics.sample("", &[("version", env!("CARGO_PKG_VERSION"))], 1)?;
    writeln!(metrics.out, "# EOF")
}

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

fn sockets<W: Write>(
    report: &Report<'_>,
    limit: usize,
    metrics: &mut Metrics<'_, W>,
) -> io::Result<()> {
    let several = report.snapshot.only_namespace().is_none();
    let mut counts: BTreeMap<Series, u64> = BTreeMap::new();
    for group in report.groups() {
        let namespace = report.snapshot.netns(group.netns);
        let series = Series {
            state: group.state,
            netns: several.then(|| {
                namespace
                    .label
                    .as_ref()
                    .map_or("?".into(), |label| label.lossy().into())
            }),
            side: group.service.side().map_or(UNKNOWN, Side::name),
            port: group.service.port().unwrap_or(0).to_string(),
            device: namespace
                .device(group.service.device)
                .map(|device| device.lossy().into()),
            program: program(&group.owner, report),
        };
        *counts.entry(series).or_default() += group.sockets;
    }
    let mut all: Vec<(Series, u64)> = counts.into_iter().collect();
    // What the tool is about is told first; of the rest the largest.
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
        let labels = [
            ("state", state.name()),
            ("side", OTHER),
            ("port", OTHER),
            ("program", OTHER),
        ];
        metrics.sample("", &labels, *count)?;
    }
    // A state that nothing is in has no series that would tell more.
    for state in State::ALL {
        if report.states.of(state) == Some(0) {
            let labels = [
                ("state", state.name()),
                ("side", ""),
                ("port", ""),
                ("program", ""),
            ];
            metrics.sample("", &labels, 0)?;
        }
    }
    Ok(())
}

/// The names of those who hold sockets; empty of the kernel's own, `?` where they are not known.
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

fn name(pid: Pid, holders: &Holders) -> String {
    holders
        .name(pid)
        .map_or("?".to_owned(), |name| name.lossy().into())
}

fn causes<W: Write>(report: &Report<'_>, metrics: &mut Metrics<'_, W>) -> io::Result<()> {
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
        "CLOSE_WAIT sockets by what they are consistent with.",
    )?;
    for cause in Cause::ALL {
        metrics.sample("", &[("cause", cause.name())], counts[cause as usize])?;
    }
    Ok(())
}

fn ages<W: Write>(report: &Report<'_>, metrics: &mut Metrics<'_, W>) -> io::Result<()> {
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
        "How long CLOSE_WAIT sockets have been in that state, at least. Of this moment: not a counter.",
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

fn queues<W: Write>(
    report: &Report<'_>,
    found: &Findings,
    limit: usize,
    metrics: &mut Metrics<'_, W>,
) -> io::Result<()> {
    let several = report.snapshot.only_namespace().is_none();
    // The fullest comes first: of listeners that nothing here tells apart (IPv6 alone and both
    // families, namespaces of one name) it stands for all.
    let mut seen = BTreeSet::new();
    let mut told = Vec::new();
    for queue in &found.queues {
        let local = names::listener_of(report, &queue.bound);
        let netns = several.then(|| names::netns_of(report, queue.bound.netns));
        if told.len() < limit && seen.insert((local.clone(), netns.clone())) {
            told.push((queue, local, netns));
        }
    }
    for (metric, help) in [
        (
            "closewait_accept_queue_connections",
            "Connections that wait to be accepted; with SO_REUSEPORT in the fullest queue.",
        ),
        (
            "closewait_accept_queue_limit_connections",
            "How many connections may wait.",
        ),
    ] {
        metrics.family(metric, Some("connections"), help)?;
        for (queue, local, netns) in &told {
            let value = if metric.contains("limit") {
                queue.limit
            } else {
                Some(queue.now)
            };
            let Some(value) = value else { continue };
            let mut labels = vec![("local", local.as_str())];
            labels.extend(netns.as_deref().map(|netns| ("netns", netns)));
            metrics.sample("", &labels, value.into())?;
        }
    }
    Ok(())
}

fn processes<W: Write>(
    report: &Report<'_>,
    found: &Findings,
    limit: usize,
    metrics: &mut Metrics<'_, W>,
) -> io::Result<()> {
    let evidence = found.findings.iter().flat_map(|finding| &finding.evidence);
    let told: BTreeMap<Pid, _> = evidence.map(|told| (told.pid, told)).take(limit).collect();
    let mut waits: BTreeMap<Pid, u64> = BTreeMap::new();
    let rows = report.rows();
    for row in rows.filter(|row| row.socket.state == State::CloseWait) {
        let mut last = None;
        for holder in row.owner.holders() {
            // Of a connection that was not accepted the listener's holders have no file.
            if row.accepted() == Some(true) && last.replace(holder.pid) != Some(holder.pid) {
                *waits.entry(holder.pid).or_default() += 1;
            }
        }
    }
    let figures: [(&str, Option<&str>, &str); 3] = [
        (
            "closewait_process_open_files",
            Some("files"),
            "Files that a process named by a finding has open.",
        ),
        (
            "closewait_process_limit_files",
            Some("files"),
            "How many it may have open.",
        ),
        (
            "closewait_process_close_wait_ratio",
            Some("ratio"),
            "The share of that limit that its CLOSE_WAIT sockets take.",
        ),
    ];
    for (at, (metric, unit, help)) in figures.into_iter().enumerate() {
        metrics.family(metric, unit, help)?;
        for (pid, evidence) in &told {
            let limit = evidence.fd_limit.and_then(FdLimit::files);
            let value = match at {
                0 => evidence.open_fds.map(|files| files as f64),
                1 => limit.map(|limit| limit as f64),
                _ => limit
                    .filter(|limit| *limit > 0)
                    .map(|limit| waits.get(pid).copied().unwrap_or(0) as f64 / limit as f64),
            };
            if let Some(value) = value {
                let (number, name) = (pid.to_string(), name(*pid, report.holders()));
                metrics.figure(&[("pid", &number), ("program", &name)], value)?;
            }
        }
    }
    Ok(())
}

fn findings<W: Write>(found: &Findings, metrics: &mut Metrics<'_, W>) -> io::Result<()> {
    metrics.family("closewait_findings", None, "Findings by severity.")?;
    for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
        let of = found.findings.iter();
        let count = of.filter(|finding| finding.severity == severity).count();
        metrics.sample("", &[("severity", severity.name())], count as u64)?;
    }
    Ok(())
}

fn gaps<W: Write>(report: &Report<'_>, metrics: &mut Metrics<'_, W>) -> io::Result<()> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for gap in &report.gaps {
        *counts.entry(gap.kind.name()).or_default() += gap.count;
    }
    metrics.family(
        "closewait_gaps",
        None,
        "What could not be seen: sockets, processes or lines, by kind.",
    )?;
    for (kind, count) in counts {
        metrics.sample("", &[("kind", kind)], count)?;
    }
    Ok(())
}

/// Writes families, one after the other.
struct Metrics<'a, W: Write> {
    out: &'a mut W,
    /// The family that samples are of.
    name: &'static str,
}

impl<W: Write> Metrics<'_, W> {
    /// Begins a family of gauges.
    fn family(&mut self, name: &'static str, unit: Option<&str>, help: &str) -> io::Result<()> {
        self.typed(name, "gauge", unit, help)
    }

    fn typed(
        &mut self,
        name: &'static str,
        kind: &str,
        unit: Option<&str>,
        help: &str,
    ) -> io::Result<()> {
        self.name = name;
        writeln!(self.out, "# TYPE {name} {kind}")?;
        if let Some(unit) = unit {
            writeln!(self.out, "# UNIT {name} {unit}")?;
        }
        writeln!(self.out, "# HELP {name} {help}")
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: u64) -> io::Result<()> {
        self.labelled(suffix, labels)?;
        writeln!(self.out, " {value}")
    }

    fn figure(&mut self, labels: &[(&str, &str)], value: f64) -> io::Result<()> {
        self.labelled("", labels)?;
        writeln!(self.out, " {value}")
    }

    fn labelled(&mut self, suffix: &str, labels: &[(&str, &str)]) -> io::Result<()> {
        write!(self.out, "{}{suffix}", self.name)?;
        for (at, (label, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            write!(self.out, "{before}{label}=\"{}\"", escaped(value))?;
        }
        if !labels.is_empty() {
            self.out.write_all(b"}")?;
        }
        Ok(())
    }
}

/// A label's value by the format's rule: backslash, quote and newline are escaped. Other control
/// characters are nothing to the format, and shown as they are nowhere.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text
}
