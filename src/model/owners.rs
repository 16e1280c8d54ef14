//! Who holds which socket: every (inode, process, file descriptor), and the holders' names.

use std::ops::Range;

use rustc_hash::FxHashMap;

use super::{Name, Pid, Process};

/// One file descriptor that refers to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    pub inode: u32,
    pub pid: Pid,
    pub fd: u32,
}

/// All holders, ordered by inode, then process, then descriptor.
#[derive(Debug, Clone, Default)]
pub struct Holders {
    holders: Vec<Holder>,
    /// The position in `holders` at which those of an inode begin.
    starts: FxHashMap<u32, u32>,
    processes: Vec<Process>,
    /// The inodes of sockets that closed during the search for holders, ordered.
    closed: Vec<u32>,
}

impl Holders {
    /// From holders in any order, and their processes.
    pub fn new(mut holders: Vec<Holder>, mut processes: Vec<Process>) -> Holders {
        holders.sort_unstable();
        holders.dedup();
        processes.sort_unstable_by_key(|process| process.pid);
        let mut starts = FxHashMap::default();
        for (at, holder) in (0u32..).zip(&holders) {
            starts.entry(holder.inode).or_insert(at);
        }
        Holders {
            holders,
            starts,
            processes,
            closed: Vec::new(),
        }
    }

    /// Adds the inodes of sockets that closed during the search for holders.
    pub fn with_closed(mut self, mut closed: Vec<u32>) -> Holders {
        closed.sort_unstable();
        self.closed = closed;
        self
    }

    /// The inodes of sockets that closed during the search for holders, ordered.
    pub fn closed(&self) -> &[u32] {
        &self.closed
    }

    /// Whether a socket closed during the search for holders, so that it has none.
    pub fn is_closed(&self, inode: u32) -> bool {
        self.closed.binary_search(&inode).is_ok()
    }

    /// The holders of one socket, ordered by process. Empty for inode 0, which no socket has.
    pub fn of(&self, inode: u32) -> &[Holder] {
        &self.holders[self.range(inode)]
    }

    /// The range of the holders of one socket, for [`Holders::at`].
    pub fn range(&self, inode: u32) -> Range<usize> {
        let Some(start) = self.starts.get(&inode) else {
            return 0..0;
        };
        let start = *start as usize;
        let length = self.holders[start..]
            .iter()
            .take_while(|holder| holder.inode == inode)
            .count();
        start..start + length
    }

    /// The holders in a range from [`Holders::range`].
    pub fn at(&self, range: Range<usize>) -> &[Holder] {
        self.holders.get(range).unwrap_or(&[])
    }

    /// All of them.
    pub fn all(&self) -> &[Holder] {
        &self.holders
    }

    pub fn name(&self, pid: Pid) -> Option<&Name> {
        self.process(pid)?.name.as_ref()
    }

    /// How long ago a holder started, in milliseconds.
    pub fn age_ms(&self, pid: Pid) -> Option<u64> {
        self.process(pid)?.age_ms
    }

    /// The ancestors of a holder, its parent first.
    pub fn ancestors(&self, pid: Pid) -> &[(Pid, Name)] {
        self.process(pid).map_or(&[], |process| &process.ancestors)
    }

    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    pub fn processes_mut(&mut self) -> &mut [Process] {
        &mut self.processes
    }

    fn process(&self, pid: Pid) -> Option<&Process> {
        let at = self
            .processes
            .binary_search_by_key(&pid, |process| process.pid)
            .ok()?;
        Some(&self.processes[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_holder_of_a_shared_socket_is_kept() {
        let holder = |inode, pid, fd| Holder {
            inode,
            pid: Pid(pid),
            fd,
        };
        let holders = Holders::new(
            vec![
                holder(7, 20, 3),
                holder(9, 1, 1),
                holder(7, 10, 4),
                holder(7, 10, 3),
            ],
            Vec::new(),
        );
        let of_seven: Vec<_> = holders.of(7).iter().map(|h| (h.pid.0, h.fd)).collect();
        assert_eq!(of_seven, [(10, 3), (10, 4), (20, 3)]);
        assert!(holders.of(8).is_empty());
        assert!(holders.of(0).is_empty());
    }
}
