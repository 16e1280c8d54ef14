//! How processes that hold the same sockets are related.

use crate::classifier::report::Report;
use crate::model::{Name, Pid};

/// How processes that hold sockets are related: it tells whether fork(2) can have given them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// One descends from another, or from one that holds their listener.
    Related,
    /// None does, and all their ancestors are known. A process whose parent has ended is the first
    /// process's child by then, so that nothing follows of it.
    Unrelated,
    Unknown,
}

impl Kinship {
    pub(super) fn of(report: &Report<'_>, pids: &[Pid], positions: &[u32]) -> Kinship {
        let holders = report.holders();
        let first = positions.first().map(|at| report.row(*at as usize));
        let listener = first.and_then(|row| report.listeners().covering(row.socket));
        let serving = listener.map_or([].as_slice(), |listener| &listener.holders);
        // Process 1 is everybody's ancestor, and holds listeners for others.
        let is_one = |ancestor: Pid| {
            ancestor != Pid(1)
                && (pids.contains(&ancestor) || serving.iter().any(|holder| holder.pid == ancestor))
        };
        let mut lines = pids.iter().map(|pid| holders.ancestors(*pid));
        if lines
            .clone()
            .any(|line| line.iter().any(|(ancestor, _)| is_one(*ancestor)))
        {
            return Kinship::Related;
        }
        let is_told = |line: &[(Pid, Name)]| {
            line.last().is_some_and(|(pid, _)| *pid == Pid(1)) && line.len() > 1
        };
        if lines.all(is_told) {
            Kinship::Unrelated
        } else {
            Kinship::Unknown
        }
    }
}
