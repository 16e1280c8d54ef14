//! Arrivals: the ages of sockets in CLOSE_WAIT are a growth curve already in one reading, because a
//! leak keeps every socket that ever came. Pure.

use crate::model::Idle;

/// Fewer sockets are no curve.
const LEAST: usize = 5;
/// The recent time that is looked at, in milliseconds, and how old the oldest socket must be for it:
/// long enough before it that the two can differ.
const WINDOWS: [(u64, u64); 2] = [(600_000, 1_800_000), (60_000, 180_000)];
/// The window must be this many times as long as the grace: younger sockets are not in the set.
const GRACES: u64 = 5;

/// When the sockets of a set came, by the bounds of their ages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrivals {
    /// The oldest is at least this old, in milliseconds.
    pub oldest_ms: u64,
    /// At least half of them are at most this old, in milliseconds; `None` if that is unknown.
    pub half_ms: Option<u64>,
    pub recent: Option<Recent>,
}

/// How many came recently, without those younger than the grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recent {
    /// The time that is looked at, in milliseconds.
    pub window_ms: u64,
    /// The part of it in which sockets are older than the grace.
    watched_ms: u64,
    /// So many came in it at least and at most.
    pub at_least: u64,
    pub at_most: u64,
}

impl Arrivals {
    /// From the ages in any order; `None` for a few.
    pub fn of(ages: &[Idle], grace_ms: u64) -> Option<Arrivals> {
        if ages.len() < LEAST {
            return None;
        }
        let oldest_ms = ages.iter().map(|age| age.at_least_ms).max()?;
        let mut most: Vec<u64> = ages
            .iter()
            .map(|age| age.at_most_ms.unwrap_or(u64::MAX))
            .collect();
        most.sort_unstable();
        let half = most.get(most.len().div_ceil(2).checked_sub(1)?);
        let window = WINDOWS.into_iter().find(|(window, oldest)| {
            oldest_ms >= *oldest && grace_ms.saturating_mul(GRACES) <= *window
        });
        let within = |bound: &dyn Fn(&Idle) -> Option<u64>, window_ms| {
            let within = ages
                .iter()
                .filter_map(bound)
                .filter(|age| *age <= window_ms);
            within.count() as u64
        };
        Some(Arrivals {
            oldest_ms,
            half_ms: half.copied().filter(|half| *half < u64::MAX),
            recent: window.map(|(window_ms, _)| Recent {
                window_ms,
                watched_ms: window_ms.saturating_sub(grace_ms),
                at_least: within(&|age| age.at_most_ms, window_ms),
                at_most: within(&|age| Some(age.at_least_ms), window_ms),
            }),
        })
    }
}

impl Recent {
    /// How many came per minute, at least and at most.
    pub fn per_minute(&self) -> [f64; 2] {
        let watched_ms = self.watched_ms.max(1) as f64;
        [self.at_least, self.at_most].map(|count| count as f64 * 60_000.0 / watched_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn exact(ms: u64) -> Idle {
        Idle {
            at_least_ms: ms,
            at_most_ms: Some(ms),
        }
    }

    #[test]
    fn the_ages_of_a_leak_show_how_fast_it_grows_now() {
        // One an hour for three hours, and 12 a minute for the last 20 minutes.
        let slow = (1..=3).map(|hour| exact(hour * 60 * MINUTE));
        let fast = (1..=240).map(|at| exact(5_000 + at * 5_000));
        let ages: Vec<Idle> = slow.chain(fast).collect();
        let arrivals = Arrivals::of(&ages, 5_000).unwrap();
        assert_eq!(arrivals.oldest_ms, 180 * MINUTE);
        assert_eq!(arrivals.half_ms, Some(5_000 + 122 * 5_000));
        let recent = arrivals.recent.unwrap();
        assert_eq!((recent.window_ms, recent.at_least), (10 * MINUTE, 119));
        assert_eq!(recent.per_minute(), [12.0, 12.0]);
    }

    #[test]
    fn a_lower_bound_does_not_show_that_a_socket_is_young() {
        let open = |ms| Idle {
            at_least_ms: ms,
            at_most_ms: None,
        };
        let ages: Vec<Idle> = (1..=20).map(|minute| open(minute * MINUTE)).collect();
        let arrivals = Arrivals::of(&ages, 5_000).unwrap();
        assert_eq!(arrivals.half_ms, None);
        let recent = arrivals.recent.unwrap();
        assert_eq!(
            (recent.window_ms, recent.at_least, recent.at_most),
            (MINUTE, 0, 1)
        );
        // None can have come since.
        let ages: Vec<Idle> = (40..=60).map(|minute| open(minute * MINUTE)).collect();
        let recent = Arrivals::of(&ages, 5_000).unwrap().recent.unwrap();
        assert_eq!((recent.window_ms, recent.at_most), (10 * MINUTE, 0));
    }

    #[test]
    fn a_few_sockets_or_young_ones_are_no_curve() {
        assert_eq!(Arrivals::of(&[exact(MINUTE); 4], 5_000), None);
        let young = Arrivals::of(&[exact(MINUTE); 9], 5_000).unwrap();
        assert_eq!(young.recent, None);
        // With a long grace, the sockets of a short window are not among them.
        let old = Arrivals::of(&[exact(5 * MINUTE); 9], 30_000).unwrap();
        assert_eq!(old.recent, None);
    }
}
