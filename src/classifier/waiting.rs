//! FIN_WAIT2 that a process holds: it has closed its direction and waits for the remote end. Past the
//! grace that is somebody's CLOSE_WAIT, and the remote end has to close it.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::report::Report;
use super::row::Row;
use crate::model::{Endpoint, Idle, Owner, Protocol, Side, Socket, State, TimerKind};

/// How long a request whose sender has closed its direction may be worked on before its wait counts,
/// or an answer may lie unread: as long as common proxies give an answer, and the kernel a FIN_WAIT2
/// without a process (60 s).
const ANSWER_MS: u64 = 60_000;
/// A FIN that was acknowledged this soon after the last byte was sent, in milliseconds, belongs to the
/// request; the round trip is in it. A later one says that this side gave up.
const BEHIND_MS: u64 = 1_000;

/// What a FIN_WAIT2 socket that a process holds has been waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// How long nothing has come from the remote end.
    pub silence: Idle,
    /// Keepalive hides whether that is longer than the grace.
    pub hidden: bool,
    /// Whether the last bytes that this side sent are without an answer; `None` where it served, or
    /// where nothing tells.
    pub unanswered: Option<bool>,
    /// It may be a request that is being worked on: the sender has said that no more will come.
    pub asks: bool,
}

impl Wait {
    /// `None` of anything but a FIN_WAIT2 that a process holds and that may have lasted for longer
    /// than the grace. Without times nothing shows that a download has ended.
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
        // A slow reader opens its window in steps, and the remote end is silent between them.
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

    /// Whether it is somebody's fault for sure.
    pub fn counts(self) -> bool {
        !self.hidden && !self.asks
    }
}

/// Whether an answer that comes piece by piece may go on: it has paused for no longer than it went on
/// since this side sent last.
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

/// Whether this side's last bytes are unanswered, where it is the one that asks.
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

/// Whether the FIN came right behind the last byte, where nothing has renewed its acknowledgement.
fn is_behind(report: &Report<'_>, socket: &Socket) -> bool {
    let times = socket
        .tcp
        .and_then(|tcp| Some((tcp.last_data_sent()?, tcp.last_ack_recv()?)));
    let tick = report.snapshot.host.tick;
    times.is_some_and(|(sent, acked)| sent.may_be_within(BEHIND_MS, acked, tick))
}

/// The remote ends that are on this host too, in CLOSE_WAIT.
#[derive(Default)]
pub(super) struct Others<'a>(FxHashMap<(Endpoint, Endpoint), Vec<&'a Socket>>);

impl<'a> Others<'a> {
    /// Of these rows of a report, among all sockets that were read.
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

    /// The other end of a connection: in the same namespace, or the only one that fits in all that were
    /// read. Addresses of loopback mean nothing beyond their namespace.
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

    /// Whether the other end may be selected, so that a finding about it tells of this one too.
    pub(super) fn are_told(&self, report: &Report<'_>, socket: &Socket) -> bool {
        let is_selected = |other: &Socket| {
            let context = &report.context;
            let (row, uncertainty) = context.row(other, context.owner_ref(other));
            let known = context.known(&row, uncertainty);
            report.filter.decide(&known) != Some(false)
        };
        socket.state == State::FinWait2 && self.end(socket).is_some_and(is_selected)
    }
}

/// The bytes of data that came in over a CLOSE_WAIT socket, read or not.
fn received(socket: &Socket) -> Option<u64> {
    socket.tcp?.bytes_received()?.checked_sub(1)
}

/// What the sockets of a set wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Those whose last bytes are without an answer; `None` where that is not told of all.
    pub unanswered: Option<u64>,
    /// Those that may be requests which are being worked on.
    pub asking: u64,
    /// Those on which bytes have come in that the process has not read.
    pub unread: u64,
    /// The remote addresses, those with the most sockets first.
    pub remotes: Vec<(IpAddr, u64)>,
}

impl Default for Waiting {
    /// Of no socket.
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
    /// What a FIN_WAIT2 socket waits for that a process holds; `None` of others, and of those that
    /// have not lasted longer than the grace.
    pub fn wait(&self, row: &Row<'_>) -> Option<Wait> {
        Wait::of(self, row)
    }
}
