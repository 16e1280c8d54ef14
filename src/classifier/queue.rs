//! Accept queues: how full each listener's is, and how long connections have waited in it.

use super::Report;
use super::group::{At, Service};
use super::listeners::Listener;
use super::severity::Thresholds;
use crate::model::{Endpoint, Pid, State};

/// How long a connection may wait to be accepted before it counts: a listener that is served at
/// all is served within milliseconds, so that a full queue of an instant is no finding.
pub const QUEUE_GRACE_MS: u64 = 1_000;

/// How long a connection may wait before the queue is a finding however empty it is: the patience
/// of most clients. Nobody has called accept(2) for as long.
const QUEUE_STUCK_MS: u64 = 30_000;

/// The accept queue of one listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The namespace, as [`Socket::netns`](crate::model::Socket::netns).
    pub netns: u16,
    pub local: Endpoint,
    /// Who holds the listener; each once.
    pub pids: Vec<Pid>,
    /// Listening sockets of this address, each with a queue: more than one with SO_REUSEPORT.
    pub sockets: usize,
    /// Connections in the queue; with SO_REUSEPORT, of the fullest socket.
    pub now: u32,
    /// The most that fit, less one: the kernel refuses when the length exceeds it. `None` where
    /// the source does not tell.
    pub limit: Option<u32>,
    /// Half-open connections to the port; `None` where they were not looked for.
    pub syn_recv: Option<u64>,
    /// Unaccepted connections that were seen, and those of them in CLOSE_WAIT.
    pub unaccepted: u64,
    pub close_wait: u64,
    /// The longest that one of them has waited.
    pub oldest_ms: Option<u64>,
    /// The limit is `net.core.somaxconn`: a larger backlog would be cut to it.
    pub at_somaxconn: bool,
}

impl Queue {
    pub fn service(&self) -> Service {
        Service {
            at: At::Local(self.local.port),
            device: 0,
        }
    }

    /// How full the queue is, in percent.
    pub fn percent(&self) -> Option<u64> {
        match self.limit? {
            0 => Some(if self.now > 0 { 100 } else { 0 }),
            limit => Some(u64::from(self.now) * 100 / u64::from(limit)),
        }
    }

    /// Whether its limit is that of the host, and matters: at less than half of it, it does not.
    pub fn is_cut_short(&self) -> bool {
        self.at_somaxconn && self.percent().is_some_and(|percent| percent >= 50)
    }

    /// The processes to look at, process 1 last: it holds listeners for others.
    pub fn by_weight(&self) -> impl Iterator<Item = Pid> {
        let others = self.pids.iter().copied().filter(|pid| *pid != Pid(1));
        others.chain(self.pids.iter().copied().filter(|pid| *pid == Pid(1)))
    }

    /// Whether it is full enough, for long enough, or stands still, to be a finding by itself.
    pub fn is_suspicious(&self, thresholds: &Thresholds) -> bool {
        let full = self
            .lasting_percent()
            .is_some_and(|percent| percent >= thresholds.queue_warning);
        full || self
            .oldest_ms
            .is_some_and(|oldest| oldest >= QUEUE_STUCK_MS)
    }

    /// The same, where connections have waited longer than an instant.
    pub fn lasting_percent(&self) -> Option<u64> {
        let lasting = self
            .oldest_ms
            .is_some_and(|oldest| oldest >= QUEUE_GRACE_MS);
        self.percent().filter(|_| lasting)
    }
}

/// The queues of the listeners that are in question, the fullest first.
pub fn queues(report: &Report<'_>) -> Vec<Queue> {
    let mut queues: Vec<Queue> = report
        .listeners()
        .iter()
        .filter(|listener| report.asks_about(listener))
        .map(|listener| queue(report, listener))
        .collect();
    for socket in &report.snapshot.sockets {
        if !(socket.is_unaccepted() || socket.state == State::SynRecv) {
            continue;
        }
        let Some(listener) = report.listeners().covering(socket) else {
            continue;
        };
        let found = queues
            .iter_mut()
            .find(|queue| queue.netns == listener.netns && queue.local == listener.local);
        let Some(queue) = found else { continue };
        if socket.state == State::SynRecv {
            queue.syn_recv = queue.syn_recv.map(|count| count + 1);
            continue;
        }
        queue.unaccepted += 1;
        queue.close_wait += u64::from(socket.state == State::CloseWait);
        // Nobody has sent on it, so that the time of the last byte sent is the connection's.
        let connected = socket.tcp.and_then(|tcp| tcp.last_data_sent());
        let waited = connected.map(|connected| connected.idle().at_least_ms);
        queue.oldest_ms = queue.oldest_ms.max(waited);
    }
    queues.sort_by_key(|queue| {
        let fullest = std::cmp::Reverse((queue.percent(), queue.now));
        (fullest, queue.local, queue.netns)
    });
    queues
}

fn queue(report: &Report<'_>, listener: &Listener) -> Queue {
    let snapshot = report.snapshot;
    let namespace = snapshot.netns(listener.netns);
    let fullest = listener
        .sockets
        .iter()
        .map(|at| &snapshot.sockets[*at])
        .max_by_key(|socket| (socket.recv_q, std::cmp::Reverse(socket.send_q)));
    let limit = fullest
        .filter(|_| namespace.source.tells_backlog())
        .map(|socket| socket.send_q);
    let mut pids: Vec<Pid> = listener.holders.iter().map(|holder| holder.pid).collect();
    pids.dedup();
    Queue {
        netns: listener.netns,
        local: listener.local,
        pids,
        sockets: listener.sockets.len(),
        now: fullest.map_or(0, |socket| socket.recv_q),
        limit,
        syn_recv: report.states.asked.contains(State::SynRecv).then_some(0),
        unaccepted: 0,
        close_wait: 0,
        oldest_ms: None,
        at_somaxconn: limit.is_some() && limit == namespace.settings.somaxconn,
    }
}
