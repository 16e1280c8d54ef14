//! How fast the counts of a check grow.

use rustc_hash::FxHashMap;

use super::counts::Places;
use super::criteria::Criteria;
use super::key::Key;
use crate::classifier::change::Change;
use crate::classifier::growth::{Matched, Moves, Young};
use crate::classifier::report::Report;
use crate::classifier::row::Row;

/// An earlier reading, and how long ago it was.
#[derive(Debug, Clone, Copy)]
pub struct Since<'a> {
    pub before: &'a Report<'a>,
    pub between_ms: u64,
    /// Both readings cover all network namespaces.
    pub all: bool,
}

/// The growth per minute of the count that grew most: a decrease of another does not offset it. If
/// none grew, that of the total. `None` if no time has passed.
///
/// Sockets that linger count, and the young ones of a leak. A socket that was in the same state at
/// the earlier reading is no growth, whatever keepalive hides of its age.
pub(super) fn growth(report: &Report<'_>, since: Since<'_>, test: &Criteria) -> Option<f64> {
    let before = since.before;
    let matched = Matched::of(before, report, since.all);
    let young = Young::of(before, report, &matched);
    let mut numbers = Numbers::default();
    let now = numbers.of(report, test, |at| {
        let (row, counts) = young.later(report, at);
        Counted {
            row,
            netns: row.socket.netns,
            is_in_both: matched.has_later(at),
            counts,
        }
    });
    let then = numbers.of(before, test, |at| {
        let (row, counts) = young.earlier(before, at);
        Counted {
            row,
            netns: matched.netns_before(row.socket.netns),
            is_in_both: matched.has_earlier(at),
            counts,
        }
    });
    let changes = matched.changes(&then, &now, Moves::WithItsState);
    let mut total = Change::default();
    let mut of_keys: FxHashMap<&Key, Change> = FxHashMap::default();
    for (keys, number) in &numbers.0 {
        let change = changes.get(*number as usize).copied().unwrap_or_default();
        total.add_all(&change);
        for key in keys {
            of_keys.entry(key).or_default().add_all(&change);
        }
    }
    let most = of_keys.into_values().max_by_key(Change::growth);
    let most = most.filter(|most| most.growth() > 0).unwrap_or(total);
    most.per_minute(since.between_ms)
}

/// A row with the cause that its group gives it.
struct Counted<'a> {
    row: Row<'a>,
    netns: u16,
    is_in_both: bool,
    /// As far as its age shows.
    counts: bool,
}

/// Numbers for what sockets are counted by together, equal in both readings.
#[derive(Default)]
struct Numbers(FxHashMap<Vec<Key>, u32>);

impl Numbers {
    /// The number of each row that counts.
    fn of<'a>(
        &mut self,
        report: &'a Report<'a>,
        test: &Criteria,
        row: impl Fn(usize) -> Counted<'a>,
    ) -> Vec<Option<u32>> {
        let mut places = Places::default();
        let mut last = None;
        (0..report.len())
            .map(|at| {
                let counted = row(at);
                let is_hidden = report.may_be_young(&counted.row);
                let counts = counted.counts
                    && test.states.contains(counted.row.socket.state)
                    && counted.row.lingers() != Some(false)
                    && (counted.is_in_both || !is_hidden);
                if !counts {
                    return None;
                }
                let (place, is_new) = places.of(report, &counted.row, test.by);
                if let (Some(number), false) = (last, is_new) {
                    return Some(number);
                }
                let keys = place.keys.iter().map(|key| key.in_netns(counted.netns));
                let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
                last = Some(*self.0.entry(keys.collect()).or_insert(next));
                last
            })
            .collect()
    }
}
