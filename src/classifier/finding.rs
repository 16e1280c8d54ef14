//! Findings: CLOSE_WAIT sockets of one service end, owner and cause, with the facts that led
//! there, ranked.
//!
//! Two steps, because evidence from processes is read only for those that a finding names:
//! [`sets`] gathers the sockets and says whom to ask, [`findings`] judges with what they said.

use super::Report;
use super::queue::Queue;
use super::sets::unaccepted;
pub use super::sets::{End, Peers, Set, sets};
use super::severity::{Severity, Thresholds, Weight, severity};
use crate::model::{Evidence, FdLimit, Pid, State};

/// The most processes that are asked for evidence: each costs some milliseconds.
const SUSPECTS_MAX: usize = 32;
/// The most processes of one finding that are asked: prefork workers tell the same story.
const PER_FINDING: usize = 2;

/// Everything that a report explains.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// The most severe first.
    pub findings: Vec<Finding>,
    /// The accept queues in question, the fullest first.
    pub queues: Vec<Queue>,
}

/// A finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub severity: Severity,
    pub set: Set,
    /// The accept queue, of `not-accepted` findings.
    pub queue: Option<Queue>,
    /// What the owners could tell; at most two of them.
    pub evidence: Vec<Evidence>,
    /// The share of the owner's limit of open files that the sockets hold, in percent.
    pub fd_percent: Option<u64>,
}

/// Whom to ask for evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suspects {
    /// The processes, each with the inodes of its sockets that a finding is about, ordered.
    pub asked: Vec<(Pid, Vec<u32>)>,
    /// How many more there are than are asked.
    pub left_out: u64,
}

/// The owners of the suspicious sets, the largest first, and of full accept queues.
pub fn suspects(sets: &[Set], queues: &[Queue], thresholds: &Thresholds) -> Suspects {
    let mut suspects = Suspects::default();
    for set in sets.iter().filter(|set| set.is_suspicious()) {
        for pid in set.by_weight.iter().take(PER_FINDING) {
            suspects.add(*pid, set.holds(*pid).iter().map(|(_, inode)| *inode));
        }
    }
    for queue in queues
        .iter()
        .filter(|queue| queue.is_suspicious(thresholds))
    {
        for pid in queue.by_weight().take(PER_FINDING) {
            suspects.add(pid, std::iter::empty());
        }
    }
    for (_, stuck) in &mut suspects.asked {
        stuck.sort_unstable();
        stuck.dedup();
    }
    suspects
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

/// Judges the sets, the most severe and then the largest first. An accept queue that is full of
/// connections that nobody hung up on yet is a finding too.
pub fn findings(
    report: &Report<'_>,
    sets: Vec<Set>,
    queues: Vec<Queue>,
    evidence: &[Evidence],
    thresholds: &Thresholds,
) -> Findings {
    let mut sets = sets;
    for queue in &queues {
        let told = sets.iter().any(|set| set.is_in(queue));
        if queue.is_suspicious(thresholds)
            && !told
            && report.states.asked.contains(State::Established)
        {
            sets.push(unaccepted(report, queue));
        }
    }
    let mut findings: Vec<Finding> = sets
        .into_iter()
        .map(|set| judge(set, &queues, evidence, thresholds))
        .collect();
    findings.sort_by_key(|finding| {
        (
            std::cmp::Reverse((finding.severity, finding.weight())),
            finding.set.cause,
            finding.set.end,
            finding.set.netns,
        )
    });
    Findings { findings, queues }
}

fn judge(set: Set, queues: &[Queue], evidence: &[Evidence], thresholds: &Thresholds) -> Finding {
    let asked = set.by_weight.iter().take(PER_FINDING);
    let evidence: Vec<Evidence> = asked
        .filter(|_| set.is_suspicious())
        .filter_map(|pid| evidence.iter().find(|evidence| evidence.pid == *pid))
        .cloned()
        .collect();
    let queue = queues.iter().find(|queue| set.is_in(queue)).cloned();
    let fd_percent = evidence
        .iter()
        .filter_map(|evidence| {
            let limit = evidence.fd_limit.and_then(FdLimit::files)?;
            let held = set.holds(evidence.pid).len() as u64;
            Some(held * 100 / limit.max(1))
        })
        .max();
    let stopped = evidence.iter().any(|evidence| {
        evidence
            .threads
            .is_some_and(|threads| threads.total > 0 && threads.stopped == threads.total)
    });
    let weight = Weight {
        cause: set.cause,
        sockets: set.sockets,
        fd_percent,
        queue_percent: queue.as_ref().and_then(Queue::lasting_percent),
        stopped,
        out_of_fds: evidence.iter().any(|evidence| {
            let limit = evidence.fd_limit.and_then(FdLimit::files);
            evidence
                .open_fds
                .zip(limit)
                .is_some_and(|(open, limit)| open >= limit)
        }),
    };
    Finding {
        severity: severity(&weight, thresholds),
        set,
        queue,
        evidence,
        fd_percent,
    }
}

impl Finding {
    /// How many connections it is about.
    fn weight(&self) -> u64 {
        match (&self.queue, self.set.sockets) {
            (Some(queue), 0) => queue.unaccepted,
            (_, sockets) => sockets,
        }
    }
}

/// What will end FIN_WAIT2 sockets, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FinWait2 {
    /// Without a process: the kernel ends them.
    pub orphaned: u64,
    /// When the last of those is gone.
    pub last_ends_ms: Option<u32>,
    /// Still held by a process: nothing bounds them.
    pub held: u64,
}

impl FinWait2 {
    pub fn of(report: &Report<'_>) -> FinWait2 {
        let mut all = FinWait2::default();
        for row in report.rows() {
            let socket = row.socket;
            match (socket.state, socket.inode) {
                (State::FinWait2, 0) => {
                    all.orphaned += 1;
                    let ends = socket.timer.map(|timer| timer.expires_ms);
                    all.last_ends_ms = all.last_ends_ms.max(ends);
                }
                (State::FinWait2, _) => all.held += 1,
                _ => {}
            }
        }
        all
    }
}
