//! Old workers: processes that a reload has replaced. They accept no new connections, and end when
//! their last connection is closed.

use super::report::Report;
use super::service::ServiceEnd;
use super::service::{ServedAt, Service};
use super::socket_set::SocketSet;
use crate::model::{Evidence, Pid, State};

/// Holders of a set that are consistent with old workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldWorkers {
    /// The old workers, those with the most sockets first.
    pub pids: Vec<Pid>,
    /// A younger process of the same program that holds the listener.
    pub successor: Option<Pid>,
    /// Whether the first one says so in its title.
    pub says_so: bool,
}

impl OldWorkers {
    /// Processes that serve connections on a port without listening there, while a younger process
    /// of the same name, which is not their ancestor, listens; or whose title says so. `None` if
    /// there are none.
    pub(super) fn of(
        report: &Report<'_>,
        set: &SocketSet,
        evidence: &[Evidence],
    ) -> Option<OldWorkers> {
        let ServiceEnd::One(Service {
            at: ServedAt::Local(port),
            ..
        }) = set.end
        else {
            return None;
        };
        if set.owner.kind != Some("process") {
            return None;
        }
        let holders = report.holders();
        let sockets = report.snapshot.sockets.iter();
        let mut listening: Vec<Pid> = sockets
            .filter(|socket| socket.state == State::Listen)
            .filter(|socket| socket.netns == set.netns && socket.local.port == port)
            .flat_map(|socket| holders.of(socket.inode))
            .map(|holder| holder.pid)
            .collect();
        listening.sort_unstable();
        listening.dedup();
        let says_so = |pid: Pid| {
            let of_pid = evidence.iter().find(|evidence| evidence.pid == pid);
            let title = of_pid.and_then(|of_pid| of_pid.title.as_ref());
            title.is_some_and(|title| title.is_shutting_down())
        };
        let successor = |pid: Pid| {
            let age = holders.age_ms(pid)?;
            let name = holders.name(pid)?;
            listening.iter().copied().find(|other| {
                let descends = holders.ancestors(pid).iter().any(|(of, _)| of == other);
                let is_younger = holders.age_ms(*other).is_some_and(|other| other < age);
                is_younger && !descends && holders.name(*other) == Some(name)
            })
        };
        let is_old = |pid: &Pid| {
            listening.binary_search(pid).is_err() && (says_so(*pid) || successor(*pid).is_some())
        };
        let pids: Vec<Pid> = set.by_weight.iter().copied().filter(is_old).collect();
        let first = *pids.first()?;
        Some(OldWorkers {
            successor: successor(first),
            says_so: says_so(first),
            pids,
        })
    }
}
