//! Accept queues: how full the queue of each listener is, and how long connections have waited.

use super::listeners::{Bound, Listener, QUEUE_GRACE_MS, waited_ms};
use super::report::Report;
use super::rules::Thresholds;
use crate::model::{Pid, State};

/// How long a connection may wait before the queue is a finding however empty it is, in
/// milliseconds: a common timeout of clients. accept(2) was not called for that time.
const QUEUE_STUCK_MS: u64 = 30_000;

/// The accept queue of one listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// The listening address.
    pub bound: Bound,
    /// The holders of the listener, each once.
    pub pids: Vec<Pid>,
    /// The number of listening sockets on this address, each with its own queue: more than one with
    /// SO_REUSEPORT.
    pub sockets: usize,
    /// Connections in the queue; with SO_REUSEPORT, in the fullest one.
    pub now: u32,
    /// The largest length of the queue minus one: the kernel drops connections once the length
    /// exceeds it. `None` if the source does not report it.
    pub limit: Option<u32>,
    /// Half-open connections to the port; `None` if unknown.
    pub syn_recv: Option<u64>,
    /// Unaccepted connections that were found, and those of them in CLOSE_WAIT.
    pub unaccepted: u64,
    pub close_wait: u64,
    /// Connections that came to another port than the listener's, by transparent proxying or
    /// sk_lookup.
    pub unmatched: u64,
    /// The longest wait of one of them, in milliseconds.
    pub oldest_ms: Option<u64>,
    /// The limit equals `net.core.somaxconn`, which caps larger backlogs.
    pub at_somaxconn: bool,
}

impl Queue {
    /// How full the queue is, in percent.
    pub fn percent(&self) -> Option<u64> {
        match self.limit? {
            0 => Some(if self.now > 0 { 100 } else { 0 }),
            limit => Some(u64::from(self.now) * 100 / u64::from(limit)),
        }
    }

    /// Whether `net.core.somaxconn` limits it, and it is at least half full.
    pub fn is_cut_short(&self) -> bool {
        self.at_somaxconn && self.percent().is_some_and(|percent| percent >= 50)
    }

    /// The processes to inspect; process 1 last, because it holds listeners for others.
    pub fn by_weight(&self) -> impl Iterator<Item = Pid> {
        let others = self.pids.iter().copied().filter(|pid| *pid != Pid(1));
        others.chain(self.pids.iter().copied().filter(|pid| *pid == Pid(1)))
    }

    /// Whether it is full enough for long enough, or its connections have waited long enough, to be
    /// a finding of its own.
    pub fn is_suspicious(&self, thresholds: &Thresholds) -> bool {
        let full = self
            .lasting_percent()
            .is_some_and(|percent| percent >= thresholds.queue_warning);
        full || self
            .oldest_ms
            .is_some_and(|oldest| oldest >= QUEUE_STUCK_MS)
    }

    /// How full it is, if connections have waited for longer than an instant. A queue above its
    /// limit drops connections (`sk_acceptq_is_full`) and counts as full even if its connections
    /// were not found, for those that were reset are in no table; unless they show that it is full
    /// only for an instant.
    pub fn lasting_percent(&self) -> Option<u64> {
        let percent = self.percent()?;
        let lasts = match self.oldest_ms {
            Some(oldest) if oldest >= QUEUE_GRACE_MS => true,
            Some(_) => false,
            None => self.limit.is_some_and(|limit| self.now > limit),
        };
        lasts.then_some(percent)
    }

    /// How many connections wait, as far as known.
    pub fn waiting(&self) -> u64 {
        self.unaccepted.max(self.now.into())
    }
}

/// The queues that the selection is about, the fullest first. The filter chooses the listeners, not
/// the connections in their queues.
pub fn queues(report: &Report<'_>) -> Vec<Queue> {
    // Each with whether a connection in it is selected.
    let mut queues: Vec<(&Listener, Queue, bool)> = report
        .listeners()
        .iter()
        .map(|listener| (listener, queue(report, listener), false))
        .collect();
    for socket in &report.snapshot.sockets {
        if !(socket.is_unaccepted() || socket.state == State::SynRecv) {
            continue;
        }
        let Some(listener) = report.listeners().listener_of(socket) else {
            continue;
        };
        let found = queues
            .iter_mut()
            .find(|(other, ..)| std::ptr::eq(*other, listener));
        let Some((_, queue, selected)) = found else {
            continue;
        };
        if socket.state == State::SynRecv {
            queue.syn_recv = queue.syn_recv.map(|count| count + 1);
            continue;
        }
        queue.unaccepted += 1;
        queue.close_wait += u64::from(socket.state == State::CloseWait);
        queue.unmatched += u64::from(socket.local.port != listener.bound.local.port);
        let waited = waited_ms(socket);
        queue.oldest_ms = queue.oldest_ms.max(waited);
        *selected = *selected || report.asks_about(listener, socket, waited);
    }
    queues.retain(|(listener, queue, selected)| {
        let mut sockets = listener.sockets.iter();
        let mut any = || {
            sockets.any(|at| {
                report.asks_about(listener, &report.snapshot.sockets[*at], queue.oldest_ms)
            })
        };
        *selected || any()
    });
    let mut queues: Vec<Queue> = queues.into_iter().map(|(_, queue, _)| queue).collect();
    queues.sort_by_key(|queue| {
        let fullest = std::cmp::Reverse((queue.percent(), queue.now));
        (fullest, queue.bound)
    });
    queues
}

fn queue(report: &Report<'_>, listener: &Listener) -> Queue {
    let snapshot = report.snapshot;
    let namespace = snapshot.netns(listener.bound.netns);
    let fullest = listener
        .sockets
        .iter()
        .map(|at| &snapshot.sockets[*at])
        .max_by_key(|socket| (socket.recv_q, std::cmp::Reverse(socket.send_q)));
    let limit = fullest
        .filter(|_| namespace.source.reports_backlog())
        .map(|socket| socket.send_q);
    let mut pids: Vec<Pid> = listener.holders.iter().map(|holder| holder.pid).collect();
    pids.dedup();
    Queue {
        bound: listener.bound,
        pids,
        sockets: listener.sockets.len(),
        now: fullest.map_or(0, |socket| socket.recv_q),
        limit,
        syn_recv: Some(0),
        unaccepted: 0,
        close_wait: 0,
        unmatched: 0,
        oldest_ms: None,
        at_somaxconn: limit.is_some() && limit == namespace.settings.somaxconn,
    }
}
