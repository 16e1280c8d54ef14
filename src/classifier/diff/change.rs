//! How many sockets stayed, came and went.

/// How many sockets stayed, came and went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Selected in both readings.
    pub still: u64,
    /// Selected only in the later one.
    pub new: u64,
    /// Selected only in the earlier one.
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

    pub(super) fn add(&mut self, presence: Presence) {
        match presence {
            Presence::Still => self.still += 1,
            Presence::New => self.new += 1,
            Presence::Gone => self.gone += 1,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Presence {
    Still,
    New,
    Gone,
}
