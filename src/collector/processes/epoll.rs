//! The epoll sets of a process: which of the sockets in question they watch, and for what. See
//! proc_pid_fdinfo(5) and epoll_ctl(2).

use std::collections::HashSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::collector::file;
use crate::collector::processes::by_inode::SocketsByInode;
use crate::model::{Endpoint, Epoll, State};

/// The most entries of an epoll set that are read.
const ENTRIES_MAX: usize = 200_000;
/// The most healthy connections that are kept; more would show nothing new.
const HEALTHY_MAX: usize = 64;
/// `EPOLLET`: an event is reported once.
const EDGE: u32 = 1 << 31;
/// `EPOLLIN` and `EPOLLRDHUP`: either reports an end-of-file.
const INPUT: u32 = 0x2001;

/// The sockets in question that are in the epoll sets of a process: inodes, in ascending order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EpollSets {
    /// Watched for input.
    watched: Vec<u32>,
    /// Of those, the ones watched edge-triggered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    edge: Vec<u32>,
    /// Registered, but not for input.
    muted: Vec<u32>,
}

impl EpollSets {
    /// How many of these sockets are watched; `stuck` is in ascending order.
    pub(super) fn count(&self, stuck: &[u32]) -> Epoll {
        let among = |inodes: &[u32]| {
            let is_stuck = |inode: &&u32| stuck.binary_search(inode).is_ok();
            inodes.iter().filter(is_stuck).count()
        };
        let (watched, muted) = (among(&self.watched), among(&self.muted));
        Epoll {
            watched: watched as u64,
            edge: among(&self.edge) as u64,
            muted: muted as u64,
            absent: stuck.len().saturating_sub(watched).saturating_sub(muted) as u64,
        }
    }
}

/// Reads the epoll sets of a process, by its directory in /proc and their descriptors. Also returns
/// some of the established connections in them that share an end with a socket in question.
pub(super) fn read(
    root: &Path,
    epolls: &[u32],
    stuck: &[u32],
    sockets: &SocketsByInode<'_>,
) -> Option<(EpollSets, Vec<(Endpoint, Endpoint)>)> {
    if epolls.is_empty() || stuck.is_empty() {
        return None;
    }
    let mut watched = HashSet::new();
    let mut edge = HashSet::new();
    let mut muted = HashSet::new();
    let (ports, remotes): (HashSet<u16>, HashSet<Endpoint>) = stuck
        .iter()
        .filter_map(|inode| sockets.find(*inode))
        .map(|socket| (socket.local.port, socket.remote))
        .unzip();
    let mut healthy = Vec::new();
    for fd in epolls {
        let path = root.join("fdinfo").join(fd.to_string());
        for line in file::lines(&path).ok()?.take(ENTRIES_MAX) {
            // The inode of a socket has 32 bits.
            let Some((events, inode)) = parse_entry(&line.ok()?) else {
                continue;
            };
            if stuck.binary_search(&inode).is_ok() {
                let set = if events & INPUT != 0 {
                    &mut watched
                } else {
                    &mut muted
                };
                set.insert(inode);
                if events & EDGE != 0 {
                    edge.insert(inode);
                }
            } else if healthy.len() < HEALTHY_MAX
                && let Some(socket) = sockets.find(inode)
                && socket.state == State::Established
                && (ports.contains(&socket.local.port) || remotes.contains(&socket.remote))
            {
                healthy.push((socket.local.canonical(), socket.remote.canonical()));
            }
        }
    }
    muted.retain(|inode| !watched.contains(inode));
    let sets = EpollSets {
        watched: ordered(watched),
        edge: ordered(edge),
        muted: ordered(muted),
    };
    Some((sets, healthy))
}

fn ordered(inodes: HashSet<u32>) -> Vec<u32> {
    let mut inodes: Vec<u32> = inodes.into_iter().collect();
    inodes.sort_unstable();
    inodes
}

/// The events and the inode of a line such as
/// `tfd:        8 events:       19 data:  …  pos:0 ino:61af sdev:7`.
fn parse_entry(line: &str) -> Option<(u32, u32)> {
    let mut words = line.split_ascii_whitespace();
    if words.next()? != "tfd:" {
        return None;
    }
    let mut words = words.skip_while(|word| *word != "events:").skip(1);
    let events = u32::from_str_radix(words.next()?, 16).ok()?;
    let inode = words.find_map(|word| word.strip_prefix("ino:"))?;
    Some((events, u32::from_str_radix(inode, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoll_entry_tells_its_events_and_inode() {
        let line = "tfd:        8 events:     2019 data:                8  pos:0 ino:61af sdev:7";
        assert_eq!(parse_entry(line), Some((0x2019, 0x61af)));
        assert_eq!(parse_entry("pos:\t0"), None);
        assert_eq!(parse_entry("tfd: 8 events: zz"), None);
    }
}
