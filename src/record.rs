//! Carrying out a recording: everything is read, those who may be suspected are asked, and all of
//! it is written.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};

use crate::classifier::{finding, queue};
use crate::collector::owners::Progress;
use crate::collector::process::{Suspect, Testimony};
use crate::collector::recording::Recording;
use crate::exit::Outcome;
use crate::model::{Evidence, Gap, GapKind, Pid, Snapshot, State};
use crate::plan::Record;
use crate::renderer::escape;
use crate::{classifier, collector, output, progress, tell_gaps};

/// The most processes that are asked for evidence.
const SUSPECTS_MAX: usize = 256;

/// Records. What could not be seen goes to `err`.
///
/// # Errors
/// When nothing could be read, or the recording could not be written.
pub fn run(plan: &Record, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<Outcome> {
    let file = plan.target.file.as_path();
    let is_stdout = file == Path::new("-");
    if !is_stdout && !plan.target.force && output::replaces(file) {
        bail!("{} exists: --force replaces it", file.display());
    }
    let (snapshot, mut recording) = match &plan.request.from {
        Some(recorded) => {
            let snapshot = collector::collect(&plan.request, &Progress::default())?;
            (snapshot, recorded.as_ref().clone())
        }
        None => read(plan, err)?,
    };
    if plan.target.redact {
        recording = recording.redacted()?;
    }
    if is_stdout {
        recording
            .write(&mut *out)
            .and_then(|()| out.flush())
            .context("could not write the recording")?;
    } else {
        output::save(file, plan.target.force, |out| Ok(recording.write(out)?))?;
    }
    let report = classifier::classify(&snapshot, &plan.rules);
    tell_gaps(&report, err)?;
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
    let (mut snapshot, tape) =
        progress::shown(&progress, || collector::record(&plan.request, &progress))?;
    let mut steps = std::mem::take(&mut snapshot.steps);
    let (mut suspects, left_out) = suspects(&snapshot);
    let (hoarders, not_asked) = collector::hoarders(&plan.request, &snapshot, |_| true);
    snapshot.gaps.extend(crate::not_asked(not_asked));
    for pid in hoarders {
        if !suspects.iter().any(|suspect| suspect.pid == pid) {
            let stuck = Vec::new();
            suspects.push(Suspect { pid, stuck });
        }
    }
    let mut evidence = Vec::new();
    if plan.evidence && !suspects.is_empty() {
        let (said, step) = collector::testify(&plan.request, &snapshot, &suspects, plan.sample);
        evidence = said;
        steps.push(step);
        evidence.extend(behind(plan, &snapshot, &evidence));
        if left_out > 0 {
            snapshot.gaps.push(Gap {
                kind: GapKind::EvidenceMissing,
                count: left_out,
                detail: format!("{left_out} more processes were not asked for evidence"),
                hint: "".into(),
            });
        }
    }
    if plan.verbose {
        for step in &steps {
            writeln!(err, "closewait: {} in {:.1?}", step.what, step.took)?;
        }
    }
    let all = plan.request.is_of_all_namespaces();
    let recording = Recording::new(&snapshot, tape, evidence, all);
    Ok((snapshot, recording))
}

/// What the services behind told, as those are followed by whoever looks at the whole recording.
fn behind(plan: &Record, snapshot: &Snapshot, told: &[Testimony]) -> Vec<Testimony> {
    let report = classifier::classify(snapshot, &plan.rules);
    let (sets, queues) = (finding::sets(&report), queue::queues(&report));
    let about = |testimony: &Testimony| testimony.about(&[]);
    let mut evidence: Vec<Evidence> = told.iter().map(about).collect();
    let mut behind: Vec<Testimony> = Vec::new();
    loop {
        let (sets, queues) = (sets.clone(), queues.clone());
        let found = finding::findings(&report, sets, queues, &evidence, &plan.rules.thresholds);
        let pids = found.unasked();
        if pids.is_empty() {
            return behind;
        }
        let told = collector::testify_behind(&plan.request, snapshot, &pids);
        evidence.extend(told.iter().map(about));
        behind.extend(told);
    }
}

/// The processes that a finding may name, whatever will be selected and by whatever thresholds:
/// those with CLOSE_WAIT or FIN_WAIT2 sockets or with connections to accept, the most first. And how many more
/// there are.
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
        .into_iter()
        .map(|(pid, _)| (pid, Vec::new()))
        .collect();
    // They are ordered by inode.
    for holder in holders.all() {
        if let Some(inodes) = stuck.get_mut(&holder.pid) {
            inodes.push(holder.inode);
        }
    }
    let suspect = |(pid, mut stuck): (Pid, Vec<u32>)| {
        stuck.dedup();
        Suspect { pid, stuck }
    };
    (stuck.into_iter().map(suspect).collect(), left_out)
}
