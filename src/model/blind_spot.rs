//! What may hide the holder of a socket.

use serde::{Deserialize, Serialize};

use super::{Name, Pid};

/// Something that may hide a holder. Read only if a socket is left without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlindSpot {
    /// The capabilities that the reader lacks, by their names, to look into every process.
    Capabilities(Vec<Name>),
    /// /proc does not list the processes of others: the option of its mount, `hidepid=invisible`.
    Hidepid(Name),
    /// The reader's capabilities end at its own user namespace.
    UserNamespace,
    /// /proc is that of a PID namespace which is not the host's.
    PidNamespace,
    /// A UNIX socket of the process holds descriptors that nobody has received (unix(7),
    /// `SCM_RIGHTS`). Which ones, the kernel does not tell.
    InFlight(Holding),
    /// Threads of the process are in system calls on descriptors that were closed meanwhile: the
    /// sockets live as long as the calls.
    Call(Holding),
    /// The process has mapped some of the sockets in question (tcp(7),
    /// `TCP_ZEROCOPY_RECEIVE`).
    Mapping(Holding),
    /// Every process was read: the kernel itself may hold the sockets, as for NFS.
    Kernel,
}

/// A process, and how many of something it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    pub pid: Pid,
    /// `None` when it was gone before its name was read.
    pub name: Option<Name>,
    pub count: u64,
}

impl BlindSpot {
    /// The process that it is about, where it is about one.
    pub fn holding_mut(&mut self) -> Option<&mut Holding> {
        match self {
            BlindSpot::InFlight(holding)
            | BlindSpot::Call(holding)
            | BlindSpot::Mapping(holding) => Some(holding),
            _ => None,
        }
    }
}
