//! What is concluded about a socket: its side, whose it is, and why it is in CLOSE_WAIT.

use std::fmt;
use std::str::FromStr;

use super::Holder;

/// Which end of the connection this host serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// A listener covers the local address and port, or the ports say so.
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

/// Whose a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// Held by descriptors of one or more processes, ordered by process.
    Process(&'a [Holder]),
    /// Not accepted yet: these hold the listener in whose queue it sits. Empty when the
    /// listener's own holders are hidden or the listener was not found.
    Listener(&'a [Holder]),
    /// No process's any more: TIME_WAIT, SYN_RECV, orphans, and sockets that closed during the
    /// search for holders.
    Kernel,
    /// It has an inode, and nobody who holds it was seen.
    Hidden(HiddenReason),
    /// Nobody asked.
    Unread,
}

/// Why the holder of a socket was not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HiddenReason {
    /// This user may not look into every process.
    NeedsRoot,
    /// Nor may root here: it lacks a capability.
    NeedsCapability,
    /// Some processes could not be read in spite of every capability: another user namespace, or
    /// a security module.
    Refused,
    /// Every process was read: it is in another PID namespace, no descriptor shows it, or the
    /// kernel holds it.
    Elsewhere,
}

impl Owner<'_> {
    /// The name of the kind in JSON; `None` when owners were not read.
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
    /// Of no socket that a table has: what a finding is about whose descriptors have lost theirs.
    DeadDescriptors,
    /// Of no CLOSE_WAIT here, but of one at the remote end: this side has closed its direction, and
    /// a process holds the socket in FIN_WAIT2.
    PeerNotClosed,
}

impl Cause {
    /// What findings are about that is no socket's cause.
    pub const OF_FINDINGS: [Cause; 2] = [Cause::DeadDescriptors, Cause::PeerNotClosed];

    /// All that a socket can have, in the order in which the decision table tries them.
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

/// The fact that would decide where a cause is unclear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Missing {
    /// How old it is: acknowledgements other than the FIN's come in. Were it older than the grace,
    /// it would have this cause.
    Age(Cause),
    /// Who holds it. Had it not been inherited, it would have this cause.
    Owner(Cause),
    /// Whether the last byte was answered: it came within a tick of the last that was sent.
    Order,
    /// Which side opened the connection.
    Side,
    /// Whether end-of-file was read: the Recv-Q of MPTCP does not count the FIN.
    Eof,
    /// Any time at all.
    Times,
    /// What lies unread: the kernel counts nothing.
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
