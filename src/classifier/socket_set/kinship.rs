//! How processes that hold the same sockets are related.

use crate::classifier::report::Report;
use crate::model::{Name, Pid};

/// How processes that hold the same sockets are related, which shows whether they may have got them
/// by fork(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// One is a descendant of another, or of a holder of their listener.
    Related,
    /// No one is, and all ancestors are known. (A process whose parent has ended becomes a child of
    /// process 1, which proves nothing.)
    Unrelated,
    Unknown,
}

impl Kinship {
    pub(super) fn of(report: &Report<'_>, pids: &[Pid], positions: &[u32]) -> Kinship {
        let holders = report.holders();
        let first = positions.first().map(|at| report.row(*at as usize));
        let listener = first.and_then(|row| report.listeners().covering(row.socket));
        let serving = listener.map_or([].as_slice(), |listener| &listener.holders);
        // Process 1 is an ancestor of every process, and holds listeners for others.
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
        let is_whole = |line: &[(Pid, Name)]| {
            line.last().is_some_and(|(pid, _)| *pid == Pid(1)) && line.len() > 1
        };
        if lines.all(is_whole) {
            Kinship::Unrelated
        } else {
            Kinship::Unknown
        }
    }
}
