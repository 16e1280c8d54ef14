//! Findings: CLOSE_WAIT sockets of one service end, owner and cause, with the facts that led
//! there, ranked.
//!
//! Two steps, because evidence from processes is read only for those that a finding names:
//! [`sets`] gathers the sockets and says whom to ask, [`findings`] judges with what they said.

use rustc_hash::FxHashMap;

use super::group::{GroupOwner, RecvQ, Service, Spread};
use super::patience::{self, Patience};
use super::queue::Queue;
use super::severity::{Severity, Thresholds, Weight, severity};
use super::{Report, Row, pairs};
use crate::classifier::cause::PeerEnd;
use crate::model::{Cause, Evidence, Pid, State, TimerKind};

/// The most processes that are asked for evidence.
const SUSPECTS_MAX: usize = 8;
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

/// CLOSE_WAIT sockets with the same service end, owner and cause.
#[derive(Debug, Clone, PartialEq)]
pub struct Set {
    pub cause: Cause,
    pub service: Service,
    pub owner: GroupOwner,
    pub sockets: u64,
    pub recv_q: RecvQ,
    pub recv_q_min: u32,
    pub send_q_max: u32,
    /// Of the lower bounds of the ages.
    pub idle: Option<Spread>,
    pub patience: Option<Patience>,
    /// Those with a keepalive timer, and when the first of them is probed.
    pub keepalive: u64,
    pub next_probe_ms: Option<u32>,
    /// Those with no timer at all: nothing will end them.
    pub no_timer: u64,
    /// Those of which no byte but the FIN ever came in; `None` where that is not told.
    pub silent: Option<u64>,
    /// Those to which nothing was sent since their last byte came in.
    pub unanswered: Option<u64>,
    pub peers: Peers,
    pub legs: Option<pairs::Legs>,
    /// Inodes, ordered; empty of unaccepted sockets.
    pub inodes: Vec<u32>,
}

/// The other ends, where they are on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    /// Still held by a process: it closed one direction only.
    pub waiting: u64,
    /// Closed for good.
    pub orphaned: u64,
    /// Who holds those that wait; each once, ordered.
    pub pids: Vec<Pid>,
}

/// Gathers the CLOSE_WAIT sockets of a report into sets, the largest first.
pub fn sets(report: &Report<'_>) -> Vec<Set> {
    let mut positions: FxHashMap<(Cause, Service, GroupOwner), Vec<u32>> = FxHashMap::default();
    let mut last: Option<(Cause, Service, GroupOwner)> = None;
    for (at, row) in (0u32..).zip(report.rows()) {
        let Some(cause) = row.cause else { continue };
        let service = Service::of(row.socket, row.side);
        // Sockets of one set come in runs: most rows find their key made.
        let same = last
            .as_ref()
            .is_some_and(|(c, s, owner)| (*c, *s) == (cause, service) && owner.is(&row.owner));
        if !same {
            last = Some((cause, service, GroupOwner::of(&row.owner)));
        }
        if let Some(key) = &last {
            match positions.get_mut(key) {
                Some(positions) => positions.push(at),
                None => {
                    positions.insert(key.clone(), vec![at]);
                }
            }
        }
    }
    let mut sets: Vec<(Set, Vec<u32>)> = positions
        .into_iter()
        .map(|((cause, service, owner), positions)| {
            let set = gather(report, cause, service, owner, &positions);
            (set, positions)
        })
        .collect();
    sets.sort_by(|(a, _), (b, _)| {
        (b.sockets.cmp(&a.sockets))
            .then_with(|| (a.cause, a.service).cmp(&(b.cause, b.service)))
            .then_with(|| a.owner.pids.cmp(&b.owner.pids))
    });
    // Each search for legs walks all rows: only for those that will be read.
    let suspicious = sets.iter_mut().filter(|(set, _)| set.is_suspicious());
    for (set, positions) in suspicious.take(SUSPECTS_MAX) {
        set.legs = pairs::legs(report, positions);
    }
    sets.into_iter().map(|(set, _)| set).collect()
}

fn gather(
    report: &Report<'_>,
    cause: Cause,
    service: Service,
    owner: GroupOwner,
    positions: &[u32],
) -> Set {
    let mut set = Set {
        cause,
        service,
        owner,
        sockets: positions.len() as u64,
        recv_q: RecvQ::default(),
        recv_q_min: u32::MAX,
        send_q_max: 0,
        idle: None,
        patience: None,
        keepalive: 0,
        next_probe_ms: None,
        no_timer: 0,
        silent: Some(0),
        unanswered: Some(0),
        peers: Peers::default(),
        legs: None,
        inodes: Vec::new(),
    };
    let mut ages = Vec::new();
    let mut waits = Vec::new();
    for row in positions.iter().map(|at| report.row(*at as usize)) {
        set.add(&row, report);
        ages.extend(
            row.idle
                .and_then(|idle| u32::try_from(idle.at_least_ms).ok()),
        );
        waits.extend(patience::of_row(&row));
    }
    set.idle = Spread::of(&mut ages);
    set.patience = Patience::of(&mut waits);
    set.inodes.sort_unstable();
    set.peers.pids.sort_unstable();
    set.peers.pids.dedup();
    set
}

impl Set {
    fn add(&mut self, row: &Row<'_>, report: &Report<'_>) {
        let socket = row.socket;
        self.recv_q.add(socket.recv_q);
        self.recv_q_min = self.recv_q_min.min(socket.recv_q);
        self.send_q_max = self.send_q_max.max(socket.send_q);
        match socket.timer {
            Some(timer) if timer.kind == TimerKind::Keepalive => {
                self.keepalive += 1;
                let next = self.next_probe_ms.unwrap_or(u32::MAX);
                self.next_probe_ms = Some(next.min(timer.expires_ms));
            }
            Some(_) => {}
            None => self.no_timer += 1,
        }
        let tcp = socket.tcp.as_ref();
        let silent = tcp
            .and_then(|tcp| tcp.bytes_received())
            .map(|bytes| bytes <= 1);
        self.silent = self
            .silent
            .zip(silent)
            .map(|(count, one)| count + u64::from(one));
        let unanswered = report.facts(row).answered_after_last_byte();
        self.unanswered = self
            .unanswered
            .zip(unanswered)
            .map(|(count, answered)| count + u64::from(!answered));
        match report.peer(socket) {
            Some((PeerEnd::Waiting, holders)) => {
                self.peers.waiting += 1;
                self.peers
                    .pids
                    .extend(holders.iter().map(|holder| holder.pid));
            }
            Some((PeerEnd::Orphaned, _)) => self.peers.orphaned += 1,
            None => {}
        }
        if socket.inode != 0 {
            self.inodes.push(socket.inode);
        }
    }

    /// Whether the set is worth asking its owners about.
    fn is_suspicious(&self) -> bool {
        !matches!(self.cause, Cause::Transient | Cause::HalfClose)
    }
}

/// Whom to ask for evidence, and about which sockets: the owners of the largest suspicious sets,
/// and of full accept queues.
pub fn suspects(sets: &[Set], queues: &[Queue], thresholds: &Thresholds) -> Vec<(Pid, Vec<u32>)> {
    let mut suspects: Vec<(Pid, Vec<u32>)> = Vec::new();
    let full = queues.iter().filter(|queue| {
        queue
            .lasting_percent()
            .is_some_and(|percent| percent >= thresholds.queue_warning)
    });
    let of_sets = sets
        .iter()
        .filter(|set| set.is_suspicious())
        .map(|set| (&set.owner.pids, set.inodes.as_slice()));
    for (pids, inodes) in of_sets.chain(full.map(|queue| (&queue.pids, [].as_slice()))) {
        for pid in pids.iter().take(PER_FINDING) {
            let room = suspects.len() < SUSPECTS_MAX;
            match suspects.iter_mut().find(|(known, _)| known == pid) {
                Some((_, stuck)) => stuck.extend_from_slice(inodes),
                None if room => suspects.push((*pid, inodes.to_vec())),
                None => {}
            }
        }
    }
    for (_, stuck) in &mut suspects {
        stuck.sort_unstable();
    }
    suspects
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
        let full = queue
            .lasting_percent()
            .is_some_and(|percent| percent >= thresholds.queue_warning);
        let told = sets
            .iter()
            .any(|set| set.cause == Cause::NotAccepted && set.service == queue.service());
        if full && !told && report.states.asked.contains(State::Established) {
            sets.push(unaccepted(report, queue));
        }
    }
    let mut findings: Vec<Finding> = sets
        .into_iter()
        .map(|set| judge(set, &queues, evidence, thresholds))
        .collect();
    findings.sort_by_key(|finding| {
        (
            std::cmp::Reverse((finding.severity, finding.set.sockets)),
            finding.set.cause,
            finding.set.service,
        )
    });
    Findings { findings, queues }
}

/// The set of an accept queue whose connections are all still open at the other end: no socket
/// is in CLOSE_WAIT yet.
fn unaccepted(report: &Report<'_>, queue: &Queue) -> Set {
    let owner = GroupOwner {
        kind: Some("listener"),
        pids: queue.pids.clone(),
    };
    gather(report, Cause::NotAccepted, queue.service(), owner, &[])
}

fn judge(set: Set, queues: &[Queue], evidence: &[Evidence], thresholds: &Thresholds) -> Finding {
    let evidence: Vec<Evidence> = evidence
        .iter()
        .filter(|evidence| set.is_suspicious() && set.owner.pids.contains(&evidence.pid))
        .take(PER_FINDING)
        .cloned()
        .collect();
    let queue = queues
        .iter()
        .find(|queue| set.cause == Cause::NotAccepted && queue.service() == set.service)
        .cloned();
    let held = set.inodes.len() as u64;
    let fd_percent = evidence
        .iter()
        .filter_map(|evidence| evidence.fd_limit.flatten())
        .map(|limit| held * 100 / limit.max(1))
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
    };
    Finding {
        severity: severity(&weight, thresholds),
        set,
        queue,
        evidence,
        fd_percent,
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
