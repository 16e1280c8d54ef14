//! Measures: values with their limits, and the status that follows.

use std::cmp::Reverse;

use super::criteria::Criteria;
use crate::classifier::finding::{Finding, Findings};
use crate::classifier::range::{Alert, Limits, Range};
use crate::classifier::report::Report;

/// The status of a check, by rank: a known fault outranks UNKNOWN.
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

/// A value with its limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// `None` if unknown.
    pub value: Option<f64>,
    pub limits: Limits,
    pub status: Status,
}

impl Measure {
    pub(super) fn of(value: Option<f64>, limits: Limits, partial: bool) -> Measure {
        Measure {
            value,
            limits,
            status: judge(value, limits, partial),
        }
    }

    /// Of a growth: a count that falls is none, whatever the limits.
    pub(super) fn of_growth(growth: Option<f64>, limits: Limits, partial: bool) -> Measure {
        let of_increase = Limits {
            warning: limits.warning.map(Range::of_increase),
            critical: limits.critical.map(Range::of_increase),
        };
        Measure {
            value: growth,
            limits,
            status: judge(growth, of_increase, partial),
        }
    }
}

/// The status of a value. UNKNOWN if it is unknown, or if it alerts in a partial view and a larger
/// value might not.
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

/// The finding with the most FIN_WAIT2 sockets that wait for a remote end. Only upper limits apply:
/// too few are no fault.
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

/// The fullness of the fullest accept queue, in percent; `None` if a source does not report limits.
pub(super) fn fullest(report: &Report<'_>, found: &Findings) -> Option<f64> {
    let mut namespaces = report.snapshot.namespaces.iter();
    let are_known = namespaces.all(|namespace| namespace.source.reports_backlog());
    let queues = found.queues.iter();
    let fullest = queues.filter_map(|queue| queue.percent()).max();
    are_known.then(|| fullest.unwrap_or(0) as f64)
}
