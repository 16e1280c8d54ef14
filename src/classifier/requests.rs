//! Requests that nobody has answered: what a program waits for at other services, also where no
//! thread shows it, as in an event loop.
//!
//! A connection that the program opened, over which something was sent and nothing has come back
//! since. Bytes decide, then times; two times within a tick decide nothing. Whether such requests
//! explain sockets in CLOSE_WAIT is told by when each was sent: after a peer asked, and before that
//! peer hung up.

use rustc_hash::FxHashMap;

use super::Report;
use super::client_wait::{self, ClientWait};
use super::program::Program;
use super::spin::spinning;
use crate::model::{
    Ago, Endpoint, Evidence, Pid, Runtime, Side, Socket, State, Tick, WaitKind, WaitTarget,
};

/// How long a request must have waited to count: a busy proxy in good health has hundreds that
/// have waited for milliseconds, and a service that is well answers within this.
pub const WAIT_MS: u64 = 1_000;

/// How many of the connections to a service must wait, in percent, for it to have stopped
/// answering altogether: some may be in use for something else.
const ALL_PERCENT: usize = 80;

/// A connection over which nothing ever came in is a one-way protocol's, such as syslog, when it
/// has sent this many segments of less than [`SEGMENT_SMALL`] bytes each: a first request is a few
/// segments, or full ones.
const SEGMENTS_MANY: u32 = 8;
const SEGMENT_SMALL: u64 = 500;

/// How long after a peer asked its request is sent, where that is the only one.
const PROMPT_MS: u64 = 1_000;

/// The most remote services of one owner that are told.
const REMOTES_MAX: usize = 8;
/// The most connections in question that are looked at.
const VICTIMS_MAX: usize = 1_000;
/// The most connections of one program that are served here and looked at.
const INBOUND_MAX: usize = 10_000;
/// The most requests to one service of which the other ends are looked for.
const ENDS_MAX: usize = 1_000;
/// The most requests of one owner that are each compared with all of those.
const SAMPLE: usize = 100;

/// What a program has asked of one remote service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requests {
    pub remote: Endpoint,
    /// Its open connections to there.
    pub connections: u64,
    /// Those that wait for an answer, for longer than [`WAIT_MS`].
    pub unanswered: u64,
    /// How long ago the last byte was sent on those.
    pub p50_ms: u64,
    pub max_ms: u64,
    pub role: Role,
    /// It is one, over whose connection nothing ever came in, and all who wait have asked at that
    /// time or since: one fetch for all of them, or a log that was just opened.
    pub(super) is_first: bool,
    /// All were sent before any peer of the connections in question sent what came in last, and before
    /// anybody else asked who waits.
    pub(super) is_from_before: bool,
    /// This end of those, as many as are followed.
    pub(super) ends: Vec<Endpoint>,
}

/// What unanswered requests have to do with the connections of those who wait for the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Most were sent after a peer asked and before it hung up, or none was answered since.
    Explains,
    /// It is not known, or they have nothing to do with them.
    Beside,
}

/// Whose requests are asked for, and on whose behalf they may have been sent.
pub(super) struct Ask<'a> {
    pub(super) netns: u16,
    pub(super) pids: &'a [Pid],
    /// Those of the connections in question that wait for an answer.
    victims: Vec<ClientWait>,
    /// How many connections are in question, and when the last byte came in on each, the longest ago.
    sockets: usize,
    asked: Option<Ago>,
}

impl<'a> Ask<'a> {
    /// What these processes have asked, and whether that explains these connections.
    pub(super) fn of<'b>(
        report: &Report<'_>,
        netns: u16,
        pids: &'a [Pid],
        sockets: impl Iterator<Item = &'b Socket>,
    ) -> Ask<'a> {
        let mut ask = Ask {
            netns,
            pids,
            victims: Vec::new(),
            sockets: 0,
            asked: None,
        };
        for socket in sockets.take(VICTIMS_MAX) {
            ask.sockets += 1;
            let asked = socket.tcp.and_then(|tcp| tcp.last_data_recv());
            ask.asked = match (ask.asked, asked) {
                (Some(known), Some(asked)) => Some(known.earliest(asked)),
                (known, asked) => known.or(asked),
            };
            ask.victims.extend(ClientWait::of(report, socket));
        }
        ask
    }
}

/// The connections of one program.
#[derive(Default)]
struct Connections {
    to: FxHashMap<Endpoint, Asked>,
    inbound: Vec<ClientWait>,
}

/// Those to one remote service.
#[derive(Default)]
struct Asked {
    connections: usize,
    /// When each unanswered one was sent.
    sent: Vec<Ago>,
    /// This end of those.
    ends: Vec<Endpoint>,
    /// On one of those, something had come in before.
    heard: bool,
}

/// The unanswered requests of several owners, among all sockets that were read: what is selected
/// changes nothing. Those that explain something first, then the most.
pub(super) fn requests(report: &Report<'_>, asks: &[Ask<'_>]) -> Vec<Vec<Requests>> {
    let holders = report.holders();
    let mut numbers: FxHashMap<Pid, usize> = FxHashMap::default();
    let mut programs: Vec<Option<Program>> = Vec::new();
    for pid in asks.iter().flat_map(|ask| ask.pids) {
        let program = Program::of(holders, *pid);
        let known = programs
            .iter()
            .position(|other| program.is_some() && *other == program);
        let number = known.unwrap_or_else(|| {
            programs.push(program);
            programs.len() - 1
        });
        numbers.insert(*pid, number);
    }
    if programs.is_empty() {
        return asks.iter().map(|_| Vec::new()).collect();
    }
    for process in holders.processes() {
        let name = process.name.as_ref();
        let mut named = programs.iter().flatten();
        if !named.any(|program| Some(&program.name) == name) {
            continue;
        }
        let program = Program::of(holders, process.pid);
        let number = programs.iter().position(|other| *other == program);
        if let Some(number) = number {
            numbers.entry(process.pid).or_insert(number);
        }
    }
    let connections = gather(report, &numbers);
    let of_ask = |ask: &Ask<'_>| {
        let mut of: Vec<usize> = ask
            .pids
            .iter()
            .filter_map(|pid| numbers.get(pid).copied())
            .collect();
        of.sort_unstable();
        of.dedup();
        let found = of
            .iter()
            .filter_map(|number| connections.get(&(ask.netns, *number)));
        told(report, ask, &found.collect::<Vec<_>>())
    };
    asks.iter().map(of_ask).collect()
}

/// All connections of the programs, by namespace and number.
fn gather(
    report: &Report<'_>,
    numbers: &FxHashMap<Pid, usize>,
) -> FxHashMap<(u16, usize), Connections> {
    let mut found: FxHashMap<(u16, usize), Connections> = FxHashMap::default();
    let holders = report.holders();
    // What two processes hold is the first one's.
    let is_of = |pid: Pid, socket: &Socket| {
        let first = holders.of(socket.inode).first();
        first.is_some_and(|first| first.pid == pid)
    };
    let held = numbers.iter().flat_map(|(pid, number)| {
        let held = report.context.held(*pid);
        held.filter(|socket| is_of(*pid, socket))
            .map(move |socket| (socket, number))
    });
    for (socket, number) in held {
        if !matches!(socket.state, State::Established | State::CloseWait) || socket.tcp.is_none() {
            continue;
        }
        let here = found.entry((socket.netns, *number)).or_default();
        match (report.context.sides.side(socket), socket.state) {
            (Some(Side::Server), _) if here.inbound.len() < INBOUND_MAX => {
                here.inbound.extend(ClientWait::of(report, socket));
            }
            (Some(Side::Client), State::Established) => {
                let asked = here.to.entry(socket.remote.canonical()).or_default();
                asked.connections += 1;
                let sent = unanswered(socket, report.snapshot.host.tick);
                if let Some(sent) = sent.filter(|sent| sent.is_before(WAIT_MS)) {
                    asked.sent.push(sent);
                    if asked.ends.len() < ENDS_MAX {
                        asked.ends.push(socket.local.canonical());
                    }
                    let received = socket.tcp.and_then(|tcp| tcp.bytes_received());
                    asked.heard |= received.is_some_and(|bytes| bytes > 0);
                }
            }
            _ => {}
        }
    }
    for connections in found.values_mut() {
        client_wait::cover(&mut connections.inbound);
    }
    found
}

/// When the last byte of a request was sent that has no answer; `None` where nothing waits for one,
/// or that is not known.
fn unanswered(socket: &Socket, tick: Tick) -> Option<Ago> {
    let tcp = socket.tcp?;
    let sent = tcp.last_data_sent()?;
    let has_sent = tcp.data_segs_out().is_none_or(|segments| segments > 0);
    let waits = match tcp.bytes_received() {
        Some(0) => !is_one_way(socket),
        _ => sent.is_after(tcp.last_data_recv()?, tick) == Some(true),
    };
    (has_sent && waits).then_some(sent)
}

/// This end of the connections of processes to a remote one over which an answer may be missing:
/// those of which it is certain that there was one are left out.
pub(super) fn ends(
    report: &Report<'_>,
    netns: u16,
    pids: &[Pid],
    remote: Endpoint,
    state: State,
) -> Vec<Endpoint> {
    let tick = report.snapshot.host.tick;
    let may_wait = |socket: &&Socket| {
        let times = socket
            .tcp
            .and_then(|tcp| Some((tcp.last_data_sent()?, tcp.last_data_recv()?)));
        let is_answered =
            times.is_none_or(|(sent, received)| received.is_after(sent, tick) == Some(true));
        socket.state == state
            && socket.netns == netns
            && socket.remote.canonical() == remote
            && !(is_answered && state == State::Established)
    };
    let sockets = pids.iter().flat_map(|pid| report.context.held(*pid));
    sockets
        .filter(may_wait)
        .map(|socket| socket.local.canonical())
        .take(ENDS_MAX)
        .collect()
}

/// When the last byte of a request was sent, where no byte of an answer ever came.
pub(super) fn never_answered(socket: &Socket) -> Option<Ago> {
    let tcp = socket.tcp?;
    let waits = tcp.bytes_received() == Some(0)
        && tcp.data_segs_out().is_some_and(|segments| segments > 0)
        && !is_one_way(socket);
    tcp.last_data_sent().filter(|_| waits)
}

/// Whether a connection over which nothing came in looks like one over which nothing ever will.
fn is_one_way(socket: &Socket) -> bool {
    let sent = socket
        .tcp
        .and_then(|tcp| Some((tcp.data_segs_out()?, tcp.bytes_sent()?)));
    sent.is_some_and(|(segments, bytes)| {
        segments >= SEGMENTS_MANY && bytes < u64::from(segments).saturating_mul(SEGMENT_SMALL)
    })
}

/// The requests of one owner, which may be several programs.
fn told(report: &Report<'_>, ask: &Ask<'_>, programs: &[&Connections]) -> Vec<Requests> {
    // Times of two sockets are each as of its own reading.
    let apart = report.snapshot.reading_ms.unwrap_or(WAIT_MS);
    let tick = report.snapshot.host.tick.across(apart);
    let mut to: FxHashMap<Endpoint, Asked> = FxHashMap::default();
    for (remote, asked) in programs.iter().flat_map(|program| &program.to) {
        let all = to.entry(*remote).or_default();
        all.connections += asked.connections;
        all.sent.extend(&asked.sent);
        all.ends.extend(&asked.ends);
        all.heard |= asked.heard;
    }
    let inbound: Vec<&[ClientWait]> = programs
        .iter()
        .map(|program| program.inbound.as_slice())
        .collect();
    let mut all: Vec<Requests> = to
        .into_iter()
        .filter_map(|(remote, mut asked)| {
            asked.sent.sort_by_key(|sent| sent.idle().at_least_ms);
            let role = role(&asked, ask, &inbound, tick);
            let is_first = is_first(&asked, ask, &inbound, tick);
            // The last of each program's asked first.
            let waits = inbound.iter().filter_map(|spans| Some(spans.last()?.asked));
            let first = ask.asked.map(|asked| waits.fold(asked, Ago::earliest));
            let is_before =
                |sent: &Ago| first.is_some_and(|asked| asked.is_after(*sent, tick) == Some(true));
            let is_from_before = asked.sent.iter().all(is_before);
            let ends = std::mem::take(&mut asked.ends);
            let beside = Requests::beside(remote, asked.connections, asked.sent)?;
            Some(Requests {
                role,
                is_first,
                is_from_before,
                ends,
                ..beside
            })
        })
        .collect();
    all.sort_by_key(|one| (one.role, std::cmp::Reverse(one.unanswered), one.remote));
    all.truncate(REMOTES_MAX);
    all
}

/// What requests, the latest first, have to do with those who hung up.
fn role(asked: &Asked, ask: &Ask<'_>, inbound: &[&[ClientWait]], tick: Tick) -> Role {
    let sent = asked.sent.as_slice();
    let half = |some: usize, all: usize| some.saturating_mul(2) >= all;
    // Most must have been sent for a peer: others wait for what comes at any time, as for jobs.
    let is_for_a_peer = |sent: &&Ago| {
        let mut programs = inbound.iter();
        programs.any(|spans| client_wait::may_cover(spans, **sent, tick))
    };
    let sample = &sent[..sent.len().min(SAMPLE)];
    let caused = sample.iter().filter(is_for_a_peer).count();
    if caused == 0 || !half(caused, sample.len()) {
        return Role::Beside;
    }
    // One alone may be anything where nothing ever came in, and chance where no peer asked then.
    if let [only] = sent {
        let mut spans = inbound.iter().copied().flatten();
        let is_prompt = spans.any(|span| span.asked.may_be_within(PROMPT_MS, *only, tick));
        if !asked.heard || !is_prompt {
            return Role::Beside;
        }
    }
    // A request that was sent between the two moments is one for this peer, or may be.
    let has_request = |span: &&ClientWait| {
        let from = sent.partition_point(|sent| !span.may_outlast(*sent, tick));
        let first = sent.get(from);
        first.is_some_and(|sent| span.may_have_caused(*sent, tick))
    };
    let served = ask.victims.iter().filter(has_request).count();
    if served > 0 && half(served, ask.sockets) {
        return Role::Explains;
    }
    // All connections of a pool wait, while others wait for one of them.
    let all_wait = sent.len().saturating_mul(100) >= asked.connections.saturating_mul(ALL_PERCENT);
    let hung_up_since = ask.victims.iter().filter(|span| {
        let oldest = sent.last();
        oldest.is_some_and(|oldest| span.may_outlast(*oldest, tick))
    });
    if all_wait && half(hung_up_since.count(), ask.sockets) {
        Role::Explains
    } else {
        Role::Beside
    }
}

/// Whether a request is the only one, and the first for those who wait.
fn is_first(asked: &Asked, ask: &Ask<'_>, inbound: &[&[ClientWait]], tick: Tick) -> bool {
    let [only] = asked.sent.as_slice() else {
        return false;
    };
    let mut spans = inbound.iter().copied().flatten();
    let is_prompt = |span: &ClientWait| span.asked.may_be_within(PROMPT_MS, *only, tick);
    let is_since =
        |span: &ClientWait| span.asked.is_after(*only, tick) == Some(true) || is_prompt(span);
    asked.connections == 1
        && !asked.heard
        && ask.victims.len() > 1
        && ask.victims.len() == ask.sockets.min(VICTIMS_MAX)
        && spans.clone().any(is_prompt)
        && spans.all(is_since)
}

impl Requests {
    /// Such requests of which it is not known what for they were sent; `None` of none.
    pub(super) fn beside(
        remote: Endpoint,
        connections: usize,
        mut sent: Vec<Ago>,
    ) -> Option<Requests> {
        let waits = |sent: &Ago| sent.idle().at_least_ms;
        sent.sort_by_key(waits);
        let middle = sent.len().checked_sub(1)? / 2;
        Some(Requests {
            remote,
            connections: connections as u64,
            unanswered: sent.len() as u64,
            p50_ms: sent.get(middle).map(waits)?,
            max_ms: sent.last().map(waits)?,
            role: Role::Beside,
            is_first: false,
            is_from_before: false,
            ends: Vec::new(),
        })
    }

    /// Whether somebody may wait for the answers, as far as these processes told: a thread that
    /// waits on such a connection, or for any of several. `None` where none told.
    pub fn are_awaited(&self, evidence: &[Evidence]) -> Option<bool> {
        let told = evidence.iter().filter_map(|of| self.are_awaited_by(of));
        told.max()
    }

    /// Whether a thread waits for this answer and nothing else.
    pub(super) fn has_waiter(&self, evidence: &[Evidence]) -> bool {
        let waits = evidence.iter().flat_map(|of| of.waits.iter().flatten());
        waits
            .filter_map(|wait| wait.target.as_ref())
            .any(|target| *target == WaitTarget::Remote(self.remote))
    }

    fn are_awaited_by(&self, evidence: &Evidence) -> Option<bool> {
        let Some(waits) = &evidence.waits else {
            // A program that has such a set waits for many at once.
            return evidence.epoll.is_some().then_some(true);
        };
        let threads: u32 = waits
            .iter()
            .map(|wait| wait.threads)
            .fold(0, u32::saturating_add);
        let may = waits.iter().any(|wait| match wait.kind {
            WaitKind::Descriptor => wait.target == Some(WaitTarget::Remote(self.remote)),
            // One that has a single thing to wait for waits for nothing else.
            WaitKind::Events => match &wait.target {
                Some(WaitTarget::Remote(remote)) => *remote == self.remote,
                Some(WaitTarget::Listener(_) | WaitTarget::File(_)) => false,
                None => true,
            },
            WaitKind::Other => true,
            // A goroutine waits while its thread has nothing to do.
            WaitKind::Lock => evidence.runtime == Runtime::Go,
            WaitKind::Sleep | WaitKind::Child => false,
        });
        // Of a thread that runs it is not known what it will wait for, but of an event loop that it
        // waits for all of its connections.
        let all_told = evidence.threads?.total <= threads;
        let is_loop = evidence.epoll.is_some_and(|epoll| epoll.watched > 0);
        let may = may || (!all_told && is_loop && spinning(evidence).is_none());
        (may || all_told).then_some(may)
    }
}
