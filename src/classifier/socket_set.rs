//! Sets: CLOSE_WAIT sockets of one namespace, service end, owner and cause, and their figures; and
//! FIN_WAIT2 sockets that wait for the remote end, the same way.

use rustc_hash::FxHashMap;

use super::cause::PeerEnd;
use super::group::{GroupOwner, RecvQ, Service, Spread};
use super::listeners::Bound;
use super::pairs::LegState;
use super::patience::{self, Patience};
use super::pool::{self, Pool, PoolVerdict};
use super::program::{OwnerKey, Program};
use super::queue::Queue;
use super::requests::{Ask, Requests, Role, requests};
use super::send_progress::HalfClosed;
use super::waiting::{Others, Wait, Waiting};
use super::{Report, Row, other_legs, pairs};
use crate::model::{Cause, Evidence, Missing, Name, Pid, Side, StateSet, TimerKind};

/// The most sets for which other connections of their owners are looked at.
const BESIDE_MAX: usize = 8;
/// Over more service ends than this, the sets of one owner and cause are told as one.
const ENDS_MAX: u32 = 8;

/// The service end, or ends, of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceEnd {
    One(Service),
    /// So many that each alone says little.
    Several(Option<Side>, u32),
}

impl ServiceEnd {
    pub fn side(self) -> Option<Side> {
        match self {
            ServiceEnd::One(service) => service.side(),
            ServiceEnd::Several(side, _) => side,
        }
    }
}

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

/// How processes that hold sockets are related: it tells whether fork(2) can have given them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship {
    /// One descends from another, or from one that holds their listener.
    Related,
    /// None does, and all their ancestors are known. A process whose parent has ended is the first
    /// process's child by then, so that nothing follows of it.
    Unrelated,
    Unknown,
}

impl Kinship {
    fn of(report: &Report<'_>, pids: &[Pid], positions: &[u32]) -> Kinship {
        let holders = report.holders();
        let first = positions.first().map(|at| report.row(*at as usize));
        let listener = first.and_then(|row| report.listeners().covering(row.socket));
        let serving = listener.map_or([].as_slice(), |listener| &listener.holders);
        // Process 1 is everybody's ancestor, and holds listeners for others.
        let is_one = |ancestor: Pid| {
            ancestor != Pid(1)
                && (pids.contains(&ancestor) || serving.iter().any(|holder| holder.pid == ancestor))
        };
        let mut lines = pids.iter().map(|pid| holders.ancestors(*pid));
        if lines
            .clone()
            .any(|line| line.iter().any(|(ancestor, _)| is_one(*ancestor)))
        {
            return Kinship::Related;
        }
        let is_told = |line: &[(Pid, Name)]| {
            line.last().is_some_and(|(pid, _)| *pid == Pid(1)) && line.len() > 1
        };
        if lines.all(is_told) {
            Kinship::Unrelated
        } else {
            Kinship::Unknown
        }
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

/// What the sockets of a set share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    netns: u16,
    cause: Cause,
    /// The age is not known: whether they linger is not, either.
    is_age_missing: bool,
    end: ServiceEnd,
    listener: Option<Bound>,
    kind: Option<&'static str>,
    owner: OwnerKey,
}

impl Key {
    fn of(report: &Report<'_>, row: &Row<'_>, cause: Cause, is_age_missing: bool) -> Key {
        let owner = GroupOwner::of(&row.owner);
        let is_one = owner.kind == Some("process") && owner.pids.len() == 1;
        Key {
            netns: row.socket.netns,
            cause,
            is_age_missing,
            end: ServiceEnd::One(end(report, row)),
            listener: listener(report, row),
            kind: owner.kind,
            owner: if is_one {
                OwnerKey::of(report.holders(), &owner, row.side())
            } else {
                OwnerKey::Processes(owner.pids)
            },
        }
    }
}

/// The listener of an unaccepted connection.
fn listener(report: &Report<'_>, row: &Row<'_>) -> Option<Bound> {
    let unaccepted = row.socket.is_unaccepted();
    let listener = unaccepted.then(|| report.listeners().queue_of(row.socket))??;
    Some(listener.bound)
}

/// The service of a connection. One that waits to be accepted is to that of the listener, though
/// it came to another port.
fn end(report: &Report<'_>, row: &Row<'_>) -> Service {
    listener(report, row).map_or_else(|| row.service(), |listener| listener.service())
}

/// What a finding about a socket would say, and whether its age is missing for that.
fn subject(report: &Report<'_>, row: &Row<'_>) -> Option<(Cause, bool)> {
    match row.cause {
        Some(cause) => Some((cause, row.lingers().is_none())),
        None => report
            .wait(row)
            .map(|wait| (Cause::PeerNotClosed, wait.hidden)),
    }
}

/// Gathers the CLOSE_WAIT sockets of a report into sets, the largest first, and the FIN_WAIT2 sockets
/// that wait for a remote end of which no CLOSE_WAIT tells.
pub fn sets(report: &Report<'_>) -> Vec<SocketSet> {
    let waits = (0u32..).zip(report.rows());
    let waits = waits.filter(|(_, row)| row.cause.is_none() && report.wait(row).is_some());
    let waits: Vec<u32> = waits.map(|(at, _)| at).collect();
    let others = Others::of(report, &waits);
    let mut positions: FxHashMap<Key, Vec<u32>> = FxHashMap::default();
    let mut last: Option<(Key, GroupOwner)> = None;
    for (at, row) in (0u32..).zip(report.rows()) {
        let Some((cause, is_age_missing)) = subject(report, &row) else {
            continue;
        };
        if others.are_told(report, row.socket) {
            continue;
        }
        // Sockets of one set come in runs: most rows find their key made.
        let same = last.as_ref().is_some_and(|(key, owner)| {
            key.netns == row.socket.netns
                && key.cause == cause
                && key.is_age_missing == is_age_missing
                && key.end == ServiceEnd::One(end(report, &row))
                && key.listener == listener(report, &row)
                && owner.is(&row.owner)
        });
        if !same {
            let key = Key::of(report, &row, cause, is_age_missing);
            last = Some((key, GroupOwner::of(&row.owner)));
        }
        if let Some((key, _)) = &last {
            match positions.get_mut(key) {
                Some(positions) => positions.push(at),
                None => {
                    positions.insert(key.clone(), vec![at]);
                }
            }
        }
    }
    let mut sets: Vec<(SocketSet, Vec<u32>)> = rolled_up(positions)
        .into_iter()
        .map(|(key, positions)| (gather(report, &key, &positions, &others), positions))
        .collect();
    sets.sort_by(|(a, _), (b, _)| {
        (b.sockets.cmp(&a.sockets))
            .then_with(|| {
                let key = |set: &SocketSet| {
                    (
                        set.cause,
                        set.is_age_missing(),
                        set.end,
                        set.listener,
                        set.netns,
                    )
                };
                key(a).cmp(&key(b))
            })
            .then_with(|| a.owner.pids.cmp(&b.owner.pids))
    });
    pool::fill(report, &mut sets);
    let suspicious = sets
        .iter_mut()
        .filter(|(set, _)| set.is_suspicious() && set.waiting.is_none());
    let (mut looked_at, positions): (Vec<&mut SocketSet>, Vec<&[u32]>) = suspicious
        .take(BESIDE_MAX)
        .map(|(set, positions)| (set, positions.as_slice()))
        .unzip();
    let legs = pairs::legs(report, &positions);
    let asks: Vec<Ask<'_>> = looked_at
        .iter()
        .zip(&positions)
        .map(|(set, positions)| {
            let sockets = positions.iter().map(|at| report.row(*at as usize).socket);
            Ask::of(report, set.netns, &set.owner.pids, sockets)
        })
        .collect();
    let requests = requests(report, &asks);
    for ((set, legs), requests) in looked_at.iter_mut().zip(legs).zip(requests) {
        set.legs = legs;
        set.requests = requests;
    }
    other_legs::attach_fin_wait2(report, sets)
}

/// Puts the sets of one owner, cause and side together where they spread over many service ends: a
/// crawler that leaks one connection to each of a thousand hosts has one fault, and not a small
/// one.
fn rolled_up(positions: FxHashMap<Key, Vec<u32>>) -> FxHashMap<Key, Vec<u32>> {
    let several = |key: &Key, ends| Key {
        end: ServiceEnd::Several(key.end.side(), ends),
        ..key.clone()
    };
    let mut ends: FxHashMap<Key, u32> = FxHashMap::default();
    for key in positions.keys().filter(|key| key.listener.is_none()) {
        *ends.entry(several(key, 0)).or_default() += 1;
    }
    let mut rolled: FxHashMap<Key, Vec<u32>> = FxHashMap::default();
    for (key, at) in positions {
        let key = match ends.get(&several(&key, 0)) {
            Some(ends) if *ends > ENDS_MAX && key.listener.is_none() => several(&key, *ends),
            _ => key,
        };
        rolled.entry(key).or_default().extend(at);
    }
    for at in rolled.values_mut() {
        at.sort_unstable();
    }
    rolled
}

fn gather(report: &Report<'_>, key: &Key, positions: &[u32], others: &Others<'_>) -> SocketSet {
    let mut set = SocketSet {
        netns: key.netns,
        cause: key.cause,
        missing: Vec::new(),
        end: key.end,
        listener: key.listener,
        owner: GroupOwner {
            kind: key.kind,
            pids: match &key.owner {
                OwnerKey::Processes(pids) => pids.clone(),
                OwnerKey::Program(..) => Vec::new(),
            },
        },
        by_weight: Vec::new(),
        kinship: Kinship::Unknown,
        sockets: positions.len() as u64,
        recv_q: RecvQ::default(),
        recv_q_min: u32::MAX,
        uncounted_fins: 0,
        send_q_max: 0,
        unmeasured: false,
        idle: None,
        at_most_ms: Some(0),
        patience: None,
        keepalive: 0,
        next_probe_ms: None,
        no_timer: 0,
        silent: Some(0),
        unanswered: Some(0),
        half_closed: HalfClosed::default(),
        peers: Peers::default(),
        legs: None,
        requests: Vec::new(),
        pool: None,
        pool_verdict: None,
        exhausted: None,
        closing_messages: 0,
        relayed_to: None,
        fin_wait2_sets: Vec::new(),
        waiting: (key.cause == Cause::PeerNotClosed).then(Waiting::default),
        no_tcp_info: true,
        held: Vec::new(),
        maybe_young: Vec::new(),
        parts: Vec::new(),
    };
    let mut parts: FxHashMap<SumKey, u64> = FxHashMap::default();
    let mut last: Option<(GroupOwner, Service, Vec<SumKey>)> = None;
    let mut ages = Vec::new();
    let mut waits = Vec::new();
    for row in positions.iter().map(|at| report.row(*at as usize)) {
        let wait = report.wait(&row);
        // A FIN_WAIT2 lasts as long as its remote end is silent.
        let row = Row {
            idle: wait.map(|wait| wait.silence).or(row.idle),
            ..row
        };
        set.add(&row, report);
        if let Some(wait) = wait {
            set.add_wait(wait, &row, report, others);
        }
        ages.extend(
            row.idle
                .and_then(|idle| u32::try_from(idle.at_least_ms).ok()),
        );
        if wait.is_none() {
            waits.extend(patience::of_row(&row, report.snapshot.host.tick));
        }
        if wait.is_some_and(|wait| !wait.counts()) || report.may_be_young(&row) {
            set.maybe_young.push(row.socket.inode);
            continue;
        }
        let service = row.service();
        let same = last
            .as_ref()
            .is_some_and(|(owner, end, _)| *end == service && owner.is(&row.owner));
        if !same {
            let owner = GroupOwner::of(&row.owner);
            let wholes = SumKey::all_of(report, &row, &owner);
            last = Some((owner, service, wholes));
        }
        for whole in last.iter().flat_map(|(_, _, wholes)| wholes) {
            match parts.get_mut(whole) {
                Some(count) => *count += 1,
                None => {
                    parts.insert(whole.clone(), 1);
                }
            }
        }
    }
    set.parts = parts.into_iter().collect();
    set.parts.sort_unstable();
    set.maybe_young.sort_unstable();
    set.idle = Spread::of(&mut ages);
    set.patience = Patience::of(&mut waits);
    set.held.sort_unstable();
    set.owner.pids.extend(set.held.iter().map(|(pid, _)| *pid));
    set.owner.pids.sort_unstable();
    set.owner.pids.dedup();
    let mut by_weight = set.owner.pids.clone();
    // Of those who share a listener, a worker tells more than the parent that only holds it.
    let is_parent = |pid: Pid| {
        let mut others = set.owner.pids.iter();
        key.listener.is_some()
            && others.any(|other| {
                let mut ancestors = report.holders().ancestors(*other).iter();
                ancestors.any(|(ancestor, _)| *ancestor == pid)
            })
    };
    by_weight.sort_by_cached_key(|pid| {
        let held = std::cmp::Reverse(set.holds(*pid).len());
        (*pid == Pid(1), held, is_parent(*pid))
    });
    set.by_weight = by_weight;
    if set.cause == Cause::Inherited {
        set.kinship = Kinship::of(report, &set.owner.pids, positions);
    }
    if let Some(waiting) = &mut set.waiting {
        let sockets = positions.iter().map(|at| report.row(*at as usize).socket);
        waiting.count(sockets.map(|socket| socket.remote.canonical().addr));
        if key.is_age_missing {
            let missing = Missing::Age(Cause::PeerNotClosed);
            set.missing.push((missing, set.sockets));
        }
    }
    set.peers.pids.sort_unstable();
    set.peers.pids.dedup();
    set.missing
        .sort_by_key(|(missing, count)| (std::cmp::Reverse(*count), *missing));
    set
}

impl SocketSet {
    fn add(&mut self, row: &Row<'_>, report: &Report<'_>) {
        let socket = row.socket;
        if let Some(missing) = row.missing {
            match self.missing.iter_mut().find(|(known, _)| *known == missing) {
                Some((_, count)) => *count += 1,
                None => self.missing.push((missing, 1)),
            }
        }
        self.recv_q.add(socket.recv_q);
        self.recv_q_min = self.recv_q_min.min(socket.recv_q);
        let facts = report.facts(row);
        self.uncounted_fins += u64::from(!facts.counts_fin);
        self.send_q_max = self.send_q_max.max(socket.send_q);
        self.unmeasured |= socket.unmeasured;
        let at_most_ms = row.idle.and_then(|idle| idle.at_most_ms);
        self.at_most_ms = self.at_most_ms.zip(at_most_ms).map(|(a, b)| a.max(b));
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
        let unanswered = facts.answered_after_last_byte();
        self.unanswered = self
            .unanswered
            .zip(unanswered)
            .map(|(count, answered)| count + u64::from(!answered));
        self.half_closed.add(&facts);
        match report.peer(socket) {
            Some((PeerEnd::Waiting, state, holders)) => {
                self.peers.waiting += 1;
                self.peers.waiting_in = self.peers.waiting_in.union(StateSet::of(state));
                self.peers
                    .pids
                    .extend(holders.iter().map(|holder| holder.pid));
            }
            Some((PeerEnd::Orphaned, state, _)) => {
                self.peers.orphaned += 1;
                self.peers.orphaned_in = self.peers.orphaned_in.union(StateSet::of(state));
            }
            None => {}
        }
        let has_closing_message = facts.read_before == Some(true)
            && facts.ever_sent == Some(true)
            && facts.ends_with_data();
        self.closing_messages += u64::from(has_closing_message);
        self.no_tcp_info &= socket.tcp.is_none();
        if socket.inode != 0 {
            let holders = row.owner.holders().iter();
            self.held
                .extend(holders.map(|holder| (holder.pid, socket.inode)));
        }
    }

    fn add_wait(&mut self, wait: Wait, row: &Row<'_>, report: &Report<'_>, others: &Others<'_>) {
        if let Some(waiting) = &mut self.waiting {
            waiting.add(wait, row.socket);
        }
        if let Some(other) = others.end(row.socket) {
            self.peers.waiting += 1;
            self.peers.waiting_in = self.peers.waiting_in.union(StateSet::of(other.state));
            let holders = report.holders().of(other.inode).iter();
            self.peers.pids.extend(holders.map(|holder| holder.pid));
        }
    }

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

/// The set of descriptors that are in no table.
pub(super) fn dead(report: &Report<'_>, pids: Vec<Pid>, sockets: u64) -> SocketSet {
    let key = Key {
        netns: 0,
        cause: Cause::DeadDescriptors,
        is_age_missing: false,
        end: ServiceEnd::Several(None, 0),
        listener: None,
        kind: Some("process"),
        owner: OwnerKey::Processes(pids),
    };
    SocketSet {
        sockets,
        ..gather(report, &key, &[], &Others::default())
    }
}

/// The set of an accept queue whose connections are all still open at the other end: no socket
/// is in CLOSE_WAIT yet.
pub(super) fn unaccepted(report: &Report<'_>, queue: &Queue) -> SocketSet {
    let key = Key {
        netns: queue.bound.netns,
        cause: Cause::NotAccepted,
        is_age_missing: false,
        end: ServiceEnd::One(queue.bound.service()),
        listener: Some(queue.bound),
        kind: Some("listener"),
        owner: OwnerKey::Processes(queue.pids.clone()),
    };
    let ask = Ask::of(report, key.netns, &queue.pids, std::iter::empty());
    SocketSet {
        requests: requests(report, &[ask]).pop().unwrap_or_default(),
        ..gather(report, &key, &[], &Others::default())
    }
}
