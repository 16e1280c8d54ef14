//! Processes: their numbers and names.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FdLimit, Name};

/// A process id, as the /proc that was read numbers it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Pid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: Pid,
    /// `None` when it was gone before its name was read.
    pub name: Option<Name>,
    /// How long ago it started, in milliseconds; of holders of CLOSE_WAIT sockets and
    /// of listeners with connections to give, and others of their names, only.
    pub age_ms: Option<u64>,
    /// Its parent, its parent's parent and so on, as far as was read; of the same only.
    // Their name in recordings of version 1.
    #[serde(rename = "forebears")]
    pub ancestors: Vec<(Pid, Name)>,
}

/// What the scan of a process's descriptors met besides wanted sockets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    pub pid: Pid,
    /// Its open files.
    pub fds: u64,
    /// How many it may have open; `None` where nobody asked, or it could not be read.
    pub fd_limit: Option<FdLimit>,
    /// Descriptors that are epoll sets.
    pub epolls: Vec<u32>,
    /// Descriptors and inodes of sockets that are in no table that was read; `None` when the
    /// tables were not read whole, so that nothing follows.
    pub unmatched: Option<Vec<(u32, u32)>>,
}
