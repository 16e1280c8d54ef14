//! OpenMetrics text, for Prometheus and the textfile collector of its node_exporter.
//!
//! The types are those that the older text format has too: its parser, which node_exporter uses,
//! fails on `info`, `stateset` and `gaugehistogram`, and takes the lines of UNIT and EOF for
//! comments.

mod holders;
mod sockets;
mod writer;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use self::writer::Metrics;
use crate::classifier::Report;
use crate::classifier::finding::Findings;
use crate::classifier::severity::Severity;

/// The help of `closewait_complete`.
const COMPLETE: &str = "1 if nothing is missing from the network namespaces that were read; if 0, counts may be too \
     low.";

/// Writes all metrics of a report. At most `limit` series have a port, a program or a queue; the
/// other sockets are summed for each state.
pub fn exposition(
    report: &Report<'_>,
    found: &Findings,
    limit: usize,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut metrics = Metrics { out, name: "" };
    metrics.family("closewait_up", None, "1 if the sockets could be read.")?;
    metrics.sample("", &[], 1)?;
    metrics.family("closewait_complete", None, COMPLETE)?;
    metrics.sample("", &[], report.is_complete().into())?;
    others(report, &mut metrics)?;
    sockets::sockets(report, limit, &mut metrics)?;
    sockets::causes(report, &mut metrics)?;
    sockets::ages(report, &mut metrics)?;
    holders::queues(report, found, limit, &mut metrics)?;
    holders::processes(report, found, limit, &mut metrics)?;
    findings(found, &mut metrics)?;
    gaps(report, &mut metrics)?;
    let taken = report.snapshot.taken_at_ns as f64 / 1e9;
    metrics.family(
        "closewait_reading_timestamp_seconds",
        Some("seconds"),
        "When the reading began, in seconds since 1970-01-01 UTC.",
    )?;
    metrics.figure(&[], taken)?;
    metrics.family(
        "closewait_reading_duration_seconds",
        Some("seconds"),
        "Duration of the reading.",
    )?;
    metrics.figure(&[], elapsed.as_secs_f64())?;
    build(&mut metrics)
}

/// Network namespaces that were not read; nothing if all were.
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
        "1 if these are all; if 0, other processes or namespaces may be hidden.",
    )?;
    let known = others.unknown == 0 && others.doubt.is_none();
    metrics.sample("", &[], known.into())
}

/// Writes that nothing could be read, so that an older file does not seem current.
pub fn failure(out: &mut impl Write) -> io::Result<()> {
    let mut metrics = Metrics { out, name: "" };
    metrics.family("closewait_up", None, "1 if the sockets could be read.")?;
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
        "Sockets, processes or lines that could not be read, by kind.",
    )?;
    for (kind, count) in counts {
        metrics.sample("", &[("kind", kind)], count)?;
    }
    Ok(())
}
