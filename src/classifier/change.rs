//! How many sockets stayed, came and went between two readings, and how fast.

use rustc_hash::FxHashMap;

use crate::model::Pid;

/// Whether a socket is in both readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Still,
    /// In both, in different states.
    Moved,
    /// Only in the later one.
    New,
    /// Only in the earlier one.
    Gone,
}

impl Presence {
    /// The word in tables, CSV and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Presence::Still => "still",
            Presence::Moved => "changed",
            Presence::New => "new",
            Presence::Gone => "gone",
        }
    }
}

/// How many sockets stayed, came and went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Counted in both readings.
    pub still: u64,
    /// Counted only in the later one.
    pub new: u64,
    /// Counted only in the earlier one.
    pub gone: u64,
}

impl Change {
    pub fn before(&self) -> u64 {
        self.still + self.gone
    }

    pub fn after(&self) -> u64 {
        self.still + self.new
    }

    /// How many more the later reading has.
    pub fn growth(&self) -> i64 {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        signed(self.new) - signed(self.gone)
    }

    /// The growth per minute, if the readings are `between_ms` apart; `None` if no time has passed.
    pub fn per_minute(&self, between_ms: u64) -> Option<f64> {
        (between_ms > 0).then(|| self.growth() as f64 * 60_000.0 / between_ms as f64)
    }

    pub(super) fn add(&mut self, presence: Presence) {
        match presence {
            Presence::Still | Presence::Moved => self.still += 1,
            Presence::New => self.new += 1,
            Presence::Gone => self.gone += 1,
        }
    }

    pub(super) fn add_all(&mut self, other: &Change) {
        self.still += other.still;
        self.new += other.new;
        self.gone += other.gone;
    }
}

/// How a set of sockets grew, and for how many of them each process has a descriptor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetGrowth {
    /// The time between the readings, in milliseconds.
    pub between_ms: u64,
    pub change: Change,
    pub(super) by_pid: FxHashMap<Pid, Change>,
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
