//! FIN_WAIT2 that a process holds: it has closed its direction and waits for the remote end. After
//! the grace the remote end is in CLOSE_WAIT and has to close.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::report::Report;
use super::row::Row;
use crate::model::{Endpoint, Idle, Owner, Protocol, Side, Socket, State, TimerKind};

/// How long a request whose sender has closed its direction may be processed before its wait
/// counts, or an answer may stay unread, in milliseconds: the timeout of common proxies, and of the
/// kernel for a FIN_WAIT2 without a process.
const ANSWER_MS: u64 = 60_000;
/// A FIN that was acknowledged within this time after the last byte was sent, in milliseconds,
/// belongs to the request; this includes the round trip. A later FIN shows that this side gave up.
const BEHIND_MS: u64 = 1_000;

/// What a FIN_WAIT2 socket that a process holds waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// How long nothing has been received from the remote end.
    pub silence: Idle,
    /// Keepalive hides whether that is longer than the grace.
    pub hidden: bool,
    /// Whether the last bytes that this side sent are unanswered; `None` if it is the server, or
    /// that is unknown.
    pub unanswered: Option<bool>,
    /// It may be a request in progress: closing only means that no more data follows.
    pub asks: bool,
}

impl Wait {
    /// `None` unless a process holds the FIN_WAIT2 and it may be older than the grace. Without
    /// times, nothing shows that a download has ended.
    pub(super) fn of(report: &Report<'_>, row: &Row<'_>) -> Option<Wait> {
        let socket = row.socket;
        let held = socket.inode != 0 && !matches!(row.owner, Owner::Kernel);
        if socket.state != State::FinWait2 || socket.protocol != Protocol::Tcp || !held {
            return None;
        }
        let silence = report.context.silence(socket)?;
        let renews = socket
            .timer
            .is_some_and(|timer| timer.kind == TimerKind::Keepalive);
        let hidden = match silence.is_within(report.context.grace_ms) {
            Some(false) => false,
            None if renews => true,
            // The acknowledgement is that of the FIN.
            Some(true) | None => return None,
        };
        let in_time = silence.is_within(ANSWER_MS) != Some(false);
        // A slow reader opens its window in steps, and the remote end sends nothing in between.
        if in_time && (socket.recv_q > 0 || may_go_on(socket, silence)) {
            return None;
        }
        let unanswered = unanswered(report, row);
        Some(Wait {
            silence,
            hidden,
            unanswered,
            asks: in_time && unanswered == Some(true) && (renews || is_behind(report, socket)),
        })
    }

    /// Whether it is certainly a fault.
    pub fn counts(self) -> bool {
        !self.hidden && !self.asks
    }
}

/// Whether an answer that arrives in pieces may continue: its pause is no longer than it has gone
/// on since this side last sent.
fn may_go_on(socket: &Socket, silence: Idle) -> bool {
    let times = socket
        .tcp
        .and_then(|tcp| Some((tcp.last_data_sent()?, tcp.last_data_recv()?)));
    times.is_some_and(|(sent, received)| {
        let (sent, received) = (sent.milliseconds(), received.milliseconds());
        let went_on_ms = sent.saturating_sub(received);
        silence.at_least_ms <= went_on_ms && received <= went_on_ms
    })
}

/// Whether the last bytes of this side are unanswered, if it is the client.
fn unanswered(report: &Report<'_>, row: &Row<'_>) -> Option<bool> {
    let tcp = row.socket.tcp?;
    if row.side()? == Side::Server {
        return None;
    }
    if tcp.bytes_received() == Some(0) {
        return Some(true);
    }
    let tick = report.snapshot.host.tick;
    tcp.last_data_sent()?.is_after(tcp.last_data_recv()?, tick)
}

/// Whether the FIN came right after the last byte, if nothing has reset its acknowledgement.
fn is_behind(report: &Report<'_>, socket: &Socket) -> bool {
    let times = socket
        .tcp
        .and_then(|tcp| Some((tcp.last_data_sent()?, tcp.last_ack_recv()?)));
    let tick = report.snapshot.host.tick;
    times.is_some_and(|(sent, acked)| sent.may_be_within(BEHIND_MS, acked, tick))
}

/// Remote ends that are also on this host, in CLOSE_WAIT.
#[derive(Default)]
pub(super) struct Others<'a>(FxHashMap<(Endpoint, Endpoint), Vec<&'a Socket>>);

impl<'a> Others<'a> {
    /// The remote ends of these rows, among all sockets that were read.
    pub(super) fn of(report: &'a Report<'_>, rows: &[u32]) -> Others<'a> {
        let ends = rows.iter().map(|at| {
            let socket = report.row(*at as usize).socket;
            (socket.remote.canonical(), socket.local.canonical())
        });
        let mut others: FxHashMap<_, Vec<&Socket>> = ends.map(|ends| (ends, Vec::new())).collect();
        if others.is_empty() {
            return Others::default();
        }
        let waits = report.snapshot.sockets.iter();
        for socket in waits.filter(|socket| socket.state == State::CloseWait) {
            let ends = (socket.local.canonical(), socket.remote.canonical());
            if let Some(found) = others.get_mut(&ends) {
                found.push(socket);
            }
        }
        Others(others)
    }

    /// The other end of a connection: in the same network namespace, or the only match in all that
    /// were read. Loopback addresses match only within their namespace.
    pub(super) fn end(&self, socket: &Socket) -> Option<&'a Socket> {
        let found = self
            .0
            .get(&(socket.remote.canonical(), socket.local.canonical()))?;
        let here = found.iter().find(|other| other.netns == socket.netns);
        let elsewhere = match found.as_slice() {
            [one] if !socket.remote.canonical().addr.is_loopback() => Some(one),
            _ => None,
        };
        let fits = |other: &&&Socket| match (socket.passed(), received(other)) {
            (Some((_, written)), Some(received)) => written == received,
            _ => true,
        };
        here.or(elsewhere).filter(fits).copied()
    }

    /// Whether the other end may be selected, so that its finding covers this one.
    pub(super) fn have_finding(&self, report: &Report<'_>, socket: &Socket) -> bool {
        let is_selected = |other: &Socket| {
            let context = &report.context;
            let (row, uncertainty) = context.row(other, context.owner_ref(other));
            let known = context.known(&row, uncertainty);
            report.filter.decide(&known) != Some(false)
        };
        socket.state == State::FinWait2 && self.end(socket).is_some_and(is_selected)
    }
}

/// The bytes received on a CLOSE_WAIT socket, read or not.
fn received(socket: &Socket) -> Option<u64> {
    socket.tcp?.bytes_received()?.checked_sub(1)
}

/// What the sockets of a set wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Sockets whose last bytes are unanswered; `None` if unknown for one of them.
    pub unanswered: Option<u64>,
    /// Sockets that may be requests in progress.
    pub asking: u64,
    /// Sockets with bytes that the process has not read.
    pub unread: u64,
    /// The remote addresses, those with the most sockets first.
    pub remotes: Vec<(IpAddr, u64)>,
}

impl Default for Waiting {
    /// For no sockets.
    fn default() -> Waiting {
        Waiting {
            unanswered: Some(0),
            asking: 0,
            unread: 0,
            remotes: Vec::new(),
        }
    }
}

impl Waiting {
    pub(super) fn add(&mut self, wait: Wait, socket: &Socket) {
        self.unanswered = self
            .unanswered
            .zip(wait.unanswered)
            .map(|(count, one)| count + u64::from(one));
        self.asking += u64::from(wait.asks);
        self.unread += u64::from(socket.recv_q > 0);
    }

    /// Counts remote addresses.
    pub(super) fn count(&mut self, remotes: impl Iterator<Item = IpAddr>) {
        let mut counts: FxHashMap<IpAddr, u64> = FxHashMap::default();
        for remote in remotes {
            *counts.entry(remote).or_default() += 1;
        }
        self.remotes = counts.into_iter().collect();
        self.remotes
            .sort_unstable_by_key(|(addr, count)| (std::cmp::Reverse(*count), *addr));
    }
}

impl Report<'_> {
    /// What a FIN_WAIT2 socket that a process holds waits for; `None` for others, and for those
    /// that are not older than the grace.
    pub fn wait(&self, row: &Row<'_>) -> Option<Wait> {
        Wait::of(self, row)
    }
}
