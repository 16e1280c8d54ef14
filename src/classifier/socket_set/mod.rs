//! Sets of sockets: CLOSE_WAIT sockets of one network namespace, service, owner and cause, with
//! their figures; and FIN_WAIT2 sockets that wait for one remote end.

mod add;
mod build;
mod gather;
mod key;
mod kinship;

pub(super) use self::build::{dead, unaccepted};
pub use self::gather::sets;
pub(super) use self::gather::subject;
pub(super) use self::key::Key;
pub use self::kinship::Kinship;
use crate::classifier::arrivals::Arrivals;
use crate::classifier::group::{RecvQ, Spread};
use crate::classifier::listeners::Bound;
use crate::classifier::owner::GroupOwner;
use crate::classifier::pairs;
use crate::classifier::pairs::LegState;
use crate::classifier::patience::Patience;
use crate::classifier::pool::{Pool, PoolVerdict};
use crate::classifier::program::Program;
use crate::classifier::queue::Queue;
use crate::classifier::report::Report;
use crate::classifier::requests::{Requests, Role};
use crate::classifier::row::Row;
use crate::classifier::send_progress::HalfClosed;
use crate::classifier::service::{Service, ServiceEnd};
use crate::classifier::waiting::Waiting;
use crate::model::{Cause, Evidence, Idle, Missing, Pid, Side, StateSet};

/// CLOSE_WAIT sockets with the same service, owner and cause, or FIN_WAIT2 sockets that processes
/// hold.
///
/// Processes of one program that serve the same end, or are workers of one parent, count as one
/// owner: a hundred workers with one stuck socket each are one fault.
#[derive(Debug, Clone, PartialEq)]
pub struct SocketSet {
    pub(super) key: Key,
    /// The network namespace, as [`Socket::netns`](crate::model::Socket::netns).
    pub netns: u16,
    pub cause: Cause,
    /// Why the cause is unclear, and for how many sockets, the most first.
    pub missing: Vec<(Missing, u64)>,
    pub end: ServiceEnd,
    /// The listener in whose accept queue unaccepted sockets are.
    pub listener: Option<Bound>,
    /// All of its processes.
    pub owner: GroupOwner,
    /// The same processes, those with the most sockets first, parents after their workers, and
    /// process 1 last, because it holds listeners for others.
    pub by_weight: Vec<Pid>,
    /// How the holders are related.
    pub kinship: Kinship,
    pub sockets: u64,
    pub recv_q: RecvQ,
    pub recv_q_min: u32,
    /// Sockets with unread bytes.
    pub unread: u64,
    /// Sockets whose Recv-Q does not count a FIN: MPTCP connections, and possible subflows.
    pub uncounted_fins: u64,
    pub send_q_max: u32,
    /// The kernel reports no queues for at least one of them.
    pub unmeasured: bool,
    /// Of the lower bounds of their ages.
    pub idle: Option<Spread>,
    /// When CLOSE_WAIT sockets that linger came; `None` for a few.
    pub arrivals: Option<Arrivals>,
    /// The bounds of the age of the oldest CLOSE_WAIT socket of each holder, ordered by process.
    pub oldest: Vec<(Pid, Idle)>,
    /// The largest upper bound of their ages; `None` if one has none.
    pub at_most_ms: Option<u64>,
    pub patience: Option<Patience>,
    /// Sockets with a keepalive timer, and the time until the first probe.
    pub keepalive: u64,
    pub next_probe_ms: Option<u32>,
    /// Sockets without any timer: nothing will end them.
    pub no_timer: u64,
    /// Sockets on which nothing but the FIN was ever received; `None` if unknown.
    pub silent: Option<u64>,
    /// Sockets on which nothing was sent since the last byte was received; `None` if unknown.
    pub unanswered: Option<u64>,
    pub half_closed: HalfClosed,
    pub peers: Peers,
    pub legs: Option<pairs::Legs>,
    /// Unanswered requests of its owners to other services.
    pub requests: Vec<Requests>,
    /// All connections of its owners to the service, if they opened them.
    pub pool: Option<Pool>,
    /// What the pool is consistent with, once evidence of its owners was read.
    pub pool_verdict: Option<PoolVerdict>,
    /// The service to which its owners have no open connection left, and how many clients wait.
    pub exhausted: Option<(ServiceEnd, u64)>,
    /// Sockets on which everything was read except data that came with the FIN, and on which this
    /// side has sent something.
    pub closing_messages: u64,
    /// The end to which the program relayed the closes of these peers, by their times, and which
    /// has not closed. Only for sockets without other legs by byte counts.
    pub relayed_to: Option<ServiceEnd>,
    /// FIN_WAIT2 sockets of the same program that wait for the same ends as the other legs, which
    /// are among them. They are reported with this set.
    pub fin_wait2_sets: Vec<SocketSet>,
    /// For FIN_WAIT2 sockets, what they wait for.
    pub waiting: Option<Waiting>,
    /// Whether none of them came with tcp_info.
    pub no_tcp_info: bool,
    /// Who holds which inode, ordered; empty for unaccepted sockets.
    pub held: Vec<(Pid, u32)>,
    /// The inodes of sockets that may be younger than the grace or in use, ordered; 0 for each
    /// unaccepted one.
    pub maybe_young: Vec<u32>,
    /// How many of the other sockets belong to each service and program.
    pub(super) parts: Vec<(SumKey, u64)>,
}

/// What sockets are added up by, whatever their causes and processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SumKey {
    /// This host serves it, on this port.
    Service(Service),
    Program(Program),
}

impl SumKey {
    /// Everything that a socket counts for: a socket of several programs counts for each.
    pub(super) fn all_of(report: &Report<'_>, row: &Row<'_>, owner: &GroupOwner) -> Vec<SumKey> {
        let service = row.service();
        let served = (service.side() == Some(Side::Server)).then_some(SumKey::Service(service));
        // No process has a descriptor of an unaccepted connection.
        let held = owner.kind == Some("process");
        let pids = if held { owner.pids.as_slice() } else { &[] };
        let programs = Program::all(report.holders(), pids);
        let programs = programs.into_iter().map(SumKey::Program);
        served.into_iter().chain(programs).collect()
    }
}

/// The other ends, if they are on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    /// A process still holds it: it closed one direction only.
    pub waiting: u64,
    /// The states of those that wait.
    pub waiting_in: StateSet,
    /// Closed entirely.
    pub orphaned: u64,
    pub orphaned_in: StateSet,
    /// Who holds those that wait, each once, ordered.
    pub pids: Vec<Pid>,
}

impl SocketSet {
    /// The sockets of the set that a process holds, ordered by inode.
    pub fn holds(&self, pid: Pid) -> &[(Pid, u32)] {
        let start = self.held.partition_point(|(holder, _)| *holder < pid);
        let end = self.held.partition_point(|(holder, _)| *holder <= pid);
        &self.held[start..end]
    }

    /// What became of the other legs, and their service, if every socket has one. If most relay the
    /// close, the program does so, and the few others have another reason.
    pub fn all_pair(&self) -> Option<(pairs::LegState, ServiceEnd)> {
        let legs = self.legs.as_ref()?;
        let tells = legs.pairs == legs.looked_at || legs.leg_state == LegState::PassedOn;
        tells.then_some((legs.leg_state, legs.other))
    }

    /// The end that has not closed although the program relayed the close to it.
    pub fn far_end(&self) -> Option<ServiceEnd> {
        match self.all_pair() {
            Some((LegState::PassedOn, end)) => Some(end),
            _ => self.relayed_to,
        }
    }

    /// The unanswered requests that explain the sockets and whose answers somebody may wait for,
    /// the most first.
    pub fn awaited(&self, evidence: &[Evidence]) -> impl Iterator<Item = &Requests> {
        let explaining = self.requests.iter().filter(|of| of.role == Role::Explains);
        explaining.filter(|of| of.are_awaited(evidence) == Some(true))
    }

    /// How many sockets certainly linger.
    pub fn lingering(&self) -> u64 {
        self.sockets.saturating_sub(self.maybe_young.len() as u64)
    }

    /// How many FIN_WAIT2 sockets are reported with it.
    pub fn fin_wait2(&self) -> u64 {
        self.fin_wait2_sets.iter().map(|set| set.sockets).sum()
    }

    /// Whether its unaccepted sockets are in this queue.
    pub(super) fn is_in(&self, queue: &Queue) -> bool {
        self.listener == Some(queue.bound)
    }

    /// Whether its sockets linger.
    pub fn is_suspicious(&self) -> bool {
        let in_use = self.waiting.is_some() && self.lingering() == 0;
        self.cause.is_fault() && !in_use && !self.is_age_missing()
    }

    /// Whether evidence of its owners is needed. For a half-close, only whether they can run.
    pub fn is_asked_about(&self) -> bool {
        self.cause == Cause::HalfClose || self.is_suspicious()
    }

    /// Whether it is unknown if its sockets linger.
    pub fn is_age_missing(&self) -> bool {
        matches!(self.missing.first(), Some((Missing::Age(_), _)))
    }
}
