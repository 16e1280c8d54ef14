//! How bad a finding is. Every threshold is named here, with its reason, and can be overridden.

use super::pool::PoolVerdict;
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

/// Where a finding begins to matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Lingering sockets: a healthy server shows a handful, for milliseconds; a hundred that stay
    /// are a fault whatever the program.
    pub warning: u64,
    /// A thousand is near the default soft limit of open files, 1,024.
    pub critical: u64,
    /// The share of the owner's limit of open files that they hold, in percent: at a fifth it
    /// shows on a graph.
    pub fd_warning: u64,
    /// At half of it, one burst of ordinary traffic reaches the limit, and accept(2) fails.
    pub fd_critical: u64,
    /// How full an accept queue is, in percent: half full means that arrivals outpace accept(2).
    pub queue_warning: u64,
    /// At its limit the kernel drops what completes the handshake.
    pub queue_critical: u64,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            warning: 100,
            critical: 1_000,
            fd_warning: 20,
            fd_critical: 50,
            queue_warning: 50,
            queue_critical: 100,
        }
    }
}

impl Thresholds {
    /// The names by which thresholds are overridden, and what each is.
    pub fn by_name(&mut self, name: &str) -> Option<&mut u64> {
        Some(match name {
            "warning" => &mut self.warning,
            "critical" => &mut self.critical,
            "fd-warning" => &mut self.fd_warning,
            "fd-critical" => &mut self.fd_critical,
            "queue-warning" => &mut self.queue_warning,
            "queue-critical" => &mut self.queue_critical,
            _ => return None,
        })
    }

    pub const NAMES: [&'static str; 6] = [
        "warning",
        "critical",
        "fd-warning",
        "fd-critical",
        "queue-warning",
        "queue-critical",
    ];
}

/// What the severity of a finding rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    pub cause: Cause,
    /// What connections that a server closed are consistent with.
    pub pool_verdict: Option<PoolVerdict>,
    /// Of the finding, or of the service or program that it stands for.
    pub sockets: u64,
    /// The share of the owner's limit of open files that the sockets hold, in percent.
    pub fd_percent: Option<u64>,
    /// How full the accept queue is, in percent, where connections have waited in it.
    pub queue_percent: Option<u64>,
    /// Every thread of the owner is stopped.
    pub stopped: bool,
    /// The owner has as many files open as it may: accept(2) fails.
    pub out_of_fds: bool,
}

/// The severity of so many lingering sockets alone.
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
        // However many: they are replaced when they are next used. Their descriptors count.
        Some(PoolVerdict::AtRest) => Severity::Info,
        // Whoever needs one waits.
        Some(PoolVerdict::Exhausted) => count.max(Severity::Warning),
        _ => count,
    })
}
