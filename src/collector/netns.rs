//! Another network namespace: found by name, process or path, and entered by one thread.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace as the user named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetnsName(pub String);

/// Which network namespaces are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetnsChoice {
    /// The one that the tool runs in.
    Own,
    One(NetnsName),
    /// Every one of the host.
    All,
}

/// Where `ip netns` and container runtimes keep named namespaces.
pub(super) const PLACES: [&str; 3] = ["/run/netns", "/var/run/netns", "/run/docker/netns"];

#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    #[error("no network namespace {name:?}: {reason}")]
    Open { name: String, reason: String },
    #[error("entering network namespace {name:?}: {reason}{hint}")]
    Enter {
        name: String,
        reason: Errno,
        hint: &'static str,
    },
}

/// An open network namespace.
#[derive(Debug)]
pub struct Netns {
    file: File,
    name: String,
    inode: u64,
}

impl Netns {
    /// Opens a namespace by the name that `ip netns` gave it, the number of a process in it, or
    /// a path to it.
    pub fn open(name: &NetnsName, proc_root: &Path) -> Result<Netns, NetnsError> {
        let name = name.0.clone();
        let candidates = candidates(&name, proc_root);
        let mut reason = String::new();
        for path in &candidates {
            match File::open(path).and_then(|file| Ok((file.metadata()?.ino(), file))) {
                Ok((inode, file)) => return Ok(Netns { file, name, inode }),
                Err(error) => {
                    // The first place is the one that the user most likely meant.
                    if reason.is_empty() {
                        reason = format!("could not open {}: {error}", path.display());
                    }
                }
            }
        }
        if !name.contains('/') && name.parse::<u32>().is_err() {
            reason.push_str("; `ip netns list` shows those that have a name");
        }
        Err(NetnsError::Open { name, reason })
    }

    /// Opens the namespace that a path leads to.
    pub(super) fn at(path: &Path) -> io::Result<Netns> {
        let file = File::open(path)?;
        Ok(Netns {
            inode: file.metadata()?.ino(),
            file,
            name: path.to_string_lossy().into_owned(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inode that identifies the namespace, as in `net:[4026531840]`.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Runs `work` in the namespace, on a thread of its own: setns(2) is for ever, and this
    /// way for nobody else.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|reason| NetnsError::Enter {
                        name: self.name.clone(),
                        reason,
                        hint: match reason {
                            Errno::PERM => " (needs root)",
                            Errno::INVAL => "; is that a network namespace?",
                            _ => "",
                        },
                    })?;
                Ok(work())
            });
            match thread.join() {
                Ok(answer) => answer,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

fn candidates(name: &str, proc_root: &Path) -> Vec<PathBuf> {
    if name.contains('/') {
        return vec![PathBuf::from(name)];
    }
    let named = PLACES.iter().map(|place| Path::new(place).join(name));
    if name.parse::<u32>().is_ok() {
        let of_process = proc_root.join(name).join("ns/net");
        return std::iter::once(of_process).chain(named).collect();
    }
    named.collect()
}

/// The namespace that the calling thread is in; `None` where /proc does not say.
pub fn current() -> Option<u64> {
    let link = std::fs::read_link("/proc/thread-self/ns/net").ok()?;
    link_inode(link.as_os_str().as_bytes())
}

/// The inode in `net:[4026531840]`.
pub(super) fn link_inode(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"net:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
