//! Blind spots: where a process that holds a socket may be, and cannot be seen.

use serde::{Deserialize, Serialize};

use super::{Name, Pid};

/// A reason why the holder of a socket may not have been found. Read only if a socket has no known
/// holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlindSpot {
    /// closewait lacks these capabilities, which are required to read every process.
    Capabilities(Vec<Name>),
    /// /proc does not list the processes of other users: it is mounted with this option
    /// (`hidepid=invisible`).
    Hidepid(Name),
    /// closewait runs in a user namespace, where its capabilities do not reach outside processes.
    UserNamespace,
    /// /proc shows a PID namespace that is not the host's.
    PidNamespace,
    /// Descriptors were sent to a UNIX socket of the process and not received yet (unix(7),
    /// `SCM_RIGHTS`). The kernel does not report which ones.
    InFlight(Holding),
    /// Threads of the process are in system calls on descriptors that have been closed since. Such a
    /// socket lives until its call returns.
    Call(Holding),
    /// The process has mapped some of the sockets into memory (tcp(7),
    /// `TCP_ZEROCOPY_RECEIVE`).
    Mapping(Holding),
    /// Every process was read: the kernel itself may hold the sockets, for NFS for example.
    Kernel,
}

/// A process, and the number of descriptors, calls or mappings that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    pub pid: Pid,
    /// `None` if the process ended before its name was read.
    pub name: Option<Name>,
    pub count: u64,
}

impl BlindSpot {
    /// The process that the blind spot is about, if there is one.
    pub fn holding_mut(&mut self) -> Option<&mut Holding> {
        match self {
            BlindSpot::InFlight(holding)
            | BlindSpot::Call(holding)
            | BlindSpot::Mapping(holding) => Some(holding),
            _ => None,
        }
    }
}
