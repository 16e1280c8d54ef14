//! How many of the workers of a service cannot run.

use super::process::is_halted;
use super::report::Report;
use super::socket_set::SocketSet;
use crate::model::{Evidence, Pid};

/// Of the workers of a service, how many cannot run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HaltedShare {
    pub held: u64,
    pub all: u64,
}

impl HaltedShare {
    /// Of those who hold the listener that the sockets of a set came through, without the parents
    /// of others of them; `None` where that is not known.
    pub(super) fn of(
        report: &Report<'_>,
        set: &SocketSet,
        all_evidence: &[Evidence],
    ) -> Option<HaltedShare> {
        let pids: Vec<Pid> = if set.listener.is_some() {
            set.by_weight.clone()
        } else {
            let (_, inode) = set.held.first()?;
            let mut sockets = report.snapshot.sockets.iter();
            let socket = sockets.find(|socket| socket.inode == *inode)?;
            let holders = report.listeners().covering(socket)?.holders.iter();
            holders.map(|holder| holder.pid).collect()
        };
        let holders = report.holders();
        let is_ancestor = |pid: Pid| {
            let mut lines = pids.iter().map(|other| holders.ancestors(*other));
            pid == Pid(1) || lines.any(|line| line.iter().any(|(ancestor, _)| *ancestor == pid))
        };
        let mut workers: Vec<Pid> = pids
            .iter()
            .copied()
            .filter(|pid| !is_ancestor(*pid))
            .collect();
        workers.sort_unstable();
        workers.dedup();
        let is_held = |pid: &&Pid| {
            all_evidence
                .iter()
                .any(|of| of.pid == **pid && is_halted(of))
        };
        Some(HaltedShare {
            held: workers.iter().filter(is_held).count() as u64,
            all: workers.len() as u64,
        })
    }
}
