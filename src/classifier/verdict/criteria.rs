//! What a check judges beside the findings, and by which limits.
use crate::classifier::range::Limits;
use crate::model::{State, StateSet};

/// What the sockets are counted by; the worst count is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountBy {
    /// The program, and the listening service.
    Either,
    Total,
    Owner,
    Port,
    /// The listener whose connections they are.
    Listener,
}

impl CountBy {
    /// Whether it tells owners apart.
    pub fn is_by_owner(self) -> bool {
        matches!(self, CountBy::Either | CountBy::Owner)
    }
}

/// What is judged beside the findings, and by which limits. None of them switches another
/// judgement off: those of the count replace what the thresholds of severity say of counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Criteria {
    /// The states whose sockets are counted.
    pub states: StateSet,
    pub by: CountBy,
    /// Of the count; without them the severity of findings decides.
    pub count: Limits,
    /// Of the share of its limit of open files that a process has open, in percent.
    pub fd_share: Limits,
    /// Of the fullness of an accept queue, in percent.
    pub queue: Limits,
    /// Of the growth in sockets a minute.
    pub growth: Limits,
    /// What could not be seen is no reason for UNKNOWN.
    pub allow_partial: bool,
    /// Whatever could not be seen is one.
    pub strict: bool,
    /// Owners are read.
    pub owners: bool,
    /// Those whom findings name are asked.
    pub evidence: bool,
}

impl Criteria {
    /// Whether nothing but the findings decides.
    pub fn is_by_severity(&self) -> bool {
        self.count.is_empty()
            && self.fd_share.is_empty()
            && self.queue.is_empty()
            && self.growth.is_empty()
    }

    /// Whether findings are judged: they are about CLOSE_WAIT and the accept queues.
    pub fn judges_findings(&self) -> bool {
        self.states.contains(State::CloseWait)
    }

    /// Whether CLOSE_WAIT and the accept queues are looked at, whatever is counted.
    pub fn looks_at_findings(&self) -> bool {
        self.judges_findings() || !self.queue.is_empty()
    }

    /// Whether it cannot do without what processes tell about themselves.
    pub fn needs_evidence(&self) -> bool {
        self.is_by_severity()
    }

    /// Whether it cannot do without owners.
    pub fn needs_owners(&self) -> bool {
        self.is_by_severity() || self.by.is_by_owner() || !self.fd_share.is_empty()
    }
}
