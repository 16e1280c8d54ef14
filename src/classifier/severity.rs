//! Severity: how bad a finding is, by the thresholds of the rules.

use super::pool::PoolVerdict;
use super::rules::Thresholds;
use crate::model::Cause;

/// How much a finding matters; ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// The facts that decide the severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    pub cause: Cause,
    /// What a pool that a server closed is consistent with.
    pub pool_verdict: Option<PoolVerdict>,
    /// Of the finding, or of the whole service or program.
    pub sockets: u64,
    /// The share of the owner's limit of open files that the sockets hold, in percent.
    pub fd_percent: Option<u64>,
    /// How full the accept queue is, in percent, if connections have waited in it.
    pub queue_percent: Option<u64>,
    /// Every thread of the owner is stopped.
    pub stopped: bool,
    /// The owner has reached its limit of open files: accept(2) fails.
    pub out_of_fds: bool,
}

/// The severity for this many lingering sockets alone.
pub fn of_count(sockets: u64, thresholds: &Thresholds) -> Severity {
    if sockets >= thresholds.critical {
        Severity::Critical
    } else if sockets >= thresholds.warning {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// The severity by the highest threshold that is reached.
pub fn severity(weight: &Weight, thresholds: &Thresholds) -> Severity {
    let in_use = weight.cause == Cause::HalfClose && !weight.stopped;
    if in_use || weight.cause == Cause::Transient {
        return Severity::Info;
    }
    let reaches = |value: Option<u64>, threshold| value.is_some_and(|value| value >= threshold);
    let beside = if weight.stopped
        || (weight.out_of_fds && weight.cause == Cause::NotAccepted)
        || reaches(weight.fd_percent, thresholds.fd_critical)
        || reaches(weight.queue_percent, thresholds.queue_critical)
    {
        Severity::Critical
    } else if reaches(weight.fd_percent, thresholds.fd_warning)
        || reaches(weight.queue_percent, thresholds.queue_warning)
    {
        Severity::Warning
    } else {
        Severity::Info
    };
    let count = of_count(weight.sockets, thresholds);
    beside.max(match weight.pool_verdict {
        // In any number: they are replaced when they are next used. Only their descriptors count.
        Some(PoolVerdict::AtRest) => Severity::Info,
        // Every client that needs a connection waits.
        Some(PoolVerdict::Exhausted) => count.max(Severity::Warning),
        _ => count,
    })
}
