//! How long reading stacks may take, for one process and for a run.

use std::time::{Duration, Instant};

/// How many times slower a build without optimization is. Tests run such a build, several at a time.
const SLOWNESS: u64 = if cfg!(debug_assertions) { 15 } else { 1 };
/// The most time for one process.
const PROCESS_MAX: Duration = Duration::from_millis(100 * SLOWNESS);
/// The most time to look up what descriptors of a process refer to. Reading its stacks may have used up its own.
const LOOKUPS_MAX: Duration = Duration::from_millis(20 * SLOWNESS);
/// The most time for all processes of a run.
const RUN_MAX: Duration = Duration::from_millis(300 * SLOWNESS);

/// The time that is left for a run.
#[derive(Debug)]
pub(in crate::collector) struct Budget {
    left: Duration,
}

impl Budget {
    pub(in crate::collector) fn of_a_run() -> Budget {
        Budget { left: RUN_MAX }
    }

    /// The time limit for the next process; `None` if nothing is left.
    pub(super) fn of_a_process(&self) -> Option<Limit> {
        let most = self.left.min(PROCESS_MAX);
        (!most.is_zero()).then(|| Limit(Instant::now() + most))
    }

    /// Takes the time since `start` from what is left.
    pub(super) fn spend(&mut self, start: Instant) {
        self.left = self.left.saturating_sub(start.elapsed());
    }
}

/// When reading a process must end.
#[derive(Debug, Clone, Copy)]
pub struct Limit(Instant);

impl Limit {
    /// No limit, for tests and fuzz targets.
    #[cfg(any(test, fuzzing))]
    pub fn none() -> Limit {
        Limit(Instant::now() + Duration::from_secs(3600))
    }

    /// The time limit for looking up descriptors, from now on.
    pub(super) fn of_lookups() -> Limit {
        Limit(Instant::now() + LOOKUPS_MAX)
    }

    #[cfg(test)]
    pub(super) fn reached() -> Limit {
        Limit(Instant::now())
    }

    pub(super) fn is_reached(self) -> bool {
        Instant::now() >= self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_less_time_than_its_processes_together() {
        let mut budget = Budget::of_a_run();
        let limit = budget.of_a_process().unwrap();
        assert!(limit.0 <= Instant::now() + PROCESS_MAX);
        let past = Instant::now().checked_sub(RUN_MAX).unwrap();
        budget.spend(past);
        assert!(budget.of_a_process().is_none());
        assert!(Limit(past).is_reached() && !Limit::none().is_reached());
    }
}
