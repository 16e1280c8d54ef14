//! What is concluded about a socket: its side, whose it is, and why it is in CLOSE_WAIT.

use std::fmt;
use std::str::FromStr;

use super::Holder;

/// Which end of the connection this host serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// This host serves: a listener covers the local end, or other facts show it.
    Server,
    Client,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Side::Server => "server",
            Side::Client => "client",
        }
    }
}

/// Who has a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// Held by descriptors of one or more processes, ordered by process.
    Process(&'a [Holder]),
    /// Not accepted yet: the holders of the listener in whose accept queue it is. Empty if they are
    /// hidden or the listener was not found.
    Listener(&'a [Holder]),
    /// No process has it: TIME_WAIT, SYN_RECV, orphans, and sockets that closed during the search for
    /// holders.
    Kernel,
    /// It has an inode, and no holder was found.
    Hidden(HiddenReason),
    /// Holders were not read.
    Unread,
}

/// Why the holder of a socket was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HiddenReason {
    /// closewait runs as a user who may not read every process.
    NeedsRoot,
    /// It runs as root, but lacks a capability.
    NeedsCapability,
    /// Some processes could not be read although closewait has every capability: because of a user
    /// namespace or a security module.
    Refused,
    /// Every process was read. The holder is in another PID namespace, has no descriptor of the socket,
    /// or is the kernel.
    Elsewhere,
}

impl Owner<'_> {
    /// The name of the kind in JSON; `None` if holders were not read.
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Owner::Process(_) => Some("process"),
            Owner::Listener(_) => Some("listener"),
            Owner::Kernel => Some("kernel"),
            Owner::Hidden(_) => Some("hidden"),
            Owner::Unread => None,
        }
    }

    pub fn holders(&self) -> &[Holder] {
        match self {
            Owner::Process(holders) | Owner::Listener(holders) => holders,
            Owner::Kernel | Owner::Hidden(_) | Owner::Unread => &[],
        }
    }
}

/// Why a socket is in CLOSE_WAIT. The names are stable and the same in every output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    Transient,
    NotAccepted,
    HalfClose,
    SendStuck,
    Inherited,
    NeverClosed,
    StalePool,
    SlowHandler,
    Abandoned,
    NotReading,
    Unclear,
    /// Not the cause of a socket: a finding about descriptors whose connections are in no table.
    DeadDescriptors,
    /// Not the cause of a CLOSE_WAIT here: a finding about FIN_WAIT2 sockets that a process holds. The
    /// remote end is in CLOSE_WAIT.
    PeerNotClosed,
}

impl Cause {
    /// Causes that only findings have, and no socket.
    pub const OF_FINDINGS: [Cause; 2] = [Cause::DeadDescriptors, Cause::PeerNotClosed];

    /// Every cause that a socket can have, in the order in which the rules try them.
    pub const ALL: [Cause; 11] = [
        Cause::Transient,
        Cause::NotAccepted,
        Cause::HalfClose,
        Cause::SendStuck,
        Cause::Inherited,
        Cause::NeverClosed,
        Cause::StalePool,
        Cause::SlowHandler,
        Cause::Abandoned,
        Cause::NotReading,
        Cause::Unclear,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Cause::Transient => "transient",
            Cause::NotAccepted => "not-accepted",
            Cause::HalfClose => "half-close",
            Cause::SendStuck => "send-stuck",
            Cause::Inherited => "inherited",
            Cause::NeverClosed => "never-closed",
            Cause::StalePool => "stale-pool",
            Cause::SlowHandler => "slow-handler",
            Cause::Abandoned => "abandoned",
            Cause::NotReading => "not-reading",
            Cause::Unclear => "unclear",
            Cause::DeadDescriptors => "dead-descriptors",
            Cause::PeerNotClosed => "peer-not-closed",
        }
    }
}

/// The unknown fact because of which a cause is unclear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Missing {
    /// The age: other acknowledgements than that of the FIN may have reset it. If the socket is older
    /// than the grace, this is its cause.
    Age(Cause),
    /// The holders. If the socket was not inherited, this is its cause.
    Owner(Cause),
    /// Whether the last request was answered: the last byte came within a tick of the last one sent.
    Order,
    /// Which side opened the connection.
    Side,
    /// Whether end-of-file was read: the Recv-Q of MPTCP does not count the FIN.
    Eof,
    /// All times: tcp_info is missing.
    Times,
    /// The queues: the kernel does not count them (gVisor).
    Queues,
}

/// A set of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Causes(u16);

impl Causes {
    pub const NONE: Causes = Causes(0);

    pub fn of(causes: impl IntoIterator<Item = Cause>) -> Causes {
        causes.into_iter().fold(Causes::NONE, Causes::with)
    }

    pub fn with(self, cause: Cause) -> Causes {
        Causes(self.0 | 1 << cause as u16)
    }

    pub fn contains(self, cause: Cause) -> bool {
        self.0 & 1 << cause as u16 != 0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A cause that is none of [`Cause::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown cause {0:?}: one of {all}", all = Cause::ALL.map(Cause::name).join(", "))]
pub struct UnknownCause(pub String);

impl FromStr for Cause {
    type Err = UnknownCause;

    fn from_str(name: &str) -> Result<Cause, UnknownCause> {
        let plain = name.replace('_', "-").to_ascii_lowercase();
        Cause::ALL
            .into_iter()
            .find(|cause| cause.name() == plain)
            .ok_or_else(|| UnknownCause(name.to_owned()))
    }
}
