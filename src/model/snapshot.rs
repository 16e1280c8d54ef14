//! Everything that one run saw.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    BlindSpot, Cgroups, Detail, Details, Gap, Holders, Host, Namespace, OtherNamespaces, Scanned,
    Socket, Words,
};

/// What the collector hands to the classifier: one moment of one network namespace,
/// or of several.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub host: Host,
    /// The network namespaces that were read; [`Socket::netns`] is a position in it.
    pub namespaces: Vec<Namespace>,
    /// The other ones of the host; `None` where nobody asked, or all were read.
    pub others: Option<OtherNamespaces>,
    /// When the dump began, in nanoseconds since the Unix epoch.
    pub taken_at_ns: i128,
    /// How long the reading of the sockets took; `None` in older recordings.
    pub reading_ms: Option<u64>,
    /// Every socket that may be selected, and those that others are judged by: listeners, the near
    /// ends of connections within the host, and the legs of proxies.
    pub sockets: Vec<Socket>,
    /// The TCP sockets that carry MPTCP connections. They are listed, and neither counted nor judged:
    /// the connections are among the sockets.
    pub subflows: Vec<Socket>,
    /// More of these sockets, where it was asked for.
    pub details: Details,
    /// Who holds them; `None` when nobody asked.
    pub holders: Option<Holders>,
    /// In which control groups they are; `None` when nobody asked.
    pub cgroups: Option<Cgroups>,
    pub scan: Scan,
    /// More about the processes that hold wanted sockets, ordered by process.
    pub scanned: Vec<Scanned>,
    pub gaps: Vec<Gap>,
    pub steps: Vec<Step>,
    /// It was read from a recording: what it tells is of the past, and maybe of another host.
    pub recorded: bool,
}

static UNKNOWN: Namespace = Namespace::UNKNOWN;

impl Snapshot {
    /// More of a socket; `None` where nobody asked.
    pub fn detail(&self, socket: &Socket) -> Option<&Detail> {
        self.details.get(socket.detail?)
    }

    /// The namespace that a socket is in.
    pub fn namespace(&self, socket: &Socket) -> &Namespace {
        self.netns(socket.netns)
    }

    /// The namespace at a position; one of which nothing is known where there is none.
    pub fn netns(&self, at: u16) -> &Namespace {
        self.namespaces.get(usize::from(at)).unwrap_or(&UNKNOWN)
    }

    /// The only namespace that was read; `None` where there are several.
    pub fn only_namespace(&self) -> Option<&Namespace> {
        match self.namespaces.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Where the sockets came from: sock_diag where any of them did. That others did not is a gap.
    pub fn source(&self) -> Source {
        let netlink = |namespace: &Namespace| namespace.source == Source::Netlink;
        if self.namespaces.iter().any(netlink) {
            Source::Netlink
        } else {
            Source::Procfs
        }
    }
}

/// Where the sockets came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
    pub fn reports_backlog(self) -> bool {
        matches!(self, Source::Netlink)
    }
}

/// How much of /proc could be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scan {
    pub processes_seen: u32,
    pub processes_read: u32,
    pub fds_read: u64,
    /// Whether the reader may look into every process, as far as its capabilities go.
    pub privileged: bool,
    /// Whether it is uid 0, with whatever capabilities.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub root: bool,
    /// What a holder may be behind; empty where every socket has one.
    #[serde(rename = "barriers", default, skip_serializing_if = "Vec::is_empty")]
    pub blind_spots: Vec<BlindSpot>,
}

impl Scan {
    /// Whether a holder may be in another PID namespace: it is known that ours is not the host's,
    /// or nothing is known.
    pub fn may_be_elsewhere(&self) -> bool {
        self.blind_spots.is_empty() || self.blind_spots.contains(&BlindSpot::PidNamespace)
    }
}

/// One step of the collection and how long it took, for `-v`.
#[derive(Debug, Clone)]
pub struct Step {
    pub what: Words,
    pub took: Duration,
}
