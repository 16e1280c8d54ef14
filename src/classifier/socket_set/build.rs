//! Builds one set from its sockets.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::key::Key;
use super::{Kinship, Peers, SocketSet, SumKey};
use crate::classifier::arrivals::Arrivals;
use crate::classifier::group::{RecvQ, Spread};
use crate::classifier::owner::GroupOwner;
use crate::classifier::patience::{self, Patience};
use crate::classifier::program::OwnerKey;
use crate::classifier::queue::Queue;
use crate::classifier::report::Report;
use crate::classifier::requests::{Ask, requests};
use crate::classifier::row::Row;
use crate::classifier::send_progress::HalfClosed;
use crate::classifier::service::{Service, ServiceEnd};
use crate::classifier::waiting::{Others, Waiting};
use crate::model::{Cause, Idle, Missing, Pid};

pub(super) fn gather(
    report: &Report<'_>,
    key: &Key,
    positions: &[u32],
    others: &Others<'_>,
) -> SocketSet {
    let mut set = empty(key, positions.len() as u64);
    let mut sums = Sums::default();
    let mut ages = Vec::new();
    let mut bounds = Vec::new();
    let mut waits = Vec::new();
    let mut oldest = Oldest::default();
    for row in positions.iter().map(|at| report.row(*at as usize)) {
        let wait = report.wait(&row);
        // A FIN_WAIT2 lasts as long as nothing comes from its remote end.
        let row = Row {
            idle: wait.map(|wait| wait.silence).or(row.idle),
            ..row
        };
        set.add(&row, report);
        match wait {
            Some(wait) => set.add_wait(wait, &row, report, others),
            None => waits.extend(patience::of_row(&row, report.snapshot.host.tick)),
        }
        if let (Some(idle), None) = (row.idle, wait) {
            let age = bounded(report, &row, idle);
            oldest.add(&row, age);
            bounds.push(age);
        }
        let age = row.idle.map(|idle| u32::try_from(idle.at_least_ms));
        ages.extend(age.and_then(Result::ok));
        if wait.is_some_and(|wait| !wait.counts()) || report.may_be_young(&row) {
            set.maybe_young.push(row.socket.inode);
        } else {
            sums.add(report, &row);
        }
    }
    set.parts = sums.counts.into_iter().collect();
    set.parts.sort_unstable();
    set.idle = Spread::of(&mut ages);
    if set.is_suspicious() {
        set.arrivals = Arrivals::of(&bounds, report.grace_ms());
        set.oldest = oldest.0.into_iter().collect();
    }
    set.patience = Patience::of(&mut waits);
    finish(&mut set, report, key, positions);
    set
}

/// The bounds of an age. The last acknowledgement is that of the FIN, unless something may have caused
/// another one: then the age is exact.
fn bounded(report: &Report<'_>, row: &Row<'_>, idle: Idle) -> Idle {
    match report.facts(row).ack_source(report.grace_ms()) {
        Some(_) => idle,
        None => Idle {
            at_most_ms: Some(idle.at_least_ms),
            ..idle
        },
    }
}

/// The bounds of the age of the oldest socket of each holder.
#[derive(Default)]
struct Oldest(BTreeMap<Pid, Idle>);

impl Oldest {
    fn add(&mut self, row: &Row<'_>, age: Idle) {
        for holder in row.owner.holders() {
            let oldest = self.0.entry(holder.pid).or_insert(age);
            *oldest = oldest.longest(age);
        }
    }
}

/// How many sockets count for each service and program.
#[derive(Default)]
struct Sums {
    counts: FxHashMap<SumKey, u64>,
    /// What the last socket counted for: sockets of one owner and service are often adjacent.
    last: Option<(GroupOwner, Service, Vec<SumKey>)>,
}

impl Sums {
    fn add(&mut self, report: &Report<'_>, row: &Row<'_>) {
        let service = row.service();
        let same = self
            .last
            .as_ref()
            .is_some_and(|(owner, end, _)| *end == service && owner.is(&row.owner));
        if !same {
            let owner = GroupOwner::of(&row.owner);
            let keys = SumKey::all_of(report, row, &owner);
            self.last = Some((owner, service, keys));
        }
        for key in self.last.iter().flat_map(|(_, _, keys)| keys) {
            match self.counts.get_mut(key) {
                Some(count) => *count += 1,
                None => {
                    self.counts.insert(key.clone(), 1);
                }
            }
        }
    }
}

/// A set to which no socket has been added yet.
fn empty(key: &Key, sockets: u64) -> SocketSet {
    SocketSet {
        key: key.clone(),
        netns: key.netns,
        cause: key.cause,
        missing: Vec::new(),
        end: key.end,
        listener: key.listener,
        owner: GroupOwner {
            kind: key.kind,
            pids: match &key.owner {
                OwnerKey::Processes(pids) => pids.clone(),
                OwnerKey::Program(..) => Vec::new(),
            },
        },
        by_weight: Vec::new(),
        kinship: Kinship::Unknown,
        sockets,
        recv_q: RecvQ::default(),
        recv_q_min: u32::MAX,
        unread: 0,
        uncounted_fins: 0,
        send_q_max: 0,
        unmeasured: false,
        idle: None,
        arrivals: None,
        oldest: Vec::new(),
        at_most_ms: Some(0),
        patience: None,
        keepalive: 0,
        next_probe_ms: None,
        no_timer: 0,
        silent: Some(0),
        unanswered: Some(0),
        half_closed: HalfClosed::default(),
        peers: Peers::default(),
        legs: None,
        requests: Vec::new(),
        pool: None,
        pool_verdict: None,
        exhausted: None,
        closing_messages: 0,
        relayed_to: None,
        fin_wait2_sets: Vec::new(),
        waiting: (key.cause == Cause::PeerNotClosed).then(Waiting::default),
        no_tcp_info: true,
        held: Vec::new(),
        maybe_young: Vec::new(),
        parts: Vec::new(),
    }
}

/// Orders what was added, and adds what depends on all sockets.
fn finish(set: &mut SocketSet, report: &Report<'_>, key: &Key, positions: &[u32]) {
    set.maybe_young.sort_unstable();
    set.held.sort_unstable();
    set.owner.pids.extend(set.held.iter().map(|(pid, _)| *pid));
    set.owner.pids.sort_unstable();
    set.owner.pids.dedup();
    let mut by_weight = set.owner.pids.clone();
    // Among processes that share a listener, a worker shows more than the parent that only holds
    // it.
    let is_parent = |pid: Pid| {
        let mut others = set.owner.pids.iter();
        key.listener.is_some()
            && others.any(|other| {
                let mut ancestors = report.holders().ancestors(*other).iter();
                ancestors.any(|(ancestor, _)| *ancestor == pid)
            })
    };
    by_weight.sort_by_cached_key(|pid| {
        let held = std::cmp::Reverse(set.holds(*pid).len());
        (*pid == Pid(1), held, is_parent(*pid))
    });
    set.by_weight = by_weight;
    if set.cause == Cause::Inherited {
        set.kinship = Kinship::of(report, &set.owner.pids, positions);
    }
    if let Some(waiting) = &mut set.waiting {
        let sockets = positions.iter().map(|at| report.row(*at as usize).socket);
        waiting.count(sockets.map(|socket| socket.remote.canonical().addr));
        if key.is_age_missing {
            let missing = Missing::Age(Cause::PeerNotClosed);
            set.missing.push((missing, set.sockets));
        }
    }
    set.peers.pids.sort_unstable();
    set.peers.pids.dedup();
    set.missing
        .sort_by_key(|(missing, count)| (std::cmp::Reverse(*count), *missing));
}

/// The set of descriptors whose connections are in no table.
pub(in crate::classifier) fn dead(report: &Report<'_>, pids: Vec<Pid>, sockets: u64) -> SocketSet {
    let key = Key {
        netns: 0,
        cause: Cause::DeadDescriptors,
        is_age_missing: false,
        end: ServiceEnd::Several(None, 0),
        listener: None,
        kind: Some("process"),
        owner: OwnerKey::Processes(pids),
    };
    SocketSet {
        sockets,
        ..gather(report, &key, &[], &Others::default())
    }
}

/// The set of an accept queue whose connections are all still open at the other end, so that none
/// is in CLOSE_WAIT.
pub(in crate::classifier) fn unaccepted(report: &Report<'_>, queue: &Queue) -> SocketSet {
    let key = Key {
        netns: queue.bound.netns,
        cause: Cause::NotAccepted,
        is_age_missing: false,
        end: ServiceEnd::One(queue.bound.service()),
        listener: Some(queue.bound),
        kind: Some("listener"),
        owner: OwnerKey::Processes(queue.pids.clone()),
    };
    let ask = Ask::of(report, key.netns, &queue.pids, std::iter::empty());
    SocketSet {
        requests: requests(report, &[ask]).pop().unwrap_or_default(),
        ..gather(report, &key, &[], &Others::default())
    }
}
