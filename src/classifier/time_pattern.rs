//! Time patterns: whether events happened at once, or one by one until now. Pure.

/// Fewer events than this have no pattern.
const BURST_LEAST: usize = 5;
/// Fewer events than this often look evenly spread by chance.
const SPREAD_LEAST: usize = 20;
/// Events within this time, in milliseconds, are one burst if that has been over for at least as
/// long: a pool fills during a burst of traffic, and is closed the way it was filled.
const BURST_MS: u64 = 30_000;
/// Events are also one burst if their duration is at most this fraction of the time since then:
/// what took an hour and ended a day ago is over.
const BURST_PART: u64 = 10;
/// A spread must last this long, in milliseconds: twice the time that any close may take.
const SPREAD_LEAST_MS: u64 = 10_000;
/// This fraction of the events may lie outside a burst, at each end.
const UNMATCHED_PART: usize = 20;
/// A spread continues if its last event is within this fraction of the whole time, or within this
/// many average intervals.
const LAST_PART: u64 = 10;
const LAST_TIMES: u64 = 5;
/// The largest Kolmogorov-Smirnov distance from an even distribution, times the root of the number
/// of events: 19 of 20 random samples keep it. And the distance that is always accepted.
const EVEN: f64 = 1.36;
const EVEN_LEAST: f64 = 0.2;

/// When events happened, in milliseconds ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimePattern {
    pub kind: Pattern,
    /// The number of events.
    pub events: u64,
    pub newest_ms: u64,
    pub oldest_ms: u64,
}

/// The pattern of the times of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// All at once, and none since.
    Burst,
    /// One by one, as evenly as random events, until now.
    Spread,
    /// Neither.
    Mixed,
    /// Too few to have a pattern.
    Few,
}

impl Pattern {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Pattern::Burst => "burst",
            Pattern::Spread => "spread",
            Pattern::Mixed => "mixed",
            Pattern::Few => "few",
        }
    }
}

impl TimePattern {
    /// From ages in any order; `None` if there are none.
    pub fn of(ages: &mut [u64]) -> Option<TimePattern> {
        ages.sort_unstable();
        let (newest_ms, oldest_ms) = (*ages.first()?, *ages.last()?);
        let kind = if ages.len() < BURST_LEAST {
            Pattern::Few
        } else if is_burst(ages) {
            Pattern::Burst
        } else if ages.len() < SPREAD_LEAST {
            Pattern::Few
        } else if oldest_ms >= SPREAD_LEAST_MS && goes_on(ages) && is_even(ages, oldest_ms) {
            Pattern::Spread
        } else {
            Pattern::Mixed
        };
        Some(TimePattern {
            kind,
            events: ages.len() as u64,
            newest_ms,
            oldest_ms,
        })
    }

    /// Events per minute, if they continue.
    pub fn per_minute(&self) -> Option<f64> {
        let goes_on = self.kind == Pattern::Spread;
        goes_on.then(|| self.events as f64 * 60_000.0 / self.oldest_ms as f64)
    }
}

/// Whether nearly all events are so close together that one cause explains them, and that is over.
fn is_burst(ages: &[u64]) -> bool {
    let unmatched = ages.len() / UNMATCHED_PART;
    let core = ages
        .get(unmatched..ages.len() - unmatched)
        .unwrap_or_default();
    let Some((newest, oldest)) = core.first().zip(core.last()) else {
        return false;
    };
    let width = oldest - newest;
    width <= newest / BURST_PART || (width <= BURST_MS && width <= *newest)
}

/// Whether the events continue.
fn goes_on(ages: &[u64]) -> bool {
    let (Some(newest), Some(oldest)) = (ages.first(), ages.last()) else {
        return false;
    };
    let between = oldest / (ages.len() as u64).max(1);
    *newest <= (oldest / LAST_PART).max(between.saturating_mul(LAST_TIMES))
}

/// Whether the events are spread evenly between the oldest and now.
fn is_even(ages: &[u64], oldest_ms: u64) -> bool {
    let all = ages.len() as f64;
    let far = (0u32..).zip(ages).map(|(at, age)| {
        let expected = *age as f64 / oldest_ms as f64;
        let (before, after) = (f64::from(at) / all, f64::from(at + 1) / all);
        (expected - before).abs().max((after - expected).abs())
    });
    far.fold(0.0, f64::max) <= EVEN_LEAST.max(EVEN / all.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(ages: impl IntoIterator<Item = u64>) -> Option<Pattern> {
        let mut ages: Vec<u64> = ages.into_iter().collect();
        TimePattern::of(&mut ages).map(|pattern| pattern.kind)
    }

    #[test]
    fn closed_at_one_moment_is_a_burst() {
        assert_eq!(kind([9_000; 120]), Some(Pattern::Burst));
        assert_eq!(
            kind((0..110).map(|at| 8_280 + at * 16)),
            Some(Pattern::Burst)
        );
        // Filled one by one, and idle since.
        assert_eq!(
            kind((0..127).map(|at| 15_000 + at * 50)),
            Some(Pattern::Burst)
        );
        // A minute, seven hours ago.
        let hours = 7 * 3_600_000;
        assert_eq!(
            kind((0..50).map(|at| hours + at * 1_000)),
            Some(Pattern::Burst)
        );
    }

    #[test]
    fn one_or_two_that_were_used_since_do_not_hide_a_burst() {
        let ages = std::iter::repeat_n(3_600_000, 58).chain([10_000, 400_000]);
        assert_eq!(kind(ages), Some(Pattern::Burst));
    }

    #[test]
    fn one_after_the_other_until_now_is_no_burst() {
        let ages = (0..1_800).map(|at| at * 400);
        let mut ages: Vec<u64> = ages.collect();
        let pattern = TimePattern::of(&mut ages).unwrap();
        assert_eq!(pattern.kind, Pattern::Spread);
        assert_eq!(pattern.per_minute().map(f64::round), Some(150.0));
        // Some dozens each minute.
        let ages = (0..30).flat_map(|minute| [minute * 60_000 + 7_000; 12]);
        assert_eq!(kind(ages), Some(Pattern::Spread));
    }

    #[test]
    fn what_went_on_for_long_and_stopped_is_neither() {
        let ages = (0..1_200).map(|at| 240_000 + at * 1_000);
        assert_eq!(kind(ages), Some(Pattern::Mixed));
        // Two bursts.
        let ages = std::iter::repeat_n(60_000, 30).chain([7_200_000; 30]);
        assert_eq!(kind(ages), Some(Pattern::Mixed));
        // Just now, for a few seconds: it may go on or not.
        let ages = (0..100).map(|at| at * 70);
        assert_eq!(kind(ages), Some(Pattern::Mixed));
    }

    #[test]
    fn a_few_have_no_distribution() {
        assert_eq!(kind([]), None);
        assert_eq!(kind([60_000; 4]), Some(Pattern::Few));
        assert_eq!(kind([1_000, 90_000, 250_000]), Some(Pattern::Few));
        assert_eq!(kind((0..19).map(|at| at * 10_000)), Some(Pattern::Few));
    }

    #[test]
    fn whatever_the_ages_are_there_is_an_answer() {
        assert_eq!(kind([0; 30]), Some(Pattern::Burst));
        assert_eq!(kind([u64::MAX; 30]), Some(Pattern::Burst));
        kind((0..30).map(|at| u64::MAX / (at + 1)));
    }
}
