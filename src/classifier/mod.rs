//! Judgement: what the facts of a snapshot mean. Pure: no files, no clock, no environment.

pub mod age;
pub mod cause;
pub mod finding;
pub mod group;
pub mod listeners;
pub mod pairs;
pub mod patience;
pub mod queue;
pub mod severity;

use rustc_hash::FxHashMap;

use self::cause::{Facts, PeerEnd};
use self::group::{Group, Grouping};
use self::listeners::{Listener, Listeners};
use self::severity::Thresholds;
use crate::filter::{Filter, Known};
use crate::model::{
    Cause, Gap, GapKind, Hiding, Holder, Holders, Idle, Owner, Pid, Side, Snapshot, Socket, State,
    StateSet,
};

/// What to select and how to judge it.
#[derive(Debug, Clone)]
pub struct Rules {
    pub filter: Filter,
    /// How long a CLOSE_WAIT may last before it counts, in milliseconds.
    pub grace_ms: u64,
    pub thresholds: Thresholds,
}

/// One selected socket with everything that is concluded about it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub socket: &'a Socket,
    pub side: Side,
    pub owner: Owner<'a>,
    pub idle: Option<Idle>,
    /// Of CLOSE_WAIT sockets only.
    pub cause: Option<Cause>,
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
    judge: Judge<'a>,
    /// The selected sockets, in netstat's order: by family, listeners first.
    selected: Vec<Selected>,
    pub states: StateCounts,
    /// What could not be seen, of the collection and of the judgement.
    pub gaps: Vec<Gap>,
    /// Sockets of which the filter asks what is not known: they are not selected, and may be
    /// what was looked for.
    pub undecided: u64,
}

/// A selected socket and what was dear to conclude: 20 bytes, since there may be a million.
#[derive(Debug, Clone, Copy)]
struct Selected {
    socket: u32,
    side: Side,
    cause: Option<Cause>,
    owner: OwnerRef,
}

/// An [`Owner`] without its lifetime.
#[derive(Debug, Clone, Copy)]
enum OwnerRef {
    /// A range of the snapshot's holders.
    Process {
        start: u32,
        length: u32,
    },
    Listener,
    Kernel,
    Hidden(Hiding),
    Unread,
}

/// Selects, judges and groups the sockets of a snapshot.
pub fn classify<'a>(snapshot: &'a Snapshot, rules: &Rules) -> Report<'a> {
    let judge = Judge::new(snapshot, rules);
    let mut selected = Vec::new();
    let mut undecided = 0;
    let mut hidden = Hidden::default();
    let mut states = StateCounts::none_of(rules.filter.states());
    for (at, socket) in snapshot.sockets.iter().enumerate() {
        let Ok(number) = u32::try_from(at) else { break };
        let owner = judge.owner_ref(socket);
        let row = judge.row(socket, owner);
        match rules.filter.decide(&judge.known(&row)) {
            Some(true) => {
                states.add(socket.state);
                hidden.add(&row);
                selected.push(Selected {
                    socket: number,
                    side: row.side,
                    cause: row.cause,
                    owner,
                });
            }
            Some(false) => {}
            None => undecided += 1,
        }
    }
    selected.sort_by_key(|selected| {
        let socket = &snapshot.sockets[selected.socket as usize];
        (socket.family, socket.state != State::Listen)
    });
    let mut gaps = snapshot.gaps.clone();
    gaps.extend(hidden.gaps(snapshot, undecided));
    Report {
        snapshot,
        filter: rules.filter.clone(),
        judge,
        selected,
        states,
        gaps,
        undecided,
    }
}

impl<'a> Report<'a> {
    /// How many sockets are selected.
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

    /// The selected socket at a position below [`Report::len`].
    pub fn row(&self, at: usize) -> Row<'_> {
        let selected = self.selected[at];
        let socket = &self.snapshot.sockets[selected.socket as usize];
        Row {
            socket,
            side: selected.side,
            owner: self.judge.owner(socket, selected.owner),
            idle: age::idle(socket),
            cause: selected.cause,
        }
    }

    /// Who holds which socket, and the holders' names; empty where nobody asked.
    pub fn holders(&self) -> &Holders {
        self.judge.holders()
    }

    /// The groups, CLOSE_WAIT first and then the largest.
    pub fn groups(&self) -> Vec<Group> {
        let mut grouping = Grouping::default();
        for row in self.rows() {
            grouping.add(&row);
        }
        grouping.finish()
    }

    /// The Send-Q of a socket; `None` for a listener's limit where the source does not tell it.
    pub fn send_q(&self, socket: &Socket) -> Option<u32> {
        let told = socket.state != State::Listen || self.snapshot.source.tells_backlog();
        told.then_some(socket.send_q)
    }

    pub fn listeners(&self) -> &Listeners {
        &self.judge.listeners
    }

    /// Whether a connection to the listener would be selected, as far as can be told.
    pub fn asks_about(&self, listener: &Listener) -> bool {
        let Some(socket) = listener.sockets.first() else {
            return false;
        };
        let connection = Socket {
            state: State::CloseWait,
            ..self.snapshot.sockets[*socket].clone()
        };
        let known = Known {
            socket: &connection,
            side: Some(Side::Server),
            owner: Some((Owner::Listener(&listener.holders), self.holders())),
            idle: None,
            cause: None,
        };
        self.filter.decide(&known) != Some(false)
    }

    /// What is known of a CLOSE_WAIT socket.
    pub fn facts(&self, row: &Row<'_>) -> Facts {
        self.judge.facts(row.socket, row.side, row.idle, &row.owner)
    }

    /// The other end of a connection within this namespace, if that closed first, and who holds
    /// it.
    pub fn peer(&self, socket: &Socket) -> Option<(PeerEnd, &[Holder])> {
        let (end, peer) = self.judge.peer(socket)?;
        Some((end, self.holders().of(peer.inode)))
    }

    /// Whether a socket may exist that the tables did not show.
    pub fn may_miss_sockets(&self) -> bool {
        self.gaps.iter().any(|gap| {
            matches!(
                gap.kind,
                GapKind::DumpInterrupted | GapKind::Malformed | GapKind::FamilyUnread
            )
        })
    }

    /// Whether nothing is missing from the picture.
    pub fn is_complete(&self) -> bool {
        self.gaps.is_empty()
    }
}

/// What every judgement of one snapshot rests on.
#[derive(Debug)]
struct Judge<'a> {
    snapshot: &'a Snapshot,
    listeners: Listeners,
    /// Positions of the sockets that closed first, ordered by (local, remote) end.
    closers: Vec<u32>,
    no_holders: Holders,
    grace_ms: u64,
    /// Processes that hold several sockets older than themselves, ordered.
    heirs: Vec<Pid>,
}

impl<'a> Judge<'a> {
    fn new(snapshot: &'a Snapshot, rules: &Rules) -> Judge<'a> {
        let sockets = &snapshot.sockets;
        let mut closers = Vec::new();
        if sockets
            .iter()
            .any(|socket| socket.state == State::CloseWait)
        {
            closers.extend(
                (0u32..)
                    .zip(sockets)
                    .filter(|(_, socket)| is_closer(socket))
                    .map(|(at, _)| at),
            );
            closers.sort_unstable_by_key(|at| ends(&sockets[*at as usize]));
        }
        Judge {
            snapshot,
            listeners: Listeners::of(snapshot),
            closers,
            no_holders: Holders::default(),
            grace_ms: rules.grace_ms,
            heirs: heirs(snapshot),
        }
    }

    fn row<'b>(&'b self, socket: &'b Socket, owner: OwnerRef) -> Row<'b> {
        let side = self.listeners.side(socket, &self.snapshot.host);
        let owner = self.owner(socket, owner);
        let idle = age::idle(socket);
        let cause = (socket.state == State::CloseWait)
            .then(|| cause::cause(&self.facts(socket, side, idle, &owner), self.grace_ms));
        Row {
            socket,
            side,
            owner,
            idle,
            cause,
        }
    }

    fn holders(&self) -> &Holders {
        self.snapshot.holders.as_ref().unwrap_or(&self.no_holders)
    }

    fn known<'b>(&'b self, row: &Row<'b>) -> Known<'b> {
        Known {
            socket: row.socket,
            side: Some(row.side),
            owner: Some((row.owner, self.holders())),
            idle: row.idle,
            cause: Some(row.cause),
        }
    }

    fn owner_ref(&self, socket: &Socket) -> OwnerRef {
        let Some(holders) = &self.snapshot.holders else {
            return OwnerRef::Unread;
        };
        if socket.is_unaccepted() {
            return OwnerRef::Listener;
        }
        if socket.inode == 0 {
            return OwnerRef::Kernel;
        }
        let range = holders.range(socket.inode);
        match (u32::try_from(range.start), u32::try_from(range.len())) {
            (Ok(start), Ok(length @ 1..)) => OwnerRef::Process { start, length },
            _ => OwnerRef::Hidden(hiding(self.snapshot)),
        }
    }

    fn owner(&self, socket: &Socket, owner: OwnerRef) -> Owner<'_> {
        match owner {
            OwnerRef::Process { start, length } => {
                let start = start as usize;
                Owner::Process(self.holders().at(start..start + length as usize))
            }
            OwnerRef::Listener => {
                let listener = self.listeners.covering(socket);
                Owner::Listener(listener.map_or(&[], |listener| &listener.holders))
            }
            OwnerRef::Kernel => Owner::Kernel,
            OwnerRef::Hidden(hiding) => Owner::Hidden(hiding),
            OwnerRef::Unread => Owner::Unread,
        }
    }

    fn facts(&self, socket: &Socket, side: Side, idle: Option<Idle>, owner: &Owner<'_>) -> Facts {
        let tcp = socket.tcp.as_ref();
        let milliseconds = |field: Option<u32>| field.map(u64::from);
        Facts {
            side,
            accepted: socket.inode != 0,
            recv_q: socket.recv_q,
            send_q: socket.send_q,
            timer: socket.timer,
            idle,
            last_data_sent_ms: milliseconds(tcp.and_then(|tcp| tcp.last_data_sent())),
            last_data_recv_ms: milliseconds(tcp.and_then(|tcp| tcp.last_data_recv())),
            ever_sent: tcp
                .and_then(|tcp| tcp.data_segs_out())
                .map(|segments| segments > 0),
            peer: self.peer(socket).map(|(end, _)| end),
            inherited: self.inherited(owner),
        }
    }

    /// The other end of the same connection, if it is in this namespace and closed first.
    fn peer(&self, socket: &Socket) -> Option<(PeerEnd, &Socket)> {
        let wanted = (socket.remote.canonical(), socket.local.canonical());
        let sockets = &self.snapshot.sockets;
        let at = self
            .closers
            .binary_search_by_key(&wanted, |at| ends(&sockets[*at as usize]))
            .ok()?;
        let peer = &sockets[self.closers[at] as usize];
        let end = if peer.inode == 0 {
            PeerEnd::Orphaned
        } else {
            PeerEnd::Waiting
        };
        Some((end, peer))
    }

    /// Whether more than one process holds the socket, or one that is younger than its last
    /// byte and holds several such: a server that forks for each connection holds one.
    fn inherited(&self, owner: &Owner<'_>) -> Option<bool> {
        let Owner::Process([first, rest @ ..]) = owner else {
            return None;
        };
        let shared = rest.iter().any(|holder| holder.pid != first.pid);
        Some(shared || self.heirs.binary_search(&first.pid).is_ok())
    }
}

/// How much younger than the last byte of a socket its holder must be to have inherited it. A
/// byte can lie in the accept queue for a while before a process is forked for it.
const HEIR_MARGIN_MS: u64 = 1_000;

/// The processes that hold several CLOSE_WAIT sockets whose last byte came in before they
/// started.
fn heirs(snapshot: &Snapshot) -> Vec<Pid> {
    let Some(holders) = &snapshot.holders else {
        return Vec::new();
    };
    let mut counts: FxHashMap<Pid, u32> = FxHashMap::default();
    for socket in &snapshot.sockets {
        if socket.state != State::CloseWait {
            continue;
        }
        let received = socket.tcp.and_then(|tcp| tcp.last_data_recv());
        for holder in holders.of(socket.inode) {
            let older = holders
                .age_ms(holder.pid)
                .zip(received)
                .is_some_and(|(age, received)| u64::from(received) > age + HEIR_MARGIN_MS);
            if older {
                *counts.entry(holder.pid).or_default() += 1;
            }
        }
    }
    let mut heirs: Vec<Pid> = counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(pid, _)| pid)
        .collect();
    heirs.sort_unstable();
    heirs
}

fn is_closer(socket: &Socket) -> bool {
    matches!(socket.state, State::FinWait1 | State::FinWait2)
}

fn ends(socket: &Socket) -> (crate::model::Endpoint, crate::model::Endpoint) {
    (socket.local.canonical(), socket.remote.canonical())
}

/// Why a holder may have gone unseen in this snapshot.
pub fn hiding(snapshot: &Snapshot) -> Hiding {
    let scan = snapshot.scan;
    match (scan.processes_read < scan.processes_seen, scan.privileged) {
        (true, false) => Hiding::NeedsRoot,
        (true, true) => Hiding::Refused,
        (false, _) => Hiding::Elsewhere,
    }
}

/// Counts selected sockets whose owner is not known.
#[derive(Default)]
struct Hidden {
    needs_root: u64,
    refused: u64,
    elsewhere: u64,
    listener_unknown: u64,
}

impl Hidden {
    fn add(&mut self, row: &Row<'_>) {
        match row.owner {
            Owner::Hidden(Hiding::NeedsRoot) => self.needs_root += 1,
            Owner::Hidden(Hiding::Refused) => self.refused += 1,
            Owner::Hidden(Hiding::Elsewhere) => self.elsewhere += 1,
            Owner::Listener([]) => self.listener_unknown += 1,
            _ => {}
        }
    }

    fn gaps(&self, snapshot: &Snapshot, undecided: u64) -> Vec<Gap> {
        let scan = snapshot.scan;
        let unread = scan.processes_seen.saturating_sub(scan.processes_read);
        let of_all = format!("{unread} of {} processes", scan.processes_seen);
        let told: [(GapKind, u64, String, &'static str); 5] = [
            (
                GapKind::OwnersHidden,
                self.needs_root,
                format!("with a hidden owner: {of_all} may not be read"),
                "run as root to see every owner",
            ),
            (
                GapKind::OwnersHidden,
                self.refused,
                format!("with a hidden owner: {of_all} refused to be read, even to root"),
                "another user namespace or a security module keeps them apart",
            ),
            (
                GapKind::OwnersHidden,
                self.elsewhere,
                "held by no process in sight: by one in another PID namespace, by the kernel, or \
                 closed while this ran"
                    .to_owned(),
                "run it on the host, or with the host's --proc",
            ),
            (
                GapKind::ListenerUnknown,
                self.listener_unknown,
                "not accepted, by a listener whose process was not seen".to_owned(),
                "run as root in the listener's namespace",
            ),
            (
                GapKind::Undecided,
                undecided,
                "left out: the filter asks for an owner or an age that is not known".to_owned(),
                "run as root, or select by state and port alone",
            ),
        ];
        told.into_iter()
            .filter(|(_, count, ..)| *count > 0)
            .map(|(kind, count, detail, hint)| {
                let plural = if count == 1 { "" } else { "s" };
                Gap {
                    kind,
                    count,
                    detail: format!("{count} socket{plural} {detail}"),
                    hint: hint.into(),
                }
            })
            .collect()
    }
}
