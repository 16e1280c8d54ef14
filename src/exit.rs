//! How a run ended, and its exit code.

use std::process::ExitCode;

use crate::classifier::verdict::Status;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Printed, with or without findings.
    Done,
    /// Printed, but with --strict something could not be read.
    Partial,
    /// Nothing could be read.
    Unread,
    /// A usage error.
    Usage,
    /// -q: a socket matched.
    Matched,
    /// -q: none matched.
    NoMatch,
    /// -q: it cannot be decided.
    Undecided,
    /// check: its status.
    Checked(Status),
}

impl Outcome {
    pub fn code(self) -> u8 {
        match self {
            Outcome::Done | Outcome::Matched | Outcome::Checked(Status::Ok) => 0,
            Outcome::Partial | Outcome::Unread | Outcome::NoMatch => 1,
            Outcome::Checked(Status::Warning) => 1,
            Outcome::Checked(Status::Critical) => 2,
            Outcome::Checked(Status::Unknown) => 3,
            Outcome::Usage | Outcome::Undecided => 2,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        ExitCode::from(outcome.code())
    }
}
