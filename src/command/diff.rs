//! `closewait diff`: compares two readings of one host; the second may be taken now.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use super::UsageError;
use super::inspection::place::open;
use super::inspection::{Ask, Asked, Inspection, Source, Wanted};
use super::usage::shown;
use crate::classifier::diff::diff;
use crate::cli::judgement::Grace;
use crate::cli::letters::Letters;
use crate::cli::output::{Counted, Form, Printed};
use crate::cli::reading::{Host, Owners, Recorded, Report};
use crate::cli::selection::{Selection, Words};
use crate::collector::holders::Progress;
use crate::collector::request::{NetnsChoice, NetnsName, Request, ScanChoice, SourceChoice};
use crate::env::Terminal;
use crate::exit::Outcome;
use crate::filter::Term;
use crate::model::{Name, Snapshot, State, StateSet};
use crate::recording::Recording;
use crate::renderer::counts::By;
use crate::renderer::{Comparison, Page, units};
use crate::{classifier, output, progress, renderer};

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Two recordings, the earlier one first, and a filter
    ///
    /// --from and --against can name them instead: closewait diff --from A --against now. Only
    /// CLOSE_WAIT sockets are compared, unless other states are named.
    #[arg(value_name = "A B [FILTER]")]
    pub words: Vec<String>,
    /// Compare with this recording, or with this host `now`
    #[arg(long, value_name = "FILE|now", help_heading = "Reading")]
    pub against: Option<PathBuf>,
    #[command(flatten)]
    pub recorded: Recorded,
    #[command(flatten)]
    pub selection: Selection,
    #[command(flatten)]
    pub form: Form,
    #[command(flatten)]
    pub counted: Counted,
    #[command(flatten)]
    pub printed: Printed,
    #[command(flatten)]
    pub letters: Letters,
    #[command(flatten)]
    pub host: Host,
    #[command(flatten)]
    pub report: Report,
    #[command(flatten)]
    pub owners: Owners,
    #[command(flatten)]
    pub grace: Grace,
}

/// Two readings to be compared.
#[derive(Debug, Clone)]
pub struct Diff {
    pub before: Inspection,
    pub after: Inspection,
    pub by: By,
}

impl Options {
    pub(super) fn plan(self, terminal: Terminal) -> Result<Diff, UsageError> {
        // `words` starts with the files not named by options; a filter follows.
        let mut words = self.words.into_iter();
        let mut file = || words.next().map(PathBuf::from);
        let before = self.recorded.from.or_else(&mut file);
        let after = self.against.or_else(&mut file);
        let (Some(before), Some(after)) = (before, after) else {
            return Err(UsageError::TwoReadings);
        };
        let is_now = after == Path::new("now");
        if let (false, Some(flag)) = (is_now, self.host.given()) {
            let from = shown(&after);
            return Err(UsageError::NotOfThisHost { flag, from });
        }
        let now = Now::of(&self.host)?;
        let ask = Ask {
            letters: self.letters,
            selection: self.selection,
            counted: self.counted,
            form: self.form,
            printed: self.printed,
            recorded: Recorded { from: Some(before) },
            owners: self.owners,
            grace: self.grace,
            report: self.report,
            words: Words {
                filter: words.collect(),
            },
            ..Ask::default()
        };
        let (before, by) = counting(ask, terminal)?;
        let mut later = before.clone();
        if is_now {
            later.source = Source::Host;
            now.ask(&mut later.request, before.source.recording());
        } else {
            later.source = open(&after)?;
        }
        Ok(Diff {
            before,
            after: later,
            by,
        })
    }
}

/// How this host is read.
struct Now {
    netns: Option<NetnsChoice>,
    proc_root: PathBuf,
    source: SourceChoice,
    scan: ScanChoice,
}

impl Now {
    fn of(host: &Host) -> Result<Now, UsageError> {
        Ok(Now {
            netns: host.chosen(),
            proc_root: host.proc_root(),
            source: host.source(),
            scan: host.scan()?,
        })
    }

    /// Requests the recorded namespaces, unless others were named.
    fn ask(self, request: &mut Request, recording: Option<&Recording>) {
        request.proc_root = self.proc_root;
        request.source = self.source;
        request.scan = self.scan;
        let recorded = recording.map(|recording| &recording.facts);
        request.netns = self.netns.unwrap_or_else(|| {
            let asked = recorded.and_then(|facts| facts.namespaces.first()?.asked.clone());
            match (recorded.is_some_and(|facts| facts.all_namespaces), asked) {
                (true, _) => NetnsChoice::All,
                (false, Some(name)) => NetnsChoice::One(NetnsName(name.lossy().into())),
                (false, None) => NetnsChoice::Own,
            }
        });
    }
}

/// The inspection of a recording with counts; CLOSE_WAIT only, unless other states are named.
fn counting(ask: Ask, terminal: Terminal) -> Result<(Inspection, By), UsageError> {
    let mut asked = Asked::read(ask)?;
    let names_states = asked
        .words
        .filter
        .mentions(|term| matches!(term, Term::State(_)));
    let ask = &mut asked.ask;
    let letters = &ask.letters;
    let has_letter = letters.all || letters.listening || letters.udp;
    if ask.selection.state.is_empty() && !has_letter && !names_states {
        ask.selection.state = vec![StateSet::of(State::CloseWait)];
    }
    if ask.counted.by.is_empty() {
        let by: &[&str] = if ask.owners.no_owners {
            &["port"]
        } else {
            &["program", "port", "cause"]
        };
        ask.counted.by = by.iter().map(|name| (*name).to_owned()).collect();
    }
    let inspection = asked.inspection(Wanted::Triage, terminal)?;
    match &inspection.view.page {
        Page::Tally(by) => {
            let by = by.clone();
            Ok((inspection, by))
        }
        // --by always yields a tally.
        _ => Err(UsageError::TwoReadings),
    }
}

/// Compares.
///
/// # Errors
/// If a reading fails, or the two are not of the same host and boot.
pub fn run(plan: &Diff, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<Outcome> {
    let earlier = read(&plan.before, err)?;
    let later = read(&plan.after, err)?;
    comparable(&earlier, &later)?;
    let before = classifier::classify(&earlier, &plan.before.rules);
    let after = classifier::classify(&later, &plan.after.rules);
    let all = is_of_all(&plan.before) && is_of_all(&plan.after);
    let changes = diff(&before, &after, &plan.by.dimensions, all);
    let compared = Comparison {
        diff: &changes,
        before: &before,
        after: &after,
        by: &plan.by,
    };
    let view = &plan.before.view;
    let print = |mut out: &mut dyn Write| {
        renderer::render_diff(compared, view, &mut out)
            .and_then(|()| out.flush())
            .context("could not write the output")
    };
    match &plan.before.output {
        None => print(out)?,
        Some(path) => output::replace(path, print)?,
    }
    let is_complete = before.is_complete() && after.is_complete();
    Ok(if plan.before.strict && !is_complete {
        Outcome::Partial
    } else {
        Outcome::Done
    })
}

/// Whether every network namespace of the host was read.
fn is_of_all(plan: &Inspection) -> bool {
    match plan.source.recording() {
        Some(recording) => recording.facts.all_namespaces,
        None => plan.request.is_of_all_namespaces(),
    }
}

fn read(plan: &Inspection, err: &mut impl Write) -> anyhow::Result<Snapshot> {
    let progress = Progress::default();
    let snapshot = progress::shown(&progress, || plan.source.collect(&plan.request, &progress))?;
    if plan.verbose {
        for step in &snapshot.steps {
            writeln!(
                err,
                "closewait: {} in {}",
                step.what,
                units::took(step.took)
            )?;
        }
    }
    Ok(snapshot)
}

/// Checks that a socket of one reading can be in the other.
fn comparable(before: &Snapshot, after: &Snapshot) -> anyhow::Result<()> {
    if let (Some(earlier), Some(later)) = (&before.host.boot_id, &after.host.boot_id)
        && earlier != later
    {
        bail!(
            "the readings are of different hosts, or the host was rebooted between them: they have \
             no socket in common"
        );
    }
    if before.taken_at_ns > after.taken_at_ns {
        bail!("the first reading is later than the second; put the earlier one first");
    }
    let known = |snapshot: &Snapshot| -> Option<Vec<u64>> {
        snapshot
            .namespaces
            .iter()
            .map(|namespace| namespace.inode)
            .collect()
    };
    if let (Some(earlier), Some(later)) = (known(before), known(after))
        && !earlier.iter().any(|inode| later.contains(inode))
    {
        bail!(
            "the readings are of different network namespaces ({} and {}); read the same one with \
             -N, or all with -A",
            labels(before),
            labels(after)
        );
    }
    Ok(())
}

fn labels(snapshot: &Snapshot) -> String {
    let labels = snapshot.namespaces.iter().take(3);
    let label = |label: &Option<Name>| label.as_ref().map_or("?".to_owned(), Name::to_string);
    let labels: Vec<String> = labels.map(|namespace| label(&namespace.label)).collect();
    labels.join(", ")
}
