//! Why a procfs may not show all processes, and with them all network namespaces.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::collector::access::{by_capability, hiding, hint_of, is_of_the_host};
use crate::model::Words;

/// Why a network namespace may exist that was not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Omission {
    /// What could not be listed, and why.
    pub(super) detail: String,
    pub(super) hint: Words,
}

impl Omission {
    /// Something could not be done to a path.
    pub(super) fn could_not(what: &str, path: &Path, reason: &io::Error) -> Omission {
        Omission {
            detail: format!("could not {what} {}: {reason}", path.display()),
            hint: match Errno::from_io_error(reason) {
                Some(Errno::ACCESS | Errno::PERM) => "run as root".into(),
                Some(Errno::NOENT) => "is a procfs mounted there?".into(),
                Some(reason) => hint_of(reason, ""),
                None => "".into(),
            },
        }
    }

    /// It, and what to try.
    pub(super) fn words(&self) -> String {
        if self.hint.is_empty() {
            return self.detail.clone();
        }
        format!("{}; {}", self.detail, self.hint)
    }
}

/// Why a procfs that has processes may not show all of them.
pub(super) fn of_procfs(proc_root: &Path) -> Vec<Omission> {
    let mut omissions = Vec::new();
    let hiding = hiding(proc_root);
    if !is_of_the_host(proc_root, hiding.is_some()) {
        omissions.push(Omission {
            detail: format!(
                "{} shows the processes of one PID namespace, not of the host",
                proc_root.display()
            ),
            hint: "run it on the host, or with the host's --proc".into(),
        });
    }
    omissions.extend(hiding.map(|option| hidden(proc_root, &option)));
    omissions
}

/// Processes of others are hidden by an option of the mount.
pub(super) fn hidden(proc_root: &Path, option: &str) -> Omission {
    Omission {
        detail: format!(
            "{} is mounted with {option}: other users' processes are not seen",
            proc_root.display()
        ),
        hint: by_capability("CAP_SYS_PTRACE").into(),
    }
}
