//! Silent services: they answer no requests of programs without findings. Their clients may have
//! disappeared without a trace, and the requests remain.

use rustc_hash::FxHashMap;

use super::finding::Finding;
use super::program::Program;
use super::report::Report;
use super::requests::{Requests, never_answered};
use crate::model::{Ago, Endpoint, Pid, Side, State};

/// The least number of requests without any answer: fewer may be long polls.
const MANY: usize = 100;
/// How long each must have waited, in milliseconds.
const LONG_MS: u64 = 5_000;
/// The least share of the connections to the service that must wait, in percent.
const MOST_PERCENT: usize = 80;

/// Requests of one program that a service has never answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Silent {
    pub netns: u16,
    /// One of its processes.
    pub pid: Pid,
    pub requests: Requests,
}

/// Silent services among the selected connections that no finding mentions, those with the most
/// requests first.
pub fn silent(report: &Report<'_>, findings: &[Finding]) -> Vec<Silent> {
    let mut numbers: FxHashMap<Pid, usize> = FxHashMap::default();
    let mut programs: Vec<(Pid, Option<Program>)> = Vec::new();
    let mut to: FxHashMap<(u16, usize, Endpoint), (usize, Vec<Ago>)> = FxHashMap::default();
    let rows = report
        .rows()
        .filter(|row| row.socket.state == State::Established && row.socket.inode != 0);
    for row in rows {
        let socket = row.socket;
        let Some(holder) = row.owner.holders().first() else {
            continue;
        };
        if row.side() != Some(Side::Client) {
            continue;
        }
        let number = *numbers.entry(holder.pid).or_insert_with(|| {
            let program = Program::of(report.holders(), holder.pid);
            let known = programs
                .iter()
                .position(|(_, other)| program.is_some() && *other == program);
            known.unwrap_or_else(|| {
                programs.push((holder.pid, program));
                programs.len() - 1
            })
        });
        let key = (socket.netns, number, socket.remote.canonical());
        let (connections, sent) = to.entry(key).or_default();
        *connections += 1;
        sent.extend(never_answered(socket).filter(|sent| sent.is_before(LONG_MS)));
    }
    let is_reported = |netns: u16, remote: Endpoint| {
        findings.iter().any(|finding| {
            let mut requests = finding.set.requests.iter();
            finding.set.netns == netns && requests.any(|requests| requests.remote == remote)
        })
    };
    let mut all: Vec<Silent> = to
        .into_iter()
        .filter(|(_, (connections, sent))| {
            let is_most =
                sent.len().saturating_mul(100) >= connections.saturating_mul(MOST_PERCENT);
            sent.len() >= MANY && is_most
        })
        .filter(|((netns, _, remote), _)| !is_reported(*netns, *remote))
        .filter_map(|((netns, number, remote), (connections, sent))| {
            Some(Silent {
                netns,
                pid: programs.get(number)?.0,
                requests: Requests::beside(remote, connections, sent)?,
            })
        })
        .collect();
    all.sort_by_key(|one| {
        let most = std::cmp::Reverse(one.requests.unanswered);
        (most, one.netns, one.requests.remote, one.pid)
    });
    all
}
