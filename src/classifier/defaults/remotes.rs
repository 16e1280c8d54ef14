//! The remote ends of a set that are on this host, and the programs that listen there.

use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::classifier::report::Report;
use crate::classifier::socket_set::SocketSet;
use crate::model::{Endpoint, Side, Socket, State};

/// What is known of the remote ends of a set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Remotes {
    /// At least one has a loopback address, or one of a network namespace that was read.
    pub here: bool,
    /// For each server among them whose listener is known, the names of the programs that hold it.
    pub servers: Vec<Vec<String>>,
}

impl Remotes {
    /// Looks through all sockets that were read.
    pub(super) fn of(report: &Report<'_>, set: &SocketSet) -> Remotes {
        let sockets = &report.snapshot.sockets;
        let ends = ends(report, set);
        let wanted: FxHashSet<IpAddr> = ends.iter().map(|(_, end)| end.addr).collect();
        let mut places: FxHashMap<IpAddr, Vec<u16>> = FxHashMap::default();
        for socket in sockets {
            let addr = socket.local.canonical().addr;
            if wanted.contains(&addr) {
                let places = places.entry(addr).or_default();
                if !places.contains(&socket.netns) {
                    places.push(socket.netns);
                }
            }
        }
        let mut remotes = Remotes::default();
        for (netns, end) in ends {
            let places = places.get(&end.addr).map_or(&[][..], Vec::as_slice);
            // Every namespace has a loopback address of its own.
            let place = match places {
                _ if end.is_loopback() || places.contains(&netns) => Some(netns),
                [only] => Some(*only),
                _ => None,
            };
            remotes.here |= place.is_some() || !places.is_empty();
            if let Some(netns) = place.filter(|_| set.end.side() == Some(Side::Client)) {
                let names = programs(report, netns, end);
                remotes.servers.extend((!names.is_empty()).then_some(names));
            }
        }
        remotes
    }
}

/// The different remote ends of a set, with the namespaces of its sockets. Of clients, only the
/// addresses differ: their ports are 0.
fn ends(report: &Report<'_>, set: &SocketSet) -> FxHashSet<(u16, Endpoint)> {
    let inodes: FxHashSet<u32> = set.held.iter().map(|(_, inode)| *inode).collect();
    let is_queued = |socket: &Socket| {
        let queue = report.listeners().queue_of(socket);
        queue.is_some_and(|listener| Some(listener.bound) == set.listener)
    };
    let is_of_set = |socket: &&Socket| match set.listener {
        Some(_) if socket.is_unaccepted() => is_queued(socket),
        _ => socket.inode != 0 && inodes.contains(&socket.inode),
    };
    let sockets = report.snapshot.sockets.iter().filter(is_of_set);
    sockets
        .map(|socket| {
            let mut end = socket.remote.canonical();
            if set.end.side() == Some(Side::Server) {
                end.port = 0;
            }
            (socket.netns, end)
        })
        .collect()
}

/// The names of the programs that hold the listener of an end in a namespace.
fn programs(report: &Report<'_>, netns: u16, end: Endpoint) -> Vec<String> {
    let server = Socket {
        netns,
        ..Socket::bare(State::Established, end, end)
    };
    let listener = report.listeners().covering(&server);
    let holders = listener.map_or(&[][..], |listener| &listener.holders);
    let mut names: Vec<String> = holders
        .iter()
        .filter_map(|holder| report.holders().name(holder.pid))
        .map(ToString::to_string)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
