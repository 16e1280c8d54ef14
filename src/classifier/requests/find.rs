//! Finds the unanswered requests of programs among all connections that were read.

use super::ask::{Ask, Asked};
use rustc_hash::FxHashMap;

use super::role::{is_first, role};
use super::unanswered::{ENDS_MAX, unanswered};
use super::{Requests, WAIT_MS};
use crate::classifier::client_wait::{self, ClientWait};
use crate::classifier::program::Program;
use crate::classifier::report::Report;
use crate::model::{Ago, Endpoint, Pid, Side, Socket, State};

/// The most remote services that are reported for one owner.
const REMOTES_MAX: usize = 8;
/// The most accepted connections of one program that are used.
const INBOUND_MAX: usize = 10_000;

/// The connections of one program.
#[derive(Default)]
struct Connections {
    to: FxHashMap<Endpoint, Asked>,
    inbound: Vec<ClientWait>,
}

/// The unanswered requests of several owners, among all sockets that were read, selected or not.
/// Those that explain something come first, then the most.
pub(in crate::classifier) fn requests(report: &Report<'_>, asks: &[Ask<'_>]) -> Vec<Vec<Requests>> {
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
        of_owner(report, ask, &found.collect::<Vec<_>>())
    };
    asks.iter().map(of_ask).collect()
}

/// All connections of the programs, by namespace and number of the program.
fn gather(
    report: &Report<'_>,
    numbers: &FxHashMap<Pid, usize>,
) -> FxHashMap<(u16, usize), Connections> {
    let mut found: FxHashMap<(u16, usize), Connections> = FxHashMap::default();
    let holders = report.holders();
    // A socket of two processes counts for the first.
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

/// The requests of one owner, which may be several programs.
fn of_owner(report: &Report<'_>, ask: &Ask<'_>, programs: &[&Connections]) -> Vec<Requests> {
    // The times of two sockets were read at different moments.
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
            // The last entry of each program asked first.
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
