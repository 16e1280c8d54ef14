//! What identifies a network namespace, and what leads to it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::collector::file;
use crate::collector::namespaces::netns::{Netns, NetnsError};
use crate::collector::procfs::is_gone;
use crate::model::Pid;

/// The most processes of a namespace that are remembered, to look at another one where one ended.
const PIDS_MAX: usize = 8;

/// What tells a namespace from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The one that the tool runs in.
    Own,
    /// The inode of the namespace.
    Inode(u64),
    /// The inode of `/proc/PID/net/tcp`, where the namespace itself may not be looked at: each has
    /// a file of its own, with the same number in every procfs (`fs/proc/proc_net.c`).
    Table(u64),
}

/// How a namespace can be reached.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The name by which `ip netns` knows it.
    pub(super) name: Option<String>,
    /// A path to it: of a mount, or the link of a thread or a descriptor.
    pub(super) path: Option<PathBuf>,
    /// Other links of threads and descriptors: the first may be of one that ends.
    pub(super) links: Vec<PathBuf>,
    /// The first processes that are in it.
    pub(super) pids: Vec<Pid>,
    /// How many are.
    pub(super) processes: u64,
    /// It was found by a socket of a process, by which it was opened.
    pub(super) held: Option<Netns>,
}

impl Place {
    /// What `-N` takes to choose the namespace.
    pub(super) fn asked(&self) -> Option<String> {
        let path = || Some(self.path.as_ref()?.to_string_lossy().into_owned());
        let pid = || Some(self.pids.first()?.to_string());
        self.name.clone().or_else(path).or_else(pid)
    }

    /// Opens the namespace; `None` where it has gone away, or what led to it leads elsewhere now.
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
            refused.get_or_insert(could_not_open("of more processes than are known", &ended));
        }
        refused.map_or(Ok(None), Err)
    }

    /// A link of a thread or a descriptor that leads to it.
    pub(super) fn link(&mut self, link: PathBuf) {
        match self.path {
            _ if !self.pids.is_empty() => {}
            None => self.path = Some(link),
            Some(_) if self.links.len() < PIDS_MAX => self.links.push(link),
            Some(_) => {}
        }
    }

    /// Counts a process that is in it.
    pub(super) fn add(&mut self, pid: Pid) {
        self.processes += 1;
        self.know(pid);
    }

    /// A process by which it can be reached.
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

/// Whether the namespace is there, though it was not opened.
fn leads_to(path: &Path, inode: Option<u64>) -> bool {
    file::metadata(path).is_ok_and(|file| inode.is_none_or(|inode| file.ino() == inode))
}
