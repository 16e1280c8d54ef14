//! Usage errors: arguments that cannot be combined, or that name something unreadable.

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::filter::ParseError;
use crate::recording::RecordingError;

/// A usage error. The message names the argument, the reason and what to try.
#[derive(Debug, Error)]
pub enum UsageError {
    #[error("{flag} prints sockets or counts; use `closewait list {flag}`, or add --by")]
    NeedsList { flag: &'static str },
    #[error("{flag}: {reason}")]
    Value { flag: &'static str, reason: String },
    #[error("{name:?} is not a column: {hint}")]
    Column { name: String, hint: String },
    #[error("cannot sort by {key:?}; choose one of: {all}")]
    Sort { key: String, all: String },
    #[error("groups cannot be sorted by {column}; choose one of: sockets, {all}")]
    GroupSort { column: &'static str, all: String },
    #[error("--threshold {given:?}: expected NAME=N, with one of these names: {all}")]
    Threshold { given: String, all: String },
    #[error("{flag} reads this host and cannot be used with the recording {from}")]
    NotOfThisHost { flag: &'static str, from: String },
    #[error("record takes no filter; filter when you read the recording with --from")]
    RecordsAll,
    #[error("a recording is binary; write it to a file: closewait record FILE")]
    RecordOnTerminal,
    #[error("record --from copies a recording and needs --redact")]
    NothingToRecord,
    #[error(
        "diff needs two readings: `closewait diff EARLIER LATER`, or `--from EARLIER --against now`"
    )]
    TwoReadings,
    #[error("could not use the recording {}: {reason}", shown(path))]
    Recording {
        path: PathBuf,
        reason: RecordingError,
    },
    #[error("--by {given:?}: expected total, owner, port or listener")]
    CheckBy { given: String },
    #[error("--state {states} needs -w or -c: only CLOSE_WAIT has built-in limits")]
    NeedsLimits { states: String },
    #[error("--no-evidence leaves nothing to judge findings by; drop it, or give -w or -c")]
    NeedsEvidence,
    #[error(
        "no verdict within {timeout:?}: still reading what the arguments name; try a longer -t"
    )]
    NoAnswer { timeout: Duration },
    #[error("--timeout 0 leaves no time for a verdict")]
    NoTimeAtAll,
    #[error(
        "--for {between:?}: expected 1s to 1h; to compare readings further apart, use `closewait \
         record FILE` now and `closewait diff FILE now` later"
    )]
    Between { between: Duration },
    #[error("--for reads this host twice, and {from} is one reading; use `closewait diff A B`")]
    OneReading { from: String },
    #[error("--for shows growth and cannot be combined with {flag}, which does not")]
    NoGrowth { flag: &'static str },
    #[error("--for needs --growth")]
    NeedsGrowth,
    #[error("--for {between:?} leaves no time before --timeout {timeout:?}; raise -t")]
    NoTime {
        between: Duration,
        timeout: Duration,
    },
    #[error("--output takes a file: {hint}; for a file of this name write ./{name}")]
    OutputForm {
        name: &'static str,
        hint: &'static str,
    },
    #[error("watch {given:?}: expected seconds from 0.1 to 86400, such as 2, 0.5 or 1m")]
    WatchInterval { given: String },
    #[error("watch SECONDS COUNT: {given:?} is no number of readings from 1")]
    WatchReadings { given: String },
    #[error("watch cannot replace a file; write the readings to one with `> FILE`")]
    WatchIntoFile,
    #[error("watch list prints sockets and --by prints counts; drop one of them")]
    WatchList,
    #[error("watch --csv would mix tables; use --jsonl, which prints a document for each reading")]
    WatchCsv,
    #[error("--prometheus cannot be combined with --by or -u")]
    NoMetrics,
    #[error("--stacks is for findings: drop --by, --prometheus and `list`, which show none")]
    NoFindings,
    #[error(transparent)]
    Filter(#[from] ParseError),
    #[error("--by {name:?}: {hint}")]
    By { name: String, hint: String },
    #[error("--scan bpf and --proc cannot be combined: BPF sees only this host's processes")]
    ScanElsewhere,
    #[error("`dev` names a different interface in each network namespace; choose one with -N")]
    Interface,
    #[error("--no-owners cannot be combined with {flag}, which needs the owners")]
    NeedsOwners { flag: &'static str },
}

/// A file name for error messages.
pub(super) fn shown(path: &Path) -> String {
    match path.as_os_str().as_encoded_bytes() {
        b"-" => "on stdin".to_owned(),
        _ => path.display().to_string(),
    }
}

impl UsageError {
    /// Whether the arguments themselves are wrong, not what they name.
    pub fn is_mistake(&self) -> bool {
        !matches!(
            self,
            UsageError::Recording { .. } | UsageError::NoAnswer { .. }
        )
    }
}
