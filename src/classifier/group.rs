//! Groups: sockets of one network namespace with the same state, side, service and program.

use rustc_hash::FxHashMap;

use super::owner::GroupOwner;
use super::program::OwnerKey;
use super::report::Report;
use super::row::Row;
use super::service::Service;
use crate::model::{Cause, Holders, Owner, Pid, Protocol, Snapshot, State};

/// A group and its figures. The processes of one program are one owner, as in
/// [`SocketSet`](super::socket_set::SocketSet).
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The network namespace, as [`Socket::netns`].
    pub netns: u16,
    pub protocol: Protocol,
    pub state: State,
    pub service: Service,
    pub owner: GroupOwner,
    pub(super) whose: OwnerKey,
    pub sockets: u64,
    pub recv_q: RecvQ,
    pub send_q_max: u32,
    /// Of the lower bounds of the idle times; `None` if no socket has one.
    pub idle: Option<Spread>,
    /// The number of sockets for each cause that occurs.
    pub causes: Vec<(Cause, u64)>,
}

/// How many sockets have no, one or more unread bytes; on CLOSE_WAIT, the one byte is the FIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecvQ {
    pub zero: u64,
    pub one: u64,
    pub more: u64,
    pub max: u32,
}

impl RecvQ {
    pub fn add(&mut self, bytes: u32) {
        match bytes {
            0 => self.zero += 1,
            1 => self.one += 1,
            _ => self.more += 1,
        }
        self.max = self.max.max(bytes);
    }
}

/// Minimum, median and maximum of durations, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    pub min_ms: u64,
    pub p50_ms: u64,
    pub max_ms: u64,
}

impl Spread {
    /// `None` if there are none. Of two middle values the lower one (nearest rank).
    pub fn of(durations: &mut [u32]) -> Option<Spread> {
        durations.sort_unstable();
        let p50 = durations.get(durations.len().checked_sub(1)? / 2)?;
        Some(Spread {
            min_ms: u64::from(*durations.first()?),
            p50_ms: u64::from(*p50),
            max_ms: u64::from(*durations.last()?),
        })
    }
}

/// Collects rows into groups; allocates only for a new group.
pub struct Grouping<'a> {
    snapshot: &'a Snapshot,
    groups: FxHashMap<(u16, Protocol, State, Service, u32), Tally>,
    owners: FxHashMap<GroupOwner, u32>,
    /// The owner of the last row: rows of one owner are often adjacent.
    last: Option<(GroupOwner, u32)>,
}

#[derive(Default)]
struct Tally {
    sockets: u64,
    recv_q: RecvQ,
    send_q_max: u32,
    idle_ms: Vec<u32>,
    causes: [u64; Cause::ALL.len()],
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.sockets += other.sockets;
        self.recv_q.zero += other.recv_q.zero;
        self.recv_q.one += other.recv_q.one;
        self.recv_q.more += other.recv_q.more;
        self.recv_q.max = self.recv_q.max.max(other.recv_q.max);
        self.send_q_max = self.send_q_max.max(other.send_q_max);
        self.idle_ms.extend(other.idle_ms);
        for (count, more) in self.causes.iter_mut().zip(other.causes) {
            *count += more;
        }
    }
}

impl<'a> Grouping<'a> {
    pub fn new(snapshot: &'a Snapshot) -> Grouping<'a> {
        Grouping {
            snapshot,
            groups: FxHashMap::default(),
            owners: FxHashMap::default(),
            last: None,
        }
    }

    pub fn add(&mut self, row: &Row<'_>) {
        let owner = self.intern(&row.owner);
        let service = row.service();
        let tally = self
            .groups
            .entry((
                row.socket.netns,
                row.socket.protocol,
                row.socket.state,
                service,
                owner,
            ))
            .or_default();
        tally.sockets += 1;
        tally.recv_q.add(row.socket.recv_q);
        tally.send_q_max = tally.send_q_max.max(row.socket.send_q);
        if let Some(idle) = row.idle {
            tally
                .idle_ms
                .push(u32::try_from(idle.at_least_ms).unwrap_or(u32::MAX));
        }
        if let Some(cause) = row.cause {
            tally.causes[cause as usize] += 1;
        }
    }

    fn intern(&mut self, owner: &Owner<'_>) -> u32 {
        if let Some((last, number)) = &self.last
            && last.is(owner)
        {
            return *number;
        }
        let key = GroupOwner::of(owner);
        let next = u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
        let number = *self.owners.entry(key.clone()).or_insert(next);
        self.last = Some((key, number));
        number
    }

    /// The groups: CLOSE_WAIT first, then the largest. Ties are ordered by state, service,
    /// namespace and owner, so that the same sockets give the same order.
    pub fn finish(self) -> Vec<Group> {
        let mut owners: Vec<Option<GroupOwner>> = vec![None; self.owners.len()];
        for (owner, number) in self.owners {
            owners[number as usize] = Some(owner);
        }
        let nobody = Holders::default();
        let holders = self.snapshot.holders.as_ref().unwrap_or(&nobody);
        let mut merged: FxHashMap<_, (Vec<Pid>, Tally)> = FxHashMap::default();
        for ((netns, protocol, state, service, owner), tally) in self.groups {
            let Some(owner) = owners[owner as usize].as_ref() else {
                continue;
            };
            let whose = OwnerKey::of(holders, owner, service.side());
            let key = (netns, protocol, state, service, owner.kind, whose);
            let (pids, all) = merged.entry(key).or_default();
            pids.extend(&owner.pids);
            all.add(tally);
        }
        let mut groups: Vec<Group> = merged
            .into_iter()
            .map(|(key, (mut pids, mut tally))| {
                let (netns, protocol, state, service, kind, whose) = key;
                pids.sort_unstable();
                pids.dedup();
                Group {
                    netns,
                    protocol,
                    state,
                    service,
                    owner: GroupOwner { kind, pids },
                    whose,
                    sockets: tally.sockets,
                    recv_q: tally.recv_q,
                    send_q_max: tally.send_q_max,
                    idle: Spread::of(&mut tally.idle_ms),
                    causes: Cause::ALL
                        .into_iter()
                        .map(|cause| (cause, tally.causes[cause as usize]))
                        .filter(|(_, count)| *count > 0)
                        .collect(),
                }
            })
            .collect();
        groups.sort_by(|a, b| {
            let key = |group: &Group| {
                (
                    group.state != State::CloseWait,
                    std::cmp::Reverse(group.sockets),
                    group.protocol,
                    group.state,
                    group.service,
                    group.netns,
                )
            };
            key(a)
                .cmp(&key(b))
                .then_with(|| a.owner.kind.cmp(&b.owner.kind))
                .then_with(|| a.owner.pids.cmp(&b.owner.pids))
        });
        groups
    }
}

impl Report<'_> {
    /// The groups, CLOSE_WAIT first and then the largest.
    pub fn groups(&self) -> Vec<Group> {
        let mut grouping = Grouping::new(self.snapshot);
        for row in self.rows() {
            grouping.add(&row);
        }
        grouping.finish()
    }
}
