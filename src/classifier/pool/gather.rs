//! Gathers all connections of a program to a service, and all clients that wait for the program,
//! among all sockets that were read, selected or not.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Pool, TimeBasis, is_all_gone, is_soon};
use crate::classifier::listeners::{QUEUE_GRACE_MS, waited_ms};
use crate::classifier::program::Program;
use crate::classifier::service::Service;
use crate::classifier::service::ServiceEnd;
use crate::classifier::socket_set::SocketSet;
use crate::classifier::time_pattern::TimePattern;
use crate::classifier::{Report, Row};
use crate::model::{Cause, Owner, Pid, Side, Socket, State};

/// The least share of sockets whose times must be known for a pattern, in percent.
const TIMED_PERCENT: usize = 90;

/// The client connections of one program to one service; the program is `None` if unknown.
type Key = (u16, Option<usize>, Service);

/// What was found of them.
#[derive(Default)]
struct Gathered {
    closed: u64,
    leaked: u64,
    open: u64,
    closed_ms: Vec<u64>,
    used_ms: Vec<u64>,
}

/// The clients of one program in one namespace.
#[derive(Default, Clone, Copy)]
struct Clients {
    /// Clients that gave up or were not accepted.
    waiting: u64,
    /// Clients with open connections, and those of them without an answer.
    open: u64,
    unanswered: u64,
    /// How long ago the first of them sent its request, in milliseconds.
    first_ms: Option<u64>,
}

impl Clients {
    /// A protocol that does not answer every message looks the same, so they count only if most
    /// wait.
    fn callers(self) -> u64 {
        let most = self.unanswered.saturating_mul(2) >= self.open;
        self.waiting + if most { self.unanswered } else { 0 }
    }
}

/// Sets the pools of sets of connections that this host opened, given with the positions of their
/// rows; and, for sets of waiting clients, the pool that their owner has exhausted.
pub(in crate::classifier) fn fill(report: &Report<'_>, sets: &mut [(SocketSet, Vec<u32>)]) {
    if !sets.iter().any(|(set, _)| is_pool(set) || is_waiting(set)) {
        return;
    }
    let mut programs = Programs::default();
    let owners: Vec<Vec<usize>> = sets
        .iter()
        .map(|(set, _)| match is_pool(set) || is_waiting(set) {
            true => programs.of(report, &set.owner.pids),
            false => Vec::new(),
        })
        .collect();
    let mut found: FxHashMap<Key, Gathered> = FxHashMap::default();
    let mut clients: FxHashMap<(u16, usize), Clients> = FxHashMap::default();
    for socket in &report.snapshot.sockets {
        if !matches!(socket.state, State::Established | State::CloseWait) {
            continue;
        }
        // Looking up the owner is cheaper than judging, and most sockets belong to other programs.
        let owner = report.context.owner_ref(socket);
        let whose = report.context.owner(socket, owner);
        let holder = whose.holders().first();
        let program = match holder.map(|holder| programs.known(report, holder.pid)) {
            Some(None) => continue,
            program => program.flatten(),
        };
        let row = report.context.row(socket, owner).0;
        match (row.side(), program) {
            (Some(Side::Client), _) => {
                let key = (socket.netns, program, row.service());
                found.entry(key).or_default().add(report, &row);
            }
            (Some(Side::Server), Some(program)) => {
                let of = clients.entry((socket.netns, program)).or_default();
                of.add(report, &row);
            }
            _ => {}
        }
    }
    for ((set, positions), programs) in sets.iter_mut().zip(owners) {
        let of_program = |program: &usize| clients.get(&(set.netns, *program));
        let of = programs.iter().filter_map(of_program);
        let callers: u64 = of.clone().map(|clients| clients.callers()).sum();
        let first_ms = of.filter_map(|clients| clients.first_ms).max();
        if is_pool(set) {
            let pool = pool_of(report, set, positions, programs, &found, callers);
            set.pool = Some(Pool {
                waiting_ms: first_ms,
                ..pool
            });
        } else if is_waiting(set) {
            let exhausted = found.iter().filter(|((netns, program, _), some)| {
                *netns == set.netns
                    && program.is_some_and(|program| programs.contains(&program))
                    && is_all_gone(some.closed, some.open, callers)
                    && some.is_used_before(first_ms)
            });
            let most = exhausted.max_by_key(|((.., service), some)| (some.closed, *service));
            set.exhausted = most.map(|((.., service), _)| (ServiceEnd::One(*service), callers));
        }
    }
}

/// The pool of a set, by all connections of its programs to its services.
fn pool_of(
    report: &Report<'_>,
    set: &SocketSet,
    positions: &[u32],
    programs: Vec<usize>,
    found: &FxHashMap<Key, Gathered>,
    callers: u64,
) -> Pool {
    let services = positions
        .iter()
        .map(|at| report.row(*at as usize).service());
    let services: FxHashSet<Service> = services.collect();
    let is_known = set.owner.kind == Some("process");
    let keys: Vec<Option<usize>> = match is_known {
        true => programs.into_iter().map(Some).collect(),
        false => vec![None],
    };
    let mut all = Gathered::default();
    for service in services {
        let keys = keys.iter().map(|program| (set.netns, *program, service));
        keys.filter_map(|key| found.get(&key))
            .for_each(|some| all.join(some));
    }
    let ages = set.owner.pids.iter();
    let ages = ages.map(|pid| report.holders().age_ms(*pid));
    let life_ms = ages.collect::<Option<Vec<u64>>>();
    Pool {
        life_ms: life_ms.and_then(|ages| ages.into_iter().max()),
        ..all.pool(is_known.then_some(callers))
    }
}

/// Whether the connections of a set were opened by this host and closed by their service.
fn is_pool(set: &SocketSet) -> bool {
    let closed = matches!(
        set.cause,
        Cause::StalePool | Cause::NeverClosed | Cause::NotReading
    );
    closed && set.end.side() == Some(Side::Client) && set.is_suspicious()
}

/// Whether the peers of a set were not served.
fn is_waiting(set: &SocketSet) -> bool {
    let waits = matches!(
        set.cause,
        Cause::NotAccepted | Cause::SlowHandler | Cause::NotReading
    );
    waits && set.end.side() == Some(Side::Server) && set.is_suspicious()
}

/// Programs by number, and processes whose program is known.
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

    /// The number of the program of a process, if it is one of these.
    fn known(&mut self, report: &Report<'_>, pid: Pid) -> Option<usize> {
        let all = &self.all;
        *self.known.entry(pid).or_insert_with(|| {
            let program = Program::of(report.holders(), pid)?;
            all.iter().position(|other| *other == program)
        })
    }
}

impl Gathered {
    /// Whether it was last used just before clients began to wait.
    fn is_used_before(&self, first_ms: Option<u64>) -> bool {
        let used = self.used_ms.iter().min().copied();
        used.zip(first_ms)
            .is_some_and(|(used, first)| is_soon(used, first))
    }

    fn join(&mut self, other: &Gathered) {
        self.closed += other.closed;
        self.leaked += other.leaked;
        self.open += other.open;
        self.closed_ms.extend(&other.closed_ms);
        self.used_ms.extend(&other.used_ms);
    }

    fn add(&mut self, report: &Report<'_>, row: &Row<'_>) {
        if row.socket.state == State::Established {
            self.open += 1;
            return;
        }
        if row.cause == Some(Cause::HalfClose) {
            return;
        }
        self.closed += 1;
        let leaked = matches!(row.cause, Some(Cause::NeverClosed | Cause::NotReading));
        self.leaked += u64::from(leaked);
        self.closed_ms.extend(closed_ms(report, row));
        self.used_ms.extend(used_ms(row.socket));
    }

    fn pool(mut self, callers: Option<u64>) -> Pool {
        let used_ms = self.used_ms.iter().min().copied();
        let all = usize::try_from(self.closed).unwrap_or(usize::MAX);
        let enough = |times: &[u64]| times.len() * 100 >= all.saturating_mul(TIMED_PERCENT);
        let (basis, times) = if enough(&self.closed_ms) {
            (TimeBasis::Closed, Some(&mut self.closed_ms))
        } else {
            let known = enough(&self.used_ms);
            (TimeBasis::Used, known.then_some(&mut self.used_ms))
        };
        Pool {
            pattern: times.and_then(|times| TimePattern::of(times)),
            basis,
            closed: self.closed,
            leaked: self.leaked,
            open: callers.map(|_| self.open),
            callers,
            used_ms,
            waiting_ms: None,
            life_ms: None,
        }
    }
}

/// How long ago the FIN came, to a tick; `None` if a later acknowledgement hides it.
fn closed_ms(report: &Report<'_>, row: &Row<'_>) -> Option<u64> {
    let facts = report.facts(row);
    // A closing message came with it, and nothing resets the time of that.
    if row.cause == Some(Cause::StalePool) && row.socket.recv_q > 1 {
        return Some(facts.received?.idle().at_least_ms);
    }
    let known = facts.ack_source(report.context.grace_ms).is_none();
    Some(facts.idle?.at_least_ms).filter(|_| known)
}

/// How long ago the last byte was sent or received.
fn used_ms(socket: &Socket) -> Option<u64> {
    let tcp = socket.tcp?;
    let last = tcp.last_data_recv()?.latest(tcp.last_data_sent()?);
    Some(last.idle().at_least_ms)
}

impl Clients {
    fn add(&mut self, report: &Report<'_>, row: &Row<'_>) {
        let socket = row.socket;
        let facts = report.facts(row);
        let asked_ms = facts.received.map(|asked| asked.idle().at_least_ms);
        let grace_ms = report.context.grace_ms;
        let (waits, since_ms) = match (row.owner, socket.state) {
            (Owner::Listener(_), state) => {
                let gave_up = state == State::CloseWait && row.lingers() == Some(true);
                let waited = waited_ms(socket);
                let waits = waited.is_some_and(|waited| waited >= QUEUE_GRACE_MS);
                (gave_up || waits, waited)
            }
            (_, State::CloseWait) => {
                let gave_up = matches!(row.cause, Some(Cause::SlowHandler | Cause::NotReading));
                (gave_up, asked_ms)
            }
            _ => {
                let waits = facts.ever_received == Some(true)
                    && facts.answered_after_last_byte() == Some(false)
                    && asked_ms.is_some_and(|asked| asked > grace_ms);
                self.open += 1;
                self.unanswered += u64::from(waits);
                self.first_ms = self.first_ms.max(asked_ms.filter(|_| waits));
                return;
            }
        };
        if waits {
            self.waiting += 1;
            self.first_ms = self.first_ms.max(since_ms);
        }
    }
}
