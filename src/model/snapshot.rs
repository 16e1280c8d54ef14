//! Snapshot: everything that one run read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    BlindSpot, Cgroups, Detail, Details, Gap, Holders, Host, Namespace, OtherNamespaces, Scanned,
    Socket, Source, Words,
};

/// What the collector passes to the classifier: the state of one or several network namespaces at one
/// moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub host: Host,
    /// The network namespaces that were read; [`Socket::netns`] is a position in this list.
    pub namespaces: Vec<Namespace>,
    /// The other network namespaces of the host; `None` if all were read, or they were not looked for.
    pub others: Option<OtherNamespaces>,
    /// When the dump began, in nanoseconds since the Unix epoch.
    pub taken_at_ns: i128,
    /// How long the reading of the sockets took; `None` in older recordings.
    pub reading_ms: Option<u64>,
    /// Every socket that may be selected, and those that are needed to judge others: listeners, the
    /// other ends of connections within the host, and other legs of proxies.
    pub sockets: Vec<Socket>,
    /// The TCP sockets that carry MPTCP connections. They are listed but neither counted nor judged,
    /// because the connections are in `sockets`.
    pub subflows: Vec<Socket>,
    /// Details of these sockets, if asked for.
    pub details: Details,
    /// Who holds them; `None` if that was not read.
    pub holders: Option<Holders>,
    /// Their control groups; `None` if those were not read.
    pub cgroups: Option<Cgroups>,
    pub scan: Scan,
    /// What else is known about the holders of wanted sockets, ordered by process.
    pub scanned: Vec<Scanned>,
    pub gaps: Vec<Gap>,
    pub steps: Vec<Step>,
    /// It comes from a recording, so it is in the past and maybe of another host.
    pub recorded: bool,
}

static UNKNOWN: Namespace = Namespace::UNKNOWN;

impl Snapshot {
    /// The details of a socket; `None` if they were not read.
    pub fn detail(&self, socket: &Socket) -> Option<&Detail> {
        self.details.get(socket.detail?)
    }

    /// The namespace that a socket is in.
    pub fn namespace(&self, socket: &Socket) -> &Namespace {
        self.netns(socket.netns)
    }

    /// The namespace at a position; an unknown one if there is none.
    pub fn netns(&self, at: u16) -> &Namespace {
        self.namespaces.get(usize::from(at)).unwrap_or(&UNKNOWN)
    }

    /// The only namespace that was read; `None` if several were.
    pub fn only_namespace(&self) -> Option<&Namespace> {
        match self.namespaces.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The source of the sockets: sock_diag if any came from there. That others did not is a gap.
    pub fn source(&self) -> Source {
        let netlink = |namespace: &Namespace| namespace.source == Source::Netlink;
        if self.namespaces.iter().any(netlink) {
            Source::Netlink
        } else {
            Source::Procfs
        }
    }
}

/// How much of /proc could be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scan {
    pub processes_seen: u32,
    pub processes_read: u32,
    pub fds_read: u64,
    /// Whether closewait has the capabilities to read every process.
    pub privileged: bool,
    /// Whether closewait runs as uid 0, whatever its capabilities.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub root: bool,
    /// Why holders may not have been found; empty if every socket has one.
    #[serde(rename = "barriers", default, skip_serializing_if = "Vec::is_empty")]
    pub blind_spots: Vec<BlindSpot>,
}

impl Scan {
    /// Whether a holder may be in another PID namespace: /proc is known not to be the host's, or nothing
    /// is known.
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
