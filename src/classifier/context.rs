//! Context: what every judgement of one snapshot uses: listeners, sides, owners, other ends of
//! connections, inheritance.

use std::num::NonZeroU32;
use std::sync::{Mutex, OnceLock};

use rustc_hash::FxHashMap;

use super::age::{self, Sightings};
use super::cause;
use super::facts::{Facts, PeerEnd};
use super::hidden_owners::hidden_reason;
use super::inheritance::{has_inherited, inheritors, received};
use super::requests::Requests;
use super::row::Row;
use super::rules::Rules;
use super::side::Sides;
use crate::filter::Known;
use crate::model::{
    Causes, Endpoint, HiddenReason, Holders, Idle, Owner, Pid, Protocol, Snapshot, Socket, State,
    TimerKind,
};

/// An [`Owner`] without its lifetime.
#[derive(Debug, Clone, Copy)]
pub(super) enum OwnerRef {
    /// A range of the snapshot's holders.
    Process {
        start: u32,
        length: u32,
    },
    Listener,
    Kernel,
    Hidden(HiddenReason),
    Unread,
}

/// What is uncertain about a socket.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Uncertainty {
    /// Causes that it may have instead of its own.
    causes: Causes,
    /// Something resets the lower bound of its age, which then proves nothing.
    age: bool,
}

/// The unanswered requests of processes, by network namespace.
type Asked = FxHashMap<(u16, Vec<Pid>), Vec<Requests>>;

/// What every judgement of one snapshot uses.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) sides: Sides<'a>,
    /// Positions of the sockets that closed first, ordered by namespace, local end and remote end.
    closed_first: Vec<u32>,
    no_holders: Holders,
    pub(super) grace_ms: u64,
    seen: Sightings,
    /// For each MPTCP connection with subflows, by namespace and token: one of its subflows if none
    /// of them gets data acknowledged, else `None`.
    stuck: FxHashMap<(u16, NonZeroU32), Option<&'a Socket>>,
    /// Processes that inherited several sockets, ordered.
    inheritors: Vec<Pid>,
    /// Positions of the sockets that each process holds. Built on first use, because findings look
    /// up the same few processes many times.
    held: OnceLock<FxHashMap<Pid, Vec<u32>>>,
    /// A cache of unanswered requests. Many findings lead to the same services, and they are judged
    /// again after the processes of those services were read.
    pub(super) asked: Mutex<Asked>,
}

impl<'a> Context<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, rules: &Rules) -> Context<'a> {
        let sockets = &snapshot.sockets;
        let mut closed_first = Vec::new();
        if sockets
            .iter()
            .any(|socket| socket.state == State::CloseWait)
        {
            closed_first.extend(
                (0u32..)
                    .zip(sockets)
                    .filter(|(_, socket)| socket.closed_first())
                    .map(|(at, _)| at),
            );
            closed_first.sort_unstable_by_key(|at| ends(&sockets[*at as usize]));
        }
        let sides = Sides::of(snapshot);
        let inheritors = inheritors(snapshot, &sides.listeners);
        Context {
            snapshot,
            sides,
            closed_first,
            no_holders: Holders::default(),
            grace_ms: rules.grace_ms,
            seen: rules.seen.clone(),
            stuck: stuck(&snapshot.subflows),
            inheritors,
            held: OnceLock::new(),
            asked: Mutex::default(),
        }
    }

    /// Everything that is concluded about a socket, and what is uncertain about it.
    pub(super) fn row<'b>(&'b self, socket: &'b Socket, owner: OwnerRef) -> (Row<'b>, Uncertainty) {
        let owner = self.owner(socket, owner);
        let idle = self.idle(socket);
        let mut row = Row {
            socket,
            sides: &self.sides,
            owner,
            idle,
            cause: None,
            missing: None,
            change: None,
        };
        let mut uncertainty = Uncertainty::default();
        if socket.state == State::CloseWait {
            let facts = self.facts(socket, idle, &owner);
            let judged = cause::cause(&facts, self.grace_ms);
            row.cause = Some(judged.cause);
            row.missing = judged.missing;
            uncertainty.causes = judged.alternatives;
            uncertainty.age =
                row.lingers() != Some(false) && facts.ack_source(self.grace_ms).is_some();
        }
        (row, uncertainty)
    }

    pub(super) fn idle(&self, socket: &Socket) -> Option<Idle> {
        age::idle(self.snapshot, socket, &self.seen)
    }

    /// How long nothing has been received on a FIN_WAIT2 socket.
    pub(super) fn silence(&self, socket: &Socket) -> Option<Idle> {
        age::silence(self.snapshot, socket, &self.seen)
    }

    pub(super) fn holders(&self) -> &Holders {
        self.snapshot.holders.as_ref().unwrap_or(&self.no_holders)
    }

    /// The sockets of the snapshot that a process holds, also those that it shares.
    pub(super) fn held(&self, pid: Pid) -> impl Iterator<Item = &'a Socket> {
        let of_all = || {
            let mut held: FxHashMap<Pid, Vec<u32>> = FxHashMap::default();
            for (at, socket) in (0u32..).zip(&self.snapshot.sockets) {
                let holders = self.holders().of(socket.inode);
                // A process may hold it by several descriptors, which are adjacent.
                for each in holders.chunk_by(|one, next| one.pid == next.pid) {
                    held.entry(each[0].pid).or_default().push(at);
                }
            }
            held
        };
        let held = self.held.get_or_init(of_all).get(&pid);
        let sockets = &self.snapshot.sockets;
        held.into_iter().flatten().map(|at| &sockets[*at as usize])
    }

    pub(super) fn known<'b>(&'b self, row: &Row<'b>, uncertainty: Uncertainty) -> Known<'b> {
        Known {
            socket: row.socket,
            side: row.side(),
            owner: Some((row.owner, self.holders())),
            idle: row.idle,
            is_renewed: uncertainty.age,
            cause: Some(row.cause),
            alternatives: uncertainty.causes,
            netns: Some(self.snapshot.namespace(row.socket)),
            cgroups: self.snapshot.cgroups.as_ref(),
        }
    }

    pub(super) fn owner_ref(&self, socket: &Socket) -> OwnerRef {
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
            _ if holders.is_closed(socket.inode) => OwnerRef::Kernel,
            _ => OwnerRef::Hidden(hidden_reason(self.snapshot)),
        }
    }

    pub(super) fn owner(&self, socket: &Socket, owner: OwnerRef) -> Owner<'_> {
        match owner {
            OwnerRef::Process { start, length } => {
                let start = start as usize;
                Owner::Process(self.holders().at(start..start + length as usize))
            }
            OwnerRef::Listener => {
                let listener = self.sides.listeners.queue_of(socket);
                Owner::Listener(listener.map_or(&[], |listener| &listener.holders))
            }
            OwnerRef::Kernel => Owner::Kernel,
            OwnerRef::Hidden(hidden_reason) => Owner::Hidden(hidden_reason),
            OwnerRef::Unread => Owner::Unread,
        }
    }

    pub(super) fn facts(&self, socket: &Socket, idle: Option<Idle>, owner: &Owner<'_>) -> Facts {
        let tcp = socket.tcp.as_ref();
        // An MPTCP connection has no timers; its subflows have.
        let sender = self.sender(socket);
        Facts {
            tick: self.snapshot.host.tick,
            side: self.sides.side(socket),
            accepted: socket.inode != 0,
            recv_q: socket.recv_q,
            counts_fin: match socket.protocol {
                Protocol::Mptcp | Protocol::Subflow => false,
                // It may be a subflow that the source does not distinguish.
                _ => socket.recv_q != 0 || !self.snapshot.namespace(socket).hides_subflows,
            },
            send_q: socket.send_q,
            timer: sender.timer,
            backoff: sender.tcp.and_then(|tcp| tcp.backoff()),
            idle,
            sent: tcp.and_then(|tcp| tcp.last_data_sent()),
            received: tcp.and_then(|tcp| received(socket, tcp)),
            acked: tcp.and_then(|tcp| tcp.last_ack_recv()),
            ever_sent: tcp
                .and_then(|tcp| tcp.data_segs_out())
                .map(|segments| segments > 0),
            pieces: tcp.and_then(|tcp| tcp.data_segs_out()),
            // The FIN counts as one byte.
            ever_received: tcp
                .and_then(|tcp| tcp.bytes_received())
                .map(|bytes| bytes > u64::from(socket.state == State::CloseWait)),
            read_before: tcp
                .and_then(|tcp| tcp.bytes_received())
                .map(|bytes| bytes > u64::from(socket.recv_q)),
            // Only causes of CLOSE_WAIT depend on it.
            peer: (socket.state == State::CloseWait)
                .then(|| self.peer(socket))
                .flatten()
                .map(|(end, _)| end),
            inherited: self.inherited(socket, owner),
            unmeasured: socket.unmeasured,
        }
    }

    /// The socket that sends what the program writes: this one, or a subflow.
    fn sender<'b>(&'b self, socket: &'b Socket) -> &'b Socket {
        let subflow = match socket.protocol {
            Protocol::Mptcp => socket
                .token
                .and_then(|token| *self.stuck.get(&(socket.netns, token))?),
            _ => None,
        };
        subflow.unwrap_or(socket)
    }

    /// The other end of the same connection, if it is in this network namespace and closed first.
    pub(super) fn peer(&self, socket: &Socket) -> Option<(PeerEnd, &Socket)> {
        let wanted = (
            socket.netns,
            socket.remote.canonical(),
            socket.local.canonical(),
        );
        let sockets = &self.snapshot.sockets;
        let at = self
            .closed_first
            .binary_search_by_key(&wanted, |at| ends(&sockets[*at as usize]))
            .ok()?;
        let peer = &sockets[self.closed_first[at] as usize];
        let end = if peer.inode == 0 {
            PeerEnd::Orphaned
        } else {
            PeerEnd::Waiting
        };
        Some((end, peer))
    }

    /// Whether more than one process holds the socket, or its only holder is known to have
    /// inherited several sockets.
    pub(super) fn inherited(&self, socket: &Socket, owner: &Owner<'_>) -> Option<bool> {
        let Owner::Process(holders) = owner else {
            return None;
        };
        // Between fork(2) and execve(2) a child holds everything that its parent holds, for
        // milliseconds.
        let settled = |pid| {
            let age = self.holders().age_ms(pid);
            age.is_none_or(|age| age >= CHILD_GRACE_MS)
        };
        let mut pids = holders
            .iter()
            .map(|holder| holder.pid)
            .filter(|pid| settled(*pid));
        let Some(first) = pids.next() else {
            return Some(false);
        };
        // A process that inherited sockets also opens its own.
        let is_one = || {
            let listener = self.sides.listeners.covering(socket);
            let listener = listener.map_or([].as_slice(), |listener| &listener.holders);
            self.inheritors.binary_search(&first).is_ok()
                && has_inherited(socket, first, listener, self.holders())
        };
        Some(pids.any(|pid| pid != first) || is_one())
    }
}

fn stuck(subflows: &[Socket]) -> FxHashMap<(u16, NonZeroU32), Option<&Socket>> {
    let mut stuck = FxHashMap::default();
    for subflow in subflows {
        let Some(token) = subflow.token else { continue };
        let pushes = subflow.send_q > 0
            && subflow.timer.is_some_and(|timer| {
                matches!(timer.kind, TimerKind::Retransmit | TimerKind::Probe)
            });
        let one = stuck.entry((subflow.netns, token)).or_insert(Some(subflow));
        *one = one.filter(|_| pushes);
    }
    stuck
}

/// The age from which on a second holder counts, in milliseconds.
const CHILD_GRACE_MS: u64 = 1_000;

/// The network namespace, the local and the remote end.
fn ends(socket: &Socket) -> (u16, Endpoint, Endpoint) {
    (
        socket.netns,
        socket.local.canonical(),
        socket.remote.canonical(),
    )
}
