//! Growth: what came and went between two readings of one host, a few seconds or minutes apart.
//!
//! The one mechanism of `--for`, of `closewait check --growth` and of `closewait diff`: `matched`
//! finds each socket in the other reading, `young` counts the young sockets of a leak with it.

mod key;
mod matched;
mod numbers;
mod young;

use rustc_hash::FxHashMap;

pub use self::key::Identity;
pub(in crate::classifier) use self::matched::{Matched, Moves};
use self::numbers::{GroupKey, groups, sets};
pub(in crate::classifier) use self::young::Young;
use crate::classifier::change::{Change, Presence, SetGrowth};
use crate::classifier::group::{Group, Grouping};
use crate::classifier::report::Report;
use crate::classifier::service::ServiceEnd;
use crate::classifier::socket_set::{Key as SetKey, SocketSet};

/// What came and went between two readings.
///
/// In CLOSE_WAIT, sockets that a healthy program closes in a moment do not count, and the young
/// sockets of a leak count with it.
#[derive(Debug)]
pub struct Growth {
    /// The time between the readings, in milliseconds.
    pub between_ms: u64,
    /// Both readings cover all network namespaces: one that is missing is gone with its sockets.
    pub all: bool,
    pub identity: Identity,
    /// The number of network namespaces that only one of the readings covers. Their sockets are
    /// left out.
    pub one_sided: usize,
    /// The earlier reading may lack sockets, so that a new one may have been there.
    pub may_be_old: bool,
    /// The later reading may lack sockets, so that a gone one may still be there.
    pub may_be_there: bool,
    /// All selected sockets.
    pub total: Change,
    groups: FxHashMap<GroupKey, Change>,
    sets: FxHashMap<SetKey, SetGrowth>,
    /// The groups that only the earlier reading has, with what went away.
    pub gone_groups: Vec<Group>,
    /// For each selected socket of the later reading; `None` if its namespace was not read before.
    presence: Vec<Option<Presence>>,
    /// The positions of the sockets that only the earlier reading has.
    gone: Vec<u32>,
}

/// Compares two readings that began `between_ms` milliseconds apart. If both cover `all` network
/// namespaces, a missing namespace is gone with its sockets.
pub fn between(before: &Report<'_>, after: &Report<'_>, between_ms: u64, all: bool) -> Growth {
    let matched = Matched::of(before, after, all);
    let young = Young::of(before, after, &matched);
    let (keys, then, now) = groups(before, after, &matched, &young);
    let mut gone_groups = Grouping::new(before.snapshot);
    let mut changes = vec![Change::default(); keys.len()];
    matched.each(&then, &now, Moves::WithItsState, |counted| {
        if let Some(change) = changes.get_mut(counted.number as usize) {
            change.add(counted.presence);
        }
        if counted.presence == Presence::Gone {
            gone_groups.add(&before.row(counted.at));
        }
    });
    let groups: FxHashMap<GroupKey, Change> = keys.into_iter().zip(changes).collect();
    let mut gone_groups = gone_groups.finish();
    gone_groups.retain(|group| {
        let key = GroupKey::of_group(group, matched.netns_before(group.netns));
        groups.get(&key).is_some_and(|change| change.after() == 0)
    });
    let rows = 0..after.len();
    Growth {
        between_ms,
        all,
        identity: matched.identity,
        one_sided: matched.one_sided(),
        may_be_old: before.may_miss_sockets() || before.undecided > 0,
        may_be_there: after.may_miss_sockets() || after.undecided > 0,
        total: matched.total(),
        groups,
        sets: sets(before, after, &matched, &young, between_ms),
        gone_groups,
        presence: rows.map(|at| matched.presence(at)).collect(),
        gone: matched.gone().collect(),
    }
}

impl Growth {
    /// The change of a group of the later reading.
    pub fn of_group(&self, group: &Group) -> Change {
        let key = GroupKey::of_group(group, group.netns);
        self.groups.get(&key).copied().unwrap_or_default()
    }

    /// The change of a set of the later reading.
    pub fn of_set(&self, set: &SocketSet) -> SetGrowth {
        let mut all = SetGrowth {
            between_ms: self.between_ms,
            ..SetGrowth::default()
        };
        // Servers on many ports are one set only by a common ancestor.
        let is_of = |part: &SetGrowth| match set.end {
            ServiceEnd::One(_) => true,
            ServiceEnd::Several(..) => {
                let mut pids = part.by_pid.keys();
                pids.any(|pid| set.owner.pids.binary_search(pid).is_ok())
            }
        };
        let parts = self.sets.iter();
        let covered = parts.filter(|(key, part)| set.key.covers(key) && is_of(part));
        for (_, part) in covered {
            all.change.add_all(&part.change);
            for (pid, change) in &part.by_pid {
                all.by_pid.entry(*pid).or_default().add_all(change);
            }
        }
        all
    }

    /// Marks the rows of both readings with their [`Presence`].
    pub fn mark(&self, before: &mut Report<'_>, after: &mut Report<'_>) {
        after.changes.clone_from(&self.presence);
        before.changes = vec![None; before.len()];
        for at in &self.gone {
            if let Some(change) = before.changes.get_mut(*at as usize) {
                *change = Some(Presence::Gone);
            }
        }
    }

    /// The positions of the sockets that only the earlier reading has.
    pub fn gone(&self) -> &[u32] {
        &self.gone
    }
}
