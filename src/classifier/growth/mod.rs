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
pub(in crate::classifier) use self::matched::Matched;
use self::numbers::{GroupKey, groups, sets};
pub(in crate::classifier) use self::young::Young;
use crate::classifier::change::{Change, Presence};
use crate::classifier::group::{Group, Grouping};
use crate::classifier::report::Report;
use crate::classifier::socket_set::{Key as SetKey, SocketSet};
use crate::model::Pid;

/// What came and went between two readings.
///
/// In CLOSE_WAIT, sockets that a healthy program closes in a moment do not count, and the young
/// sockets of a leak count with it.
#[derive(Debug)]
pub struct Growth {
    /// The time between the readings, in milliseconds.
    pub between_ms: u64,
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

/// How a set of sockets grew, and for how many of them each process has a descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetGrowth {
    /// The time between the readings, in milliseconds.
    pub between_ms: u64,
    pub change: Change,
    by_pid: FxHashMap<Pid, Change>,
}

/// Compares two readings that began `between_ms` milliseconds apart. If both cover `all` network
/// namespaces, a missing namespace is gone with its sockets.
pub fn between(before: &Report<'_>, after: &Report<'_>, between_ms: u64, all: bool) -> Growth {
    let matched = Matched::of(before, after, all);
    let young = Young::of(before, after, &matched);
    let (keys, then, now) = groups(before, after, &matched, &young);
    let mut gone_groups = Grouping::new(before.snapshot);
    let mut changes = vec![Change::default(); keys.len()];
    matched.each(&then, &now, |counted| {
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
        let covered = self.sets.iter().filter(|(key, _)| set.key.covers(key));
        for (_, part) in covered {
            all.change.add_all(&part.change);
            for (pid, change) in &part.by_pid {
                all.by_pid.entry(*pid).or_default().add_all(change);
            }
        }
        all
    }

    /// Whether a socket of the later reading is in both, by its position; `None` if that is unknown.
    pub fn presence(&self, at: usize) -> Option<Presence> {
        self.presence.get(at).copied().flatten()
    }

    /// The positions of the sockets that only the earlier reading has.
    pub fn gone(&self) -> &[u32] {
        &self.gone
    }
}

impl SetGrowth {
    /// The growth per minute; `None` if no time has passed.
    pub fn per_minute(&self) -> Option<f64> {
        self.change.per_minute(self.between_ms)
    }

    /// The time until a process has no descriptor left, in milliseconds, if its sockets go on
    /// growing like this and all else stays: `open` of `limit` are in use now. `None` if they do not
    /// grow, or the limit is reached.
    pub fn full_in_ms(&self, pid: Pid, open: u64, limit: u64) -> Option<u64> {
        let grown = u64::try_from(self.by_pid.get(&pid)?.growth()).ok()?;
        let left = limit.checked_sub(open).filter(|left| *left > 0)?;
        left.saturating_mul(self.between_ms).checked_div(grown)
    }
}
