//! Accept queues, and the processes that findings name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use crate::classifier::Report;
use crate::classifier::finding::Findings;
use crate::model::{FdLimit, Pid, State};
use crate::renderer::format::openmetrics::sockets::name;
use crate::renderer::format::openmetrics::writer::Metrics;
use crate::renderer::names;

pub(super) fn queues<W: Write>(
    report: &Report<'_>,
    found: &Findings,
    limit: usize,
    metrics: &mut Metrics<'_, W>,
) -> io::Result<()> {
    let several = report.snapshot.only_namespace().is_none();
    // The fullest comes first: it represents all listeners with the same labels (IPv6 only and both
    // families, namespaces with the same name).
    let mut seen = BTreeSet::new();
    let mut shown = Vec::new();
    for queue in &found.queues {
        let local = names::listener_of(report, &queue.bound);
        let netns = several.then(|| names::netns_of(report, queue.bound.netns));
        if shown.len() < limit && seen.insert((local.clone(), netns.clone())) {
            shown.push((queue, local, netns));
        }
    }
    for (metric, help) in [
        (
            "closewait_accept_queue_connections",
            "Connections waiting to be accepted; with SO_REUSEPORT, in the fullest queue.",
        ),
        (
            "closewait_accept_queue_limit_connections",
            "Limit of the accept queue.",
        ),
    ] {
        metrics.family(metric, Some("connections"), help)?;
        for (queue, local, netns) in &shown {
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

pub(super) fn processes<W: Write>(
    report: &Report<'_>,
    found: &Findings,
    limit: usize,
    metrics: &mut Metrics<'_, W>,
) -> io::Result<()> {
    let evidence = found.findings.iter().flat_map(|finding| &finding.evidence);
    let named: BTreeMap<Pid, _> = evidence.map(|of| (of.pid, of)).take(limit).collect();
    let mut waits: BTreeMap<Pid, u64> = BTreeMap::new();
    let rows = report.rows();
    for row in rows.filter(|row| row.socket.state == State::CloseWait) {
        let mut last = None;
        for holder in row.owner.holders() {
            // The listener's holders have no descriptor for a connection that was not accepted.
            if row.accepted() == Some(true) && last.replace(holder.pid) != Some(holder.pid) {
                *waits.entry(holder.pid).or_default() += 1;
            }
        }
    }
    let figures: [(&str, Option<&str>, &str); 3] = [
        (
            "closewait_process_open_files",
            Some("files"),
            "Open files of a process that a finding names.",
        ),
        (
            "closewait_process_limit_files",
            Some("files"),
            "Soft limit of open files of that process.",
        ),
        (
            "closewait_process_close_wait_ratio",
            Some("ratio"),
            "Share of that limit used by its CLOSE_WAIT sockets.",
        ),
    ];
    for (at, (metric, unit, help)) in figures.into_iter().enumerate() {
        metrics.family(metric, unit, help)?;
        for (pid, evidence) in &named {
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
