//! What a scan for holders has found so far.

use std::sync::atomic::{AtomicU64, AtomicUsize};

use crate::model::{Holder, Pid, Process, Scan, Scanned};

/// The most unmatched descriptors that are kept of one process.
pub(in crate::collector) const UNMATCHED_MAX: usize = 65_536;
/// In a process without a wanted socket, fewer unmatched descriptors than this are ignored. It is a
/// fifth of the smallest limit of open files in use.
pub(crate) const UNMATCHED_FEW: usize = 20;

/// The progress of a scan, shared with the display.
#[derive(Debug, Default)]
pub struct Progress {
    pub processes: AtomicUsize,
    pub done: AtomicUsize,
    pub fds: AtomicU64,
}

/// What a scan has found, in no order.
#[derive(Debug, Default)]
pub struct Found {
    pub holders: Vec<Holder>,
    /// The processes that hold a wanted socket or have many unmatched descriptors.
    pub processes: Vec<Process>,
    pub scanned: Vec<Scanned>,
    /// Every descriptor that is an io_uring.
    pub(super) rings: Vec<(Pid, u32)>,
    pub scan: Scan,
    /// How it was found, in words for the steps of a run.
    pub method: String,
}

impl Found {
    /// Adds what was found in other processes.
    pub(super) fn append(&mut self, others: Found) {
        self.holders.extend(others.holders);
        self.processes.extend(others.processes);
        self.scanned.extend(others.scanned);
        self.rings.extend(others.rings);
        self.scan.processes_seen += others.scan.processes_seen;
        self.scan.processes_read += others.scan.processes_read;
        self.scan.fds_read += others.scan.fds_read;
    }
}
