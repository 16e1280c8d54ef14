//! What the inspecting commands share: reading a host or a recording, judging and formatting.
//! [`Ask`] holds the options as given, [`Inspection`] the resulting plan.

use std::path::{Path, PathBuf};
use std::time::Duration;

mod by;
mod columns;
mod evidence;
mod needs;
pub(super) mod place;
mod run;
mod selection;
mod source;
mod twice;

pub(super) use self::evidence::{add_peeked, find, not_asked};
use self::place::Place;
pub use self::run::run;
pub(super) use self::run::{name, report_gaps, report_the_rest};
pub(super) use self::selection::Words;
use self::selection::{families, filter, protocols, selection};
pub use self::source::Source;
pub(super) use self::twice::{Reading, add_growth};
use super::UsageError;
use crate::classifier::Rules;
use crate::classifier::age::Sightings;
use crate::classifier::cause::GRACE_MS;
use crate::classifier::rules::Thresholds;
use crate::classifier::severity;
use crate::classifier::tally::Dimension;
use crate::cli::common::Common;
use crate::cli::judgement::{Grace, Severity};
use crate::cli::letters::{Details, Letters};
use crate::cli::output::{
    ColorChoice, Counted, Findings, Form, Metrics, Order, Printed, Quiet, Resolved,
};
use crate::cli::reading::{Evidence, Host, Owners, Peek, Recorded, Report, Stacks, Twice};
use crate::cli::selection::{self as conditions, Selection};
use crate::collector::request::{NetnsChoice, Request};
use crate::env::Terminal;
use crate::explain::{Language, Topic};
use crate::filter::{Filter, Term};
use crate::model::{Families, Name, Protocol, Protocols, State, StateSet};
use crate::renderer::style::Look;
use crate::renderer::{Format, Page, Shown, View};

/// Twenty ticks of the clock that CPU time is counted in, and too short to be noticed.
pub(super) const SAMPLE: Duration = Duration::from_millis(200);
/// As long as a user at a prompt is willing to wait.
const NAMING: Duration = Duration::from_secs(2);
/// The most series that name ports, programs or queues: each one stays in a database.
const LABELS: usize = 100;
/// The most groups and findings of triage on a terminal, where the worst come first. Groups take at
/// most a quarter of a low one.
const ROWS: usize = 10;

/// What is read, how it is judged and how it is printed.
#[derive(Debug, Clone)]
pub struct Inspection {
    pub source: Source,
    pub request: Request,
    pub rules: Rules,
    pub view: View,
    /// Print nothing; the exit code is the answer.
    pub quiet: bool,
    pub strict: bool,
    /// Examine the processes named in findings.
    pub evidence: bool,
    /// Look at the first unread bytes of sockets in findings.
    pub peek: bool,
    /// The least severe findings whose stacks are read and shown.
    pub stacks_from: severity::Severity,
    /// Stacks were asked for, so that it is said of whom none were read.
    pub stacks_asked: bool,
    /// The time between two readings of CPU use; zero for one reading.
    pub sample: Duration,
    pub verbose: bool,
    /// The time between two readings; `None` for one reading.
    pub between: Option<Duration>,
    /// The file for the output, written atomically; `None` is stdout.
    pub output: Option<PathBuf>,
    /// How to look up names, if they are wanted.
    pub naming: Option<Naming>,
}

/// How names are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    /// Whether ports get names too.
    pub services: bool,
    /// The time limit for all lookups together.
    pub deadline: Duration,
}

/// The page that a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Triage,
    List,
    Check,
    /// The figures of a topic, or the diagram.
    Explain(Option<(Topic, Language)>),
}

/// The options as given, for any command: groups that a command lacks are empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask {
    pub selection: Selection,
    pub words: conditions::Words,
    pub letters: Letters,
    pub details: Details,
    pub host: Host,
    pub recorded: Recorded,
    pub twice: Twice,
    /// Readings follow each other.
    pub repeated: bool,
    pub owners: Owners,
    pub evidence: Evidence,
    pub stacks: Stacks,
    pub peek: Peek,
    pub grace: Grace,
    pub severity: Severity,
    pub form: Form,
    pub printed: Printed,
    pub counted: Counted,
    pub order: Order,
    pub resolved: Resolved,
    pub metrics: Metrics,
    pub findings: Findings,
    pub quiet: Quiet,
    pub report: Report,
}

impl Ask {
    /// Whether rows are compared with those of an earlier reading.
    fn compares(&self) -> bool {
        self.repeated || self.twice.between.is_some()
    }
}

impl From<Common> for Ask {
    fn from(common: Common) -> Ask {
        // Destructured by name, so that a new group that is not carried over does not compile.
        let Common {
            // Another command.
            repeat: _,
            letters,
            selection,
            host,
            order,
            resolved,
            form,
            printed,
            quiet,
            report,
            recorded,
            twice,
            owners,
            evidence,
            grace,
            severity,
            words,
        } = common;
        Ask {
            letters,
            selection,
            host,
            order,
            resolved,
            form,
            printed,
            quiet,
            report,
            recorded,
            twice,
            owners,
            evidence,
            grace,
            severity,
            words,
            ..Ask::default()
        }
    }
}

/// An [`Ask`] with its filter parsed.
pub(super) struct Asked {
    pub ask: Ask,
    pub words: Words,
    place: Place,
}

impl Asked {
    /// Parses the filter, with the names of the place that is read.
    pub(super) fn read(ask: Ask) -> Result<Asked, UsageError> {
        let mut place = Place::of(ask.host.clone(), ask.recorded.from.as_deref())?;
        let mut words = place.read(&ask)?;
        if place.netns == NetnsChoice::Own
            && words.filter.mentions(|term| matches!(term, Term::Netns(_)))
        {
            // A filter by namespace must be able to see every namespace.
            place.netns = NetnsChoice::All;
            words = place.read(&ask)?;
        }
        place.find(&ask, &words);
        if place.has_several_namespaces()
            && words
                .filter
                .mentions(|term| matches!(term, Term::Interface(1..)))
        {
            return Err(UsageError::Interface);
        }
        Ok(Asked { ask, words, place })
    }

    /// The plan for a command.
    pub(super) fn inspection(
        self,
        command: Wanted,
        terminal: Terminal,
    ) -> Result<Inspection, UsageError> {
        let Asked { ask, words, place } = self;
        let terminal = match &ask.printed.to.output {
            Some(path) if !is_stdout(path) => terminal.file(),
            _ => terminal,
        };
        let protocols = match command {
            // The diagram shows TCP states.
            Wanted::Explain(_) => Protocols::One(Protocol::Tcp),
            Wanted::Triage | Wanted::List | Wanted::Check => protocols(&ask),
        };
        let filter = filter(&ask, &command, &words);
        let format = format(&ask);
        if let Some(error) = ask.printed.to.output.as_deref().and_then(named_like_a_form) {
            return Err(error);
        }
        cross_check(&ask, &command, format, &words)?;
        twice::check(&ask, format)?;
        let by = match command {
            Wanted::Check => None,
            _ => by::by(&ask)?,
        };
        let is_triage = command == Wanted::Triage;
        let page = match command {
            Wanted::Triage | Wanted::Check => by.map_or(Page::Triage, Page::Tally),
            Wanted::Explain(None) => Page::Diagram,
            Wanted::Explain(Some((topic, language))) => Page::Figures(topic, language),
            Wanted::List => columns::page(&ask, format, place.has_several_namespaces())?,
        };
        let limit = match (ask.printed.limit, &command, format) {
            (Some(0), ..) => None,
            (Some(limit), ..) => Some(limit),
            (None, Wanted::Triage, Format::Table) => terminal.height.map(|rows| match page {
                Page::Triage => ROWS.min(rows / 4),
                _ => ROWS,
            }),
            (None, ..) => None,
        };
        let is_printed = ask.printed.to.output.as_deref().is_none_or(is_stdout);
        let colour = match ask.printed.to.color.unwrap_or(ColorChoice::Auto) {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal.colour,
        };
        // A finding also rests on sockets outside the selection: the other legs of a proxy, peers,
        // and the accept queue.
        let has_findings = page == Page::Triage || format == Format::Json;
        let whole = has_findings && !ask.quiet.quiet && protocols.contains(Protocol::Tcp);
        let view = View {
            format,
            look: Look {
                colour,
                marks: terminal.width.is_some() || colour || is_triage,
                width: terminal.width.filter(|_| !ask.letters.wide),
                terminal: is_printed && terminal.width.is_some(),
                charset: terminal.charset,
            },
            sort: match (&page, ask.order.sort.as_deref()) {
                // A tally has its own order.
                (Page::Tally(_), _) | (_, None) => None,
                (_, Some(key)) => Some(columns::sort(key, &page)?),
            },
            page,
            limit,
            findings: shown(&ask, terminal),
            selection: selection(&ask, &command, &words).map(Name::from),
            whole,
        };
        // A list does not report other namespaces, except under --strict.
        let is_shown = !matches!(
            view.page,
            Page::Diagram | Page::Figures(..) | Page::List { .. }
        ) || format == Format::Json
            || ask.report.strict;
        let others = is_shown && !place.names_processes;
        let needs = needs::needs(&view, &filter, ask.quiet.quiet);
        let (read, families) = if whole {
            (whole_tables(&filter), Families::Both)
        } else {
            (filter.clone(), families(&ask))
        };
        // A check counts too, but still judges findings.
        let evidence = !ask.evidence.no_evidence && !matches!(view.page, Page::Tally(_));
        let stacks_from = match ask.stacks.stacks || ask.report.verbose > 0 {
            true => severity::Severity::Info,
            false => severity::Severity::Warning,
        };
        Ok(Inspection {
            source: place.source,
            request: Request {
                source: ask.host.source(),
                scan: ask.host.scan()?,
                proc_root: place.proc_root,
                netns: place.netns,
                families,
                filter: read,
                owners: needs.owners && !ask.owners.no_owners,
                cgroups: needs.cgroups,
                protocols,
                tcp_info: needs.times,
                findings: view.has_findings() && !ask.quiet.quiet,
                details: needs.details,
                limits: false,
                stacks: takes_stacks(&ask, &view, is_triage),
                captured: false,
                others,
            },
            rules: Rules {
                filter,
                protocols,
                grace_ms: u64::try_from(
                    ask.grace
                        .grace
                        .map_or(u128::from(GRACE_MS), |grace| grace.as_millis()),
                )
                .unwrap_or(u64::MAX),
                thresholds: thresholds(&ask)?,
                seen: Sightings::default(),
            },
            view,
            quiet: ask.quiet.quiet,
            strict: ask.report.strict,
            evidence,
            peek: ask.peek.peek && evidence,
            stacks_from,
            stacks_asked: ask.stacks.stacks,
            sample: ask.evidence.sample.unwrap_or(SAMPLE),
            verbose: ask.report.verbose > 0,
            between: ask.twice.between,
            output: ask.printed.to.output.clone(),
            naming: (ask.resolved.resolve && !ask.quiet.quiet).then_some(Naming {
                services: !ask.letters.numeric,
                deadline: ask.resolved.resolve_timeout.unwrap_or(NAMING),
            }),
        })
    }
}

/// Whether the stacks of processes are read: for people, and not again and again unless they ask for it.
/// What runs every minute must not read the memory of programs.
fn takes_stacks(ask: &Ask, view: &View, is_triage: bool) -> bool {
    let is_for_people =
        is_triage && view.page == Page::Triage && !matches!(view.format, Format::Prometheus { .. });
    let is_asked = match ask.repeated {
        true => ask.stacks.stacks,
        false => !ask.stacks.memory.no_stacks,
    };
    is_for_people && is_asked && !ask.evidence.no_evidence && !ask.quiet.quiet
}

/// How much is shown of the findings: everything in a pipe and with -v.
fn shown(ask: &Ask, terminal: Terminal) -> Shown {
    let most = |default: Option<usize>| match ask.printed.limit {
        Some(limit) => (limit > 0).then_some(limit),
        None => default,
    };
    match (ask.findings.in_full, terminal.height) {
        (Some(number @ 1..), height) => Shown {
            most: most(height.map(|_| ROWS.max(number))),
            in_full: Some(number),
            rows: None,
            whole_page: false,
        },
        (None, Some(height)) if ask.report.verbose == 0 => Shown {
            most: most(Some(ROWS)),
            in_full: Some(1),
            rows: Some(height),
            whole_page: false,
        },
        (Some(0) | None, _) => Shown {
            most: most(None),
            in_full: None,
            rows: None,
            whole_page: false,
        },
    }
}

/// A file that is named like a form of output: nobody means the file.
fn named_like_a_form(path: &Path) -> Option<UsageError> {
    const FORMS: [(&str, &str); 9] = [
        ("json", "for this form write `--json`"),
        ("jsonl", "for this form write `--jsonl`"),
        ("csv", "for this form write `--csv`"),
        ("prometheus", "for this form write `--prometheus`"),
        ("yaml", "closewait prints no YAML; write `--json`"),
        ("xml", "closewait prints no XML; write `--json`"),
        ("wide", "for all columns write `-W`"),
        ("table", "a table is the default"),
        ("text", "text is the default"),
    ];
    let (name, hint) = FORMS
        .into_iter()
        .find(|(name, _)| path == Path::new(name))?;
    Some(UsageError::OutputForm { name, hint })
}

/// Whether this file name means stdout.
fn is_stdout(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new("/dev/stdout")
}

fn cross_check(
    ask: &Ask,
    command: &Wanted,
    format: Format,
    words: &Words,
) -> Result<(), UsageError> {
    if *command != Wanted::List {
        match format {
            // Counts are printed as rows.
            _ if !ask.counted.by.is_empty() => {}
            Format::Jsonl => return Err(UsageError::NeedsList { flag: "--jsonl" }),
            Format::Csv => return Err(UsageError::NeedsList { flag: "--csv" }),
            Format::Table | Format::Json | Format::Prometheus { .. } => {}
        }
        if ask.details.columns.is_some() {
            return Err(UsageError::NeedsList { flag: "--columns" });
        }
    }
    let of_triage = *command == Wanted::Triage && ask.counted.by.is_empty() && !ask.letters.udp;
    if matches!(format, Format::Prometheus { .. }) && !of_triage {
        return Err(UsageError::NoMetrics);
    }
    let shows_findings = *command == Wanted::Triage && ask.counted.by.is_empty();
    if ask.stacks.stacks && (!shows_findings || matches!(format, Format::Prometheus { .. })) {
        return Err(UsageError::NoFindings);
    }
    if ask.owners.no_owners {
        if ask
            .counted
            .by
            .iter()
            .any(|name| name.parse().is_ok_and(Dimension::needs_owner))
        {
            let flag = "--by program, pid, unit, container or cause";
            return Err(UsageError::NeedsOwners { flag });
        }
        if !ask.selection.pid.is_empty() {
            return Err(UsageError::NeedsOwners { flag: "--pid" });
        }
        if !ask.selection.program.is_empty() {
            return Err(UsageError::NeedsOwners { flag: "--program" });
        }
        if !ask.selection.cause.is_empty() {
            return Err(UsageError::NeedsOwners { flag: "--cause" });
        }
        if words.filter.mentions(Term::needs_owner) {
            let flag = "a filter by pid, program, unit, container or cause";
            return Err(UsageError::NeedsOwners { flag });
        }
    }
    Ok(())
}

fn thresholds(ask: &Ask) -> Result<Thresholds, UsageError> {
    let mut thresholds = Thresholds::default();
    for given in &ask.severity.threshold {
        let value = given
            .split_once('=')
            .and_then(|(name, number)| Some((thresholds.by_name(name)?, number.parse().ok()?)));
        match value {
            Some((threshold, number)) => *threshold = number,
            None => {
                return Err(UsageError::Threshold {
                    given: given.clone(),
                    all: Thresholds::names().join(", "),
                });
            }
        }
    }
    Ok(thresholds)
}

fn format(ask: &Ask) -> Format {
    if ask.metrics.prometheus {
        Format::Prometheus {
            label_limit: ask.metrics.label_limit.unwrap_or(LABELS),
        }
    } else if ask.form.json {
        Format::Json
    } else if ask.form.jsonl {
        Format::Jsonl
    } else if ask.form.csv {
        Format::Csv
    } else {
        Format::Table
    }
}

/// All sockets of the namespaces that the filter selects from.
fn whole_tables(filter: &Filter) -> Filter {
    let bound = StateSet::of(State::BoundInactive);
    let states = StateSet::ALL.union(filter.states().intersection(bound));
    Filter::And(vec![
        Filter::Term(Term::State(states)),
        filter.of_namespaces(),
    ])
}
