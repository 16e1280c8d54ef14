//! Conclusions about a socket: its side, its owner, and the unknown fact that leaves a cause unclear.

use super::{Cause, Holder};

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
