//! Findings: CLOSE_WAIT sockets of one service, owner and cause, FIN_WAIT2 sockets that wait for
//! one remote end, and dead descriptors of one program, with the facts behind them, ranked.
//!
//! There are two steps, because evidence is read only for processes in a finding:
//! [`sets`](super::socket_set::sets) gathers the sockets and names the processes, [`findings`]
//! judges with their evidence.

mod judge;

pub use self::judge::{findings, suspects};
use crate::classifier::beginning::Beginning;
use crate::classifier::chain::Hop;
use crate::classifier::change::SetGrowth;
use crate::classifier::culprit::{self, Culprit};
use crate::classifier::halt::HaltedShare;
use crate::classifier::identity::Identities;
use crate::classifier::owner::GroupOwner;
use crate::classifier::peeked::Peeks;
use crate::classifier::process::is_halted;
use crate::classifier::queue::Queue;
use crate::classifier::reload::OldWorkers;
use crate::classifier::severity::Severity;
pub use crate::classifier::socket_set::sets;
use crate::classifier::socket_set::{SocketSet, SumKey};
use crate::classifier::stacks::SharedStacks;
use crate::classifier::workers::Workers;
use crate::model::{Cause, Evidence, Pid};

/// The most processes whose evidence is read. With few threads each costs less than a millisecond.
const SUSPECTS_MAX: usize = 256;
/// The most processes of a finding that are shown one by one, and whose sockets are looked up.
pub(super) const DETAILED: usize = culprit::FIRST;

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
    pub set: SocketSet,
    /// The accept queue, for `not-accepted`.
    pub queue: Option<Queue>,
    /// Evidence of at most two owners.
    pub evidence: Vec<Evidence>,
    /// For each of these, with what its oldest socket began.
    pub beginnings: Vec<Beginning>,
    /// By what its owners are recognized beside their names.
    pub identities: Identities,
    /// What all owners wait for.
    pub workers: Workers,
    /// What was seen of unread bytes; `None` if nothing was.
    pub peeks: Option<Peeks>,
    /// Where in their code they wait.
    pub stacks: SharedStacks,
    /// Who must act, if the facts point to someone other than the program that holds the sockets.
    pub culprit: Option<Culprit>,
    /// If that is a process that cannot run, its share of the workers.
    pub halted: Option<HaltedShare>,
    /// The services on this host that are awaited, each by the one before it.
    pub chain: Vec<Hop>,
    /// Those of its holders that are old workers after a reload.
    pub old_workers: Option<OldWorkers>,
    /// The share of the owner's limit of open files that the sockets hold, in percent.
    pub fd_percent: Option<u64>,
    /// Dead descriptors of its owners, if their connections were other legs of these.
    pub dead: u64,
    /// The service or program whose total decides the severity; the finding stands for all of it.
    pub sum: Option<Sum>,
    /// Other sockets of the same service that the same fact explains.
    pub parts: Vec<Part>,
    /// How its sockets grew between two readings.
    pub growth: Option<SetGrowth>,
}

/// Sockets of another cause that the same fact explains.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub cause: Cause,
    pub sockets: u64,
    pub owner: GroupOwner,
}

/// The total of lingering sockets of one service or program, whatever their causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    pub of: SumKey,
    pub sockets: u64,
}

/// Whose evidence to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suspects {
    /// The processes, each with the inodes of its sockets in findings, ordered.
    pub asked: Vec<(Pid, Vec<u32>)>,
    /// Those that a warning may name, in ascending order.
    pub pressing: Vec<Pid>,
    /// How many more processes there are.
    pub left_out: u64,
}

impl Findings {
    /// Drops the stacks of findings that are less severe than this.
    pub fn keep_stacks(&mut self, from: Severity) {
        let less = self.findings.iter_mut();
        for finding in less.filter(|finding| finding.severity < from) {
            finding.stacks = SharedStacks::default();
            for evidence in &mut finding.evidence {
                evidence.stacks = None;
            }
        }
    }

    /// The processes of awaited services whose evidence was not read yet, each once.
    pub fn not_yet_read(&self) -> Vec<Pid> {
        let hops = self.findings.iter().flat_map(|finding| &finding.chain);
        let mut pids: Vec<Pid> = hops.flat_map(Hop::not_yet_read).collect();
        pids.sort_unstable();
        pids.dedup();
        pids.truncate(SUSPECTS_MAX);
        pids
    }
}

impl Finding {
    /// Whether one of its owners is stopped.
    pub fn is_stopped(&self) -> bool {
        self.evidence.iter().any(is_halted)
    }

    /// With what the oldest socket of one of its processes began; `None` if that is unknown.
    pub fn beginning(&self, pid: Pid) -> Option<&Beginning> {
        let mut all = self.beginnings.iter();
        all.find(|beginning| beginning.pid == pid)
    }

    /// How many FIN_WAIT2 sockets wait too long for a remote end.
    pub fn waiting(&self) -> u64 {
        match self.set.waiting {
            Some(_) if self.set.is_suspicious() => self.set.lingering(),
            Some(_) => 0,
            None => self.set.fin_wait2(),
        }
    }

    /// The process to inspect first: a worker that waits for what most of them wait for.
    pub fn pid(&self) -> Option<Pid> {
        let example = self.workers.example();
        let first = self.set.by_weight.first().copied();
        example.or(first)
    }

    /// The number of connections that the finding is about.
    fn weight(&self) -> u64 {
        match (&self.queue, self.set.sockets) {
            (Some(queue), 0) => queue.waiting(),
            (_, sockets) => sockets,
        }
    }
}
