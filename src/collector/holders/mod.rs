//! Which processes hold which sockets: every holder of every wanted socket, or why some could not
//! be found.
//!
//! /proc/*/fd works on every kernel, at one system call per descriptor. On a host with many open files,
//! root has the kernel read the descriptor tables itself while the sockets are dumped: see [`bpf`].
//! Both give the same answer.

pub(super) mod ancestry;
mod blind_spots;
pub(crate) mod bpf;
mod bpf_scan;
mod found;
mod hidden;
mod kcmp;
mod procfs;
mod wanted;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use crate::collector::holders::bpf::{BpfError, Seen, Walk};
use crate::collector::holders::bpf_scan::BpfScan;
use crate::collector::procfs::is_ours;
use crate::collector::request::ScanChoice;

pub(crate) use crate::collector::holders::found::UNMATCHED_FEW;
pub(super) use crate::collector::holders::found::UNMATCHED_MAX;
pub use crate::collector::holders::found::{Found, Progress};
pub(super) use crate::collector::holders::hidden::find_hidden;
pub use crate::collector::holders::wanted::Wanted;

/// With fewer open files than this, reading /proc takes less time than loading a program.
const MANY_FILES: u32 = 10_000;
/// Why no holder could be looked for. The messages include the reason, so there is no source.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error("could not list the processes of {}: {reason}", proc_root.display())]
    Unlisted {
        proc_root: PathBuf,
        reason: io::Error,
    },
    #[error("holders could not be found by a BPF iterator: {0}")]
    Bpf(BpfError),
}

/// The search for holders. It can start before the wanted sockets are known.
#[derive(Debug)]
pub struct Search {
    choice: ScanChoice,
    proc_root: PathBuf,
    bpf: Option<BpfThread>,
}

/// The result of a walk; `None` if none was needed.
type Walked = Result<Option<(Walk, Seen)>, BpfError>;

/// The thread that runs the kernel's walk.
#[derive(Debug)]
struct BpfThread {
    /// Set once it is known whether the walk is needed.
    go: Arc<OnceLock<bool>>,
    thread: io::Result<JoinHandle<Walked>>,
}

impl BpfThread {
    /// Waits for the walk; `None` if none was needed.
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
                let scan = BpfScan {
                    proc_root,
                    wanted,
                    progress,
                };
                scan.found(walk, seen).map(Some)
            }
            None => Ok(None),
        }
    }
}

impl Search {
    /// Prepares the kernel's walk, while the sockets are being read.
    pub fn new(choice: ScanChoice, proc_root: &Path) -> Search {
        let bpf = walkable(choice, proc_root).map(|open_files| {
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
            BpfThread {
                go,
                thread: thread::Builder::new().spawn(walk),
            }
        });
        Search {
            choice,
            proc_root: proc_root.to_owned(),
            bpf,
        }
    }

    /// Starts the walk, if there is one: at least one socket is wanted.
    pub fn begin(&self) {
        if let Some(bpf) = &self.bpf {
            bpf.go.get_or_init(|| true);
        }
    }

    /// Finds every holder of the wanted sockets.
    ///
    /// A process that ends meanwhile is no error: it holds nothing any more. One that cannot be read
    /// counts as seen but not as read.
    ///
    /// # Errors
    /// If the processes cannot be listed, or the chosen method is not available.
    pub fn find(mut self, wanted: &Wanted, progress: &Progress) -> Result<Found, ScanError> {
        self.begin();
        let walked = match self.bpf.take() {
            Some(bpf) => bpf.found(&self.proc_root, wanted, progress),
            None => Ok(None),
        };
        let with_rights = |mut found: Found| {
            found.scan.privileged = blind_spots::is_privileged();
            found.scan.root = rustix::process::geteuid().is_root();
            found
        };
        let refusal = match walked {
            Ok(Some(found)) => return Ok(with_rights(found)),
            Ok(None) => String::new(),
            Err(error) if self.choice == ScanChoice::Bpf => return Err(ScanError::Bpf(error)),
            Err(error) => format!(" (no BPF iterator: {error})"),
        };
        match procfs::scan(&self.proc_root, wanted, progress) {
            Ok(found) => Ok(with_rights(Found {
                method: format!("/proc/*/fd{refusal}"),
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
    /// Ends the waiting thread if no walk was needed.
    fn drop(&mut self) {
        if let Some(bpf) = &self.bpf {
            bpf.go.get_or_init(|| false);
        }
    }
}

/// How many files are open, if the kernel is to walk over them.
fn walkable(choice: ScanChoice, proc_root: &Path) -> Option<u32> {
    match choice {
        ScanChoice::Procfs => None,
        ScanChoice::Bpf => Some(bpf::open_files().unwrap_or_default()),
        // The numbers in another procfs may not be those of the kernel.
        ScanChoice::Auto if !is_ours(proc_root) => None,
        ScanChoice::Auto if !blind_spots::may_walk() => None,
        ScanChoice::Auto => bpf::open_files().filter(|files| *files >= MANY_FILES),
    }
}
