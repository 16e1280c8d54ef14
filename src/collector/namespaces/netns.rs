//! A network namespace: opened by name, process, path or inode, and entered by one thread.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::collector::access::hint_of;
use crate::collector::file;
use crate::collector::namespaces::{self, sknet};
use crate::collector::procfs::{namespace_at, namespace_inode, numbers_in};
use crate::collector::request::{Missing, NetnsName};

/// Where `ip netns` and container runtimes mount namespaces by name.
pub(crate) const PLACES: [&str; 3] = ["/run/netns", "/var/run/netns", "/run/docker/netns"];

/// Why a network namespace cannot be chosen, opened or entered.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error("no network namespace was found in {}: is it a procfs?", .0.display())]
    NoneIn(PathBuf),
    #[error("no network namespace matches the filter: `closewait -A --by netns` lists all")]
    NoMatch,
    #[error("no network namespace {name:?}: {reason}")]
    Open {
        name: String,
        reason: String,
        errno: Option<Errno>,
    },
    #[error("could not enter network namespace {name:?}: {reason}{hint}")]
    Enter {
        name: String,
        reason: Errno,
        hint: &'static str,
    },
}

impl NetnsError {
    /// The error of the system call, if one failed.
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            NetnsError::Open { errno, .. } => *errno,
            NetnsError::Enter { reason, .. } => Some(*reason),
            NetnsError::Missing(_) | NetnsError::NoneIn(_) | NetnsError::NoMatch => None,
        }
    }
}

/// An open network namespace.
#[derive(Debug)]
pub struct Netns {
    file: File,
    name: String,
    inode: u64,
}

impl Netns {
    /// Opens a namespace by its name in `ip netns`, the number of a process in it, a path, or its inode:
    /// `net:[N]`, or N if no process has that number.
    pub fn open(name: &NetnsName, proc_root: &Path) -> Result<Netns, NetnsError> {
        let name = name.0.clone();
        let candidates = candidates(&name, proc_root);
        let (mut reason, mut errno) = (String::new(), None);
        for path in &candidates {
            match Netns::at(path) {
                Ok(netns) => return Ok(Netns { name, ..netns }),
                Err(error) => {
                    // The first path is the one that the user most likely meant.
                    if reason.is_empty() {
                        reason = format!("could not open {}: {error}", path.display());
                        errno = Errno::from_io_error(&error);
                    }
                }
            }
        }
        let number = inode_in(&name);
        if let Some(netns) = number.and_then(|inode| namespaces::open_inode(inode, proc_root)) {
            return Ok(Netns { name, ..netns });
        }
        if link_inode(name.as_bytes()).is_some() {
            reason = "none has this inode; `closewait -A --by netns` lists all".to_owned();
        } else if number.is_some() {
            reason.push_str("; no network namespace has this inode either");
        } else if !name.contains('/') {
            reason.push_str("; `ip netns list` shows those that have a name");
        }
        match errno.map(|errno| hint_of(errno, "CAP_SYS_PTRACE")) {
            Some(hint) if !hint.is_empty() => {
                reason.push_str("; ");
                reason.push_str(&hint.to_string());
            }
            _ => {}
        }
        Err(NetnsError::Open {
            name,
            reason,
            errno,
        })
    }

    /// Opens the namespace that a path leads to.
    pub(crate) fn at(path: &Path) -> io::Result<Netns> {
        let file = file::open(path)?.into_file();
        Ok(Netns {
            inode: file.metadata()?.ino(),
            file,
            name: path.to_string_lossy().into_owned(),
        })
    }

    /// A namespace from a descriptor.
    pub(crate) fn of(namespace: OwnedFd) -> io::Result<Netns> {
        let file = File::from(namespace);
        let inode = file.metadata()?.ino();
        Ok(Netns {
            file,
            name: format!("net:[{inode}]"),
            inode,
        })
    }

    /// Another descriptor of it.
    pub(crate) fn share(&self) -> io::Result<Netns> {
        Ok(Netns {
            file: self.file.try_clone()?,
            name: self.name.clone(),
            inode: self.inode,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inode that identifies the namespace, as in `net:[4026531840]`.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Runs `work` in the namespace on a separate thread: setns(2) lasts for the rest of the calling
    /// thread.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        std::thread::scope(|scope| {
            let enter = || {
                move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|reason| NetnsError::Enter {
                        name: self.name.clone(),
                        reason,
                        hint: match reason {
                            Errno::PERM if rustix::process::geteuid().is_root() => {
                                " (needs CAP_SYS_ADMIN)"
                            }
                            Errno::PERM => "; run as root (or with CAP_SYS_ADMIN)",
                            Errno::INVAL => "; is that a network namespace?",
                            _ => "",
                        },
                    })?;
                Ok(work())
            };
            let thread = std::thread::Builder::new().spawn_scoped(scope, enter);
            let thread = thread.map_err(|error| NetnsError::Enter {
                name: self.name.clone(),
                reason: Errno::from_io_error(&error).unwrap_or(Errno::AGAIN),
                hint: ": no thread could be started",
            })?;
            match thread.join() {
                Ok(answer) => answer,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

/// The inode of a namespace, as a user may write it.
pub(crate) fn inode_in(name: &str) -> Option<u64> {
    link_inode(name.as_bytes()).or_else(|| name.parse().ok())
}

fn candidates(name: &str, proc_root: &Path) -> Vec<PathBuf> {
    if name.contains('/') {
        return vec![PathBuf::from(name)];
    }
    let named = PLACES.iter().map(|place| Path::new(place).join(name));
    if name.parse::<u32>().is_ok() {
        let process = proc_root.join(name);
        // Other threads may outlive the main thread.
        let (threads, _) = numbers_in(CWD, &process.join("task"));
        let threads = threads.into_iter().map(|thread| {
            let task = process.join("task").join(thread.to_string());
            task.join("ns/net")
        });
        let of_process = std::iter::once(process.join("ns/net")).chain(threads);
        return of_process.chain(named).collect();
    }
    named.collect()
}

/// The inode of the calling thread's namespace, from /proc, or else from a socket.
pub fn current() -> Option<u64> {
    let of_link = namespace_at(Path::new("/proc/thread-self/ns/net"), "net");
    of_link.or_else(|| Some(Netns::of(sknet::own().ok()?).ok()?.inode()))
}

/// The inode of /proc/net/tcp in the calling thread's namespace: each namespace has a file of its own,
/// with the same inode in every procfs.
pub(crate) fn current_table() -> Option<u64> {
    table_in(Path::new("/proc/thread-self/net")).ok()
}

/// The inode of `tcp` in a directory such as /proc/PID/net.
pub(crate) fn table_in(net: &Path) -> Result<u64, Errno> {
    Ok(rustix::fs::stat(net.join("tcp"))?.st_ino)
}

/// The inode in `net:[4026531840]`.
pub(crate) fn link_inode(link: &[u8]) -> Option<u64> {
    namespace_inode(link, "net")
}
