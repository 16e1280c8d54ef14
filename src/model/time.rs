//! Times of the kernel, known to a tick of its clock, and how they compare.
//!
//! The times in `struct tcp_info` are jiffies converted to milliseconds (`net/ipv4/tcp.c`,
//! `tcp_get_info`): their resolution is 1 to 10 ms, and they wrap at 32 bits. Two times order two
//! events only if they differ by at least a tick. Times are compared only here.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use serde::{Deserialize, Serialize};

/// A time that seems this much later than an event that must come after it has wrapped. A smaller
/// difference arises while one packet is processed: the clock advances by a tick, or by as long as a
/// virtual CPU was paused.
const WRAPPED_MS: u64 = 10_000;
/// Milliseconds have 32 bits and wrap after 49.7 days.
const WRAP_MS: u64 = 1 << 32;

/// The tick of the kernel's clock, in milliseconds: one jiffy, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "u64")]
pub struct Tick(u64);

impl Tick {
    /// The tick of HZ=100, the longest of any kernel.
    pub const LONGEST: Tick = Tick(10);

    /// From its length in nanoseconds; the longest tick if no kernel has that length.
    pub fn from_nanoseconds(nanoseconds: u64) -> Tick {
        match nanoseconds {
            1_000_000..=10_000_000 => Tick(nanoseconds.div_ceil(1_000_000)),
            _ => Tick::LONGEST,
        }
    }

    pub(super) fn is_longest(&self) -> bool {
        *self == Tick::LONGEST
    }

    /// The precision for comparing times of two sockets that were read up to this long apart.
    pub fn across(self, milliseconds: u64) -> Tick {
        Tick(self.0.saturating_add(milliseconds))
    }
}

impl Default for Tick {
    fn default() -> Tick {
        Tick::LONGEST
    }
}

/// From milliseconds, as in a recording.
impl From<u64> for Tick {
    fn from(milliseconds: u64) -> Tick {
        Tick::from_nanoseconds(milliseconds.saturating_mul(1_000_000))
    }
}

/// How long ago something happened, known to a tick.
///
/// Comparisons have three answers, so the milliseconds are private.
#[derive(Debug, Clone, Copy)]
pub struct Ago(u64);

impl Ago {
    /// From milliseconds in a `struct tcp_info`.
    pub fn from_kernel(milliseconds: u32) -> Ago {
        Ago(milliseconds.into())
    }

    /// Whether it happened after `other`; `None` if the two are within a tick.
    pub fn is_after(self, other: Ago, tick: Tick) -> Option<bool> {
        (self.0.abs_diff(other.0) >= tick.0).then_some(self.0 < other.0)
    }

    /// Whether the two may have happened within `milliseconds` of each other.
    pub fn may_be_within(self, milliseconds: u64, other: Ago, tick: Tick) -> bool {
        self.0.abs_diff(other.0) < milliseconds.saturating_add(tick.0)
    }

    /// The same moment, known to be no later than `other`: if it seems later, it has wrapped or
    /// happened at the same time.
    pub fn not_after(self, other: Ago) -> Ago {
        if self.0.saturating_add(WRAPPED_MS) < other.0 {
            Ago(self.0.saturating_add(WRAP_MS))
        } else {
            Ago(self.0.max(other.0))
        }
    }

    /// The later of the two, as far as can be seen.
    pub fn latest(self, other: Ago) -> Ago {
        Ago(self.0.min(other.0))
    }

    /// The earlier of the two, as far as can be seen.
    pub fn earliest(self, other: Ago) -> Ago {
        Ago(self.0.max(other.0))
    }

    /// Whether it happened at most this long ago, within a tick. Use it for durations of many ticks.
    pub fn is_within(self, milliseconds: u64) -> bool {
        self.0 <= milliseconds
    }

    /// Whether it happened longer ago than this, within a tick.
    pub fn is_before(self, milliseconds: u64) -> bool {
        !self.is_within(milliseconds)
    }

    /// Milliseconds since then, to a tick. Use it for durations of many ticks.
    pub fn milliseconds(self) -> u64 {
        self.0
    }

    /// The exact time since then.
    pub fn idle(self) -> Idle {
        Idle {
            at_least_ms: self.0,
            at_most_ms: Some(self.0),
        }
    }

    /// The time since a moment between `earliest` and this one.
    pub fn idle_since(self, earliest: Ago) -> Idle {
        Idle {
            at_least_ms: self.0,
            at_most_ms: Some(earliest.not_after(self).0).filter(|most| *most < WRAP_MS),
        }
    }
}

/// How long a socket has been idle: a lower and an upper bound in milliseconds, each to a tick.
///
/// In CLOSE_WAIT this is the time spent in that state: the FIN came no later than the last
/// acknowledgement and no earlier than the last byte. In other states it is the time since the last
/// byte in either direction, and both bounds are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    pub at_least_ms: u64,
    /// `None` if there is no upper bound: the time of the last byte has wrapped.
    pub at_most_ms: Option<u64>,
}

impl Idle {
    pub fn is_exact(self) -> bool {
        self.at_most_ms == Some(self.at_least_ms)
    }

    /// Raises the lower bound: the state was already seen this long ago.
    pub fn at_least(self, milliseconds: u64) -> Idle {
        let at_least_ms = self.at_least_ms.max(milliseconds);
        Idle {
            at_least_ms,
            at_most_ms: self.at_most_ms.map(|most| most.max(at_least_ms)),
        }
    }

    /// The bounds of the longer of two.
    pub fn longest(self, other: Idle) -> Idle {
        let at_most_ms = self.at_most_ms.zip(other.at_most_ms);
        Idle {
            at_least_ms: self.at_least_ms.max(other.at_least_ms),
            at_most_ms: at_most_ms.map(|(one, other)| one.max(other)),
        }
    }

    /// Whether it is at most this long; `None` if that is between the bounds.
    pub fn is_within(self, milliseconds: u64) -> Option<bool> {
        if self.at_most_ms.is_some_and(|most| most <= milliseconds) {
            Some(true)
        } else {
            (self.at_least_ms > milliseconds).then_some(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HZ_250: Tick = Tick(4);

    #[test]
    fn a_tick_is_a_jiffy_of_some_kernel_or_the_longest_of_them() {
        for (nanoseconds, milliseconds) in [
            (1_000_000, 1),
            (3_333_333, 4),
            (4_000_000, 4),
            (10_000_000, 10),
            (0, 10),
            (1, 10),
            (u64::MAX, 10),
        ] {
            let tick = Tick::from_nanoseconds(nanoseconds);
            assert_eq!(tick, Tick(milliseconds), "{nanoseconds}");
        }
        assert_eq!(Tick::from(u64::MAX), Tick::LONGEST);
    }

    #[test]
    fn two_moments_within_a_tick_have_no_order() {
        let (early, late) = (Ago(1_003), Ago(1_000));
        assert_eq!(late.is_after(early, HZ_250), None);
        assert_eq!(early.is_after(late, HZ_250), None);
        assert_eq!(late.is_after(late, HZ_250), None);
        assert_eq!(late.is_after(Ago(1_004), HZ_250), Some(true));
        assert_eq!(Ago(1_004).is_after(late, HZ_250), Some(false));
        assert_eq!(late.is_after(Ago(1_004), Tick::LONGEST), None);
    }

    #[test]
    fn moments_may_be_nearer_to_each_other_than_they_seem() {
        assert!(Ago(100).may_be_within(50, Ago(150), HZ_250));
        assert!(Ago(100).may_be_within(50, Ago(153), HZ_250));
        assert!(!Ago(100).may_be_within(50, Ago(154), HZ_250));
        assert!(Ago(1).may_be_within(u64::MAX, Ago(1 << 40), HZ_250));
    }

    #[test]
    fn only_what_seems_far_too_late_has_wrapped() {
        let acked = Ago(60_000);
        assert_eq!(Ago(60_000).not_after(acked).0, 60_000);
        assert_eq!(Ago(59_996).not_after(acked).0, 60_000);
        assert_eq!(Ago(50_000).not_after(acked).0, 60_000);
        assert_eq!(Ago(49_999).not_after(acked).0, 49_999 + WRAP_MS);
        assert_eq!(Ago(90_000).not_after(acked).0, 90_000);
    }

    #[test]
    fn a_bracket_holds_whatever_order_its_ends_seem_to_have() {
        let bracket = |at_least_ms, at_most_ms| Idle {
            at_least_ms,
            at_most_ms,
        };
        let since = |earliest| Ago(60_000).idle_since(Ago(earliest));
        assert_eq!(since(65_000), bracket(60_000, Some(65_000)));
        assert_eq!(since(59_996), bracket(60_000, Some(60_000)));
        assert_eq!(since(1_000), bracket(60_000, None));
    }

    #[test]
    fn a_bracket_decides_only_where_both_of_its_ends_do() {
        let idle = Idle {
            at_least_ms: 200,
            at_most_ms: Some(8_000),
        };
        assert_eq!(idle.is_within(8_000), Some(true));
        assert_eq!(idle.is_within(5_000), None);
        assert_eq!(idle.is_within(199), Some(false));
        let open = Idle {
            at_most_ms: None,
            ..idle
        };
        assert_eq!(open.is_within(u64::MAX), None);
        assert_eq!(idle.at_least(6_000).is_within(5_000), Some(false));
        assert_eq!(idle.at_least(9_000).at_most_ms, Some(9_000));
    }
}
