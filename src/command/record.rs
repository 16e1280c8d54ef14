//! `closewait record`: reads everything, examines the processes that a finding may name, and writes
//! all of it to a file.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use super::UsageError;
use super::inspection::place::Place;
use super::inspection::{SAMPLE, Source, add_peeked, not_asked, report_gaps};
use crate::classifier::age::Sightings;
use crate::classifier::cause::GRACE_MS;
use crate::classifier::rules::Thresholds;
use crate::classifier::{Rules, finding, peeked, queue};
use crate::cli::reading::{self, Host, OF_THIS_HOST, Recorded, Report};
use crate::collector::evidence;
use crate::collector::holders::Progress;
use crate::collector::peek::{self, Peeks};
use crate::collector::processes::{ProcessFacts, Suspect};
use crate::collector::request::Request;
use crate::env::Terminal;
use crate::exit::Outcome;
use crate::filter::{Filter, Term};
use crate::model::{
    DetailSet, Evidence, Families, Gap, GapKind, Pid, Protocols, Snapshot, State, StateSet,
};
use crate::recording::{Functions, Recording};
use crate::renderer::{escape, units};
use crate::{classifier, collector, output, progress};

#[derive(Debug, Clone, Args)]
#[command(mut_arg("from", |from| from.conflicts_with_all(OF_THIS_HOST)
    .conflicts_with_all(["no_evidence", "no_stacks", "sample", "peek"])))]
pub struct Options {
    /// File to write, readable only by its owner; - is stdout
    pub file: PathBuf,
    /// Replace addresses and names with others
    ///
    /// Masks addresses and the names of hosts, users, programs, units, containers and namespaces, and
    /// what --peek shows.
    /// With --from, it masks an older recording.
    #[arg(long, help_heading = "Recording")]
    pub redact: bool,
    /// Redact, and replace names of functions too
    ///
    /// As --redact, which masks the paths of the files that functions are in. This masks the functions of the
    /// program and its libraries as well.
    #[arg(long, help_heading = "Recording")]
    pub redact_functions: bool,
    /// Overwrite an existing file
    #[arg(long, help_heading = "Recording")]
    pub force: bool,
    #[command(flatten)]
    pub host: Host,
    #[command(flatten)]
    pub recorded: Recorded,
    #[command(flatten)]
    pub evidence: reading::Evidence,
    #[command(flatten)]
    pub memory: reading::Memory,
    #[command(flatten)]
    pub peek: reading::Peek,
    #[command(flatten)]
    pub report: Report,
    /// A filter is accepted here only to explain that it belongs to --from.
    #[arg(hide = true)]
    pub conditions: Vec<String>,
}

/// A recording to be made.
#[derive(Debug, Clone)]
pub struct Record {
    /// This host, or an older recording.
    pub source: Source,
    /// A request for everything.
    pub request: Request,
    /// The rules that decide which gaps are reported.
    pub rules: Rules,
    /// `-` is stdout.
    pub file: PathBuf,
    /// Mask addresses and names, and whether functions too.
    pub redact: Option<Functions>,
    /// Overwrite an existing file.
    pub force: bool,
    /// Examine processes for evidence.
    pub evidence: bool,
    /// Look at the first unread bytes of sockets that a finding is about.
    pub peek: bool,
    /// The time between two readings of CPU use.
    pub sample: Duration,
    pub strict: bool,
    pub verbose: bool,
}

impl Options {
    pub(super) fn plan(self, terminal: Terminal) -> Result<Record, UsageError> {
        if self.file == Path::new("-") && terminal.width.is_some() {
            return Err(UsageError::RecordOnTerminal);
        }
        if !self.conditions.is_empty() {
            return Err(UsageError::RecordsAll);
        }
        let redact = match (self.redact_functions, self.redact) {
            (true, _) => Some(Functions::Masked),
            (false, true) => Some(Functions::Kept),
            (false, false) => None,
        };
        if self.recorded.from.is_some() && redact.is_none() {
            return Err(UsageError::NothingToRecord);
        }
        let (source, scan) = (self.host.source(), self.host.scan()?);
        let Place {
            proc_root,
            netns,
            source: recorded,
            ..
        } = Place::of(self.host, self.recorded.from.as_deref())?;
        let everything = StateSet::ALL.union(StateSet::of(State::BoundInactive));
        let filter = Filter::Term(Term::State(everything));
        Ok(Record {
            rules: Rules {
                filter: filter.clone(),
                protocols: Protocols::Both,
                grace_ms: GRACE_MS,
                thresholds: Thresholds::default(),
                seen: Sightings::default(),
            },
            source: recorded,
            request: Request {
                source,
                scan,
                proc_root,
                netns,
                families: Families::Both,
                filter,
                owners: true,
                cgroups: true,
                protocols: Protocols::Both,
                tcp_info: true,
                findings: false,
                details: DetailSet::ALL,
                limits: true,
                stacks: !(self.memory.no_stacks || self.evidence.no_evidence),
                captured: true,
                others: true,
            },
            file: self.file,
            redact,
            force: self.force,
            evidence: !self.evidence.no_evidence,
            peek: self.peek.peek,
            sample: self.evidence.sample.unwrap_or(SAMPLE),
            strict: self.report.strict,
            verbose: self.report.verbose > 0,
        })
    }
}

/// The most processes that are examined for evidence.
const SUSPECTS_MAX: usize = 256;

/// Records. Reports gaps on `err`.
///
/// # Errors
/// If nothing could be read, or the recording could not be written.
pub fn run(plan: &Record, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<Outcome> {
    let file = plan.file.as_path();
    let is_stdout = file == Path::new("-");
    if !is_stdout && !plan.force && output::replaces(file) {
        bail!("{} exists; use --force to overwrite it", file.display());
    }
    let (snapshot, mut recording) = match plan.source.recording() {
        Some(recorded) => {
            let snapshot = plan.source.collect(&plan.request, &Progress::default())?;
            (snapshot, recorded.clone())
        }
        None => read(plan, err)?,
    };
    if let Some(functions) = plan.redact {
        recording = recording.redacted(functions)?;
    }
    if is_stdout {
        recording
            .write(&mut *out)
            .and_then(|()| out.flush())
            .context("could not write the recording")?;
    } else {
        output::save(file, plan.force, |out| Ok(recording.write(out)?))?;
    }
    let report = classifier::classify(&snapshot, &plan.rules);
    report_gaps(&report, err)?;
    let sockets = match report.len() {
        1 => "1 socket".to_owned(),
        sockets => format!("{sockets} sockets"),
    };
    let file = escape::text(file.as_os_str().as_encoded_bytes());
    writeln!(err, "closewait: recorded {sockets} in {file}")?;
    Ok(if plan.strict && !report.is_all_there_is() {
        Outcome::Partial
    } else {
        Outcome::Done
    })
}

fn read(plan: &Record, err: &mut impl Write) -> anyhow::Result<(Snapshot, Recording)> {
    let progress = Progress::default();
    let (mut snapshot, capture) =
        progress::shown(&progress, || collector::collect(&plan.request, &progress))?;
    let mut steps = std::mem::take(&mut snapshot.steps);
    let (mut suspects, left_out) = suspects(&snapshot);
    let (with_dead_sockets, left_aside) =
        evidence::with_dead_sockets(&plan.request, &snapshot, |_| true);
    snapshot.gaps.extend(not_asked(left_aside));
    for pid in with_dead_sockets {
        if !suspects.iter().any(|suspect| suspect.pid == pid) {
            suspects.push(Suspect {
                pid,
                stuck: Vec::new(),
                stacks: false,
            });
        }
    }
    let peeks = if plan.peek {
        let report = classifier::classify(&snapshot, &plan.rules);
        let sets = finding::sets(&report);
        let peeks = peek::peek(
            &plan.request.proc_root,
            &peeked::sockets_to_peek_at(&report, &sets),
        );
        snapshot.gaps.extend(peeks.gap(peeked::hidden(&sets)));
        peeks
    } else {
        Peeks::default()
    };
    let mut evidence = Vec::new();
    if plan.evidence && !suspects.is_empty() {
        let (examined, step) =
            evidence::of_suspects(&plan.request, &snapshot, &suspects, plan.sample);
        evidence = examined;
        let of_each = evidence.iter_mut().map(ProcessFacts::evidence_mut);
        add_peeked(peeks, of_each);
        steps.push(step);
        evidence.extend(behind(plan, &snapshot, &evidence));
        if left_out > 0 {
            snapshot.gaps.push(Gap {
                kind: GapKind::EvidenceMissing,
                count: left_out,
                detail: format!("{left_out} more processes were not examined").into(),
                hint: "".into(),
            });
        }
    }
    if plan.verbose {
        for step in &steps {
            writeln!(
                err,
                "closewait: {} in {}",
                step.what,
                units::took(step.took)
            )?;
        }
    }
    let all = plan.request.is_of_all_namespaces();
    let recording = Recording::new(&snapshot, capture, evidence, all);
    Ok((snapshot, recording))
}

/// Evidence about the services behind these, because whoever reads the recording may follow them.
fn behind(plan: &Record, snapshot: &Snapshot, first: &[ProcessFacts]) -> Vec<ProcessFacts> {
    let report = classifier::classify(snapshot, &plan.rules);
    let (sets, queues) = (finding::sets(&report), queue::queues(&report));
    let about = |facts: &ProcessFacts| facts.about(&[]);
    let mut evidence: Vec<Evidence> = first.iter().map(about).collect();
    let mut behind: Vec<ProcessFacts> = Vec::new();
    loop {
        let (sets, queues) = (sets.clone(), queues.clone());
        let found = finding::findings(&report, sets, queues, &evidence, &plan.rules.thresholds);
        let pids = found.not_yet_read();
        if pids.is_empty() {
            return behind;
        }
        let next = evidence::of_processes(&plan.request, snapshot, &pids);
        evidence.extend(next.iter().map(about));
        behind.extend(next);
    }
}

/// The processes that a finding may name under any selection and thresholds: those with CLOSE_WAIT
/// or FIN_WAIT2 sockets or with connections to accept, the largest number first. Also returns how many
/// were left out.
fn suspects(snapshot: &Snapshot) -> (Vec<Suspect>, u64) {
    let Some(holders) = &snapshot.holders else {
        return (Vec::new(), 0);
    };
    let mut held: BTreeMap<Pid, u64> = BTreeMap::new();
    for socket in &snapshot.sockets {
        let weight = match socket.state {
            State::CloseWait | State::FinWait2 => 1,
            State::Listen if socket.recv_q > 0 => u64::from(socket.recv_q),
            _ => continue,
        };
        for holder in holders.of(socket.inode) {
            *held.entry(holder.pid).or_default() += weight;
        }
    }
    let mut suspected: Vec<(Pid, u64)> = held.into_iter().collect();
    suspected.sort_by_key(|(pid, held)| (std::cmp::Reverse(*held), *pid));
    let left_out = suspected.len().saturating_sub(SUSPECTS_MAX) as u64;
    suspected.truncate(SUSPECTS_MAX);
    let mut stuck: BTreeMap<Pid, Vec<u32>> = suspected
        .iter()
        .map(|(pid, _)| (*pid, Vec::new()))
        .collect();
    // Holders are ordered by inode.
    for holder in holders.all() {
        if let Some(inodes) = stuck.get_mut(&holder.pid) {
            inodes.push(holder.inode);
        }
    }
    let suspect = |(pid, _): (Pid, u64)| {
        let mut stuck = stuck.remove(&pid).unwrap_or_default();
        stuck.dedup();
        Suspect {
            pid,
            stuck,
            stacks: true,
        }
    };
    (suspected.into_iter().map(suspect).collect(), left_out)
}
