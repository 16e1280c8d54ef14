//! What the arguments mean: each stage's own input, and every check across flags.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap_complete::Shell;
use thiserror::Error;

mod asked;
mod by;
pub mod check;
pub mod diff;
mod given;
mod listing;
mod needs;
pub mod record;
mod selection;

use self::asked::Asked;
pub use self::check::Check;
pub use self::diff::Diff;
pub use self::record::Record;
use crate::args::{Cli, Command, Options, Wanted};
use crate::classifier::Rules;
use crate::classifier::verdict::Status;
use crate::collector::Request;
use crate::collector::recording::RecordingError;
use crate::exit::Outcome;
use crate::explain::Topic;
use crate::filter::ParseError;
use crate::renderer::View;

/// What a run does.
#[derive(Debug)]
pub enum Plan {
    /// Print a text that needs nothing of the host.
    Explain(Topic),
    /// Print what columns there are.
    Columns,
    /// Print completions for a shell.
    Completions(Shell),
    /// Print the manual page.
    Man,
    Inspect(Box<Inspection>),
    Check(Box<Check>),
    Record(Box<Record>),
    Diff(Box<Diff>),
}

/// A reading of the host, its judgement and its form.
#[derive(Debug, Clone)]
pub struct Inspection {
    pub request: Request,
    pub rules: Rules,
    pub view: View,
    /// Print nothing; the exit code is the answer.
    pub quiet: bool,
    pub strict: bool,
    /// Ask the processes that findings name.
    pub evidence: bool,
    /// How long lies between two readings of processor use; zero for one reading.
    pub sample: Duration,
    pub verbose: bool,
    /// The file that takes the output, whole or not at all; stdout where there is none.
    pub output: Option<PathBuf>,
    /// Names in place of numbers, where they are wanted.
    pub naming: Option<Naming>,
}

/// How names are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    /// Ports too.
    pub services: bool,
    /// How long all of it may take.
    pub deadline: Duration,
}

/// The place that the output goes to.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Its width in columns; `None` where stdout is no terminal.
    pub width: Option<usize>,
}

impl Terminal {
    /// What stdout is.
    pub fn of_stdout() -> Terminal {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
        // A terminal that does not know its size says 0.
        let width = size.map(|size| match size.ws_col {
            0 => 80,
            columns => usize::from(columns),
        });
        Terminal { width }
    }
}

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
    #[error("{flag} has no place in {place}")]
    NoPlace {
        flag: &'static str,
        place: &'static str,
    },
    #[error("a recording has everything: filter when it is read, with --from")]
    RecordsAll,
    #[error(
        "two readings are compared: closewait diff EARLIER LATER, or --from EARLIER --against now"
    )]
    TwoReadings,
    #[error("what --from has is recorded already: --redact masks it")]
    NothingToRecord,
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
    #[error("`closewait explain` shows the whole host: it takes no filter")]
    NoFilter,
    #[error("--by counts in triage: it cannot go with `closewait {command}`")]
    ByNeedsTriage { command: &'static str },
    #[error("--by {name:?}: {hint}")]
    By { name: String, hint: String },
    #[error("--scan bpf looks at the processes of this host: drop --proc")]
    ScanElsewhere,
    #[error("-N is one network namespace and -A all of them: use one of them")]
    Namespaces,
    #[error("`dev` means another interface in each network namespace: choose one by -N")]
    Interface,
    #[error("--no-owners cannot go with {flag}, which needs to know the owners")]
    NeedsOwners { flag: &'static str },
}

/// A file as an error names it.
fn shown(path: &Path) -> String {
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

/// Long enough for twenty ticks of the clock that processor time is counted in, and short enough
/// not to be noticed.
const SAMPLE: Duration = Duration::from_millis(200);
/// As long as a person at a prompt waits.
const NAMING: Duration = Duration::from_secs(2);
/// How many series of ports, programs or queues metrics have: each lives on in a database.
const LABELS: usize = 100;
/// How many groups triage shows: CLOSE_WAIT comes first, and with the states above they fit one
/// screen of 24 lines.
const GROUPS: usize = 10;

impl Plan {
    pub fn new(cli: Cli, terminal: Terminal) -> Result<Plan, UsageError> {
        let Cli {
            selection: before,
            command,
        } = cli;
        let (command, said) = match command {
            Some(Command::Completions { shell }) => return Ok(Plan::Completions(shell)),
            Some(Command::Man) => return Ok(Plan::Man),
            Some(Command::Explain {
                topic: Some(topic), ..
            }) => return Ok(Plan::Explain(topic)),
            Some(Command::Record(record)) => {
                let said = before.and((*record.options).into());
                let record = Record::new(record.target, said)?;
                return Ok(Plan::Record(Box::new(record)));
            }
            Some(Command::Diff(diff)) => {
                let said = before.and((*diff.options).into());
                let diff = Diff::new(diff.against, diff.words, said, terminal)?;
                return Ok(Plan::Diff(Box::new(diff)));
            }
            Some(Command::Check(said)) => {
                let judged = check::Said::of(&said);
                let said = before.and(said.selection);
                check::restrict(&said.options)?;
                let mut asked = Asked::read(said, false)?;
                let test = judged.test(&mut asked.options, &asked.words.filter)?;
                let inspection = asked.inspection(Wanted::Check, terminal)?;
                return Ok(Plan::Check(Box::new(test.with(inspection))));
            }
            Some(Command::Explain { options, .. }) => {
                (Some(Wanted::Explain), before.and((*options).into()))
            }
            Some(Command::List(after)) => (Some(Wanted::List), before.and(*after)),
            Some(Command::Triage(after)) => (Some(Wanted::Triage), before.and(*after)),
            None => (None, before),
        };
        let options = &said.options;
        if options.columns.as_deref() == Some("help") {
            return Ok(Plan::Columns);
        }
        let meant = if options.has_netstat_letter() && options.by.is_empty() {
            Wanted::List
        } else {
            Wanted::Triage
        };
        if command == Some(Wanted::Explain) && !said.filter.is_empty() {
            return Err(UsageError::NoFilter);
        }
        let asked = Asked::read(said, command.is_none())?;
        let inspection = asked.inspection(command.unwrap_or(meant), terminal)?;
        Ok(Plan::Inspect(Box::new(inspection)))
    }
}

impl Plan {
    /// Whether output that nobody took to its end is worth nothing.
    pub fn must_be_whole(&self) -> bool {
        matches!(self, Plan::Record(_))
    }

    /// The same with so much less time left.
    pub fn later(mut self, spent: Duration) -> Plan {
        if let Plan::Check(check) = &mut self {
            check.spent = spent;
        }
        self
    }

    /// What an error while it is carried out comes to.
    pub fn failure(&self) -> Outcome {
        match self {
            Plan::Check(_) => Outcome::Checked(Status::Unknown),
            Plan::Inspect(inspection) if inspection.quiet => Outcome::Undecided,
            _ => Outcome::Unread,
        }
    }
}

impl Options {
    /// Whether a letter was given that netstat users type for a listing.
    fn has_netstat_letter(&self) -> bool {
        self.all
            || self.listening
            || self.tcp
            || self.udp
            || self.numeric
            || self.programs
            || self.timers
            || self.extend
            || self.info
            || self.memory
            || self.wide
            || self.ipv4
            || self.ipv6
    }
}
