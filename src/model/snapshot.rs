//! Everything that one run saw.

use std::time::Duration;

use super::{Gap, Holders, Host, Scanned, Socket};

/// What the collector hands to the classifier: one moment of one network namespace.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub host: Host,
    /// The network namespace: the name it was asked for by, or `net:[inode]`.
    pub netns: Option<String>,
    /// The name by which another namespace was asked for.
    pub netns_asked: Option<String>,
    /// When the dump began, in nanoseconds since the Unix epoch.
    pub taken_at_ns: i128,
    pub source: Source,
    /// Every socket that may be selected, and those that others are judged by: listeners, and
    /// the near ends of connections within the host.
    pub sockets: Vec<Socket>,
    /// Who holds them; `None` when nobody asked.
    pub holders: Option<Holders>,
    pub scan: Scan,
    /// More about the processes that hold wanted sockets, ordered by process.
    pub scanned: Vec<Scanned>,
    pub gaps: Vec<Gap>,
    pub steps: Vec<Step>,
}

/// Where the sockets came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// sock_diag over netlink.
    Netlink,
    /// /proc/net/tcp and tcp6.
    Procfs,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Source::Netlink => "netlink",
            Source::Procfs => "procfs",
        }
    }

    /// Whether a listener's Send-Q is its accept queue's limit.
    pub fn tells_backlog(self) -> bool {
        matches!(self, Source::Netlink)
    }
}

/// How much of /proc could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scan {
    pub processes_seen: u32,
    pub processes_read: u32,
    pub fds_read: u64,
    /// Whether the reader may look into every process (uid 0).
    pub privileged: bool,
}

/// One step of the collection and how long it took, for `-v`.
#[derive(Debug, Clone)]
pub struct Step {
    pub what: String,
    pub took: Duration,
}
