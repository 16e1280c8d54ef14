//! The chain of services behind a finding: if an awaited service runs on this host, its processes
//! are found, and the services that they wait for in turn.
//!
//! The processes are the holders of the other ends of exactly these connections, which may be in
//! another network namespace that was read.

mod says;
mod served;

use std::sync::PoisonError;

use rustc_hash::FxHashMap;

use self::says::says;
pub use self::says::{IdleTransaction, Says};
use self::served::{Asked, served};
use crate::classifier::culprit::Culprit;
use crate::classifier::process::parks_threads;
use crate::classifier::report::Report;
use crate::classifier::requests::{Ask, Requests, Role, requests};
use crate::classifier::service::ServiceEnd;
use crate::classifier::service::{ServedAt, Service};
use crate::classifier::socket_set::SocketSet;
use crate::model::{Endpoint, Evidence, Pid, WaitKind, WaitTarget};

/// The most services of a chain.
const DEPTH: usize = 4;
/// The most processes of one service whose evidence is read: the others look the same.
const PER_HOP: usize = 16;

/// A service on this host that owes an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    /// The end that the requests were sent to.
    pub remote: Endpoint,
    /// Its network namespace, as [`Socket::netns`].
    pub netns: u16,
    /// The processes that serve the connections, those with the most first; for unaccepted
    /// connections, the holders of the listener.
    pub pids: Vec<Pid>,
    /// How many of these processes serve connections: the others only hold the listener.
    serving: usize,
    /// How many of the connections were found here, and how many of these are unaccepted.
    pub connections: u64,
    pub unaccepted: u64,
    /// Evidence of these processes.
    pub evidence: Vec<Evidence>,
    /// Their own unanswered requests to other services.
    pub requests: Vec<Requests>,
    /// The titles of these processes and their siblings, the most frequent first.
    pub says: Vec<Says>,
    /// Those that keep a transaction open while others wait for locks.
    pub idle_transactions: Vec<IdleTransaction>,
    /// It is one of the processes that wait, so the chain is a loop.
    pub is_loop: bool,
}

/// Follows the services that a set waits for, as far as evidence was read.
pub(super) fn chain(
    report: &Report<'_>,
    set: &SocketSet,
    culprit: Culprit,
    remote: Endpoint,
    evidence: &[Evidence],
) -> Vec<Hop> {
    let mut chain: Vec<Hop> = Vec::new();
    let (netns, pids) = (set.netns, &set.owner.pids);
    let mut asked = Some(match culprit {
        Culprit::FarEnd(_) => Asked::to_close(report, netns, pids, remote),
        _ => Asked::of(report, netns, pids, &set.requests, remote),
    });
    let mut before: Vec<Pid> = set.owner.pids.clone();
    // The port on which those processes are asked themselves.
    let mut ports: Vec<u16> = match set.end {
        ServiceEnd::One(Service {
            at: ServedAt::Local(port),
            ..
        }) => vec![port],
        _ => Vec::new(),
    };
    while chain.len() < DEPTH
        && let Some(next) = asked.take()
    {
        let Some(mut hop) = served(report, &next) else {
            break;
        };
        let port = hop.remote.port;
        hop.is_loop = ports.contains(&port) && hop.pids.iter().any(|pid| before.contains(pid));
        if !hop.is_loop {
            hop.tell(report, evidence);
            before.extend(&hop.pids);
            ports.push(port);
            // A program may send requests to itself before it sends them to others.
            let is_new = |next: &Endpoint| {
                *next != hop.remote && chain.iter().all(|hop| hop.remote != *next)
            };
            let of_requests = hop.awaited().map(|requests| requests.remote);
            let mut next = of_requests.chain(hop.awaited_by_threads());
            let next = next.find(is_new);
            asked =
                next.map(|remote| Asked::of(report, hop.netns, &hop.pids, &hop.requests, remote));
        }
        chain.push(hop);
    }
    chain
}

impl Hop {
    /// Adds the evidence of its processes, and their requests.
    fn tell(&mut self, report: &Report<'_>, evidence: &[Evidence]) {
        let pids = self.asked().iter();
        self.evidence = pids
            .filter_map(|pid| evidence.iter().find(|evidence| evidence.pid == *pid))
            .cloned()
            .collect();
        self.requests = asked(report, self.netns, &self.pids);
        self.says = says(&self.evidence);
        let blocks = self.says.iter().any(|says| says.title.is_blocked());
        let keepers = self
            .says
            .iter()
            .filter(|says| says.title.is_idle_in_transaction());
        self.idle_transactions = keepers
            .filter(|_| blocks)
            .flat_map(|says| &says.pids)
            .map(|pid| IdleTransaction::of(report, *pid, evidence))
            .collect();
    }

    /// Those of its processes whose evidence is read.
    fn asked(&self) -> &[Pid] {
        &self.pids[..self.pids.len().min(PER_HOP)]
    }

    /// The processes, and clients of idle transactions, whose evidence can still be read.
    pub(super) fn not_yet_read(&self) -> impl Iterator<Item = Pid> {
        let asked = if self.is_loop { &[] } else { self.asked() };
        let is_read = |pid: &Pid| self.evidence.iter().any(|evidence| evidence.pid == *pid);
        let keepers = self.idle_transactions.iter().take(PER_HOP);
        let clients = keepers.filter_map(|server| match server.evidence {
            None => server.client,
            Some(_) => None,
        });
        let asked = asked.iter().copied().filter(move |pid| !is_read(pid));
        asked.chain(clients)
    }

    /// Evidence of the processes that serve the connections; if none does, of all.
    pub fn at_work(&self) -> impl Iterator<Item = &Evidence> {
        let serving = &self.pids[..self.serving.min(self.pids.len())];
        let all = self.evidence.iter();
        all.filter(|of| serving.is_empty() || serving.contains(&of.pid))
    }

    /// The requests that it waits for, the most first.
    pub fn awaited(&self) -> impl Iterator<Item = &Requests> {
        self.requests.iter().filter(|requests| {
            requests.role == Role::Explains && requests.are_awaited(&self.evidence) == Some(true)
        })
    }
}

impl Hop {
    /// The remote end that most of its threads wait for, by the evidence.
    fn awaited_by_threads(&self) -> Option<Endpoint> {
        let mut counts: FxHashMap<Endpoint, u32> = FxHashMap::default();
        let mut working = 0u32;
        for evidence in self.at_work() {
            working = working.saturating_add(evidence.threads.map_or(0, |threads| threads.total));
            for wait in evidence.waits.iter().flatten() {
                match wait.target {
                    Some(WaitTarget::Remote(remote)) => {
                        let count: &mut u32 = counts.entry(remote).or_default();
                        *count = count.saturating_add(wait.threads);
                    }
                    _ if wait.kind == WaitKind::Lock && parks_threads(evidence.runtime) => {
                        working = working.saturating_sub(wait.threads);
                    }
                    _ => {}
                }
            }
        }
        let (remote, threads) = counts.into_iter().max_by_key(|(_, threads)| *threads)?;
        (threads.saturating_mul(2) > working).then_some(remote)
    }
}

/// The unanswered requests of processes.
fn asked(report: &Report<'_>, netns: u16, pids: &[Pid]) -> Vec<Requests> {
    let known = report.context.asked.lock();
    let mut known = known.unwrap_or_else(PoisonError::into_inner);
    let asked = known.entry((netns, pids.to_vec())).or_insert_with(|| {
        let ask = Ask::of(report, netns, pids, std::iter::empty());
        requests(report, &[ask]).pop().unwrap_or_default()
    });
    asked.clone()
}
