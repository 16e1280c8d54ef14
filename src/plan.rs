//! What the arguments mean: each stage's own input, and every check across flags.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anstream::AutoStream;
use clap_complete::Shell;
use thiserror::Error;

mod by;
pub mod check;
mod listing;
mod needs;
mod selection;

pub use self::check::Check;
use self::selection::{Words, families, filter, meant_for_a_command, protocols, selection};
use crate::args::{Cli, ColorChoice, Command, Options, Wanted};
use crate::classifier::Rules;
use crate::classifier::cause::GRACE_MS;
use crate::classifier::severity::Thresholds;
use crate::classifier::tally::Dimension;
use crate::classifier::verdict::Status;
use crate::collector::names::SystemNames;
use crate::collector::netns::{NetnsChoice, NetnsName};
use crate::collector::{Request, SourceChoice};
use crate::exit::Outcome;
use crate::explain::Topic;
use crate::filter::{ParseError, Term};
use crate::model::{Protocol, Protocols};
use crate::renderer::style::Look;
use crate::renderer::{Format, Page, View};

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
    #[error("{flag} has no place in a check")]
    NotInCheck { flag: &'static str },
    #[error("--by {given:?}: one of total, owner, port, listener")]
    CheckBy { given: String },
    #[error("--state {states} needs -w or -c: nothing says how many are too many")]
    NeedsLimits { states: String },
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
    #[error("-N is one network namespace and -A all of them: leave one away")]
    Namespaces,
    #[error("`dev` means another interface in each network namespace: choose one by -N")]
    Interface,
    #[error("--no-owners cannot go with {flag}, which needs to know the owners")]
    NeedsOwners { flag: &'static str },
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
        match cli.command {
            Some(Command::Completions { shell }) => return Ok(Plan::Completions(shell)),
            Some(Command::Man) => return Ok(Plan::Man),
            _ => {}
        }
        let judged = match &cli.command {
            Some(Command::Check(check)) => Some(check::Said::of(check)),
            _ => None,
        };
        let (wanted, said) = cli.said();
        if judged.is_some() {
            check::restrict(&said.options)?;
        }
        let mut options = said.options;
        if let Some(Wanted::Explain(Some(topic))) = wanted {
            return Ok(Plan::Explain(topic));
        }
        if options.columns.as_deref() == Some("help") {
            return Ok(Plan::Columns);
        }
        let is_bare = wanted.is_none();
        let command = wanted.unwrap_or(if options.has_netstat_letter() && options.by.is_empty() {
            Wanted::List
        } else {
            Wanted::Triage
        });
        let mut netns = match &options.netns {
            Some(_) if options.all_netns => return Err(UsageError::Namespaces),
            Some(name) => NetnsChoice::One(NetnsName(name.clone())),
            None if options.all_netns => NetnsChoice::All,
            None => NetnsChoice::Own,
        };
        let proc_root = options
            .proc
            .clone()
            .unwrap_or_else(|| PathBuf::from("/proc"));
        let names = SystemNames::new(&proc_root, &netns);
        let read = |names: &SystemNames| {
            Words::read(&said.filter, names).map_err(|error| meant_for_a_command(error, is_bare))
        };
        let mut words = read(&names)?;
        if netns == NetnsChoice::Own && words.filter.mentions(|term| matches!(term, Term::Netns(_)))
        {
            // Whoever names a namespace wants to look into it.
            netns = NetnsChoice::All;
            words = read(&SystemNames::new(&proc_root, &netns))?;
        }
        if matches!(command, Wanted::Explain(_)) && !said.filter.is_empty() {
            return Err(UsageError::NoFilter);
        }
        if netns == NetnsChoice::All
            && words
                .filter
                .mentions(|term| matches!(term, Term::Interface(1..)))
        {
            return Err(UsageError::Interface);
        }
        let protocols = match command {
            // The diagram is TCP's.
            Wanted::Explain(_) => Protocols::One(Protocol::Tcp),
            Wanted::Triage | Wanted::List | Wanted::Check => protocols(&options),
        };
        let test = match &judged {
            Some(judged) => Some(judged.test(&mut options, &words.filter)?),
            None => None,
        };
        let filter = filter(&options, &command, &words);
        let format = format(&options);
        cross_check(&options, &command, format, &words)?;
        let by = match command {
            Wanted::Check => None,
            _ => by::by(&options, &command)?,
        };
        let is_triage = command == Wanted::Triage;
        let page = match command {
            Wanted::Triage | Wanted::Check => by.map_or(Page::Triage, Page::Tally),
            Wanted::Explain(_) => Page::Diagram,
            Wanted::List => listing::page(&options, format, netns == NetnsChoice::All)?,
        };
        let limit = match (options.limit, &command, format) {
            (Some(0), ..) => None,
            (Some(limit), ..) => Some(limit),
            (None, Wanted::Triage, Format::Table) => Some(GROUPS),
            (None, ..) => None,
        };
        let colour = match options.color.unwrap_or(ColorChoice::Auto) {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => wants_colour(),
        };
        let view = View {
            format,
            look: Look {
                colour,
                marks: terminal.width.is_some() || colour || is_triage,
                width: terminal.width.filter(|_| !options.wide),
            },
            sort: match (&page, options.sort.as_deref()) {
                // It has an order of its own.
                (Page::Tally(_), _) | (_, None) => None,
                (_, Some(key)) => Some(listing::sort(key, &page)?),
            },
            page,
            limit,
            selection: selection(&options, &command, &words),
        };
        let needs = needs::needs(&view, &filter, options.quiet);
        let inspection = Inspection {
            request: Request {
                source: options.source.unwrap_or(SourceChoice::Auto),
                proc_root,
                netns,
                families: families(&options),
                filter: filter.clone(),
                owners: needs.owners && !options.no_owners,
                cgroups: needs.cgroups,
                protocols,
                tcp_info: needs.times,
                details: needs.details,
            },
            rules: Rules {
                filter,
                protocols,
                grace_ms: u64::try_from(
                    options
                        .grace
                        .map_or(u128::from(GRACE_MS), |grace| grace.as_millis()),
                )
                .unwrap_or(u64::MAX),
                thresholds: thresholds(&options)?,
            },
            view,
            quiet: options.quiet,
            strict: options.strict,
            evidence: !options.no_evidence && options.by.is_empty(),
            sample: options.sample.unwrap_or(SAMPLE),
            verbose: options.verbose > 0,
            output: options.output.clone(),
            naming: (options.resolve && !options.quiet).then_some(Naming {
                services: !options.numeric,
                deadline: options.resolve_timeout.unwrap_or(NAMING),
            }),
        };
        Ok(match test {
            Some(test) => Plan::Check(Box::new(test.with(inspection))),
            None => Plan::Inspect(Box::new(inspection)),
        })
    }
}

impl Plan {
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

/// What stdout and the environment say about colour.
fn wants_colour() -> bool {
    let stdout = std::io::stdout();
    // By convention 0 forces nothing; anstream takes any value for a wish.
    let not_forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value == "0");
    (stdout.is_terminal() || !not_forced)
        && AutoStream::choice(&stdout) != anstream::ColorChoice::Never
}

fn cross_check(
    options: &Options,
    command: &Wanted,
    format: Format,
    words: &Words,
) -> Result<(), UsageError> {
    if *command != Wanted::List {
        match format {
            // Counts are rows too.
            _ if !options.by.is_empty() => {}
            Format::Jsonl => return Err(UsageError::NeedsList { flag: "--jsonl" }),
            Format::Csv => return Err(UsageError::NeedsList { flag: "--csv" }),
            Format::Table | Format::Json | Format::Prometheus { .. } => {}
        }
        if options.columns.is_some() {
            return Err(UsageError::NeedsList { flag: "--columns" });
        }
    }
    let of_triage = *command == Wanted::Triage && options.by.is_empty() && !options.udp;
    if matches!(format, Format::Prometheus { .. }) && !of_triage {
        return Err(UsageError::NoMetrics);
    }
    if options.no_owners {
        if options
            .by
            .iter()
            .any(|name| name.parse().is_ok_and(Dimension::needs_owner))
        {
            let flag = "--by program, unit, container or cause";
            return Err(UsageError::NeedsOwners { flag });
        }
        if !options.pid.is_empty() {
            return Err(UsageError::NeedsOwners { flag: "--pid" });
        }
        if !options.program.is_empty() {
            return Err(UsageError::NeedsOwners { flag: "--program" });
        }
        if !options.cause.is_empty() {
            return Err(UsageError::NeedsOwners { flag: "--cause" });
        }
        if words.filter.mentions(Term::needs_owner) {
            let flag = "a filter by pid, program, unit, container or cause";
            return Err(UsageError::NeedsOwners { flag });
        }
    }
    Ok(())
}

fn thresholds(options: &Options) -> Result<Thresholds, UsageError> {
    let mut thresholds = Thresholds::default();
    for given in &options.threshold {
        let value = given
            .split_once('=')
            .and_then(|(name, number)| Some((thresholds.by_name(name)?, number.parse().ok()?)));
        match value {
            Some((threshold, number)) => *threshold = number,
            None => {
                return Err(UsageError::Threshold {
                    given: given.clone(),
                    all: Thresholds::NAMES.join(", "),
                });
            }
        }
    }
    Ok(thresholds)
}

fn format(options: &Options) -> Format {
    if options.prometheus {
        Format::Prometheus {
            label_limit: options.label_limit.unwrap_or(LABELS),
        }
    } else if options.json {
        Format::Json
    } else if options.jsonl {
        Format::Jsonl
    } else if options.csv {
        Format::Csv
    } else {
        Format::Table
    }
}
