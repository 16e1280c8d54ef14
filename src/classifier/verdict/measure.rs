//! One value against its limits, and the status that follows.

use std::cmp::Reverse;

use super::criteria::Criteria;
use crate::classifier::finding::{Finding, Findings};
use crate::classifier::range::{Alert, Limits, Range};
use crate::classifier::report::Report;

/// The status of a check, by weight: what is known to be bad outweighs what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Ok,
    Unknown,
    Warning,
    Critical,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::Warning => "WARNING",
            Status::Critical => "CRITICAL",
            Status::Unknown => "UNKNOWN",
        }
    }
}

/// One value that was held against limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// `None` where it is not known.
    pub value: Option<f64>,
    pub limits: Limits,
    pub status: Status,
}

/// The status of a value: of an unknown one, and of an alert that more might end in a partial
/// view, UNKNOWN.
pub(super) fn judge(value: Option<f64>, limits: Limits, partial: bool) -> Status {
    if limits.is_empty() {
        return Status::Ok;
    }
    let Some(value) = value else {
        return Status::Unknown;
    };
    let by = |range: Option<Range>, status| match range.map(|range| range.check(value)) {
        Some(Alert::Above) => status,
        Some(Alert::Otherwise) if partial => Status::Unknown,
        Some(Alert::Otherwise) => status,
        Some(Alert::No) | None => Status::Ok,
    };
    let (warning, critical) = (
        by(limits.warning, Status::Warning),
        by(limits.critical, Status::Critical),
    );
    warning.max(critical)
}

/// The finding that has the most FIN_WAIT2 sockets which wait for a remote end. Too few of them are no
/// fault, whatever a limit says.
pub(super) fn most_waiting(found: &Findings, test: &Criteria) -> Option<(usize, Measure)> {
    let findings = found.findings.iter().map(Finding::waiting).enumerate();
    let (at, sockets) = findings.max_by_key(|(at, sockets)| (*sockets, Reverse(*at)))?;
    let value = sockets as f64;
    let above =
        |range: Option<Range>| range.is_some_and(|range| range.check(value) == Alert::Above);
    let status = if above(test.count.critical) {
        Status::Critical
    } else if above(test.count.warning) {
        Status::Warning
    } else {
        Status::Ok
    };
    let measure = Measure {
        value: Some(value),
        limits: test.count,
        status,
    };
    (sockets > 0).then_some((at, measure))
}

/// How full the fullest accept queue is, in percent; `None` where a source does not tell.
pub(super) fn fullest(report: &Report<'_>, found: &Findings) -> Option<f64> {
    let mut namespaces = report.snapshot.namespaces.iter();
    let told = namespaces.all(|namespace| namespace.source.reports_backlog());
    let queues = found.queues.iter();
    let fullest = queues.filter_map(|queue| queue.percent()).max();
    told.then(|| fullest.unwrap_or(0) as f64)
}
