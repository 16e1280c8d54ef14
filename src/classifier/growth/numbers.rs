//! Numbers for the groups and sets of two readings, equal for equal ones.

use rustc_hash::FxHashMap;

use super::matched::{Matched, Moves};
use super::young::Young;
use crate::classifier::change::SetGrowth;
use crate::classifier::group::Group;
use crate::classifier::owner::GroupOwner;
use crate::classifier::program::OwnerKey;
use crate::classifier::report::Report;
use crate::classifier::row::Row;
use crate::classifier::service::Service;
use crate::classifier::socket_set::{Key as SetKey, subject};
use crate::model::{Owner, Protocol, State};

/// What the sockets of a [`Group`] have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct GroupKey {
    netns: u16,
    protocol: Protocol,
    state: State,
    service: Service,
    kind: Option<&'static str>,
    whose: OwnerKey,
}

impl GroupKey {
    pub(super) fn of_group(group: &Group, netns: u16) -> GroupKey {
        GroupKey {
            netns,
            protocol: group.protocol,
            state: group.state,
            service: group.service,
            kind: group.owner.kind,
            whose: group.whose.clone(),
        }
    }
}

/// The number of each row that counts.
type Numbered = Vec<Option<u32>>;

/// The keys of both readings, by number. Sockets with the same key are often adjacent.
struct Keys<K> {
    numbers: FxHashMap<K, u32>,
    last: Option<(K, GroupOwner, u32)>,
}

impl<K> Default for Keys<K> {
    fn default() -> Keys<K> {
        Keys {
            numbers: FxHashMap::default(),
            last: None,
        }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Keys<K> {
    /// The number of a row: that of the last one if `is_last` accepts its key and the owner is the
    /// same, otherwise that of the `key` with this owner.
    fn number(
        &mut self,
        row: &Row<'_>,
        is_last: impl Fn(&K) -> bool,
        key: impl FnOnce(&GroupOwner) -> K,
    ) -> u32 {
        if let Some((last, owner, number)) = &self.last
            && is_last(last)
            && owner.is(&row.owner)
        {
            return *number;
        }
        let owner = GroupOwner::of(&row.owner);
        let key = key(&owner);
        let next = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(key.clone()).or_insert(next);
        self.last = Some((key, owner, number));
        number
    }

    /// The keys in the order of their numbers.
    fn in_order(self) -> Vec<K> {
        let mut keys: Vec<(K, u32)> = self.numbers.into_iter().collect();
        keys.sort_unstable_by_key(|(_, number)| *number);
        keys.into_iter().map(|(key, _)| key).collect()
    }
}

/// The keys of the groups of both readings, by number, and the number of each row that counts.
pub(super) fn groups(
    before: &Report<'_>,
    after: &Report<'_>,
    matched: &Matched,
    young: &Young,
) -> (Vec<GroupKey>, Numbered, Numbered) {
    let mut keys = Keys::default();
    let mut number = |report: &Report<'_>, row: &Row<'_>, netns: u16| {
        let socket = row.socket;
        let service = row.service();
        let is_last = |last: &GroupKey| {
            (last.netns, last.protocol, last.state) == (netns, socket.protocol, socket.state)
                && last.service == service
        };
        keys.number(row, is_last, |owner| GroupKey {
            netns,
            protocol: socket.protocol,
            state: socket.state,
            service,
            kind: owner.kind,
            whose: OwnerKey::of(report.holders(), owner, service.side()),
        })
    };
    let now = (0..after.len()).map(|at| {
        let (row, counts) = young.later(after, at);
        counts.then(|| number(after, &row, row.socket.netns))
    });
    let now = now.collect();
    let then = (0..before.len()).map(|at| {
        let (row, counts) = young.earlier(before, at);
        counts.then(|| number(before, &row, matched.netns_before(row.socket.netns)))
    });
    let then = then.collect();
    (keys.in_order(), then, now)
}

/// The growth of the sets of both readings.
pub(super) fn sets(
    before: &Report<'_>,
    after: &Report<'_>,
    matched: &Matched,
    young: &Young,
    between_ms: u64,
) -> FxHashMap<SetKey, SetGrowth> {
    let mut keys = Keys::default();
    let mut number = |report: &Report<'_>, row: &Row<'_>, netns: u16| {
        let (cause, is_age_missing) = subject(report, row)?;
        let is_last = |last: &SetKey| last.is_of(report, row, netns, cause, is_age_missing);
        Some(keys.number(row, is_last, |_| {
            SetKey::of(report, row, netns, cause, is_age_missing)
        }))
    };
    let now: Numbered = (0..after.len())
        .map(|at| {
            let (row, counts) = young.later(after, at);
            counts.then(|| number(after, &row, row.socket.netns))?
        })
        .collect();
    let then: Numbered = (0..before.len())
        .map(|at| {
            let (row, counts) = young.earlier(before, at);
            counts.then(|| number(before, &row, matched.netns_before(row.socket.netns)))?
        })
        .collect();
    let keys = keys.in_order();
    let mut sets = vec![SetGrowth::default(); keys.len()];
    matched.each(&then, &now, Moves::WithItsState, |counted| {
        let Some(set) = sets.get_mut(counted.number as usize) else {
            return;
        };
        set.between_ms = between_ms;
        set.change.add(counted.presence);
        let report = if counted.is_later { after } else { before };
        let row = report.row(counted.at);
        let Owner::Process(holders) = row.owner else {
            return;
        };
        let mut last = None;
        for holder in holders {
            if last.replace(holder.pid) != Some(holder.pid) {
                set.by_pid
                    .entry(holder.pid)
                    .or_default()
                    .add(counted.presence);
            }
        }
    });
    keys.into_iter().zip(sets).collect()
}
