//! Report: a snapshot, judged. It keeps 20 bytes for each selected socket; rows are made from them.

use rustc_hash::FxHashMap;

use super::cause::AckSource;
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

/// A snapshot, judged.
#[derive(Debug)]
pub struct Report<'a> {
    pub snapshot: &'a Snapshot,
    pub(super) filter: Filter,
    pub(super) context: Context<'a>,
    /// The selected sockets, in netstat's order: by namespace and family, listeners first.
    pub(super) selected: Vec<Selected>,
    /// The selected ones of [`Snapshot::subflows`], for listings.
    pub(super) subflows: Vec<Selected>,
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
pub(super) struct Selected {
    pub(super) socket: u32,
    pub(super) cause: Option<Cause>,
    pub(super) missing: Option<Missing>,
    pub(super) owner: OwnerRef,
}

/// The states that the source does not show: none of them is not counted as 0.
pub(super) fn hidden_states(snapshot: &Snapshot) -> StateSet {
    let is_hidden = |gap: &Gap| gap.kind == GapKind::StateUnread;
    match snapshot.gaps.iter().any(is_hidden) {
        true => StateSet::of(State::BoundInactive),
        false => StateSet::NONE,
    }
}

/// What an MPTCP connection or listener has in common with its subflows, and with no other.
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
    pub(super) fn judged<'b>(&'b self, socket: &'b Socket) -> Row<'b> {
        self.context.row(socket, self.context.owner_ref(socket)).0
    }

    /// Who holds which socket, and the holders' names; empty where nobody asked.
    pub fn holders(&self) -> &Holders {
        self.context.holders()
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
