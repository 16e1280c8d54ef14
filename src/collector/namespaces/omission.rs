//! Why network namespaces may be missing from a search: what could not be listed, and what hides
//! processes.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::collector::access::{by_capability, hiding, hint_of, is_of_the_host};
use crate::model::Words;

/// Why some network namespaces may not have been found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Omission {
    /// What could not be read, and why.
    pub(super) detail: String,
    pub(super) hint: Words,
}

impl Omission {
    /// An operation on a path failed.
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

    /// The detail and the hint.
    pub(super) fn words(&self) -> String {
        if self.hint.is_empty() {
            return self.detail.clone();
        }
        format!("{}; {}", self.detail, self.hint)
    }
}

/// Why a procfs with processes may not show all of them.
pub(super) fn of_procfs(proc_root: &Path) -> Vec<Omission> {
    let mut omissions = Vec::new();
    let hiding = hiding(proc_root);
    if !is_of_the_host(proc_root, hiding.is_some()) {
        omissions.push(Omission {
            detail: format!(
                "{} shows only the processes of one PID namespace, not of the host",
                proc_root.display()
            ),
            hint: "run on the host, or with the host's --proc".into(),
        });
    }
    omissions.extend(hiding.map(|option| hidden(proc_root, &option)));
    omissions
}

/// A mount option hides other users' processes.
pub(super) fn hidden(proc_root: &Path, option: &str) -> Omission {
    Omission {
        detail: format!(
            "{} is mounted with {option}, which hides other users' processes",
            proc_root.display()
        ),
        hint: by_capability("CAP_SYS_PTRACE").into(),
    }
}
