//! Criteria: what a check judges in addition to findings, and the limits.
use crate::classifier::range::Limits;
use crate::model::{State, StateSet};

/// What sockets are counted by; the worst count is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountBy {
    /// The program, and the listening service.
    Either,
    Total,
    Owner,
    Port,
    /// The listener of the connections.
    Listener,
}

impl CountBy {
    /// Whether owners are needed to count.
    pub fn is_by_owner(self) -> bool {
        matches!(self, CountBy::Either | CountBy::Owner)
    }
}

/// What is judged in addition to findings, and the limits. Each limit adds a judgement; limits of
/// the count replace the thresholds of severity for counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Criteria {
    /// The states whose sockets are counted.
    pub states: StateSet,
    pub by: CountBy,
    /// Of the count; without them the severity of findings decides.
    pub count: Limits,
    /// Of the share of its limit of open files that a process has used, in percent.
    pub fd_share: Limits,
    /// Of the fullness of an accept queue, in percent.
    pub queue: Limits,
    /// Of the growth, in sockets per minute.
    pub growth: Limits,
    /// An incomplete view is no reason for UNKNOWN.
    pub allow_partial: bool,
    /// Anything that could not be read is a reason for UNKNOWN.
    pub strict: bool,
    /// Owners are read.
    pub owners: bool,
    /// Evidence of processes in findings is read.
    pub evidence: bool,
}

impl Criteria {
    /// Whether only findings decide.
    pub fn is_by_severity(&self) -> bool {
        self.count.is_empty()
            && self.fd_share.is_empty()
            && self.queue.is_empty()
            && self.growth.is_empty()
    }

    /// Whether findings are judged, which are about CLOSE_WAIT and accept queues.
    pub fn judges_findings(&self) -> bool {
        self.states.contains(State::CloseWait)
    }

    /// Whether CLOSE_WAIT and accept queues are examined, whatever is counted.
    pub fn looks_at_findings(&self) -> bool {
        self.judges_findings() || !self.queue.is_empty()
    }

    /// Whether evidence of processes is required.
    pub fn needs_evidence(&self) -> bool {
        self.is_by_severity()
    }

    /// Whether owners are required.
    pub fn needs_owners(&self) -> bool {
        self.is_by_severity() || self.by.is_by_owner() || !self.fd_share.is_empty()
    }
}
