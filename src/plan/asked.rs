//! What was asked for, read where it applies, to the host or to a recording, and what must be read
//! to answer it.

use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anstream::AutoStream;

use super::selection::{Words, families, filter, meant_for_a_command, protocols, selection};
use super::{
    GROUPS, Inspection, LABELS, NAMING, Naming, SAMPLE, Terminal, UsageError, by, given, listing,
    needs,
};
use crate::args::{ColorChoice, Options, Selection, Wanted};
use crate::classifier::Rules;
use crate::classifier::age::Sightings;
use crate::classifier::cause::GRACE_MS;
use crate::classifier::severity::Thresholds;
use crate::classifier::tally::Dimension;
use crate::collector::names::SystemNames;
use crate::collector::namespaces::whereabouts;
use crate::collector::netns::{NetnsChoice, NetnsName};
use crate::collector::owners::ScanChoice;
use crate::collector::recording::{RecordedNames, Recording, RecordingError};
use crate::collector::sock_diag::wire::Families;
use crate::collector::{Request, SourceChoice};
use crate::filter::{Filter, Names, Term};
use crate::model::{Pid, Protocol, Protocols, State, StateSet};
use crate::renderer::style::Look;
use crate::renderer::{Format, Page, View};
use crate::rights;

/// What is looked at.
pub(super) struct Place {
    pub(super) proc_root: PathBuf,
    pub(super) netns: NetnsChoice,
    pub(super) recording: Option<Arc<Recording>>,
    /// The selection itself says where to look: other namespaces do not matter.
    pub(super) is_told: bool,
}

impl Place {
    pub(super) fn of(options: &Options) -> Result<Place, UsageError> {
        let recording = match &options.from {
            None => None,
            Some(path) => {
                const OF_A_HOST: [&str; 6] =
                    ["-N", "-A", "--proc", "--source", "--scan", "--sample"];
                given::refuse(options, &OF_A_HOST, "a look at a recording")?;
                Some(open(path)?)
            }
        };
        Ok(Place {
            proc_root: options
                .proc
                .clone()
                .unwrap_or_else(|| PathBuf::from("/proc")),
            netns: match &options.netns {
                Some(_) if options.all_netns => return Err(UsageError::Namespaces),
                Some(name) => NetnsChoice::One(NetnsName(name.clone())),
                None if options.all_netns => NetnsChoice::All,
                None => NetnsChoice::Own,
            },
            recording,
            is_told: false,
        })
    }

    /// Looks in the namespaces of the processes that the selection names. A missing one is an error,
    /// except with -q, where nothing matches then.
    fn find(&mut self, options: &Options, words: &Words) {
        let of_flags: Vec<Term> = options.pid.iter().map(|pid| Term::Pid(Pid(*pid))).collect();
        let mut named = words.filter.processes();
        if !of_flags.is_empty() {
            named.insert(0, of_flags.iter().collect());
        }
        if named.is_empty() || self.recording.is_some() {
            return;
        }
        match whereabouts(&named, &self.proc_root) {
            Ok(netns) if self.netns == NetnsChoice::Own => {
                self.netns = netns;
                self.is_told = true;
            }
            // Of one that does not exist no socket matches.
            Err(missing) if !options.quiet || missing.is_unsure() => {
                self.netns = NetnsChoice::Missing(missing);
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Whether sockets of several network namespaces may be shown.
    fn has_several_namespaces(&self) -> bool {
        match &self.recording {
            Some(recording) => {
                recording.facts.all_namespaces || recording.facts.namespaces.len() > 1
            }
            None => match self.netns {
                NetnsChoice::All => true,
                NetnsChoice::Of { several, .. } => several,
                NetnsChoice::Own | NetnsChoice::One(_) | NetnsChoice::Missing(_) => false,
            },
        }
    }

    fn read(&self, words: &[String], is_bare: bool) -> Result<Words, UsageError> {
        let read = |names: &dyn Names| Words::read(words, names);
        let answer = match &self.recording {
            Some(recording) => read(&RecordedNames::new(recording)),
            None => read(&SystemNames::new(&self.proc_root, &self.netns)),
        };
        Ok(answer.map_err(|error| meant_for_a_command(error, is_bare))?)
    }
}

/// Opens a recording; `-` is stdin.
pub(super) fn open(path: &Path) -> Result<Arc<Recording>, UsageError> {
    let read = if path == Path::new("-") {
        Recording::read_from(std::io::stdin().lock())
    } else {
        rights::as_caller(|| File::open(path))
            .map_err(RecordingError::Unread)
            .and_then(Recording::read_from)
    };
    let recording = read.map_err(|reason| UsageError::Recording {
        path: path.to_owned(),
        reason,
    })?;
    Ok(Arc::new(recording))
}

/// Options, and words that have been read.
pub(super) struct Asked {
    pub(super) options: Options,
    pub(super) words: Words,
    place: Place,
}

impl Asked {
    /// Reads the words; where no command stands before them, the first may have been meant for one.
    pub(super) fn read(said: Selection, is_bare: bool) -> Result<Asked, UsageError> {
        let Selection { options, filter } = said;
        let mut place = Place::of(&options)?;
        let mut words = place.read(&filter, is_bare)?;
        if place.netns == NetnsChoice::Own
            && words.filter.mentions(|term| matches!(term, Term::Netns(_)))
        {
            // Whoever names a namespace wants to look into it.
            place.netns = NetnsChoice::All;
            words = place.read(&filter, is_bare)?;
        }
        place.find(&options, &words);
        if place.has_several_namespaces()
            && words
                .filter
                .mentions(|term| matches!(term, Term::Interface(1..)))
        {
            return Err(UsageError::Interface);
        }
        Ok(Asked {
            options,
            words,
            place,
        })
    }

    /// The reading, judgement and form that a command needs.
    pub(super) fn inspection(
        self,
        command: Wanted,
        terminal: Terminal,
    ) -> Result<Inspection, UsageError> {
        let Asked {
            options,
            words,
            place,
        } = self;
        let terminal = match &options.output {
            Some(path) if !is_stdout(path) => Terminal { width: None },
            _ => terminal,
        };
        let protocols = match command {
            // The diagram is TCP's.
            Wanted::Explain => Protocols::One(Protocol::Tcp),
            Wanted::Triage | Wanted::List | Wanted::Check => protocols(&options),
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
            Wanted::Explain => Page::Diagram,
            Wanted::List => listing::page(&options, format, place.has_several_namespaces())?,
        };
        let limit = match (options.limit, &command, format) {
            (Some(0), ..) => None,
            (Some(limit), ..) => Some(limit),
            (None, Wanted::Triage, Format::Table) => Some(GROUPS),
            (None, ..) => None,
        };
        let is_printed = options.output.as_deref().is_none_or(is_stdout);
        let colour = match options.color.unwrap_or(ColorChoice::Auto) {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_printed && wants_colour(),
        };
        let view = View {
            format,
            look: Look {
                colour,
                marks: terminal.width.is_some() || colour || is_triage,
                width: terminal.width.filter(|_| !options.wide),
                terminal: is_printed && terminal.width.is_some(),
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
        // A listing says what it lists, and fails where --strict wants more.
        let is_shown = !matches!(view.page, Page::Diagram | Page::List { .. })
            || format == Format::Json
            || options.strict;
        let others = is_shown && !place.is_told;
        let needs = needs::needs(&view, &filter, options.quiet);
        // What a finding says of its service rests on sockets that nobody selected: its legs and
        // peers, its queue and whoever waits there.
        let has_findings = view.page == Page::Triage || format == Format::Json;
        let whole = has_findings && !options.quiet && protocols.contains(Protocol::Tcp);
        let (read, families) = if whole {
            (whole_tables(&filter), Families::Both)
        } else {
            (filter.clone(), families(&options))
        };
        // A check counts by something as well, and judges the findings all the same.
        let evidence = !options.no_evidence && !matches!(view.page, Page::Tally(_));
        Ok(Inspection {
            request: Request {
                source: options.source.unwrap_or(SourceChoice::Auto),
                scan: scan(&options)?,
                proc_root: place.proc_root,
                netns: place.netns,
                families,
                filter: read,
                owners: needs.owners && !options.no_owners,
                cgroups: needs.cgroups,
                protocols,
                tcp_info: needs.times,
                findings: view.has_findings() && !options.quiet,
                details: needs.details,
                limits: false,
                taped: false,
                others,
                from: place.recording,
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
                seen: Sightings::default(),
            },
            view,
            quiet: options.quiet,
            strict: options.strict,
            evidence,
            sample: options.sample.unwrap_or(SAMPLE),
            verbose: options.verbose > 0,
            output: options.output.clone(),
            naming: (options.resolve && !options.quiet).then_some(Naming {
                services: !options.numeric,
                deadline: options.resolve_timeout.unwrap_or(NAMING),
            }),
        })
    }
}

/// Whether a file of this name is stdout.
fn is_stdout(path: &Path) -> bool {
    path == Path::new("-") || path == Path::new("/dev/stdout")
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
            let flag = "--by program, pid, unit, container or cause";
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

/// All sockets of the namespaces in which some are selected.
fn whole_tables(filter: &Filter) -> Filter {
    let bound = StateSet::of(State::BoundInactive);
    let states = StateSet::ALL.union(filter.states().intersection(bound));
    Filter::And(vec![
        Filter::Term(Term::State(states)),
        filter.of_namespaces(),
    ])
}

/// How holders are found. Whoever wants /proc in place of the kernel's own tables wants it there
/// too.
pub(super) fn scan(options: &Options) -> Result<ScanChoice, UsageError> {
    match (options.scan, options.source) {
        (Some(ScanChoice::Bpf), _) if options.proc.is_some() => Err(UsageError::ScanElsewhere),
        (Some(scan), _) => Ok(scan),
        (None, Some(SourceChoice::Procfs)) => Ok(ScanChoice::Procfs),
        (None, _) => Ok(ScanChoice::Auto),
    }
}
