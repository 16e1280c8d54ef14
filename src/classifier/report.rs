//! Report: a judged snapshot. It keeps 20 bytes for each selected socket and makes rows on demand.

use rustc_hash::FxHashMap;

use super::cause::AckSource;
use super::change::Presence;
use super::context::{Context, OwnerRef};
use super::facts::{Facts, PeerEnd};
use super::listeners::Listeners;
use super::row::Row;
use super::state_counts::StateCounts;
use crate::filter::Filter;
use crate::model::{
    Cause, Gap, GapKind, Holder, Holders, Missing, Protocol, Resolved, Snapshot, Socket, State,
    StateSet, Words,
};

/// A judged snapshot.
#[derive(Debug)]
pub struct Report<'a> {
    pub snapshot: &'a Snapshot,
    pub(super) filter: Filter,
    pub(super) context: Context<'a>,
    /// The selected sockets in netstat's order: by namespace and family, listeners first.
    pub(super) selected: Vec<Selected>,
    /// The selected [`Snapshot::subflows`], for listings.
    pub(super) subflows: Vec<Selected>,
    /// Of TCP, including MPTCP connections.
    pub states: StateCounts,
    /// Of UDP; `None` if UDP was not asked for.
    pub udp: Option<StateCounts>,
    /// What could not be read, and what could not be judged.
    pub gaps: Vec<Gap>,
    /// How many sockets could not be matched, because the filter needs an unknown fact. They are
    /// not selected.
    pub undecided: u64,
    /// Names of addresses and ports; empty if they were not asked for.
    pub resolved: Resolved,
    /// For each selected socket, whether it is in both of two readings; empty if there is only one.
    pub(super) changes: Vec<Option<Presence>>,
}

/// A selected socket, and results that are expensive to recompute: 20 bytes, because there may be a
/// million.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selected {
    pub(super) socket: u32,
    pub(super) cause: Option<Cause>,
    pub(super) missing: Option<Missing>,
    pub(super) owner: OwnerRef,
}

/// The states that the source does not show: that none was found is not a count of 0.
pub(super) fn hidden_states(snapshot: &Snapshot) -> StateSet {
    let is_hidden = |gap: &Gap| gap.kind == GapKind::StateUnread;
    match snapshot.gaps.iter().any(is_hidden) {
        true => StateSet::of(State::BoundInactive),
        false => StateSet::NONE,
    }
}

/// What an MPTCP connection or listener shares with its subflows, and with no other socket.
pub(super) fn connection(socket: &Socket) -> Option<(u16, bool, u32)> {
    let listens = socket.state == State::Listen;
    let number = match (socket.protocol, listens) {
        (Protocol::Tcp | Protocol::Udp, _) => return None,
        (_, true) => socket.inode,
        (_, false) => socket.token?.get(),
    };
    Some((socket.netns, listens, number))
}

impl<'a> Report<'a> {
    /// How many sockets are selected, without subflows.
    pub fn len(&self) -> usize {
        self.selected.len()
    }

    pub fn is_empty(&self) -> bool {
        self.selected.is_empty()
    }

    /// The selected sockets, one at a time.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|at| self.row(at))
    }

    /// How many lines a listing has: one for each selected socket and subflow.
    pub fn listed(&self) -> usize {
        self.selected.len() + self.subflows.len()
    }

    /// The order of a listing, as positions below [`Report::listed`]: each subflow after its
    /// connection. `None` if that is the order of the positions.
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

    /// The selected socket at a position below [`Report::listed`]; positions from [`Report::len`]
    /// on are subflows.
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
            change: self.changes.get(at).copied().flatten(),
        }
    }

    /// All conclusions about any socket of the snapshot, selected or not.
    pub(super) fn judged<'b>(&'b self, socket: &'b Socket) -> Row<'b> {
        self.context.row(socket, self.context.owner_ref(socket)).0
    }

    /// Who holds which socket, and the names of the holders; empty if holders were not read.
    pub fn holders(&self) -> &Holders {
        self.context.holders()
    }

    /// The Send-Q of a socket; `None` for a listener if the source does not report its limit.
    pub fn send_q(&self, socket: &Socket) -> Option<u32> {
        let is_known = socket.state != State::Listen
            || self.snapshot.namespace(socket).source.reports_backlog();
        is_known.then_some(socket.send_q)
    }

    pub fn listeners(&self) -> &Listeners {
        &self.context.sides.listeners
    }

    /// How long a CLOSE_WAIT may last before it counts, in milliseconds.
    pub fn grace_ms(&self) -> u64 {
        self.context.grace_ms
    }

    /// Why it is unknown whether a CLOSE_WAIT socket is younger than the grace. A later reading
    /// that gets the [`Sightings`] of this one can tell.
    pub fn age_uncertainty(&self, row: &Row<'_>) -> Option<AckSource> {
        let grace_ms = self.context.grace_ms;
        let open = row.socket.state == State::CloseWait && row.idle?.is_within(grace_ms).is_none();
        open.then(|| self.facts(row))?.age_uncertainty(grace_ms)
    }

    /// Whether a CLOSE_WAIT socket that would count may be younger than the grace. A stuck answer
    /// is a fault at any age.
    pub fn may_be_young(&self, row: &Row<'_>) -> bool {
        row.cause != Some(Cause::SendStuck) && self.age_uncertainty(row).is_some()
    }

    /// The facts about a CLOSE_WAIT socket.
    pub fn facts(&self, row: &Row<'_>) -> Facts {
        self.context.facts(row.socket, row.idle, &row.owner)
    }

    /// The other end of a connection, if it is in the same network namespace and closed first: what
    /// became of it, its state, and its holders.
    pub fn peer(&self, socket: &Socket) -> Option<(PeerEnd, State, &[Holder])> {
        let (end, peer) = self.context.peer(socket)?;
        Some((end, peer.state, self.holders().of(peer.inode)))
    }

    /// Whether sockets may exist that are not in the tables that were read.
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

    /// Whether the view is complete.
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Whether the view is complete and no other network namespace was left out.
    pub fn is_all_there_is(&self) -> bool {
        self.is_complete() && self.not_looked_at().is_none()
    }

    /// The network namespaces that were not read, in words.
    pub fn not_looked_at(&self) -> Option<Words> {
        self.snapshot.others.as_ref()?.words()
    }
}
