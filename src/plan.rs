//! What the arguments mean: each stage's own input, and every check across flags.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anstream::AutoStream;
use thiserror::Error;

use crate::args::{Cli, ColorChoice, Options, Wanted};
use crate::classifier::Rules;
use crate::classifier::cause::GRACE_MS;
use crate::classifier::severity::Thresholds;
use crate::collector::names::SystemNames;
use crate::collector::netns::NetnsName;
use crate::collector::sock_diag::wire::Families;
use crate::collector::{Request, SourceChoice};
use crate::exit::Outcome;
use crate::explain::Topic;
use crate::filter::{self, End, Filter, ParseError, Term};
use crate::model::{Family, Pid, State, StateSet};
use crate::renderer::columns::Column;
use crate::renderer::style::Look;
use crate::renderer::{Format, Page, Sort, SortKey, View};

/// What a run does.
#[derive(Debug)]
pub enum Plan {
    /// Print a text that needs nothing of the host.
    Explain(Topic),
    Inspect(Box<Inspection>),
}

/// A reading of the host, its judgement and its form.
#[derive(Debug)]
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
    #[error("--sort {key:?} is no column; one of: {all}")]
    Sort { key: String, all: String },
    #[error("UDP is not read yet: try `closewait -t`, or ss -u")]
    Udp,
    #[error("--threshold {given:?} is not NAME=N with a NAME of: {all}")]
    Threshold { given: String, all: String },
    #[error(transparent)]
    Filter(#[from] ParseError),
    #[error("`closewait explain` shows the whole host: it takes no filter")]
    NoFilter,
    #[error("--no-owners cannot go with {flag}, which needs to know the owners")]
    NeedsOwners { flag: &'static str },
}

/// Long enough for twenty ticks of the clock that processor time is counted in, and short enough
/// not to be noticed.
const SAMPLE: Duration = Duration::from_millis(200);
/// How many groups triage shows: CLOSE_WAIT comes first, and with the states above they fit one
/// screen of 24 lines.
const GROUPS: usize = 10;

impl Plan {
    pub fn new(cli: Cli, terminal: Terminal) -> Result<Plan, UsageError> {
        let (wanted, said) = cli.said();
        let options = said.options;
        if let Some(Wanted::Explain(Some(topic))) = wanted {
            return Ok(Plan::Explain(topic));
        }
        let is_bare = wanted.is_none();
        let command = wanted.unwrap_or(if options.has_netstat_letter() {
            Wanted::List
        } else {
            Wanted::Triage
        });
        let netns = options.netns.clone().map(NetnsName);
        let proc_root = options
            .proc
            .clone()
            .unwrap_or_else(|| PathBuf::from("/proc"));
        let names = SystemNames::new(&proc_root, netns.as_ref());
        let words = Words::read(&said.filter, &names).map_err(|error| {
            UsageError::Filter(if is_bare { error_of_bare(error) } else { error })
        })?;
        if matches!(command, Wanted::Explain(_)) && !said.filter.is_empty() {
            return Err(UsageError::NoFilter);
        }
        let filter = filter(&options, &command, &words);
        let format = format(&options);
        check(&options, &command, format, &words)?;
        let is_triage = command == Wanted::Triage;
        let page = match command {
            Wanted::Triage => Page::Triage,
            Wanted::Explain(_) => Page::Diagram,
            Wanted::List => Page::List {
                columns: columns(&options),
                header: !options.no_header,
            },
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
        Ok(Plan::Inspect(Box::new(Inspection {
            request: Request {
                source: options.source.unwrap_or(SourceChoice::Auto),
                proc_root,
                netns,
                families: families(&options),
                filter: filter.clone(),
                owners: !options.no_owners && page != Page::Diagram,
                udp: options.udp,
                tcp_info: page != Page::Diagram,
            },
            rules: Rules {
                filter,
                grace_ms: u64::try_from(
                    options
                        .grace
                        .map_or(u128::from(GRACE_MS), |grace| grace.as_millis()),
                )
                .unwrap_or(u64::MAX),
                thresholds: thresholds(&options)?,
            },
            view: View {
                page,
                format,
                look: Look {
                    colour,
                    marks: terminal.width.is_some() || colour || is_triage,
                    width: terminal.width.filter(|_| !options.wide),
                },
                sort: options.sort.as_deref().map(sort).transpose()?,
                limit,
                selection: selection(&options, &command, &words),
            },
            quiet: options.quiet,
            strict: options.strict,
            evidence: !options.no_evidence,
            sample: options.sample.unwrap_or(SAMPLE),
            verbose: options.verbose > 0,
        })))
    }
}

impl Plan {
    /// What an error while it is carried out comes to.
    pub fn failure(&self) -> Outcome {
        match self {
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

fn check(
    options: &Options,
    command: &Wanted,
    format: Format,
    words: &Words,
) -> Result<(), UsageError> {
    if *command != Wanted::List {
        match format {
            Format::Jsonl => return Err(UsageError::NeedsList { flag: "--jsonl" }),
            Format::Csv => return Err(UsageError::NeedsList { flag: "--csv" }),
            Format::Table | Format::Json => {}
        }
    }
    if options.udp && !options.tcp {
        return Err(UsageError::Udp);
    }
    if options.no_owners {
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
            let flag = "a filter by pid, program or cause";
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
    if options.json {
        Format::Json
    } else if options.jsonl {
        Format::Jsonl
    } else if options.csv {
        Format::Csv
    } else {
        Format::Table
    }
}

fn families(options: &Options) -> Families {
    match (options.ipv4, options.ipv6) {
        (true, false) => Families::One(Family::Inet),
        (false, true) => Families::One(Family::Inet6),
        _ => Families::Both,
    }
}

/// The condition that the flags make up: different flags must all hold, of the same flag one.
fn filter(options: &Options, command: &Wanted, words: &Words) -> Filter {
    let mut parts = Vec::new();
    let mut one_of = |terms: Vec<Term>| match terms.len() {
        0 => {}
        1 => parts.extend(terms.into_iter().map(Filter::Term)),
        _ => parts.push(Filter::Or(terms.into_iter().map(Filter::Term).collect())),
    };
    one_of(
        states(options, command, words)
            .map(Term::State)
            .into_iter()
            .collect(),
    );
    // The collector reads the other ends of what is selected too, whatever their family.
    one_of(match families(options) {
        Families::Both => Vec::new(),
        Families::One(family) => vec![Term::Family(family)],
    });
    one_of(
        options
            .port
            .iter()
            .map(|port| Term::Port(End::Either, *port..=*port))
            .collect(),
    );
    one_of(options.pid.iter().map(|pid| Term::Pid(Pid(*pid))).collect());
    one_of(
        options
            .program
            .iter()
            .map(|name| Term::Program(name.clone().into_bytes()))
            .collect(),
    );
    one_of(
        options
            .peer
            .iter()
            .map(|peer| Term::Host(End::Remote, *peer))
            .collect(),
    );
    one_of(
        options
            .cause
            .iter()
            .map(|cause| Term::Cause(*cause))
            .collect(),
    );
    one_of(
        options
            .older_than
            .map(|age| Term::Idle(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)..=u64::MAX))
            .into_iter()
            .collect(),
    );
    if !words.filter.is_everything() {
        parts.push(words.filter.clone());
    }
    Filter::And(parts)
}

/// The filter that was typed as words.
struct Words {
    filter: Filter,
    text: String,
}

impl Words {
    fn read(words: &[String], names: &SystemNames) -> Result<Words, ParseError> {
        let text = words.join(" ");
        let filter = filter::parse(&text, names)?;
        Ok(Words { filter, text })
    }

    /// The states outside of which nothing is selected, where the words say anything of states.
    fn states(&self) -> Option<StateSet> {
        let bound = StateSet::of(State::BoundInactive);
        let names = |state: fn(StateSet) -> bool| {
            self.filter
                .mentions(|term| matches!(term, Term::State(set) if state(*set)))
        };
        let names_bound = names(|set| set.contains(State::BoundInactive));
        names(|_| true).then(|| {
            if names_bound {
                StateSet::ALL.union(bound)
            } else {
                StateSet::ALL
            }
        })
    }
}

/// A word without a command before it may have been meant for one.
fn error_of_bare(error: ParseError) -> ParseError {
    let commands = ["triage", "list", "explain"];
    match error
        .unknown_first()
        .and_then(|word| filter::nearest(word, commands))
    {
        Some(command) => error.with_hint(format!("did you mean the command `{command}`?")),
        None if error.unknown_first().is_some() => error.with_hint(format!(
            "the commands are {}; a filter begins as `state close-wait`",
            commands.join(", ")
        )),
        None => error,
    }
}

/// The states that are selected: those that are named, else those that the letters mean. A list
/// shows all but LISTEN, as netstat's does.
fn states(options: &Options, command: &Wanted, words: &Words) -> Option<StateSet> {
    let listen = StateSet::of(State::Listen);
    let named = options
        .state
        .iter()
        .fold(StateSet::NONE, |all, set| all.union(*set));
    match command {
        _ if !named.is_empty() => Some(named),
        // As in ss, states in words outweigh -a and -l.
        _ if words.states().is_some() => words.states(),
        _ if options.all => Some(StateSet::ALL),
        _ if options.listening => Some(listen),
        Wanted::List => Some(StateSet::ALL.minus(listen)),
        Wanted::Triage | Wanted::Explain(_) => Some(StateSet::ALL),
    }
}

/// What was selected, in words, where it is less than everything.
fn selection(options: &Options, command: &Wanted, words: &Words) -> Option<String> {
    let mut said = Vec::new();
    if let Some(set) = states(options, command, words)
        && set != StateSet::ALL
        && (!options.state.is_empty() || (options.listening && words.states().is_none()))
    {
        let names: Vec<&str> = set.iter().map(State::name).collect();
        said.push(format!("state {}", names.join(" or ")));
    }
    let mut add = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            said.push(format!("{name} {}", values.join(" or ")));
        }
    };
    add("port", options.port.iter().map(u16::to_string).collect());
    add("pid", options.pid.iter().map(u32::to_string).collect());
    add("program", options.program.clone());
    add(
        "peer",
        options.peer.iter().map(ToString::to_string).collect(),
    );
    add(
        "cause",
        options.cause.iter().map(ToString::to_string).collect(),
    );
    add(
        "idle ≥",
        options
            .older_than
            .iter()
            .map(|age| format!("{}s", age.as_secs_f64()))
            .collect(),
    );
    match families(options) {
        Families::Both => {}
        Families::One(family) => said.push(family.name().to_owned()),
    }
    if !words.text.trim().is_empty() {
        said.push(words.text.clone());
    }
    (!said.is_empty()).then(|| said.join(", "))
}

fn columns(options: &Options) -> Vec<Column> {
    let mut columns = vec![
        Column::Proto,
        Column::RecvQ,
        Column::SendQ,
        Column::Local,
        Column::Foreign,
        Column::State,
        Column::Age,
        Column::Cause,
    ];
    if options.extend {
        columns.extend([Column::User, Column::Inode, Column::Cookie]);
    }
    if options.timers {
        columns.push(Column::Timer);
    }
    if !options.no_owners {
        columns.push(Column::Owner);
    }
    columns
}

fn sort(text: &str) -> Result<Sort, UsageError> {
    let (descending, name) = match text.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, text),
    };
    let plain = name.to_ascii_lowercase().replace(['-', '_'], "");
    SortKey::ALL
        .into_iter()
        .find(|key| key.name() == plain)
        .map(|key| Sort { key, descending })
        .ok_or_else(|| UsageError::Sort {
            key: name.to_owned(),
            all: SortKey::ALL.map(SortKey::name).join(", "),
        })
}
