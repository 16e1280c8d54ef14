//! Where processes and sockets stand among control groups: the path, and the unit and container
//! that it tells.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::{Name, Owner, Pid, Socket};

/// A control group. A path is any bytes but NUL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cgroup {
    /// From the root of the hierarchy, with a leading slash.
    pub path: Name,
    /// The systemd unit, as `nginx.service`; of a user's services the innermost.
    pub unit: Option<Name>,
    /// The container's id, or its name where the path has that; the innermost.
    pub container: Option<Name>,
}

/// The control groups of those who hold sockets, and of sockets that nobody holds.
#[derive(Debug, Clone, Default)]
pub struct Cgroups {
    /// A process that could not be read is missing.
    pub of_process: FxHashMap<Pid, Cgroup>,
    /// By the kernel's number, as [`Socket::cgroup`]. The root is missing: where only that is
    /// known, a hierarchy of version 1 may tell more.
    pub by_id: FxHashMap<u64, Cgroup>,
}

/// Where a socket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed<'a> {
    In(&'a Cgroup),
    /// It is no process's, and in no group.
    Nowhere,
    Unknown,
}

impl Cgroups {
    /// Where a socket stands: where its first holder does, but for process 1, which holds
    /// listeners for others. One without a holder in sight stands where it was made.
    pub fn of(&self, socket: &Socket, owner: &Owner<'_>) -> Placed<'_> {
        let known = |pid: Pid| self.of_process.get(&pid);
        let holders = owner.holders();
        let mut others = holders.iter().filter(|holder| holder.pid != Pid(1));
        match others.next().or(holders.first()) {
            Some(holder) => known(holder.pid).map_or(Placed::Unknown, Placed::In),
            None => self.made_in(socket, owner),
        }
    }

    /// Whether one of the holders of a socket stands in a group that is `wanted`; `None` where
    /// that is not known.
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
