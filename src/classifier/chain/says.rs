//! The titles of the processes of a service, and transactions that are open and idle.
use crate::classifier::report::Report;
use crate::model::{Endpoint, Evidence, Pid, Sibling, Socket, State, Title};

/// Processes with the same title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Says {
    pub title: Title,
    pub pids: Vec<Pid>,
}

/// A process that may hold the lock that others wait for, because its transaction is open and idle.
#[derive(Debug, Clone, PartialEq)]
pub struct IdleTransaction {
    pub pid: Pid,
    /// The other end of its connection, if it has one.
    pub end: Option<Endpoint>,
    /// The holder of that end.
    pub client: Option<Pid>,
    /// Evidence of that client.
    pub evidence: Option<Evidence>,
}

/// The titles of processes and their siblings, each process once.
pub(super) fn says(evidence: &[Evidence]) -> Vec<Says> {
    let own = evidence.iter().filter_map(|evidence| {
        let title = evidence.title.clone()?;
        Some(Sibling {
            pid: evidence.pid,
            title,
        })
    });
    let siblings = evidence.iter().flat_map(|evidence| &evidence.siblings);
    let mut all: Vec<Sibling> = own.chain(siblings.cloned()).collect();
    // If a process was read twice, its own reading counts.
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

impl IdleTransaction {
    pub(super) fn of(report: &Report<'_>, pid: Pid, evidence: &[Evidence]) -> IdleTransaction {
        let held = report.context.held(pid);
        let mut served = held.filter(|socket| socket.state == State::Established);
        // With several connections it is unknown which one is meant.
        let socket = served.next().filter(|_| served.next().is_none());
        let client = socket.and_then(|socket| client_of(report, socket));
        let of_client = evidence
            .iter()
            .find(|evidence| Some(evidence.pid) == client);
        IdleTransaction {
            pid,
            end: socket.map(|socket| socket.remote.canonical()),
            client,
            evidence: of_client.cloned(),
        }
    }
}

/// The holder of the other end of an accepted connection.
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
