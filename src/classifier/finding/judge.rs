//! Judges sets of sockets with the evidence of their owners, and ranks the findings.

use rustc_hash::FxHashMap;

use super::{DETAILED, Finding, Findings, SUSPECTS_MAX, Sum, Suspects};
use crate::classifier::beginning::Beginning;
use crate::classifier::chain::chain;
use crate::classifier::culprit::Culprit;
use crate::classifier::dead_descriptors;
use crate::classifier::halt::HaltedShare;
use crate::classifier::identity::Identities;
use crate::classifier::merge::{by_fullness, merge};
use crate::classifier::peeked::Peeks;
use crate::classifier::pool::PoolVerdict;
use crate::classifier::process::{Descriptors, descriptors, is_halted};
use crate::classifier::queue::Queue;
use crate::classifier::reload::OldWorkers;
use crate::classifier::report::Report;
use crate::classifier::rules::Thresholds;
use crate::classifier::severity::{Severity, Weight, of_count, severity};
use crate::classifier::socket_set::SocketSet;
use crate::classifier::socket_set::unaccepted;
use crate::classifier::stacks::SharedStacks;
use crate::classifier::workers::{Connections, Workers};
use crate::model::{Cause, Evidence, FdLimit, Pid};

/// The most processes of one finding whose waits are read: all workers of most services.
const PER_FINDING: usize = 128;

/// With fewer sockets than this, the share of a limit of open files makes no warning.
const FEW: u64 = 16;

/// The owners of suspicious sets, the largest first, and of full accept queues. Those with the most
/// sockets of each set come before all others.
pub fn suspects(sets: &[SocketSet], queues: &[Queue], thresholds: &Thresholds) -> Suspects {
    let mut suspects = Suspects::default();
    let asked = || sets.iter().filter(|set| set.is_asked_about());
    for set in asked() {
        for pid in set.by_weight.iter().take(DETAILED) {
            let held = set.holds(*pid).iter();
            suspects.add(*pid, held.map(|(_, inode)| *inode));
        }
    }
    for set in asked() {
        for pid in set.by_weight.iter().take(PER_FINDING).skip(DETAILED) {
            suspects.add(*pid, std::iter::empty());
        }
    }
    let sums = sums(sets, thresholds);
    let may_warn = |(at, set): &(usize, &SocketSet)| {
        let count = of_count(set.sockets.max(set.fin_wait2()), thresholds);
        let is_many = count > Severity::Info || set.sockets >= FEW || sums.contains_key(at);
        set.is_asked_about() && (is_many || set.cause == Cause::StalePool)
    };
    for (_, set) in sets.iter().enumerate().filter(may_warn) {
        let pids = set.by_weight.iter().take(PER_FINDING);
        suspects.pressing.extend(pids);
    }
    for queue in queues
        .iter()
        .filter(|queue| queue.is_suspicious(thresholds))
    {
        for pid in queue.by_weight().take(PER_FINDING) {
            suspects.add(pid, std::iter::empty());
            suspects.pressing.push(pid);
        }
    }
    suspects.pressing.sort_unstable();
    suspects.pressing.dedup();
    for (_, stuck) in &mut suspects.asked {
        stuck.sort_unstable();
        stuck.dedup();
    }
    suspects
}

/// Judges the sets, the most severe first, then the largest. An accept queue that is full of open
/// connections is a finding too.
pub fn findings(
    report: &Report<'_>,
    sets: Vec<SocketSet>,
    queues: Vec<Queue>,
    evidence: &[Evidence],
    thresholds: &Thresholds,
) -> Findings {
    let mut sets = sets;
    for queue in &queues {
        let has_set = sets.iter().any(|set| set.is_in(queue));
        if queue.is_suspicious(thresholds) && !has_set {
            sets.push(unaccepted(report, queue));
        }
    }
    let connections = Connections::of(report, &sets, evidence);
    let mut all_workers = Vec::with_capacity(sets.len());
    for set in &mut sets {
        let of_set = evidence_of(set, evidence);
        let workers = Workers::of(report, set, &of_set, &connections);
        let stacks = SharedStacks::of(set, &of_set, &connections);
        set.pool_verdict = PoolVerdict::of(report, set, &of_set, &workers, &stacks, thresholds);
        all_workers.push((workers, stacks));
    }
    let dead = dead_descriptors::findings(report, evidence, thresholds);
    let mut sums = sums(&sets, thresholds);
    let mut findings: Vec<Finding> = sets
        .into_iter()
        .zip(all_workers)
        .enumerate()
        .map(|(at, (set, (workers, stacks)))| {
            let sum = sums.remove(&at);
            let shared = (workers, stacks);
            judge(report, set, sum, &queues, evidence, shared, thresholds)
        })
        .collect();
    dead_descriptors::add_to(dead, &mut findings, thresholds);
    findings.sort_by_key(|finding| {
        (
            // What may end in a moment is never the worst of its severity.
            std::cmp::Reverse((
                finding.severity,
                finding.set.cause != Cause::Transient,
                finding.weight(),
            )),
            finding.set.cause,
            finding.set.is_age_missing(),
            finding.set.end,
            finding.set.netns,
        )
    });
    by_fullness(&mut findings);
    let findings = merge(findings);
    Findings { findings, queues }
}

/// Totals that reach a threshold which none of their sets reaches alone, by the position of the set
/// with the largest part. A set with several such totals gets the largest.
fn sums(sets: &[SocketSet], thresholds: &Thresholds) -> FxHashMap<usize, Sum> {
    let mut by_key: FxHashMap<_, Vec<(usize, u64)>> = FxHashMap::default();
    for (at, set) in sets
        .iter()
        .enumerate()
        .filter(|(_, set)| set.is_suspicious() && set.pool_verdict != Some(PoolVerdict::AtRest))
    {
        for (key, sockets) in &set.parts {
            // CLOSE_WAIT and FIN_WAIT2 of one program are not added up.
            let key = (set.netns, set.waiting.is_some(), key);
            let parts = by_key.entry(key).or_default();
            parts.push((at, *sockets));
        }
    }
    let mut sums: FxHashMap<usize, Sum> = FxHashMap::default();
    for ((_, _, key), parts) in by_key {
        let sockets = parts.iter().map(|(_, sockets)| sockets).sum();
        let alone = parts.iter().map(|(at, _)| sets[*at].lingering()).max();
        let most = parts
            .iter()
            .max_by_key(|(at, sockets)| (*sockets, std::cmp::Reverse(*at)));
        let Some(((at, _), alone)) = most.zip(alone) else {
            continue;
        };
        if of_count(sockets, thresholds) <= of_count(alone, thresholds) {
            continue;
        }
        let sum = Sum {
            of: key.clone(),
            sockets,
        };
        let is_more = |known: &Sum| (known.sockets, &sum.of) < (sum.sockets, &known.of);
        if sums.get(at).is_none_or(is_more) {
            sums.insert(*at, sum);
        }
    }
    sums
}

/// The evidence of the owners of a set.
fn evidence_of(set: &SocketSet, evidence: &[Evidence]) -> Vec<Evidence> {
    let asked = set.by_weight.iter().take(PER_FINDING);
    asked
        .filter_map(|pid| evidence.iter().find(|evidence| evidence.pid == *pid))
        // A half-close in use needs no explanation, unless its owner cannot run.
        .filter(|of| set.is_suspicious() || (set.is_asked_about() && is_halted(of)))
        .cloned()
        .collect()
}

/// The largest share of its limit of open files that an owner uses for lingering sockets, in percent.
fn fd_percent(set: &SocketSet, evidence: &[Evidence]) -> Option<u64> {
    evidence
        .iter()
        .filter_map(|evidence| {
            let limit = evidence.fd_limit.and_then(FdLimit::files)?;
            let held = set.holds(evidence.pid).iter();
            let lingering = held.filter(|(_, inode)| set.maybe_young.binary_search(inode).is_err());
            let behind = set
                .fin_wait2_sets
                .iter()
                .map(|set| set.holds(evidence.pid).len());
            let all = lingering.count() + behind.sum::<usize>();
            Some((all as u64).saturating_mul(100) / limit.max(1))
        })
        .max()
}

fn judge(
    report: &Report<'_>,
    set: SocketSet,
    sum: Option<Sum>,
    queues: &[Queue],
    all_evidence: &[Evidence],
    (workers, stacks): (Workers, SharedStacks),
    thresholds: &Thresholds,
) -> Finding {
    let mut evidence = evidence_of(&set, all_evidence);
    let queue = queues.iter().find(|queue| set.is_in(queue)).cloned();
    let fd_percent = fd_percent(&set, &evidence);
    // A stopped process with sockets that may be young is no fault yet.
    let lingers = set.sockets == 0 || set.lingering() > 0 || set.cause == Cause::HalfClose;
    let first = &evidence[..evidence.len().min(DETAILED)];
    let weight = Weight {
        cause: set.cause,
        pool_verdict: set.pool_verdict,
        sockets: sum
            .as_ref()
            .map_or(set.lingering(), |sum| sum.sockets)
            .max(set.fin_wait2()),
        fd_percent,
        queue_percent: queue.as_ref().and_then(Queue::lasting_percent),
        // A process that waits for a remote end has nothing to do.
        stopped: lingers && set.waiting.is_none() && first.iter().any(is_halted),
        out_of_fds: descriptors(first) == Descriptors::Gone,
    };
    let culprit = Culprit::of(report, &set, &evidence, &workers, &stacks);
    let first = culprit.and_then(Culprit::pid).or(workers.example());
    let thread = |evidence: &Evidence| evidence.cpu.as_ref()?.busiest.map(|(thread, _)| thread);
    evidence.sort_by_key(|evidence| {
        let is_it = first == Some(evidence.pid) || (first.is_some() && thread(evidence) == first);
        !is_it
    });
    evidence.truncate(DETAILED);
    let chain = match culprit {
        Some(culprit @ (Culprit::Backend(_) | Culprit::FarEnd(_))) => {
            let remote = culprit.remote();
            remote.map_or(Vec::new(), |remote| {
                chain(report, &set, culprit, remote, all_evidence)
            })
        }
        _ => Vec::new(),
    };
    let beginnings = evidence
        .iter()
        .filter_map(|evidence| Beginning::of(report, &set, evidence))
        .collect();
    Finding {
        severity: severity(&weight, thresholds),
        halted: match culprit {
            Some(Culprit::Halted(..)) => HaltedShare::of(report, &set, all_evidence),
            _ => None,
        },
        culprit,
        chain,
        peeks: Peeks::of(&set, all_evidence),
        old_workers: OldWorkers::of(report, &set, all_evidence),
        identities: Identities::of(report, &set, all_evidence),
        set,
        queue,
        evidence,
        beginnings,
        workers,
        stacks,
        fd_percent,
        dead: 0,
        sum,
        parts: Vec::new(),
        growth: None,
    }
}

impl Suspects {
    fn add(&mut self, pid: Pid, inodes: impl Iterator<Item = u32>) {
        let room = self.asked.len() < SUSPECTS_MAX;
        match self.asked.iter_mut().find(|(known, _)| *known == pid) {
            Some((_, stuck)) => stuck.extend(inodes),
            None if room => self.asked.push((pid, inodes.collect())),
            None => self.left_out += 1,
        }
    }
}
