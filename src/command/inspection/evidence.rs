//! Gathers evidence for findings: from the processes they name, and from those that these wait for.

use std::collections::BTreeMap;

use super::Inspection;
use crate::classifier::Report;
use crate::classifier::finding::{self, Findings};
use crate::classifier::severity::Severity;
use crate::classifier::socket_set::SocketSet;
use crate::classifier::{peeked, queue};
use crate::collector::peek::Peeks;
use crate::collector::processes::Suspect;
use crate::model::{Evidence, Gap, GapKind, Peeked, Pid, Snapshot, Step};
use crate::renderer;

/// Findings, if the page shows them, with evidence from the processes they name.
pub(in crate::command) fn find(
    plan: &Inspection,
    snapshot: &Snapshot,
    report: &mut Report<'_>,
) -> (Findings, Option<Step>) {
    if !plan.view.has_findings() {
        return (Findings::default(), None);
    }
    let thresholds = &plan.rules.thresholds;
    let sets = finding::sets(report);
    let queues = queue::queues(report);
    let named = finding::suspects(&sets, &queues, thresholds);
    if named.left_out > 0 && plan.evidence {
        report.gaps.push(Gap {
            kind: GapKind::EvidenceMissing,
            count: named.left_out,
            detail: format!("{} more processes were not examined", named.left_out).into(),
            hint: "select with --pid or --port".into(),
        });
    }
    let is_pressing =
        |pid: Pid| plan.stacks_from == Severity::Info || named.pressing.binary_search(&pid).is_ok();
    let asked = named.asked.into_iter();
    let mut suspects: Vec<Suspect> = asked
        .map(|(pid, stuck)| Suspect {
            pid,
            stuck,
            stacks: is_pressing(pid),
        })
        .collect();
    let (with_dead_sockets, left_out) = if plan.evidence {
        let is_meant = |pid| report.asks_about_dead(pid);
        plan.source
            .with_dead_sockets(&plan.request, snapshot, is_meant)
    } else {
        (Vec::new(), 0)
    };
    report.gaps.extend(not_asked(left_out));
    for pid in &with_dead_sockets {
        if !suspects.iter().any(|suspect| suspect.pid == *pid) {
            suspects.push(Suspect {
                pid: *pid,
                stuck: Vec::new(),
                stacks: false,
            });
        }
    }
    let peeks = if plan.peek {
        let sockets = peeked::sockets_to_peek_at(report, &sets);
        let peeks = plan.source.peek(&plan.request, &sockets);
        report.gaps.extend(peeks.gap(peeked::hidden(&sets)));
        peeks
    } else {
        Peeks::default()
    };
    if plan.stacks_asked && plan.evidence && plan.source.recording().is_none() {
        report.gaps.extend(no_stacks(&sets));
    }
    let asked = suspects.len();
    let (evidence, step) = if suspects.is_empty() || !plan.evidence {
        (Vec::new(), None)
    } else {
        let (evidence, step) = plan
            .source
            .examine(&plan.request, snapshot, &suspects, plan.sample);
        (evidence, Some(step))
    };
    if plan.source.recording().is_some() && plan.evidence && evidence.len() < asked {
        let missing = (asked - evidence.len()) as u64;
        report.gaps.push(Gap {
            kind: GapKind::EvidenceMissing,
            count: missing,
            detail: format!("the recording has no evidence from {missing} of the processes").into(),
            hint: "".into(),
        });
    }
    // Processes that ended meanwhile have no open files.
    let unknown = evidence.iter().filter(|evidence| {
        evidence.dead_sockets.is_none()
            && evidence.open_fds.is_some()
            && with_dead_sockets.contains(&evidence.pid)
    });
    for pid in unknown.map(|evidence| evidence.pid) {
        let name = renderer::names::process(report, pid);
        report.gaps.push(Gap {
            kind: GapKind::EvidenceMissing,
            count: 1,
            detail: format!("whether TCP sockets of {name} that are in no table are dead").into(),
            hint: "run as root".into(),
        });
    }
    let mut evidence = evidence;
    add_peeked(peeks, evidence.iter_mut());
    loop {
        let (sets, queues) = (sets.clone(), queues.clone());
        let mut found = finding::findings(report, sets, queues, &evidence, thresholds);
        let behind = if plan.evidence {
            found.not_yet_read()
        } else {
            Vec::new()
        };
        let followed = plan.source.follow(&plan.request, snapshot, &behind);
        if followed.is_empty() {
            found.keep_stacks(plan.stacks_from);
            return (found, step);
        }
        evidence.extend(followed);
    }
}

/// The gap for findings of hidden processes, of which no stacks can be read.
fn no_stacks(sets: &[SocketSet]) -> Option<Gap> {
    let hidden = sets
        .iter()
        .filter(|set| set.is_suspicious() && set.owner.kind == Some("hidden"));
    let count = hidden.fold(0u64, |count, set| count.saturating_add(set.sockets));
    let sockets = match count {
        0 => return None,
        1 => "1 socket".to_owned(),
        several => format!("{several} sockets"),
    };
    Some(Gap {
        kind: GapKind::EvidenceMissing,
        count,
        detail: format!("no stacks were read of the hidden owners of {sockets}").into(),
        hint: "run as root".into(),
    })
}

/// Adds what was seen of unread bytes to the evidence of the processes that hold the sockets.
pub(in crate::command) fn add_peeked<'a>(
    peeks: Peeks,
    evidence: impl Iterator<Item = &'a mut Evidence>,
) {
    let mut of_each: BTreeMap<Pid, Vec<Peeked>> = BTreeMap::new();
    for (pid, peeked) in peeks.seen {
        of_each.entry(pid).or_default().push(peeked);
    }
    for evidence in evidence {
        if let Some(peeked) = of_each.remove(&evidence.pid) {
            evidence.peeked = peeked;
        }
    }
}

/// The gap for processes whose sockets that are in no table were not examined.
pub(in crate::command) fn not_asked(processes: u64) -> Option<Gap> {
    let whose = match processes {
        0 => return None,
        1 => "1 process has".to_owned(),
        several => format!("{several} processes have"),
    };
    Some(Gap {
        kind: GapKind::EvidenceMissing,
        count: processes,
        detail: format!("{whose} too many sockets in no TCP table to examine each of them").into(),
        hint: "select with --pid".into(),
    })
}
