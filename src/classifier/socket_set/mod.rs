//! Sets: CLOSE_WAIT sockets of one namespace, service end, owner and cause, and their figures; and
//! FIN_WAIT2 sockets that wait for the remote end, the same way.

mod add;
mod build;
mod gather;
mod key;
mod kinship;

pub(super) use self::build::{dead, unaccepted};
pub use self::gather::sets;
pub use self::kinship::Kinship;
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
use crate::model::{Cause, Evidence, Missing, Pid, Side, StateSet};

/// CLOSE_WAIT sockets with the same service end, owner and cause, or FIN_WAIT2 sockets that processes
/// hold.
///
/// Processes of one program that serve the same end, or are the workers of one parent, are one
/// owner: a hundred workers with one stuck socket each are one fault.
#[derive(Debug, Clone, PartialEq)]
pub struct SocketSet {
    /// The namespace, as [`Socket::netns`](crate::model::Socket::netns).
    pub netns: u16,
    pub cause: Cause,
    /// Why the cause is unclear, and for how many, most first.
    pub missing: Vec<(Missing, u64)>,
    pub end: ServiceEnd,
    /// The listener in whose queue unaccepted ones sit.
    pub listener: Option<Bound>,
    /// All of its processes.
    pub owner: GroupOwner,
    /// The same, those with the most sockets first, parents after their workers, process 1 last: it holds listeners for
    /// others.
    pub by_weight: Vec<Pid>,
    /// How those who hold the sockets are related.
    pub kinship: Kinship,
    pub sockets: u64,
    pub recv_q: RecvQ,
    pub recv_q_min: u32,
    /// Those whose Recv-Q does not count a FIN: connections of MPTCP, and what may be a subflow.
    pub uncounted_fins: u64,
    pub send_q_max: u32,
    /// The kernel tells of one of them neither what lies unread nor what waits to be sent.
    pub unmeasured: bool,
    /// Of the lower bounds of the ages.
    pub idle: Option<Spread>,
    /// The largest upper bound; `None` where one has none.
    pub at_most_ms: Option<u64>,
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
    pub half_closed: HalfClosed,
    pub peers: Peers,
    pub legs: Option<pairs::Legs>,
    /// What its owners have asked of other services and nobody has answered.
    pub requests: Vec<Requests>,
    /// All connections of its owners to the service, where they opened them.
    pub pool: Option<Pool>,
    /// What that is consistent with, once its owners were asked.
    pub pool_verdict: Option<PoolVerdict>,
    /// The service to which its owners have no connection left, and how many clients wait.
    pub exhausted: Option<(ServiceEnd, u64)>,
    /// Those on which all was read but what came together with the FIN, if anything did, and on
    /// which this side has sent something.
    pub closing_messages: u64,
    /// Where the program closed its direction in step with these peers, and where that end has not
    /// closed; of sockets that have no other legs by their bytes.
    pub relayed_to: Option<ServiceEnd>,
    /// FIN_WAIT2 sockets of the same program that wait for the same ends as the other legs, these among
    /// them: what there is to say of them is said of this set.
    pub fin_wait2_sets: Vec<SocketSet>,
    /// Of FIN_WAIT2 sockets: what they wait for.
    pub waiting: Option<Waiting>,
    /// Whether tcp_info came with none of them.
    pub no_tcp_info: bool,
    /// Who holds which inode, ordered; empty of unaccepted sockets.
    pub held: Vec<(Pid, u32)>,
    /// The inodes of those that may be younger than the grace, or in use, ordered; 0 for each unaccepted
    /// one.
    pub maybe_young: Vec<u32>,
    /// How many of the others are each service's and each program's.
    pub(super) parts: Vec<(SumKey, u64)>,
}

/// What sockets are summed by, whatever their causes and processes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SumKey {
    /// Served here, on this port.
    Service(Service),
    Program(Program),
}

impl SumKey {
    /// All that a socket counts for: one that several programs hold counts for each.
    pub(super) fn all_of(report: &Report<'_>, row: &Row<'_>, owner: &GroupOwner) -> Vec<SumKey> {
        let service = row.service();
        let served = (service.side() == Some(Side::Server)).then_some(SumKey::Service(service));
        // Of one that is not accepted, no process has a descriptor.
        let held = owner.kind == Some("process");
        let pids = if held { owner.pids.as_slice() } else { &[] };
        let programs = Program::all(report.holders(), pids);
        let programs = programs.into_iter().map(SumKey::Program);
        served.into_iter().chain(programs).collect()
    }
}

/// The other ends, where they are on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    /// Still held by a process: it closed one direction only.
    pub waiting: u64,
    /// The states of those.
    pub waiting_in: StateSet,
    /// Closed for good.
    pub orphaned: u64,
    pub orphaned_in: StateSet,
    /// Who holds those that wait; each once, ordered.
    pub pids: Vec<Pid>,
}

impl SocketSet {
    /// What a process holds of the set, with the inodes in order.
    pub fn holds(&self, pid: Pid) -> &[(Pid, u32)] {
        let start = self.held.partition_point(|(holder, _)| *holder < pid);
        let end = self.held.partition_point(|(holder, _)| *holder <= pid);
        &self.held[start..end]
    }

    /// What became of the other legs, and where they lead, if each connection has one. Where most have
    /// passed the close on, the program does so: the few others are another story.
    pub fn all_pair(&self) -> Option<(pairs::LegState, ServiceEnd)> {
        let legs = self.legs.as_ref()?;
        let tells = legs.pairs == legs.looked_at || legs.leg_state == LegState::PassedOn;
        tells.then_some((legs.leg_state, legs.other))
    }

    /// The end that has not closed what the program has closed there, passing the close on.
    pub fn far_end(&self) -> Option<ServiceEnd> {
        match self.all_pair() {
            Some((LegState::PassedOn, end)) => Some(end),
            _ => self.relayed_to,
        }
    }

    /// The requests that explain them, of which somebody may wait for the answers: the most first.
    pub fn awaited(&self, evidence: &[Evidence]) -> impl Iterator<Item = &Requests> {
        let explaining = self.requests.iter().filter(|of| of.role == Role::Explains);
        explaining.filter(|of| of.are_awaited(evidence) == Some(true))
    }

    /// How many of them linger for sure.
    pub fn lingering(&self) -> u64 {
        self.sockets.saturating_sub(self.maybe_young.len() as u64)
    }

    /// How many FIN_WAIT2 sockets are told with it.
    pub fn fin_wait2(&self) -> u64 {
        self.fin_wait2_sets.iter().map(|set| set.sockets).sum()
    }

    /// Whether its unaccepted sockets sit in this queue.
    pub(super) fn is_in(&self, queue: &Queue) -> bool {
        self.listener == Some(queue.bound)
    }

    /// Whether its sockets linger.
    pub fn is_suspicious(&self) -> bool {
        let harmless = matches!(self.cause, Cause::Transient | Cause::HalfClose);
        let in_use = self.waiting.is_some() && self.lingering() == 0;
        !harmless && !in_use && !self.is_age_missing()
    }

    /// Whether its owners are worth asking: of a half-close, whether they can run at all.
    pub fn is_asked_about(&self) -> bool {
        self.cause == Cause::HalfClose || self.is_suspicious()
    }

    /// Whether it is not known if they linger.
    pub fn is_age_missing(&self) -> bool {
        matches!(self.missing.first(), Some((Missing::Age(_), _)))
    }
}
