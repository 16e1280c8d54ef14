//! Finds the processes that serve connections with a missing answer, if they are on this host.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Hop;
use crate::classifier::report::Report;
use crate::classifier::requests::{Requests, ends};
use crate::model::{Endpoint, Pid, Socket, State};

/// A service that owes an answer, and the connections.
pub(super) struct Asked {
    netns: u16,
    remote: Endpoint,
    /// The client ends of those connections.
    ends: FxHashSet<Endpoint>,
}

impl Asked {
    pub(super) fn of(
        report: &Report<'_>,
        netns: u16,
        pids: &[Pid],
        requests: &[Requests],
        remote: Endpoint,
    ) -> Asked {
        let known = requests.iter().find(|requests| requests.remote == remote);
        // A thread may wait for an answer although the times do not show that it is missing.
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

    /// For connections that this side has closed and the remote end has not.
    pub(super) fn to_close(
        report: &Report<'_>,
        netns: u16,
        pids: &[Pid],
        remote: Endpoint,
    ) -> Asked {
        let waits = ends(report, netns, pids, remote, State::FinWait2);
        Asked {
            netns,
            remote,
            ends: waits.into_iter().collect(),
        }
    }
}

/// The server ends of these connections; `None` if they are not on this host, or may be in several
/// network namespaces.
pub(super) fn served(report: &Report<'_>, asked: &Asked) -> Option<Hop> {
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
            // Loopback addresses of another network namespace are different.
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
        // The server is hidden.
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
        idle_transactions: Vec::new(),
        is_loop: false,
    })
}
