//! Which connections the processes with evidence hold, among all sockets that were read.

use rustc_hash::{FxHashMap, FxHashSet};

use super::WaitsFor;
use crate::classifier::listeners::Bound;
use crate::classifier::report::Report;
use crate::classifier::socket_set::SocketSet;
use crate::model::{Endpoint, Evidence, Pid, Side, State, WaitTarget};

/// What the whole table shows about the processes with evidence.
#[derive(Debug, Default)]
pub struct Connections {
    /// Remote ends that threads wait for and that are clients of accepted connections.
    clients: FxHashSet<Endpoint>,
    /// Holders of accepted connections, by listener.
    serving: FxHashMap<Bound, FxHashSet<Pid>>,
}

impl Connections {
    /// Searches for the connections that threads wait on, and those of the listeners of sets.
    pub fn of(report: &Report<'_>, sets: &[SocketSet], evidence: &[Evidence]) -> Connections {
        let mut found = Connections::default();
        let waits = evidence.iter().flat_map(|evidence| evidence.waits.iter());
        let targets = waits.flatten().filter_map(|wait| wait.target.as_ref());
        let stacks = evidence.iter().filter_map(|of| of.stacks.as_ref());
        let groups = stacks.flat_map(|stacks| &stacks.groups);
        let of_stacks = groups.flat_map(|group| &group.targets).map(|of| &of.target);
        let remotes: FxHashSet<Endpoint> = targets
            .chain(of_stacks)
            .filter_map(|target| match target {
                WaitTarget::Remote(remote) => Some(*remote),
                _ => None,
            })
            .collect();
        for bound in sets.iter().filter_map(|set| set.listener) {
            found.serving.entry(bound).or_default();
        }
        if evidence.is_empty() {
            return found;
        }
        let ports: FxHashSet<u16> = found.serving.keys().map(|bound| bound.local.port).collect();
        let mut services = FxHashSet::default();
        for socket in &report.snapshot.sockets {
            if socket.inode == 0 || socket.state == State::Listen {
                continue;
            }
            let remote = socket.remote.canonical();
            if remotes.contains(&remote) {
                match report.judged(socket).side() {
                    Some(Side::Server) => found.clients.insert(remote),
                    Some(Side::Client) | None => services.insert(remote),
                };
            }
            if ports.contains(&socket.local.port)
                && let Some(listener) = report.listeners().covering(socket)
                && let Some(serving) = found.serving.get_mut(&listener.bound)
            {
                let holders = report.holders().of(socket.inode).iter();
                serving.extend(holders.map(|holder| holder.pid));
            }
        }
        found.clients.retain(|remote| !services.contains(remote));
        found
    }

    /// Whether a process holds connections of the service of a set.
    pub(super) fn serves(&self, set: &SocketSet, pid: Pid) -> bool {
        let serving = set.listener.and_then(|bound| self.serving.get(&bound));
        !set.holds(pid).is_empty() || serving.is_some_and(|serving| serving.contains(&pid))
    }

    /// What a descriptor is to the processes.
    pub(in crate::classifier) fn on(&self, target: Option<&WaitTarget>) -> WaitsFor {
        match target {
            Some(WaitTarget::Remote(remote)) if self.clients.contains(remote) => WaitsFor::Clients,
            Some(WaitTarget::Remote(remote)) => WaitsFor::Service(*remote),
            Some(WaitTarget::Listener(local)) => WaitsFor::Listener(*local),
            Some(WaitTarget::File(name)) => WaitsFor::File(name.clone()),
            None => WaitsFor::Nothing,
        }
    }
}
