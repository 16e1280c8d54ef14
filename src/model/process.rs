//! Processes: their numbers and names.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Name;

/// A process id in the PID namespace of the /proc that was read.
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
    /// `None` if the process ended before its name was read.
    pub name: Option<Name>,
    /// How long ago it started, in milliseconds. Read only for holders of CLOSE_WAIT sockets and of
    /// listeners with connections in their queue, and for other processes of the same names.
    pub age_ms: Option<u64>,
    /// Its parent, grandparent and so on, as far as they were read; for the same processes only.
    // Their name in recordings of version 1.
    #[serde(rename = "forebears")]
    pub ancestors: Vec<(Pid, Name)>,
}

/// What else the scan of a process's descriptors found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    pub pid: Pid,
    /// Its open files.
    pub fds: u64,
    /// Its limit of open files; `None` if that was not read.
    pub fd_limit: Option<FdLimit>,
    /// Descriptors that are epoll sets.
    pub epolls: Vec<u32>,
    /// Descriptors and inodes of sockets that are in no table; `None` if the tables are incomplete, so
    /// that an absence proves nothing.
    pub unmatched: Option<Vec<(u32, u32)>>,
}

/// A limit of open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FdLimit {
    Files(u64),
    Unlimited,
}

impl FdLimit {
    /// The number of files; `None` if there is no limit.
    pub fn files(self) -> Option<u64> {
        match self {
            FdLimit::Files(files) => Some(files),
            FdLimit::Unlimited => None,
        }
    }
}
