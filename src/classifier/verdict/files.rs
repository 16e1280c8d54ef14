//! Open files of the holders of selected sockets, as a share of their limits.

use rustc_hash::FxHashSet;

use super::counts::sorted;
use super::criteria::Criteria;
use crate::classifier::report::Report;
use crate::model::{Owner, Pid};

/// The open files of the processes that hold selected sockets.
#[derive(Default)]
pub(super) struct Files {
    /// The largest share of its limit that a process has open, in percent, and the process; 0
    /// without a process if no process holds any.
    pub(super) most: Option<(f64, Option<Pid>)>,
    /// Processes whose open files or limit are unknown.
    pub(super) unknown: u64,
    /// Selected sockets whose holders are unknown.
    pub(super) hidden: u64,
}

impl Files {
    /// Empty unless the criteria need it.
    pub(super) fn of(report: &Report<'_>, test: &Criteria) -> Files {
        let mut files = Files::default();
        if test.fd_share.is_empty() {
            return files;
        }
        let mut holders: FxHashSet<Pid> = FxHashSet::default();
        for row in report.rows() {
            files.hidden += u64::from(matches!(row.owner, Owner::Hidden(_)));
            holders.extend(row.owner.holders().iter().map(|holder| holder.pid));
        }
        let scanned = &report.snapshot.scanned;
        for pid in sorted(&holders) {
            let Some(of) = scanned.iter().find(|scanned| scanned.pid == pid) else {
                // The process has ended.
                continue;
            };
            match of.fd_limit.map(|limit| (of.fds, limit)) {
                Some((open, limit)) => {
                    // Without a limit, the share is 0.
                    let limit = limit.files().unwrap_or(u64::MAX).max(1);
                    let share = open as f64 * 100.0 / limit as f64;
                    if files.most.is_none_or(|(most, _)| share > most) {
                        files.most = Some((share, Some(pid)));
                    }
                }
                None => files.unknown += 1,
            }
        }
        if files.unknown + files.hidden == 0 {
            files.most = files.most.or(Some((0.0, None)));
        }
        files
    }
}
