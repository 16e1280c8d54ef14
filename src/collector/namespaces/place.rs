//! What identifies a network namespace, and what leads to it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::collector::file;
use crate::collector::namespaces::netns::{self, Netns, NetnsError};
use crate::collector::procfs::is_gone;
use crate::model::Pid;

/// The most processes of a namespace that are remembered: others lead to it if one ends.
const PIDS_MAX: usize = 8;

/// What identifies a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The namespace of this process.
    Own,
    /// The inode of the namespace.
    Inode(u64),
    /// The inode of `/proc/PID/net/tcp`, where the link of the namespace cannot be read: each has a
    /// file of its own, with the same inode in every procfs (`fs/proc/proc_net.c`).
    Table(u64),
}

/// What leads to a namespace.
#[derive(Debug, Default)]
pub(in crate::collector) struct Place {
    /// Its name in `ip netns`.
    pub(super) name: Option<String>,
    /// A path to it: a mount, or the link of a thread or descriptor.
    pub(super) path: Option<PathBuf>,
    /// Other links of threads and descriptors, in case the first one ends.
    pub(super) links: Vec<PathBuf>,
    /// The first processes in it.
    pub(super) pids: Vec<Pid>,
    /// How many processes are in it.
    pub(super) processes: u64,
    /// The namespace, opened through a socket of a process.
    pub(super) held: Option<Netns>,
}

impl Key {
    /// The inode of the namespace, if it is known.
    pub(super) fn inode(self) -> Option<u64> {
        match self {
            Key::Own => netns::current(),
            Key::Inode(inode) => Some(inode),
            Key::Table(_) => None,
        }
    }
}

impl Place {
    /// What `-N` takes to choose the namespace.
    pub(super) fn asked(&self) -> Option<String> {
        let path = || Some(self.path.as_ref()?.to_string_lossy().into_owned());
        let pid = || Some(self.pids.first()?.to_string());
        self.name.clone().or_else(path).or_else(pid)
    }

    /// Opens the namespace; `None` if it no longer exists, or all paths lead elsewhere now.
    pub(super) fn open(
        &self,
        inode: Option<u64>,
        proc_root: &Path,
    ) -> Result<Option<Netns>, NetnsError> {
        let of_process = |pid: &Pid| proc_root.join(pid.to_string()).join("ns/net");
        let paths = self.path.iter().chain(&self.links).cloned();
        let mut refused = None;
        for path in paths.chain(self.pids.iter().map(of_process)) {
            match Netns::at(&path) {
                Ok(netns) if inode.is_none_or(|inode| inode == netns.inode()) => {
                    return Ok(Some(netns));
                }
                Ok(_) => {}
                Err(error)
                    if Errno::from_io_error(&error).is_some_and(is_gone)
                        && !leads_to(&path, inode) => {}
                Err(error) => {
                    refused.get_or_insert(could_not_open(&path.to_string_lossy(), &error));
                }
            }
        }
        if let Some(held) = &self.held {
            let shared = held.share().map(Some);
            return shared.map_err(|error| could_not_open(held.name(), &error));
        }
        if self.processes > self.pids.len() as u64 {
            let ended = io::Error::from(Errno::SRCH);
            refused.get_or_insert(could_not_open("of processes that ended meanwhile", &ended));
        }
        refused.map_or(Ok(None), Err)
    }

    /// Adds a link of a thread or descriptor that leads to it.
    pub(super) fn link(&mut self, link: PathBuf) {
        match self.path {
            _ if !self.pids.is_empty() => {}
            None => self.path = Some(link),
            Some(_) if self.links.len() < PIDS_MAX => self.links.push(link),
            Some(_) => {}
        }
    }

    /// Counts a process in it.
    pub(super) fn add(&mut self, pid: Pid) {
        self.processes += 1;
        self.know(pid);
    }

    /// Remembers a process that leads to it.
    pub(super) fn know(&mut self, pid: Pid) {
        if self.pids.len() < PIDS_MAX && !self.pids.contains(&pid) {
            self.pids.push(pid);
        }
    }
}

fn could_not_open(name: &str, error: &io::Error) -> NetnsError {
    NetnsError::Open {
        name: name.to_owned(),
        reason: format!("could not open it: {error}"),
        errno: Errno::from_io_error(error),
    }
}

/// Whether a path leads to the namespace, though it could not be opened.
fn leads_to(path: &Path, inode: Option<u64>) -> bool {
    file::metadata(path).is_ok_and(|file| inode.is_none_or(|inode| file.ino() == inode))
}
