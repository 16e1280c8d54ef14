//! What to do about a culprit.

use crate::classifier::Report;
use crate::classifier::culprit::Culprit;
use crate::classifier::finding::Finding;
use crate::classifier::process::HaltReason;
use crate::classifier::service::ServedAt;
use crate::classifier::service::ServiceEnd;
use crate::model::{Endpoint, Evidence, Pid, Runtime};
use crate::renderer::findings::meaning::is_at_work;
use crate::renderer::findings::stacks;
use crate::renderer::findings::steps::halt;
use crate::renderer::findings::steps::step::Step;

pub(super) fn steps(report: &Report<'_>, finding: &Finding) -> Vec<Step> {
    let step = match finding.culprit {
        Some(Culprit::Halted(pid, HaltReason::Stopped)) => {
            let evidence = finding.evidence.iter();
            let stopped =
                evidence.filter(|evidence| HaltReason::of(evidence) == Some(HaltReason::Stopped));
            let mut pids: Vec<Pid> = stopped.map(|evidence| evidence.pid).chain([pid]).collect();
            pids.sort_unstable();
            pids.dedup();
            let held = finding.halted.map_or(0, |share| share.held);
            return vec![halt::go_on(&pids, held.saturating_sub(pids.len() as u64))];
        }
        Some(Culprit::Halted(pid, hold)) => {
            return evidence_of(finding, pid)
                .map_or_else(Vec::new, |evidence| halt::steps(report, evidence, hold));
        }
        Some(Culprit::Throttled(pid) | Culprit::FileLock(pid)) => {
            return evidence_of(finding, pid).map_or_else(Vec::new, halt::beside);
        }
        Some(Culprit::Backend(remote)) => {
            let limits = finding.evidence.iter().find_map(limit_of);
            return of_chain(report, finding, remote)
                .into_iter()
                .chain(limits)
                .collect();
        }
        Some(Culprit::Lock(thread)) => {
            let mut evidence = finding.evidence.iter();
            Step::advice(
                match evidence.find_map(|evidence| stacks::of_thread(evidence, thread)) {
                    Some(code) => {
                        format!("look at thread {thread}: it holds the lock, and is in {code}")
                    }
                    None => format!("look for thread {thread} in the stacks: it holds the lock"),
                },
            )
        }
        Some(Culprit::FarEnd(ServiceEnd::One(service))) => match service.at {
            ServedAt::Remote(remote) if goes_on(finding) => {
                return of_chain(report, finding, remote);
            }
            ServedAt::Remote(remote) => {
                Step::advice(format!("look at {remote}: it has not closed its end"))
            }
            ServedAt::Local(port) => Step::advice(format!(
                "look at the clients of :{port}: they have not closed"
            )),
            ServedAt::Unknown(_) => return Vec::new(),
        },
        Some(
            Culprit::FarEnd(ServiceEnd::Several(..))
            | Culprit::NoDescriptors
            | Culprit::Blocked(_)
            | Culprit::Exhausted(_)
            | Culprit::Spinning(..)
            | Culprit::Sleepers,
        ) => return Vec::new(),
        None => {
            return awaited(finding).map_or_else(Vec::new, |(remote, who)| {
                vec![Step::advice(format!("look at {remote}: {who}"))]
            });
        }
    };
    vec![step]
}

/// The service that those who may serve the sockets wait for, and who waits, if no culprit is known.
pub(super) fn awaited(finding: &Finding) -> Option<(Endpoint, String)> {
    let is_it = finding.culprit.is_none() && is_at_work(finding);
    stacks::awaited(finding).filter(|_| is_it)
}

/// Where a limit shows that may be reached while requests pile up, and that no socket table has.
fn limit_of(evidence: &Evidence) -> Option<Step> {
    let words = "check the nginx error log: it reports when worker_connections are used up";
    (evidence.runtime == Runtime::Nginx).then(|| Step::advice(words.to_owned()))
}

fn evidence_of(finding: &Finding, pid: Pid) -> Option<&Evidence> {
    finding.evidence.iter().find(|evidence| evidence.pid == pid)
}

/// Whether the service at the far end waits for another one, or for a lock, or cannot run.
fn goes_on(finding: &Finding) -> bool {
    let is_held_up =
        |evidence: &Evidence| HaltReason::of(evidence).is_some_and(|hold| hold.is_whole(evidence));
    let waits = finding.chain.last().is_some_and(|last| {
        last.awaited().next().is_some()
            || !last.idle_transactions.is_empty()
            || last.evidence.iter().any(is_held_up)
    });
    waits || finding.chain.len() > 1
}

/// The end of the chain: the services before it wait as the program does.
fn of_chain(report: &Report<'_>, finding: &Finding, remote: Endpoint) -> Vec<Step> {
    let last = finding.chain.last();
    let keepers = last.map_or([].as_slice(), |last| &last.idle_transactions);
    if let Some(held_by) = keepers.first() {
        let client = held_by.client.map_or(String::new(), |pid| {
            format!(" and its client, process {pid}")
        });
        let more = if keepers.len() > 1 { " and others" } else { "" };
        return vec![Step::advice(format!(
            "look at backend {}{client}{more}: pg_stat_activity, pg_blocking_pids()",
            held_by.pid
        ))];
    }
    let halted = last.and_then(|last| {
        let mut evidence = last.evidence.iter();
        evidence.find_map(|evidence| {
            Some((
                evidence,
                HaltReason::of(evidence).filter(|hold| hold.is_whole(evidence))?,
            ))
        })
    });
    if let Some((evidence, hold)) = halted {
        return halt::steps(report, evidence, hold);
    }
    let remote = last.map_or(remote, |last| {
        last.awaited()
            .next()
            .map_or(last.remote, |requests| requests.remote)
    });
    // Goroutines and tasks show who waits, whatever the times of the connections show.
    let mut requests = finding.set.requests.iter();
    let who = match requests.any(|requests| requests.remote == remote) {
        true => None,
        false => stacks::who_awaits(finding, remote),
    };
    let why = who.unwrap_or_else(|| "it has not answered".to_owned());
    vec![Step::advice(format!("look at {remote}: {why}"))]
}
