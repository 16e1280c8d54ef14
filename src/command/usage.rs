//! Arguments that do not go together, or name what cannot be read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::filter::ParseError;
use crate::recording::RecordingError;

/// Arguments that do not go together, or say nothing.
#[derive(Debug, Error)]
pub enum UsageError {
    #[error("{flag} prints sockets: use it with `closewait list`")]
    NeedsList { flag: &'static str },
    #[error("{name:?} is no column: {hint}")]
    Column { name: String, hint: String },
    #[error("--sort {key:?} is none of what is counted; one of: {all}")]
    Sort { key: String, all: String },
    #[error("groups have no {column} to sort by; they have: sockets, {all}")]
    GroupSort { column: &'static str, all: String },
    #[error("--threshold {given:?} is not NAME=N with a NAME of: {all}")]
    Threshold { given: String, all: String },
    #[error("{flag} needs a reading of this host, and {from} is a recording")]
    NotOfThisHost { flag: &'static str, from: String },
    #[error("a recording has everything: filter when it is read, with --from")]
    RecordsAll,
    #[error("--from names a recording: with --redact, closewait record writes a masked copy of it")]
    NothingToRecord,
    #[error(
        "two readings are compared: closewait diff EARLIER LATER, or --from EARLIER --against now"
    )]
    TwoReadings,
    #[error("could not use the recording {}: {reason}", shown(path))]
    Recording {
        path: PathBuf,
        reason: RecordingError,
    },
    #[error("--by {given:?}: one of total, owner, port, listener")]
    CheckBy { given: String },
    #[error("--state {states} needs -w or -c: nothing says how many are too many")]
    NeedsLimits { states: String },
    #[error("--no-evidence leaves out what findings are judged by: give -w or -c, or drop it")]
    NeedsEvidence,
    #[error("no verdict within {timeout:?}: what the arguments name did not come; try a longer -t")]
    NoAnswer { timeout: Duration },
    #[error("--timeout 0 leaves no time for a verdict")]
    NoTimeAtAll,
    #[error("--strict and --allow-partial contradict each other: use one of them")]
    PartialAndStrict,
    #[error("--for says how long --growth watches: give that too")]
    NeedsGrowth,
    #[error("--for {between:?} leaves no time before --timeout {timeout:?}")]
    NoTime {
        between: Duration,
        timeout: Duration,
    },
    #[error("--prometheus counts TCP sockets: use it without a command, --by, or -u")]
    NoMetrics,
    #[error(transparent)]
    Filter(#[from] ParseError),
    #[error("--by {name:?}: {hint}")]
    By { name: String, hint: String },
    #[error("--scan bpf looks at the processes of this host: drop --proc")]
    ScanElsewhere,
    #[error("`dev` means another interface in each network namespace: choose one by -N")]
    Interface,
    #[error("--no-owners cannot go with {flag}, which needs to know the owners")]
    NeedsOwners { flag: &'static str },
}

/// A file as an error names it.
pub(super) fn shown(path: &Path) -> String {
    match path.as_os_str().as_encoded_bytes() {
        b"-" => "on stdin".to_owned(),
        _ => path.display().to_string(),
    }
}

impl UsageError {
    /// Whether the arguments are wrong, and not what they name.
    pub fn is_mistake(&self) -> bool {
        !matches!(
            self,
            UsageError::Recording { .. } | UsageError::NoAnswer { .. }
        )
    }
}
