//! Control groups of processes and sockets: the path, and the systemd unit and container that it
//! names.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::{Name, Owner, Pid, Socket};

/// A control group (cgroups(7)). The path may hold any bytes except NUL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cgroup {
    /// The path from the root of the hierarchy, with a leading slash.
    pub path: Name,
    /// The systemd unit, such as `nginx.service`; the innermost one if units are nested.
    pub unit: Option<Name>,
    /// The container's id, or its name if the path holds the name; the innermost one.
    pub container: Option<Name>,
}

/// The control groups of processes that hold sockets, and of sockets without a holder.
#[derive(Debug, Clone, Default)]
pub struct Cgroups {
    /// Processes that could not be read are missing.
    pub of_process: FxHashMap<Pid, Cgroup>,
    /// By the kernel's id, as in [`Socket::cgroup`]. The root is left out, because a socket there may
    /// be in a group of a version 1 hierarchy.
    pub by_id: FxHashMap<u64, Cgroup>,
}

/// The control group of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed<'a> {
    In(&'a Cgroup),
    /// No process has the socket, and it is in no group.
    Nowhere,
    Unknown,
}

impl Cgroups {
    /// The group of a socket: that of its first holder, other holders before process 1, which holds
    /// listeners for other programs. Without a known holder, the group in which it was created.
    pub fn of(&self, socket: &Socket, owner: &Owner<'_>) -> Placed<'_> {
        let known = |pid: Pid| self.of_process.get(&pid);
        let holders = owner.holders();
        let mut others = holders.iter().filter(|holder| holder.pid != Pid(1));
        match others.next().or(holders.first()) {
            Some(holder) => known(holder.pid).map_or(Placed::Unknown, Placed::In),
            None => self.made_in(socket, owner),
        }
    }

    /// Whether a holder of the socket is in a group for which `wanted` holds; `None` if unknown.
    pub fn any(
        &self,
        socket: &Socket,
        owner: &Owner<'_>,
        wanted: impl Fn(&Cgroup) -> bool,
    ) -> Option<bool> {
        let holders = owner.holders();
        if holders.is_empty() {
            return match self.made_in(socket, owner) {
                Placed::In(cgroup) => Some(wanted(cgroup)),
                Placed::Nowhere => Some(false),
                Placed::Unknown => None,
            };
        }
        let mut answer = Some(false);
        for holder in holders {
            match self.of_process.get(&holder.pid) {
                Some(cgroup) if wanted(cgroup) => return Some(true),
                Some(_) => {}
                None => answer = None,
            }
        }
        answer
    }

    fn made_in(&self, socket: &Socket, owner: &Owner<'_>) -> Placed<'_> {
        let group = socket.cgroup.and_then(|id| self.by_id.get(&id.get()));
        match (group, owner) {
            (Some(group), _) => Placed::In(group),
            (None, Owner::Kernel) => Placed::Nowhere,
            (None, _) => Placed::Unknown,
        }
    }
}
