//! Half-open connections: the SYN queues of listeners that many SYN_RECV sockets fill.

use rustc_hash::{FxHashMap, FxHashSet};

use super::listeners::{Bound, Listener};
use super::report::Report;
use super::rules::{SYN_QUEUE_FEW, SYN_QUEUE_NOTABLE};
use crate::model::{Settings, Socket, State};

/// The SYN queue of one listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynQueue {
    /// The listening address.
    pub bound: Bound,
    /// Connections in SYN_RECV.
    pub half_open: u64,
    /// Those whose SYN-ACK was sent again, because the client has not answered for a second or more.
    pub retransmitted: u64,
    /// How many addresses they came from.
    pub addresses: u64,
    /// How many the queue holds; the kernel allows one more.
    pub limit: u64,
    /// `net.ipv4.tcp_max_syn_backlog` sets the limit, not the backlog of the listener.
    pub at_max_syn_backlog: bool,
    /// Whether the kernel answers with SYN cookies if the queue is full; `None` if unknown.
    pub cookies: Option<bool>,
}

impl SynQueue {
    pub fn is_full(&self) -> bool {
        self.half_open >= self.limit
    }
}

/// The SYN queues that are filled to a notable degree by clients that do not answer, and that the selection
/// is about; those with the most connections first.
/// A queue behind a full accept queue is left out: the kernel keeps its connections half-open whatever
/// their clients do, and the accept queue is a finding of its own.
pub fn syn_queues(report: &Report<'_>) -> Vec<SynQueue> {
    let is_half_open = |socket: &Socket| socket.state == State::SynRecv && socket.inode == 0;
    let covering = |socket| report.listeners().covering(socket);
    let selected: FxHashSet<Bound> = (report.rows())
        .filter(|row| is_half_open(row.socket))
        .filter_map(|row| Some(covering(row.socket)?.bound))
        .collect();
    if selected.is_empty() {
        return Vec::new();
    }
    let mut by_listener: FxHashMap<Bound, (&Listener, Vec<&Socket>)> = FxHashMap::default();
    for socket in (report.snapshot.sockets.iter()).filter(|socket| is_half_open(socket)) {
        if let Some(listener) = covering(socket).filter(|one| selected.contains(&one.bound)) {
            let (_, half_open) = by_listener
                .entry(listener.bound)
                .or_insert((listener, Vec::new()));
            half_open.push(socket);
        }
    }
    let found = by_listener.into_values();
    let mut queues: Vec<SynQueue> = found
        .filter_map(|(listener, half_open)| syn_queue(report, listener, &half_open))
        .collect();
    queues.sort_by_key(|queue| (std::cmp::Reverse(queue.half_open), queue.bound));
    queues
}

fn syn_queue(report: &Report<'_>, listener: &Listener, half_open: &[&Socket]) -> Option<SynQueue> {
    let namespace = report.snapshot.netns(listener.bound.netns);
    if !namespace.source.reports_backlog() {
        return None;
    }
    let sockets = || {
        listener
            .sockets
            .iter()
            .map(|at| &report.snapshot.sockets[*at])
    };
    if sockets().any(|socket| socket.recv_q >= socket.send_q.max(1)) {
        return None;
    }
    let backlog: u64 = sockets().map(|socket| u64::from(socket.send_q)).sum();
    let of_sysctl = max_syn_backlog(&namespace.settings, sockets().count());
    let was_sent_again =
        |socket: &&&Socket| socket.timer.is_some_and(|timer| timer.retransmits > 0);
    let addresses = half_open
        .iter()
        .map(|socket| socket.remote.canonical().addr);
    let queue = SynQueue {
        bound: listener.bound,
        half_open: half_open.len() as u64,
        retransmitted: half_open.iter().filter(was_sent_again).count() as u64,
        addresses: addresses.collect::<FxHashSet<_>>().len() as u64,
        limit: of_sysctl.map_or(backlog, |limit| limit.min(backlog)),
        at_max_syn_backlog: of_sysctl.is_some_and(|limit| limit < backlog),
        cookies: namespace.settings.syncookies.map(|when| when > 0),
    };
    let percent = queue.half_open.saturating_mul(100) / queue.limit.max(1);
    let lasts = queue.retransmitted > 0 || (queue.is_full() && queue.half_open >= SYN_QUEUE_FEW);
    (percent >= SYN_QUEUE_NOTABLE && lasts).then_some(queue)
}

/// The limit that `tcp_max_syn_backlog` sets on the SYN queues of so many listening sockets. It counts only without
/// SYN cookies; its last quarter is for clients that the kernel knows (`net/ipv4/tcp_input.c`,
/// `tcp_conn_request`).
fn max_syn_backlog(settings: &Settings, sockets: usize) -> Option<u64> {
    if settings.syncookies? != 0 {
        return None;
    }
    let all = u64::from(settings.max_syn_backlog?);
    Some((all - all / 4).saturating_mul(sockets as u64))
}
