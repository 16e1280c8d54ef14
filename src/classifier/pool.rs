//! A pool at rest, a pool that is exhausted, or a leak: what the connections of one program to one
//! service tell of those that the service closed.
//!
//! When each was closed decides first. A server that reaches its idle timeout, or restarts, closes
//! what is idle together; what a program leaks it leaks one by one, for as long as it runs. A
//! single look never shows how large a pool may grow.

use rustc_hash::{FxHashMap, FxHashSet};

use super::culprit::Culprit;
use super::group::Service;
use super::program::Program;
use super::queue::has_waited;
use super::sets::{End, Set};
use super::severity::Thresholds;
use super::shape::{Kind, Shape};
use super::workers::Workers;
use super::{Report, Row};
use crate::model::{Cause, Evidence, Owner, Pid, Runtime, Side, Socket, State, WaitKind};

/// So many clients of a program that wait for it are no accident.
const CALLERS_LEAST: u64 = 5;
/// A pool of fewer connections than this is not said to be exhausted: it may have many more.
const EXHAUSTED_LEAST: u64 = 5;
/// A leak of which the first came after this part of a program's life, in percent, is as old as the
/// program: it had to start, and the server to lose its patience.
const LIFE_PERCENT: u64 = 75;
/// The times of so many of the sockets must be known, in percent, to have a shape.
const TIMED_PERCENT: usize = 90;

/// The connections of one program to the service, or the services, of a set, among all sockets
/// that were read: what is selected changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// When they were closed, or else last used; `None` where that is not known.
    pub shape: Option<Shape>,
    pub basis: Basis,
    /// In CLOSE_WAIT, whatever the cause.
    pub closed: u64,
    /// Those of them of which the program read the end, and which it did not close: a leak.
    pub never_closed: u64,
    /// ESTABLISHED: in use, or idle and not closed yet. `None` where owners are not known.
    pub open: Option<u64>,
    /// Clients of the program that wait for it: those that gave up, and those that wait still.
    pub callers: Option<u64>,
    /// The age of the oldest process that holds them.
    pub life_ms: Option<u64>,
}

/// What the times of a [`Pool`] are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// When the server closed them.
    Closed,
    /// When the last byte went or came: keepalive hides when they were closed.
    Used,
}

impl Basis {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Basis::Closed => "closed",
            Basis::Used => "used",
        }
    }
}

/// What the sockets of a set that a server closed are consistent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    /// Idle connections that the server closed together. Each is replaced when it is next used.
    AtRest,
    /// Connections that nobody will use or close.
    Leak,
    /// Connections that nobody gave back, and no other is left for those who wait.
    Exhausted,
    /// The owner is told that they are closed, by its event loop, which does not run.
    Blocked,
    /// Both a pool and a leak.
    Ambiguous,
}

impl Story {
    /// Of the connections that a server closed, by what their owners told; `None` of others, and
    /// where somebody else must act.
    pub(super) fn of(
        report: &Report<'_>,
        set: &Set,
        evidence: &[Evidence],
        workers: &Workers,
        thresholds: &Thresholds,
    ) -> Option<Story> {
        let pool = set.pool?;
        if Culprit::of(report, set, evidence, workers).is_some() {
            return None;
        }
        if is_exhausted(&pool, set, evidence, workers) {
            return Some(Story::Exhausted);
        }
        if set.cause != Cause::StalePool {
            return None;
        }
        if evidence.iter().any(|evidence| is_blocked(set, evidence)) {
            return Some(Story::Blocked);
        }
        let kind = pool.shape.map(|shape| shape.kind);
        Some(match kind {
            // No pool is that large; and where callers wait, all of it may be gone.
            Some(Kind::Burst) if set.sockets >= thresholds.critical => Story::Ambiguous,
            Some(Kind::Burst) if pool.is_all_gone() => Story::Ambiguous,
            Some(Kind::Burst) => Story::AtRest,
            Some(Kind::Spread) if pool.leaks_otherwise() => Story::Leak,
            Some(Kind::Spread) if pool.is_as_old_as_its_owner(set) => Story::Leak,
            Some(Kind::Spread | Kind::Mixed | Kind::Few) | None => Story::Ambiguous,
        })
    }

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Story::AtRest => "at-rest",
            Story::Leak => "leak",
            Story::Exhausted => "exhausted",
            Story::Blocked => "blocked",
            Story::Ambiguous => "ambiguous",
        }
    }
}

impl Pool {
    /// Whether none of its connections is open, and clients of the program wait.
    pub fn is_all_gone(&self) -> bool {
        self.open == Some(0)
            && self.closed >= EXHAUSTED_LEAST
            && self.callers.is_some_and(|callers| callers >= CALLERS_LEAST)
    }

    /// Whether most of them are a leak in any case.
    pub fn leaks_otherwise(&self) -> bool {
        self.never_closed.saturating_mul(2) > self.closed
    }

    /// Whether they were closed one by one ever since the program started.
    pub fn is_as_old_as_its_owner(&self, set: &Set) -> bool {
        let patience = set.patience.map_or(0, |patience| patience.p50_ms.into());
        let since = self
            .shape
            .map(|shape| shape.oldest_ms.saturating_add(patience));
        since.zip(self.life_ms).is_some_and(|(since, life)| {
            since.saturating_mul(100) >= life.saturating_mul(LIFE_PERCENT)
        })
    }
}

/// Whether the pool has no connection left while callers wait, and its owner shows nothing else
/// that would hold them up.
fn is_exhausted(pool: &Pool, set: &Set, evidence: &[Evidence], workers: &Workers) -> bool {
    let callers = pool.callers.unwrap_or_default();
    let asks_elsewhere = set
        .requests
        .iter()
        .any(|requests| requests.unanswered.saturating_mul(2) >= callers);
    let is_free = |evidence: &Evidence| {
        let mut waits = evidence.waits.iter().flatten();
        waits.any(|wait| matches!(wait.kind, WaitKind::Lock | WaitKind::Events))
    };
    let is_held_up = asks_elsewhere || workers.behind().is_some();
    pool.is_all_gone() && !is_held_up && !evidence.is_empty() && evidence.iter().all(is_free)
}

/// Whether an event loop watches most of the sockets, so that it is told, and none of its threads
/// waits for events.
fn is_blocked(set: &Set, evidence: &Evidence) -> bool {
    let held = set.holds(evidence.pid).len() as u64;
    let watched = evidence.epoll.map_or(0, |epoll| epoll.watched);
    let waits = evidence.waits.as_deref().unwrap_or_default();
    let threads: u32 = waits.iter().map(|wait| wait.threads).sum();
    // Of a thread that runs it is not known what it will wait for. Go is told once, by the edge, and
    // then a goroutine sleeps that no thread shows.
    let all_told = evidence.threads.is_some_and(|all| all.total == threads);
    watched > 0
        && watched.saturating_mul(2) > held
        && all_told
        && evidence.runtime != Runtime::Go
        && !waits.iter().any(|wait| wait.kind == WaitKind::Events)
}

/// Says of those who wait for a program that a pool of it is exhausted, if one is.
pub(super) fn starve(report: &Report<'_>, sets: &mut [Set]) {
    let programs = |set: &Set| Program::all(report.holders(), &set.owner.pids);
    let exhausted: Vec<(u16, Vec<Program>, End)> = sets
        .iter()
        .filter(|set| set.story == Some(Story::Exhausted))
        .map(|set| (set.netns, programs(set), set.end))
        .collect();
    let waits = |set: &&mut Set| {
        set.end.side() == Some(Side::Server)
            && matches!(
                set.cause,
                Cause::NotAccepted | Cause::SlowHandler | Cause::NotReading
            )
    };
    if exhausted.is_empty() {
        return;
    }
    for set in sets.iter_mut().filter(waits) {
        let own = programs(set);
        let is_its = |(netns, of, _): &&(u16, Vec<Program>, End)| {
            *netns == set.netns && of.iter().any(|program| own.contains(program))
        };
        set.starved = exhausted.iter().find(is_its).map(|(.., end)| *end);
    }
}

/// What to gather the connections of a set by.
struct Wanted<'a> {
    netns: u16,
    services: FxHashSet<Service>,
    /// Whose they are; `None` of those whose owner is not known.
    programs: Option<Vec<usize>>,
    kind: Option<&'static str>,
    pids: &'a [Pid],
}

/// What was gathered.
#[derive(Default)]
struct Gathered {
    closed: u64,
    never_closed: u64,
    open: u64,
    closed_ms: Vec<u64>,
    used_ms: Vec<u64>,
}

/// The clients of one program in one namespace.
#[derive(Default, Clone, Copy)]
struct Clients {
    /// Those that gave up, or were not accepted.
    waiting: u64,
    /// Those with open connections, and how many of these have asked and got no answer.
    open: u64,
    unanswered: u64,
}

impl Clients {
    /// A protocol that does not answer each message looks the same: only where most wait.
    fn callers(self) -> u64 {
        let most = self.unanswered.saturating_mul(2) >= self.open;
        self.waiting + if most { self.unanswered } else { 0 }
    }
}

/// The pools of sets of connections that this host opened, each with the positions of its rows.
/// `None` for those of other causes.
pub(super) fn pools(report: &Report<'_>, sets: &[(Set, Vec<u32>)]) -> Vec<Option<Pool>> {
    let is_one = |set: &Set| {
        set.end.side() == Some(Side::Client)
            && set.is_suspicious()
            && matches!(
                set.cause,
                Cause::StalePool | Cause::NeverClosed | Cause::NotReading
            )
    };
    if !sets.iter().any(|(set, _)| is_one(set)) {
        return sets.iter().map(|_| None).collect();
    }
    let mut programs = Programs::default();
    let wanted: Vec<Option<Wanted<'_>>> = sets
        .iter()
        .map(|(set, positions)| {
            let rows = positions.iter().map(|at| report.row(*at as usize));
            is_one(set).then(|| Wanted {
                netns: set.netns,
                services: rows.map(|row| row.service()).collect(),
                programs: (set.owner.kind == Some("process"))
                    .then(|| programs.of(report, &set.owner.pids)),
                kind: set.owner.kind,
                pids: &set.owner.pids,
            })
        })
        .collect();
    let mut of_service: FxHashMap<(u16, Service), Vec<usize>> = FxHashMap::default();
    for (at, wanted) in wanted.iter().enumerate() {
        for service in wanted.iter().flat_map(|wanted| &wanted.services) {
            let netns = wanted.as_ref().map_or(0, |wanted| wanted.netns);
            of_service.entry((netns, *service)).or_default().push(at);
        }
    }
    let mut gathered: Vec<Gathered> = sets.iter().map(|_| Gathered::default()).collect();
    let mut clients: FxHashMap<(u16, usize), Clients> = FxHashMap::default();
    for socket in &report.snapshot.sockets {
        if !matches!(socket.state, State::Established | State::CloseWait) {
            continue;
        }
        let row = report.judged(socket);
        let program = row.owner.holders().first();
        let program = program.and_then(|holder| programs.known(report, holder.pid));
        match row.side() {
            Some(Side::Client) => {
                let here = of_service.get(&(socket.netns, row.service()));
                for at in here.into_iter().flatten() {
                    let is_its = wanted[*at].as_ref().is_some_and(|wanted| {
                        match (&wanted.programs, program) {
                            (Some(of), Some(program)) => of.contains(&program),
                            (None, _) => wanted.kind == row.owner.kind(),
                            (Some(_), None) => false,
                        }
                    });
                    if is_its {
                        gathered[*at].add(report, &row);
                    }
                }
            }
            Some(Side::Server) => {
                if let Some(program) = program {
                    let of = clients.entry((socket.netns, program)).or_default();
                    of.add(report, &row);
                }
            }
            None => {}
        }
    }
    let pool = |(wanted, gathered): (Option<Wanted<'_>>, Gathered)| {
        let wanted = wanted?;
        let of_program = |program: &usize| {
            let of = clients.get(&(wanted.netns, *program)).copied();
            of.unwrap_or_default().callers()
        };
        let callers = wanted.programs.as_ref();
        let ages = wanted.pids.iter().map(|pid| report.holders().age_ms(*pid));
        let life_ms = ages.collect::<Option<Vec<u64>>>();
        Some(gathered.pool(
            callers.map(|programs| programs.iter().map(of_program).sum()),
            life_ms.and_then(|ages| ages.into_iter().max()),
        ))
    };
    wanted.into_iter().zip(gathered).map(pool).collect()
}

/// Programs by number, and the processes of which it is known.
#[derive(Default)]
struct Programs {
    all: Vec<Program>,
    known: FxHashMap<Pid, Option<usize>>,
}

impl Programs {
    /// The numbers of the programs of some processes.
    fn of(&mut self, report: &Report<'_>, pids: &[Pid]) -> Vec<usize> {
        let mut numbers: Vec<usize> = Vec::new();
        for program in Program::all(report.holders(), pids) {
            let known = self.all.iter().position(|other| *other == program);
            numbers.push(known.unwrap_or_else(|| {
                self.all.push(program);
                self.all.len() - 1
            }));
        }
        self.known.clear();
        numbers
    }

    /// The number of a process's program, if it is one of those.
    fn known(&mut self, report: &Report<'_>, pid: Pid) -> Option<usize> {
        let all = &self.all;
        *self.known.entry(pid).or_insert_with(|| {
            let program = Program::of(report.holders(), pid)?;
            all.iter().position(|other| *other == program)
        })
    }
}

impl Gathered {
    fn add(&mut self, report: &Report<'_>, row: &Row<'_>) {
        if row.socket.state == State::Established {
            self.open += 1;
            return;
        }
        if row.cause == Some(Cause::HalfClose) {
            return;
        }
        self.closed += 1;
        self.never_closed += u64::from(row.cause == Some(Cause::NeverClosed));
        self.closed_ms.extend(closed_ms(report, row));
        self.used_ms.extend(used_ms(row.socket));
    }

    fn pool(mut self, callers: Option<u64>, life_ms: Option<u64>) -> Pool {
        let all = usize::try_from(self.closed).unwrap_or(usize::MAX);
        let enough = |times: &[u64]| times.len() * 100 >= all.saturating_mul(TIMED_PERCENT);
        let (basis, times) = if enough(&self.closed_ms) {
            (Basis::Closed, Some(&mut self.closed_ms))
        } else {
            let known = enough(&self.used_ms);
            (Basis::Used, known.then_some(&mut self.used_ms))
        };
        Pool {
            shape: times.and_then(|times| Shape::of(times)),
            basis,
            closed: self.closed,
            never_closed: self.never_closed,
            open: callers.map(|_| self.open),
            callers,
            life_ms,
        }
    }
}

/// How long ago the FIN came, to a tick; `None` where a later acknowledgement hides it.
fn closed_ms(report: &Report<'_>, row: &Row<'_>) -> Option<u64> {
    let facts = report.facts(row);
    // A goodbye came with it, and nothing renews the time of that.
    if row.cause == Some(Cause::StalePool) && row.socket.recv_q > 1 {
        return Some(facts.received?.idle().at_least_ms);
    }
    let known = facts.renewal(report.judge.grace_ms).is_none();
    Some(facts.idle?.at_least_ms).filter(|_| known)
}

/// How long ago the last byte went or came.
fn used_ms(socket: &Socket) -> Option<u64> {
    let tcp = socket.tcp?;
    let last = tcp.last_data_recv()?.latest(tcp.last_data_sent()?);
    Some(last.idle().at_least_ms)
}

impl Clients {
    fn add(&mut self, report: &Report<'_>, row: &Row<'_>) {
        let socket = row.socket;
        if matches!(row.owner, Owner::Listener(_)) {
            let gave_up = socket.state == State::CloseWait && row.lingers() == Some(true);
            self.waiting += u64::from(gave_up || has_waited(socket));
            return;
        }
        if socket.state == State::CloseWait {
            let gave_up = matches!(row.cause, Some(Cause::SlowHandler | Cause::NotReading));
            self.waiting += u64::from(gave_up);
            return;
        }
        let facts = report.facts(row);
        let grace_ms = report.judge.grace_ms;
        let waits = facts.ever_received == Some(true)
            && facts.answered_after_last_byte() == Some(false)
            && facts
                .received
                .is_some_and(|asked| asked.is_before(grace_ms));
        self.open += 1;
        self.unanswered += u64::from(waits);
    }
}
