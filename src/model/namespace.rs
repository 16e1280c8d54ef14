//! A network namespace: how it is called, and the settings that are its own.

use serde::{Deserialize, Serialize};

use super::{PortRange, Source};

/// A network namespace whose sockets were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// The name that it was asked for by, or that `ip netns` knows it by, `net:[inode]`, or,
    /// where that may not be read, `/proc/PID/ns/net` of a process in it; `None` where /proc does not
    /// tell.
    pub label: Option<String>,
    /// What chooses it with `-N`; `None` for the one that the tool runs in.
    pub asked: Option<String>,
    /// The number in `net:[4026531840]`.
    pub inode: Option<u64>,
    pub source: Source,
    pub settings: Settings,
}

/// What each network namespace has for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `net.ipv4.ip_local_port_range`: the ports that connecting sockets get.
    pub ephemeral: Option<PortRange>,
    /// `net.ipv4.tcp_fin_timeout`, in seconds.
    pub fin_timeout_s: Option<u32>,
    /// `net.core.somaxconn`: the most that a listener's backlog can be.
    pub somaxconn: Option<u32>,
    /// `TcpExt: ListenOverflows` since the namespace was made.
    pub listen_overflows: Option<u64>,
    /// `TcpExt: ListenDrops` since then.
    pub listen_drops: Option<u64>,
}

impl Namespace {
    /// A namespace of which nothing is known.
    pub const UNKNOWN: Namespace = Namespace {
        label: None,
        asked: None,
        inode: None,
        source: Source::Procfs,
        settings: Settings {
            ephemeral: None,
            fin_timeout_s: None,
            somaxconn: None,
            listen_overflows: None,
            listen_drops: None,
        },
    };
}
