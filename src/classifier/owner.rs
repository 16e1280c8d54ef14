//! Owners: a kind and a set of processes that hold sockets together. Comparing a socket's owner
//! costs no allocation.

use crate::model::{Name, Owner, Pid};

/// The owner that the sockets of a group share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupOwner {
    /// As [`Owner::kind`].
    pub kind: Option<&'static str>,
    /// Each process once, ordered.
    pub pids: Vec<Pid>,
}

impl GroupOwner {
    pub fn of(owner: &Owner<'_>) -> GroupOwner {
        let mut pids = Vec::new();
        collect_pids(owner, &mut pids);
        GroupOwner {
            kind: owner.kind(),
            pids,
        }
    }

    /// Whether this is the owner of a socket; allocates nothing.
    pub fn is(&self, owner: &Owner<'_>) -> bool {
        let mut last = None;
        let mut known = self.pids.iter();
        self.kind == owner.kind()
            && owner.holders().iter().all(|holder| {
                last.replace(holder.pid) == Some(holder.pid) || known.next() == Some(&holder.pid)
            })
            && known.next().is_none()
    }
}

fn collect_pids(owner: &Owner<'_>, pids: &mut Vec<Pid>) {
    for holder in owner.holders() {
        if pids.last() != Some(&holder.pid) {
            pids.push(holder.pid);
        }
    }
}

/// The name of the first process of a group, for sorting and display.
pub fn first_name<'a>(
    owner: &GroupOwner,
    name: impl Fn(Pid) -> Option<&'a Name>,
) -> Option<&'a Name> {
    owner.pids.first().and_then(|pid| name(*pid))
}
