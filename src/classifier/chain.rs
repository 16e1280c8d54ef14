//! The chain behind a finding: an awaited service that runs on this host is resolved to its
//! processes, and what these wait for in their turn follows.
//!
//! The server's end of exactly these connections names the processes. It may be in another network
//! namespace that was read.

use std::sync::PoisonError;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Report;
use super::culprit::{Culprit, parks_threads};
use super::group::{ServedAt, Service};
use super::requests::{Ask, Requests, Role, ends, requests};
use super::socket_set::{ServiceEnd, SocketSet};
use crate::model::{Endpoint, Evidence, Pid, Sibling, Socket, State, Title, WaitKind, WaitTarget};

/// The most services that are followed, one behind the other.
const DEPTH: usize = 4;
/// The most processes of one service that are asked: the others tell the same story.
const PER_HOP: usize = 16;

/// A service on this host that owes an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    /// Where it was asked.
    pub remote: Endpoint,
    /// The namespace that it is in, as [`Socket::netns`].
    pub netns: u16,
    /// Who serves the connections, those with the most first; or, of those that are not accepted,
    /// who holds the listener.
    pub pids: Vec<Pid>,
    /// How many of those serve connections: the others hold the listener only.
    serving: usize,
    /// How many of the connections were found here, and how many of these are not accepted.
    pub connections: u64,
    pub unaccepted: u64,
    /// What these processes told.
    pub evidence: Vec<Evidence>,
    /// What they have asked of other services in their turn.
    pub requests: Vec<Requests>,
    /// What they and their siblings say of themselves, the most frequent first.
    pub says: Vec<Says>,
    /// Those of them that keep a transaction open while others wait for locks.
    pub keepers: Vec<LockOwner>,
    /// It is one of those who asked.
    pub is_loop: bool,
}

/// Processes that say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Says {
    pub title: Title,
    pub pids: Vec<Pid>,
}

/// A process that may have the lock for which others wait.
#[derive(Debug, Clone, PartialEq)]
pub struct LockOwner {
    pub pid: Pid,
    /// The other end of its connection, where it has one.
    pub end: Option<Endpoint>,
    /// Who holds that.
    pub client: Option<Pid>,
    /// What the client told.
    pub evidence: Option<Evidence>,
}

/// Follows what a set waits for, as far as those told who were asked so far.
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
    // Where those who asked are asked themselves.
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
            // A program may ask itself before it asks others.
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

/// A service that owes an answer, and over which connections.
struct Asked {
    netns: u16,
    remote: Endpoint,
    /// The asking end of those.
    ends: FxHashSet<Endpoint>,
}

impl Asked {
    fn of(
        report: &Report<'_>,
        netns: u16,
        pids: &[Pid],
        requests: &[Requests],
        remote: Endpoint,
    ) -> Asked {
        let known = requests.iter().find(|requests| requests.remote == remote);
        // A thread may wait for an answer where times do not tell that it is missing.
        let ends = match known {
            Some(requests) => requests.ends.clone(),
            None => ends(report, netns, pids, remote, State::Established),
        };
        Asked {
            netns,
            remote,
            ends: ends.into_iter().collect(),
        }
    }
}

impl Asked {
    /// Of connections that were closed there, and not by the remote end.
    fn to_close(report: &Report<'_>, netns: u16, pids: &[Pid], remote: Endpoint) -> Asked {
        let waits = ends(report, netns, pids, remote, State::FinWait2);
        Asked {
            netns,
            remote,
            ends: waits.into_iter().collect(),
        }
    }
}

/// The server's ends of what was asked; `None` where they are not on this host, or may be in one of
/// several namespaces.
fn served(report: &Report<'_>, asked: &Asked) -> Option<Hop> {
    let Asked {
        netns,
        remote,
        ends,
    } = asked;
    let (netns, remote) = (*netns, *remote);
    let is_there = |socket: &&Socket| {
        matches!(socket.state, State::Established | State::CloseWait)
            && socket.local.port == remote.port
            && socket.local.canonical() == remote
            && ends.contains(&socket.remote.canonical())
            // The loopback of another namespace is another.
            && (socket.netns == netns || !remote.is_loopback())
    };
    let mut found: FxHashMap<u16, Vec<&Socket>> = FxHashMap::default();
    for socket in report.snapshot.sockets.iter().filter(is_there) {
        found.entry(socket.netns).or_default().push(socket);
    }
    let (at, sockets) = match found.remove_entry(&netns) {
        Some(here) => here,
        None if found.len() == 1 => found.into_iter().next()?,
        None => return None,
    };
    let mut counts: FxHashMap<Pid, usize> = FxHashMap::default();
    for socket in &sockets {
        let owner = report
            .context
            .owner(socket, report.context.owner_ref(socket));
        let mut pids: Vec<Pid> = owner.holders().iter().map(|holder| holder.pid).collect();
        pids.dedup();
        for pid in pids {
            *counts.entry(pid).or_default() += usize::from(socket.inode != 0);
        }
    }
    if counts.is_empty() {
        // Whoever serves it may not be seen.
        return None;
    }
    let mut pids: Vec<(Pid, usize)> = counts.into_iter().collect();
    pids.sort_unstable_by_key(|(pid, served)| (std::cmp::Reverse(*served), *pid));
    let serving = pids.iter().filter(|(_, served)| *served > 0).count();
    let unaccepted = sockets.iter().filter(|socket| socket.inode == 0).count();
    Some(Hop {
        remote,
        netns: at,
        pids: pids.into_iter().map(|(pid, _)| pid).collect(),
        serving,
        connections: sockets.len() as u64,
        unaccepted: unaccepted as u64,
        evidence: Vec::new(),
        requests: Vec::new(),
        says: Vec::new(),
        keepers: Vec::new(),
        is_loop: false,
    })
}

impl Hop {
    /// Adds what its processes told, and their own requests.
    fn tell(&mut self, report: &Report<'_>, evidence: &[Evidence]) {
        let told = self.asked().iter();
        self.evidence = told
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
        self.keepers = keepers
            .filter(|_| blocks)
            .flat_map(|says| &says.pids)
            .map(|pid| LockOwner::of(report, *pid, evidence))
            .collect();
    }

    /// Those of its processes that are asked.
    fn asked(&self) -> &[Pid] {
        &self.pids[..self.pids.len().min(PER_HOP)]
    }

    /// Those of its processes, and of the clients of its keepers, that can still be asked.
    pub(super) fn not_yet_read(&self) -> impl Iterator<Item = Pid> {
        let asked = if self.is_loop { &[] } else { self.asked() };
        let has_told = |pid: &Pid| self.evidence.iter().any(|evidence| evidence.pid == *pid);
        let keepers = self.keepers.iter().take(PER_HOP);
        let clients = keepers.filter_map(|server| match server.evidence {
            None => server.client,
            Some(_) => None,
        });
        let asked = asked.iter().copied().filter(move |pid| !has_told(pid));
        asked.chain(clients)
    }

    /// What those told who serve the connections; where nobody does, what all told.
    pub fn at_work(&self) -> impl Iterator<Item = &Evidence> {
        let serving = &self.pids[..self.serving.min(self.pids.len())];
        let told = self.evidence.iter();
        told.filter(|told| serving.is_empty() || serving.contains(&told.pid))
    }

    /// The requests that it waits for itself, the most first.
    pub fn awaited(&self) -> impl Iterator<Item = &Requests> {
        self.requests.iter().filter(|requests| {
            requests.role == Role::Explains && requests.are_awaited(&self.evidence) == Some(true)
        })
    }
}

impl Hop {
    /// The remote end for which most of its threads wait, as far as those told that were asked.
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

/// What processes have asked of others.
fn asked(report: &Report<'_>, netns: u16, pids: &[Pid]) -> Vec<Requests> {
    let known = report.context.asked.lock();
    let mut known = known.unwrap_or_else(PoisonError::into_inner);
    let asked = known.entry((netns, pids.to_vec())).or_insert_with(|| {
        let ask = Ask::of(report, netns, pids, std::iter::empty());
        requests(report, &[ask]).pop().unwrap_or_default()
    });
    asked.clone()
}

/// What processes and their siblings say, each process once.
fn says(evidence: &[Evidence]) -> Vec<Says> {
    let own = evidence.iter().filter_map(|evidence| {
        let title = evidence.title.clone()?;
        Some(Sibling {
            pid: evidence.pid,
            title,
        })
    });
    let siblings = evidence.iter().flat_map(|evidence| &evidence.siblings);
    let mut all: Vec<Sibling> = own.chain(siblings.cloned()).collect();
    // Of two readings of one process, its own.
    all.sort_by_key(|says| says.pid);
    all.dedup_by_key(|says| says.pid);
    let mut says: Vec<Says> = Vec::new();
    for Sibling { pid, title } in all {
        match says.iter_mut().find(|says| says.title == title) {
            Some(says) => says.pids.push(pid),
            None => says.push(Says {
                title,
                pids: vec![pid],
            }),
        }
    }
    says.sort_by_key(|says| (std::cmp::Reverse(says.pids.len()), says.title.clone()));
    says
}

impl LockOwner {
    fn of(report: &Report<'_>, pid: Pid, evidence: &[Evidence]) -> LockOwner {
        let held = report.context.held(pid);
        let mut served = held.filter(|socket| socket.state == State::Established);
        // With more than one, it is not known which is meant.
        let socket = served.next().filter(|_| served.next().is_none());
        let client = socket.and_then(|socket| client_of(report, socket));
        let told = evidence
            .iter()
            .find(|evidence| Some(evidence.pid) == client);
        LockOwner {
            pid,
            end: socket.map(|socket| socket.remote.canonical()),
            client,
            evidence: told.cloned(),
        }
    }
}

/// Who holds the other end of a connection that is served here.
fn client_of(report: &Report<'_>, served: &Socket) -> Option<Pid> {
    let ends = (served.remote.canonical(), served.local.canonical());
    let mut others = report.snapshot.sockets.iter().filter(|socket| {
        socket.local.port == ends.0.port
            && (socket.local.canonical(), socket.remote.canonical()) == ends
            && (socket.netns == served.netns || !ends.1.is_loopback())
    });
    let other = others.next().filter(|_| others.next().is_none())?;
    let holder = report.holders().of(other.inode).first()?;
    Some(holder.pid)
}
