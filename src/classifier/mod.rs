//! Judgement: what the facts of a snapshot mean. Pure: no files, no clock, no environment.

pub mod age;
pub mod cause;
pub mod chain;
mod client_wait;
pub mod close_notify;
mod context;
pub mod culprit;
mod dead_descriptors;
pub mod diff;
pub mod finding;
pub mod group;
pub mod halt;
mod hidden_owners;
pub mod listeners;
pub mod merge;
mod other_legs;
pub mod pairs;
pub mod patience;
pub mod pool;
pub mod program;
pub mod queue;
pub mod range;
mod relayed_close;
pub mod reload;
pub mod requests;
pub mod send_progress;
pub mod severity;
mod side;
pub mod silent;
pub mod socket_set;
pub mod spin;
pub mod tally;
pub mod time_pattern;
pub mod verdict;
pub mod waiting;
pub mod workers;
mod young;

use rustc_hash::FxHashMap;

use self::age::Sightings;
use self::cause::{AckSource, Facts, PeerEnd};
use self::context::{Context, OwnerRef, Uncertainty};
use self::group::{Group, Grouping, Service};
use self::hidden_owners::Hidden;
pub use self::hidden_owners::hidden_reason;
use self::listeners::{Listener, Listeners};
use self::severity::Thresholds;
use self::side::Sides;
use self::waiting::Wait;
use crate::filter::{Filter, Known, Term};
use crate::model::{
    Cause, Causes, Endpoint, Gap, GapKind, Holder, Holders, Idle, Missing, Owner, Pid, Protocol,
    Protocols, Resolved, Side, Snapshot, Socket, State, StateSet, Words,
};

/// What to select and how to judge it.
#[derive(Debug, Clone)]
pub struct Rules {
    pub filter: Filter,
    pub protocols: Protocols,
    /// How long a CLOSE_WAIT may last before it counts, in milliseconds.
    pub grace_ms: u64,
    pub thresholds: Thresholds,
    /// What an earlier reading saw in CLOSE_WAIT already.
    pub seen: Sightings,
}

/// One selected socket with everything that is concluded about it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub socket: &'a Socket,
    sides: &'a Sides<'a>,
    pub owner: Owner<'a>,
    pub idle: Option<Idle>,
    /// Of CLOSE_WAIT sockets only.
    pub cause: Option<Cause>,
    /// Why the cause is unclear.
    pub missing: Option<Missing>,
}

impl Row<'_> {
    /// The side, where something tells it: of UDP nothing does.
    pub fn side(&self) -> Option<Side> {
        self.sides.side(self.socket)
    }

    /// The service that it is a connection to.
    pub fn service(&self) -> Service {
        self.sides.service(self.socket)
    }

    /// Whether a CLOSE_WAIT socket lasts longer than a healthy close, and is in nobody's use; `None` of
    /// other states, and where its age is not known to be beyond the grace.
    pub fn lingers(&self) -> Option<bool> {
        match (self.cause?, self.missing) {
            (Cause::Transient | Cause::HalfClose, _) => Some(false),
            (_, Some(Missing::Age(_))) => None,
            _ => Some(true),
        }
    }

    /// Whether accept(2) or connect(2) gave the connection to a process; `None` of what is no
    /// connection of a process: listeners and the kernel's own.
    pub fn accepted(&self) -> Option<bool> {
        let socket = self.socket;
        if matches!(socket.protocol, Protocol::Udp | Protocol::Subflow) {
            return None;
        }
        if socket.is_unaccepted() {
            return Some(false);
        }
        (socket.inode != 0 && socket.state != State::Listen).then_some(true)
    }
}

/// How many selected sockets are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateCounts {
    counts: [u64; 16],
    /// The states that were looked for: a count of any other is unknown, not 0.
    pub asked: StateSet,
}

impl StateCounts {
    /// No socket in any of the states that were looked for.
    pub fn none_of(asked: StateSet) -> StateCounts {
        StateCounts {
            asked,
            ..StateCounts::default()
        }
    }

    /// How many; `None` for a state that was not looked for.
    pub fn of(&self, state: State) -> Option<u64> {
        let count = self.counts[state as usize];
        (count > 0 || self.asked.contains(state)).then_some(count)
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn add(&mut self, state: State) {
        self.counts[state as usize] += 1;
    }
}

/// A snapshot, judged.
#[derive(Debug)]
pub struct Report<'a> {
    pub snapshot: &'a Snapshot,
    filter: Filter,
    context: Context<'a>,
    /// The selected sockets, in netstat's order: by namespace and family, listeners first.
    selected: Vec<Selected>,
    /// The selected ones of [`Snapshot::subflows`], for listings.
    subflows: Vec<Selected>,
    /// Of TCP, MPTCP connections with it.
    pub states: StateCounts,
    /// Of UDP; `None` where it was not asked for.
    pub udp: Option<StateCounts>,
    /// What could not be seen, of the collection and of the judgement.
    pub gaps: Vec<Gap>,
    /// Sockets of which the filter asks what is not known: they are not selected, and may be
    /// what was looked for.
    pub undecided: u64,
    /// Names of addresses and ports; none where nobody asked.
    pub resolved: Resolved,
}

/// A selected socket and what was dear to conclude: 20 bytes, since there may be a million.
#[derive(Debug, Clone, Copy)]
struct Selected {
    socket: u32,
    cause: Option<Cause>,
    missing: Option<Missing>,
    owner: OwnerRef,
}

/// The states that the source does not show: none of them is not counted as 0.
fn hidden_states(snapshot: &Snapshot) -> StateSet {
    let is_hidden = |gap: &Gap| gap.kind == GapKind::StateUnread;
    match snapshot.gaps.iter().any(is_hidden) {
        true => StateSet::of(State::BoundInactive),
        false => StateSet::NONE,
    }
}

/// Selects, judges and groups the sockets of a snapshot.
pub fn classify<'a>(snapshot: &'a Snapshot, rules: &Rules) -> Report<'a> {
    let context = Context::new(snapshot, rules);
    let mut selected = Vec::new();
    let mut undecided = 0;
    let mut hidden = Hidden::default();
    let hidden_states = hidden_states(snapshot);
    let none_of = |protocol| {
        let asked = rules.protocols.contains(protocol);
        StateCounts::none_of(if asked {
            rules
                .filter
                .of_protocol(protocol)
                .states()
                .minus(hidden_states)
        } else {
            StateSet::NONE
        })
    };
    let mut states = none_of(Protocol::Tcp);
    let mut udp = none_of(Protocol::Udp);
    for (at, socket) in snapshot.sockets.iter().enumerate() {
        let Ok(number) = u32::try_from(at) else { break };
        let owner = context.owner_ref(socket);
        let (row, uncertainty) = context.row(socket, owner);
        match rules.filter.decide(&context.known(&row, uncertainty)) {
            Some(true) => {
                match socket.protocol {
                    Protocol::Udp => udp.add(socket.state),
                    _ => states.add(socket.state),
                }
                hidden.add(&row, &context.sides.listeners);
                selected.push(Selected {
                    socket: number,
                    cause: row.cause,
                    missing: row.missing,
                    owner,
                });
            }
            Some(false) => {}
            None => undecided += 1,
        }
    }
    selected.sort_by_key(|selected| {
        let socket = &snapshot.sockets[selected.socket as usize];
        (
            socket.netns,
            socket.protocol,
            socket.family,
            socket.state != State::Listen,
        )
    });
    let subflows = subflows(&context, rules);
    let mut gaps = snapshot.gaps.clone();
    gaps.extend(hidden.gaps(snapshot, undecided));
    Report {
        snapshot,
        filter: rules.filter.clone(),
        context,
        selected,
        subflows,
        states,
        udp: rules.protocols.contains(Protocol::Udp).then_some(udp),
        gaps,
        undecided,
        resolved: Resolved::default(),
    }
}

/// Selects subflows. Each is whose its connection is, and on its side.
fn subflows(context: &Context<'_>, rules: &Rules) -> Vec<Selected> {
    let snapshot = context.snapshot;
    if snapshot.subflows.is_empty() {
        return Vec::new();
    }
    let connections: FxHashMap<_, _> = snapshot
        .sockets
        .iter()
        .filter_map(|socket| Some((connection(socket)?, socket)))
        .collect();
    let select = |(number, subflow): (u32, &Socket)| {
        let connection = connection(subflow).and_then(|key| connections.get(&key).copied());
        let owner = match connection {
            Some(connection) => context.owner_ref(connection),
            // Its connection came or went between the dumps; the inode of one that has gone stays.
            None => match context.owner_ref(subflow) {
                OwnerRef::Hidden(_) => OwnerRef::Kernel,
                owner => owner,
            },
        };
        let row = Row {
            cause: None,
            missing: None,
            ..context.row(subflow, owner).0
        };
        let known = context.known(&row, Uncertainty::default());
        let selected = rules.filter.decide(&known) == Some(true);
        selected.then_some(Selected {
            socket: number,
            cause: None,
            missing: None,
            owner,
        })
    };
    (0..).zip(&snapshot.subflows).filter_map(select).collect()
}

/// What an MPTCP connection or listener has in common with its subflows, and with no other.
fn connection(socket: &Socket) -> Option<(u16, bool, u32)> {
    let listens = socket.state == State::Listen;
    let number = match (socket.protocol, listens) {
        (Protocol::Tcp | Protocol::Udp, _) => return None,
        (_, true) => socket.inode,
        (_, false) => socket.token?.get(),
    };
    Some((socket.netns, listens, number))
}

impl<'a> Report<'a> {
    /// How many sockets are selected, subflows aside.
    pub fn len(&self) -> usize {
        self.selected.len()
    }

    pub fn is_empty(&self) -> bool {
        self.selected.is_empty()
    }

    /// The selected sockets, one after the other; nothing is kept for any of them.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|at| self.row(at))
    }

    /// How many lines a listing has: the selected sockets and subflows.
    pub fn listed(&self) -> usize {
        self.selected.len() + self.subflows.len()
    }

    /// The order of a listing, as positions below [`Report::listed`]: each subflow after its
    /// connection. `None` where it is that of the positions.
    pub fn listing(&self) -> Option<Vec<u32>> {
        if self.subflows.is_empty() {
            return None;
        }
        let positions = || (0u32..).take(self.listed());
        let places: FxHashMap<_, _> = positions()
            .take(self.len())
            .filter_map(|at| Some((connection(self.row(at as usize).socket)?, at)))
            .collect();
        let mut order: Vec<(u32, u32)> = positions()
            .map(|at| match connection(self.row(at as usize).socket) {
                Some(key) => (places.get(&key).copied().unwrap_or(u32::MAX), at),
                None => (at, at),
            })
            .collect();
        order.sort_unstable();
        Some(order.into_iter().map(|(_, at)| at).collect())
    }

    /// The selected socket at a position below [`Report::listed`]; from [`Report::len`] on, the
    /// subflows.
    pub fn row(&self, at: usize) -> Row<'_> {
        let (selected, socket) = match self.selected.get(at) {
            Some(selected) => (*selected, &self.snapshot.sockets[selected.socket as usize]),
            None => {
                let selected = self.subflows[at - self.selected.len()];
                (selected, &self.snapshot.subflows[selected.socket as usize])
            }
        };
        Row {
            socket,
            sides: &self.context.sides,
            owner: self.context.owner(socket, selected.owner),
            idle: self.context.idle(socket),
            cause: selected.cause,
            missing: selected.missing,
        }
    }

    /// What is concluded about any socket of the snapshot, selected or not.
    fn judged<'b>(&'b self, socket: &'b Socket) -> Row<'b> {
        self.context.row(socket, self.context.owner_ref(socket)).0
    }

    /// Who holds which socket, and the holders' names; empty where nobody asked.
    pub fn holders(&self) -> &Holders {
        self.context.holders()
    }

    /// The groups, CLOSE_WAIT first and then the largest.
    pub fn groups(&self) -> Vec<Group> {
        let mut grouping = Grouping::new(self.snapshot);
        for row in self.rows() {
            grouping.add(&row);
        }
        grouping.finish()
    }

    /// The Send-Q of a socket; `None` for a listener's limit where the source does not tell it.
    pub fn send_q(&self, socket: &Socket) -> Option<u32> {
        let told = socket.state != State::Listen
            || self.snapshot.namespace(socket).source.reports_backlog();
        told.then_some(socket.send_q)
    }

    pub fn listeners(&self) -> &Listeners {
        &self.context.sides.listeners
    }

    /// The ports, programs and processes that the selection names and that have no socket, whatever
    /// its state; not those of which that cannot be told.
    pub fn without_sockets(&self) -> Vec<&Term> {
        let is_unread = |gap: &Gap| gap.kind == GapKind::NetnsUnread;
        if self.snapshot.gaps.iter().any(is_unread) {
            return Vec::new();
        }
        let mut named = self.filter.named();
        named.retain(|term| {
            let may_be = |socket: &Socket| {
                let owner = self.context.owner(socket, self.context.owner_ref(socket));
                let known = Known {
                    owner: Some((owner, self.holders())),
                    ..Known::of(socket)
                };
                term.decide(&known) != Some(false)
            };
            !self.snapshot.sockets.iter().any(may_be)
        });
        named
    }

    /// How many sockets the selection has, but for its states; `None` where it asks for nothing
    /// else.
    pub fn of_any_state(&self) -> Option<u64> {
        let filter = self.filter.of_any_state();
        if !filter.mentions(|_| true) {
            return None;
        }
        if self.filter.states().intersection(StateSet::ALL) == StateSet::ALL {
            return Some(self.len() as u64);
        }
        let sockets = self.snapshot.sockets.iter();
        let selected = sockets.filter(|socket| {
            let (row, uncertainty) = self.context.row(socket, self.context.owner_ref(socket));
            filter.decide(&self.context.known(&row, uncertainty)) == Some(true)
        });
        Some(selected.count() as u64)
    }

    /// The sockets of which the selection asks what is not known, and that may be younger than the
    /// grace for all that is known.
    pub fn undecided_by_age(&self) -> Vec<&Socket> {
        if self.undecided == 0 {
            return Vec::new();
        }
        let sockets = self.snapshot.sockets.iter();
        let undecided = sockets.filter(|socket| {
            let (row, uncertainty) = self.context.row(socket, self.context.owner_ref(socket));
            let selected = self.filter.decide(&self.context.known(&row, uncertainty));
            selected.is_none() && self.age_uncertainty(&row).is_some()
        });
        undecided.collect()
    }

    /// Whether a connection that waits to be accepted would be selected, as far as can be told: one
    /// of those in the queue, or as the listener's own socket is.
    pub fn asks_about(&self, listener: &Listener, socket: &Socket, waits_ms: Option<u64>) -> bool {
        // Whoever waits in a queue may hang up there at any time.
        let connection = Socket {
            state: State::CloseWait,
            ..socket.clone()
        };
        let known = Known {
            socket: &connection,
            side: Some(Side::Server),
            owner: Some((Owner::Listener(&listener.holders), self.holders())),
            idle: waits_ms.map(|waits_ms| Idle {
                at_least_ms: waits_ms,
                at_most_ms: Some(waits_ms),
            }),
            is_renewed: false,
            cause: Some(Some(Cause::NotAccepted)),
            alternatives: Causes::NONE,
            netns: Some(self.snapshot.netns(listener.bound.netns)),
            cgroups: self.snapshot.cgroups.as_ref(),
        };
        self.filter.decide(&known) != Some(false)
    }

    /// Whether the selection has room for descriptors of a process that are in no table: these have
    /// neither a port nor a state, and are nothing that a filter by those asks about.
    pub fn asks_about_dead(&self, pid: Pid) -> bool {
        let excludes = |term: &Term| match term {
            Term::State(states) => states.intersection(StateSet::ALL) != StateSet::ALL,
            Term::Pid(_) | Term::Program(_) | Term::ProgramLike(_) | Term::Protocol(_) => false,
            other => !other.needs_cgroup(),
        };
        if self.filter.mentions(excludes) {
            return false;
        }
        let end = Endpoint::new([0, 0, 0, 0], 0);
        let socket = Socket::bare(State::Close, end, end);
        let inode = socket.inode;
        let holder = Holder { inode, pid, fd: 0 };
        let known = Known {
            owner: Some((Owner::Process(&[holder]), self.holders())),
            cgroups: self.snapshot.cgroups.as_ref(),
            ..Known::of(&socket)
        };
        self.filter.decide(&known) == Some(true)
    }

    /// How long a CLOSE_WAIT may last before it counts, in milliseconds.
    pub fn grace_ms(&self) -> u64 {
        self.context.grace_ms
    }

    /// Why it is not known whether a CLOSE_WAIT socket is younger than the grace. A later reading
    /// tells, where it is given the [`Sightings`] of this one.
    pub fn age_uncertainty(&self, row: &Row<'_>) -> Option<AckSource> {
        let grace_ms = self.context.grace_ms;
        let open = row.socket.state == State::CloseWait && row.idle?.is_within(grace_ms).is_none();
        open.then(|| self.facts(row))?.age_uncertainty(grace_ms)
    }

    /// Whether a CLOSE_WAIT socket that would count may be younger than the grace. An answer that is
    /// stuck is a fault at any age.
    pub fn may_be_young(&self, row: &Row<'_>) -> bool {
        row.cause != Some(Cause::SendStuck) && self.age_uncertainty(row).is_some()
    }

    /// What a FIN_WAIT2 socket waits for that a process holds; `None` of others, and of those that
    /// have not lasted longer than the grace.
    pub fn wait(&self, row: &Row<'_>) -> Option<Wait> {
        Wait::of(self, row)
    }

    /// What is known of a CLOSE_WAIT socket.
    pub fn facts(&self, row: &Row<'_>) -> Facts {
        self.context.facts(row.socket, row.idle, &row.owner)
    }

    /// The other end of a connection within this namespace, if that closed first, its state, and
    /// who holds it.
    pub fn peer(&self, socket: &Socket) -> Option<(PeerEnd, State, &[Holder])> {
        let (end, peer) = self.context.peer(socket)?;
        Some((end, peer.state, self.holders().of(peer.inode)))
    }

    /// Whether a socket may exist that the tables did not show.
    pub fn may_miss_sockets(&self) -> bool {
        self.gaps.iter().any(|gap| {
            matches!(
                gap.kind,
                GapKind::DumpInterrupted
                    | GapKind::MptcpUnread
                    | GapKind::Malformed
                    | GapKind::FamilyUnread
                    | GapKind::UdpUnread
                    | GapKind::NetnsUnread
                    | GapKind::StateUnread
            )
        })
    }

    /// Whether the source does not show sockets in that state.
    pub fn hides(&self, state: State) -> bool {
        hidden_states(self.snapshot).contains(state)
    }

    /// Whether sockets in that state may be selected.
    pub fn asks_for(&self, state: State) -> bool {
        self.filter.states().contains(state)
    }

    /// Whether nothing is missing from the picture.
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Whether moreover there is no other network namespace that was not looked at.
    pub fn is_all_there_is(&self) -> bool {
        self.is_complete() && self.not_looked_at().is_none()
    }

    /// The network namespaces that were not looked at, in words.
    pub fn not_looked_at(&self) -> Option<Words> {
        self.snapshot.others.as_ref()?.words()
    }
}
