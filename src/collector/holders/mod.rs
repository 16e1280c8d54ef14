//! Who holds which socket: every holder of every wanted one, or what it was that could not be seen.
//!
//! /proc/*/fd tells it on every kernel, one descriptor a system call. On a host with many open
//! files root has the kernel look into the tables of descriptors itself, beside the dump of the
//! sockets: see [`bpf`]. Both give the same answer.

mod beyond;
pub(crate) mod bpf;
mod gather;
mod kcmp;
pub(super) mod origin;
mod procfs;
mod sight;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use rustc_hash::FxHashSet;

use crate::collector::holders::bpf::{BpfError, Seen, Walk};
use crate::collector::holders::gather::Gather;
use crate::collector::procfs::is_ours;
use crate::collector::request::ScanChoice;
use crate::model::{Holder, Pid, Process, Scan, Scanned};

pub(super) use self::beyond::look as look_beyond;

/// With fewer open files than this, /proc is read sooner than a program is loaded.
const MANY_FILES: u32 = 10_000;
/// The most descriptors of one process that are kept as unmatched.
pub(super) const UNMATCHED_MAX: usize = 65_536;
/// Fewer than this in a process that holds no wanted socket are ignored. It is a fifth of the
/// smallest limit of open files in use.
pub(crate) const UNMATCHED_FEW: usize = 20;

/// Why no holder was looked for. The message says the reason, so there is no source.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error("could not list the processes of {}: {reason}", proc_root.display())]
    Unlisted {
        proc_root: PathBuf,
        reason: io::Error,
    },
    #[error("no holder was looked for by a BPF iterator: {0}")]
    Bpf(BpfError),
}

/// How far a scan has come; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    pub processes: AtomicUsize,
    pub done: AtomicUsize,
    pub fds: AtomicU64,
}

/// The sockets whose holders are wanted, by inode.
pub struct Wanted {
    inodes: FxHashSet<u32>,
    /// A bit for the low half of each inode: where few are wanted, most others end here.
    low: Box<[u64; LOW_WORDS]>,
    /// They are all TCP sockets of the namespace: one that is not among them is in no table.
    whole: bool,
}

impl Wanted {
    /// Inode 0 is no socket's, and passed over.
    pub fn new(inodes: impl Iterator<Item = u32>, whole: bool) -> Wanted {
        let inodes: FxHashSet<u32> = inodes.filter(|inode| *inode != 0).collect();
        let mut low = Box::new([0; LOW_WORDS]);
        for inode in &inodes {
            let (word, bit) = low_bit(*inode);
            if let Some(word) = low.get_mut(word) {
                *word |= bit;
            }
        }
        Wanted { inodes, low, whole }
    }

    pub fn is_empty(&self) -> bool {
        self.inodes.is_empty()
    }

    fn contains(&self, inode: u32) -> bool {
        let (word, bit) = low_bit(inode);
        let low = self.low.get(word).copied().unwrap_or_default();
        low & bit != 0 && self.inodes.contains(&inode)
    }

    /// Those that have no holder among these.
    pub fn without(&self, holders: &[Holder]) -> FxHashSet<u32> {
        let held: FxHashSet<u32> = holders.iter().map(|holder| holder.inode).collect();
        self.inodes.difference(&held).copied().collect()
    }
}

const LOW_WORDS: usize = 1 << 10;

/// The place of an inode in [`Wanted::low`].
fn low_bit(inode: u32) -> (usize, u64) {
    let low = inode as u16;
    (usize::from(low / 64), 1 << (low % 64))
}

/// What a scan found, in no order.
#[derive(Debug, Default)]
pub struct Found {
    pub holders: Vec<Holder>,
    /// The processes that hold a wanted socket, and those that have many unmatched.
    pub processes: Vec<Process>,
    pub scanned: Vec<Scanned>,
    /// Every descriptor that is an io_uring.
    rings: Vec<(Pid, u32)>,
    pub scan: Scan,
    /// How it was found, in words.
    pub way: String,
}

impl Found {
    /// Takes over what was found in other processes.
    fn append(&mut self, others: Found) {
        self.holders.extend(others.holders);
        self.processes.extend(others.processes);
        self.scanned.extend(others.scanned);
        self.rings.extend(others.rings);
        self.scan.processes_seen += others.scan.processes_seen;
        self.scan.processes_read += others.scan.processes_read;
        self.scan.fds_read += others.scan.fds_read;
    }
}

/// The search for holders, which may begin before it is known whose.
#[derive(Debug)]
pub struct Search {
    choice: ScanChoice,
    proc_root: PathBuf,
    beside: Option<Beside>,
}

/// What a walk brought; `None` where there was none to be done.
type Walked = Result<Option<(Walk, Seen)>, BpfError>;

/// The kernel's walk, on a thread of its own.
#[derive(Debug)]
struct Beside {
    /// Set when it is known whether it is to be done.
    go: Arc<OnceLock<bool>>,
    thread: io::Result<JoinHandle<Walked>>,
}

impl Beside {
    /// Waits for the walk; `None` where there was none to be done.
    fn found(
        self,
        proc_root: &Path,
        wanted: &Wanted,
        progress: &Progress,
    ) -> Result<Option<Found>, BpfError> {
        let thread = self.thread.map_err(|reason| BpfError::Refused {
            what: "starting a thread",
            reason,
        })?;
        let walked = thread.join();
        match walked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))? {
            Some((walk, seen)) => {
                let gather = Gather {
                    proc_root,
                    wanted,
                    progress,
                };
                gather.found(walk, seen).map(Some)
            }
            None => Ok(None),
        }
    }
}

impl Search {
    /// What the kernel needs for its walk is made ready while the sockets are read.
    pub fn new(choice: ScanChoice, proc_root: &Path) -> Search {
        let beside = walkable(choice, proc_root).map(|open_files| {
            let go = Arc::new(OnceLock::<bool>::new());
            let start = Arc::clone(&go);
            let walk = move || {
                let mut walk = Walk::prepare(open_files)?;
                if !*start.wait() {
                    return Ok(None);
                }
                let seen = walk.walk()?;
                Ok(Some((walk, seen)))
            };
            Beside {
                go,
                thread: thread::Builder::new().spawn(walk),
            }
        });
        Search {
            choice,
            proc_root: proc_root.to_owned(),
            beside,
        }
    }

    /// There will be a socket whose holders are wanted: what can be done beside the dump, begins.
    pub fn begin(&self) {
        if let Some(beside) = &self.beside {
            beside.go.get_or_init(|| true);
        }
    }

    /// Finds every holder of the wanted sockets.
    ///
    /// A process that ends meanwhile is no error: it holds nothing any more. One that may not be
    /// read counts as seen and not as read.
    ///
    /// # Errors
    /// When the processes cannot be listed at all, or not in the way that was asked for.
    pub fn find(mut self, wanted: &Wanted, progress: &Progress) -> Result<Found, ScanError> {
        self.begin();
        let walked = match self.beside.take() {
            Some(beside) => beside.found(&self.proc_root, wanted, progress),
            None => Ok(None),
        };
        let with_rights = |mut found: Found| {
            found.scan.privileged = sight::is_privileged();
            found.scan.root = rustix::process::geteuid().is_root();
            found
        };
        let refusal = match walked {
            Ok(Some(found)) => return Ok(with_rights(found)),
            Ok(None) => String::new(),
            Err(error) if self.choice == ScanChoice::Bpf => return Err(ScanError::Bpf(error)),
            Err(error) => format!(", since there was no BPF iterator: {error}"),
        };
        match procfs::scan(&self.proc_root, wanted, progress) {
            Ok(found) => Ok(with_rights(Found {
                way: format!("/proc/*/fd{refusal}"),
                ..found
            })),
            Err(reason) => Err(ScanError::Unlisted {
                proc_root: self.proc_root.clone(),
                reason,
            }),
        }
    }
}

impl Drop for Search {
    /// Where nothing was to be found, the thread that waits for it ends.
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            beside.go.get_or_init(|| false);
        }
    }
}

/// How many files are open, if the kernel is to look at them.
fn walkable(choice: ScanChoice, proc_root: &Path) -> Option<u32> {
    match choice {
        ScanChoice::Procfs => None,
        ScanChoice::Bpf => Some(bpf::open_files().unwrap_or_default()),
        // Another procfs may number the processes otherwise.
        ScanChoice::Auto if !is_ours(proc_root) => None,
        ScanChoice::Auto if !sight::may_walk() => None,
        ScanChoice::Auto => bpf::open_files().filter(|files| *files >= MANY_FILES),
    }
}
