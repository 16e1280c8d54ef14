//! Carrying out a comparison: two readings of one host, of which one may be of now.

use std::io::Write;

use anyhow::{Context, bail};

use crate::classifier::diff::diff;
use crate::collector::owners::Progress;
use crate::exit::Outcome;
use crate::model::Snapshot;
use crate::plan::{Diff, Inspection};
use crate::{classifier, collector, output, progress, renderer};

/// Compares.
///
/// # Errors
/// When a reading cannot be had, or the two are not of one host since one boot.
pub fn run(plan: &Diff, out: &mut impl Write, err: &mut impl Write) -> anyhow::Result<Outcome> {
    let earlier = read(&plan.before, err)?;
    let later = read(&plan.after, err)?;
    comparable(&earlier, &later)?;
    let before = classifier::classify(&earlier, &plan.before.rules);
    let after = classifier::classify(&later, &plan.after.rules);
    let all = is_of_all(&plan.before) && is_of_all(&plan.after);
    let changes = diff(&before, &after, &plan.by.dimensions, all);
    let view = &plan.before.view;
    let print = |mut out: &mut dyn Write| {
        renderer::diff::render(&changes, &before, &after, view, &plan.by, &mut out)
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

/// Whether every network namespace of the host was looked into.
fn is_of_all(plan: &Inspection) -> bool {
    match &plan.request.from {
        Some(recording) => recording.facts.all_namespaces,
        None => plan.request.is_of_all_namespaces(),
    }
}

fn read(plan: &Inspection, err: &mut impl Write) -> anyhow::Result<Snapshot> {
    let progress = Progress::default();
    let snapshot = progress::shown(&progress, || collector::collect(&plan.request, &progress))?;
    if plan.verbose {
        for step in &snapshot.steps {
            writeln!(err, "closewait: {} in {:.1?}", step.what, step.took)?;
        }
    }
    Ok(snapshot)
}

/// Whether a socket of one reading can be in the other.
fn comparable(before: &Snapshot, after: &Snapshot) -> anyhow::Result<()> {
    if let (Some(earlier), Some(later)) = (&before.host.boot_id, &after.host.boot_id)
        && earlier != later
    {
        bail!(
            "the readings are of different hosts, or one is of before the last boot: they have no \
             socket in common"
        );
    }
    if before.taken_at_ns > after.taken_at_ns {
        bail!("the first reading is later than the second: name the earlier one first");
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
            "the readings are of different network namespaces ({} and {}): look into the same one \
             with -N, or into all with -A",
            labels(before),
            labels(after)
        );
    }
    Ok(())
}

fn labels(snapshot: &Snapshot) -> String {
    let labels = snapshot.namespaces.iter().take(3);
    let labels: Vec<&str> = labels
        .map(|namespace| namespace.label.as_deref().unwrap_or("?"))
        .collect();
    labels.join(", ")
}
