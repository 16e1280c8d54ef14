//! How many selected sockets are in each state.

use crate::model::{State, StateSet};

/// How many selected sockets are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateCounts {
    counts: [u64; 16],
    /// The states that were looked for: a count of any other is unknown, not 0.
    pub asked: StateSet,
}

impl StateCounts {
    /// No socket in any of the states that were looked for.
    pub fn none_of(asked: StateSet) -> StateCounts {
        StateCounts {
            asked,
            ..StateCounts::default()
        }
    }

    /// How many; `None` for a state that was not looked for.
    pub fn of(&self, state: State) -> Option<u64> {
        let count = self.counts[state as usize];
        (count > 0 || self.asked.contains(state)).then_some(count)
    }

    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn add(&mut self, state: State) {
        self.counts[state as usize] += 1;
    }
}
