//! Unread bytes: which sockets `--peek` looks at, and what was seen of those of a finding.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::report::Report;
use super::socket_set::SocketSet;
use crate::model::{Content, Evidence, Socket, Unread};

/// The most sockets of one set that are looked at: enough to show whether they wait for the same.
const PER_SET: usize = 8;
/// The most sockets of a run.
const ALL: usize = 64;

/// What was seen of the unread bytes of a finding's sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeks {
    /// How many sockets were looked at.
    pub sockets: u64,
    /// How many have unread bytes.
    pub unread: u64,
    /// What the bytes begin with, the most frequent first.
    pub groups: Vec<Peek>,
}

/// Sockets whose unread bytes begin with the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    pub content: Content,
    pub sockets: u64,
    /// The fewest and the most unread bytes of one of them.
    pub bytes: (u64, u64),
}

/// The sockets to look at: of each suspicious set a few that a process holds and that have unread
/// bytes, of different remote addresses if possible.
pub fn sockets_to_peek_at(report: &Report<'_>, sets: &[SocketSet]) -> Vec<Unread> {
    let suspicious = || sets.iter().filter(|set| set.is_suspicious());
    let unread: FxHashMap<u32, &Socket> = match suspicious().any(|set| set.unread > 0) {
        true => (report.rows())
            .map(|row| row.socket)
            .filter(|socket| socket.inode != 0 && socket.unread() > 0)
            .map(|socket| (socket.inode, socket))
            .collect(),
        false => FxHashMap::default(),
    };
    let of_each = suspicious().flat_map(|set| of_set(report, set, &unread));
    of_each.take(ALL).collect()
}

/// How many sockets of suspicious sets have unread bytes that cannot be looked at, because no process was
/// found that holds them. Those that are not accepted do not count: no process has a descriptor of them,
/// so nothing is missed.
pub fn hidden(sets: &[SocketSet]) -> u64 {
    let hidden = sets
        .iter()
        .filter(|set| set.is_suspicious() && set.owner.kind == Some("hidden"));
    hidden.fold(0, |count, set| count.saturating_add(set.unread))
}

fn of_set(
    report: &Report<'_>,
    set: &SocketSet,
    unread: &FxHashMap<u32, &Socket>,
) -> impl Iterator<Item = Unread> {
    let mut inodes: Vec<u32> = set.held.iter().map(|(_, inode)| *inode).collect();
    inodes.sort_unstable();
    inodes.dedup();
    let mut from_same: FxHashMap<IpAddr, u32> = FxHashMap::default();
    let mut sockets: Vec<(u32, &Socket)> = Vec::new();
    for socket in inodes.iter().filter_map(|inode| unread.get(inode)) {
        let nth = from_same.entry(socket.remote.canonical().addr).or_default();
        sockets.push((*nth, socket));
        *nth = nth.saturating_add(1);
    }
    sockets.sort_by_key(|(nth, socket)| (*nth, socket.inode));
    sockets.truncate(PER_SET);
    let place = |pid| set.by_weight.iter().position(|other| *other == pid);
    let held = |(_, socket): (u32, &Socket)| {
        let holders = report.holders().of(socket.inode).iter();
        // Evidence is read of the first processes.
        let holder = holders.min_by_key(|holder| (place(holder.pid).is_none(), place(holder.pid)));
        holder.map(|holder| Unread {
            holder: *holder,
            cookie: socket.cookie,
        })
    };
    let mut found: Vec<Unread> = sockets.into_iter().filter_map(held).collect();
    found.sort_by_key(|unread| (unread.holder.pid, unread.holder.fd));
    found.into_iter()
}

impl Peeks {
    /// What was seen of the sockets of a set.
    pub(super) fn of(set: &SocketSet, evidence: &[Evidence]) -> Option<Peeks> {
        let mut groups: BTreeMap<&Content, Peek> = BTreeMap::new();
        for evidence in evidence {
            let is_of_set = |inode| set.held.binary_search(&(evidence.pid, inode)).is_ok();
            for peeked in &evidence.peeked {
                if is_of_set(peeked.inode) {
                    let one = Peek {
                        content: peeked.content.clone(),
                        sockets: 1,
                        bytes: (peeked.bytes, peeked.bytes),
                    };
                    match groups.get_mut(&peeked.content) {
                        Some(known) => known.add(&one),
                        None => drop(groups.insert(&peeked.content, one)),
                    }
                }
            }
        }
        Peeks::ordered(set.unread, groups.into_values().collect())
    }

    /// With what was seen of other sockets.
    pub(super) fn with(self, other: Peeks) -> Peeks {
        let unread = self.unread.saturating_add(other.unread);
        let mut groups = self.groups;
        for more in other.groups {
            let known = groups.iter_mut().find(|peek| peek.content == more.content);
            match known {
                Some(known) => known.add(&more),
                None => groups.push(more),
            }
        }
        let sockets = self.sockets.saturating_add(other.sockets);
        Peeks {
            sockets,
            unread,
            groups: sorted(groups),
        }
    }

    fn ordered(unread: u64, groups: Vec<Peek>) -> Option<Peeks> {
        let sockets = groups.iter().map(|peek| peek.sockets).sum();
        (sockets > 0).then(|| Peeks {
            sockets,
            unread,
            groups: sorted(groups),
        })
    }
}

impl Peek {
    fn add(&mut self, other: &Peek) {
        self.sockets = self.sockets.saturating_add(other.sockets);
        let ((min, max), (other_min, other_max)) = (self.bytes, other.bytes);
        self.bytes = (min.min(other_min), max.max(other_max));
    }
}

/// The most frequent first.
fn sorted(mut groups: Vec<Peek>) -> Vec<Peek> {
    groups.sort_by(|a, b| {
        (b.sockets.cmp(&a.sockets)).then_with(|| (&a.content, a.bytes).cmp(&(&b.content, b.bytes)))
    });
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peek(content: Content, sockets: u64, bytes: u64) -> Peek {
        let bytes = (bytes, bytes);
        Peek {
            content,
            sockets,
            bytes,
        }
    }

    #[test]
    fn what_was_seen_of_two_sets_is_added_up_by_content() {
        let one = vec![peek(Content::Ssh, 3, 9), peek(Content::Unknown, 1, 5)];
        let other = vec![peek(Content::Unknown, 4, 7)];
        let one = Peeks::ordered(10, one).unwrap();
        let both = one.with(Peeks::ordered(20, other).unwrap());
        assert_eq!((both.sockets, both.unread), (8, 30));
        let unknown = Peek {
            bytes: (5, 7),
            ..peek(Content::Unknown, 5, 0)
        };
        assert_eq!(both.groups, [unknown, peek(Content::Ssh, 3, 9)]);
        assert_eq!(Peeks::ordered(10, Vec::new()), None);
    }
}
