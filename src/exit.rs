//! How a run ended, and the exit code that says so.

use std::process::ExitCode;

use crate::classifier::verdict::Status;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Printed, findings or not.
    Done,
    /// Printed, but something could not be seen and --strict was given.
    Partial,
    /// Nothing could be read.
    Unread,
    /// The arguments make no sense.
    Usage,
    /// -q: a socket matched.
    Matched,
    /// -q: none did.
    NoMatch,
    /// -q: it cannot be told.
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
