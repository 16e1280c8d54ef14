//! Compares two readings socket by socket, by chosen dimensions: which remain, which are new, which
//! are gone.

use rustc_hash::FxHashMap;

pub use crate::classifier::change::Change;
pub use crate::classifier::growth::Identity;
use crate::classifier::growth::{Matched, Moves, Young};
use crate::classifier::report::Report;
use crate::classifier::row::Row;
use crate::classifier::tally::{Dimension, LineNumbers, ValueText};
use crate::model::State;

/// The change of the sockets with the same values. Remaining and new sockets have their values in
/// the later reading, gone ones those in the earlier. A socket that changed its state is gone from
/// one line and new in another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub values: Vec<ValueText>,
    pub change: Change,
}

/// How two readings differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    pub identity: Identity,
    /// The most grown first.
    pub lines: Vec<Line>,
    pub total: Change,
    /// The time between the readings, in milliseconds; `None` if the clock stood still or went
    /// back.
    pub between_ms: Option<u64>,
    /// The number of network namespaces that only one of the readings covers. Their sockets are
    /// left out.
    pub one_sided: usize,
    /// Whether all counted sockets are in CLOSE_WAIT.
    pub of_close_wait: bool,
}

impl Diff {
    /// A change per minute.
    pub fn per_minute(&self, change: &Change) -> Option<f64> {
        change.per_minute(self.between_ms?)
    }
}

/// Compares the selected sockets of two readings of one host, in the network namespaces that both
/// cover. If both cover `all` network namespaces, a missing namespace is gone with its sockets.
pub fn diff(before: &Report<'_>, after: &Report<'_>, dimensions: &[Dimension], all: bool) -> Diff {
    let matched = Matched::of(before, after, all);
    let young = Young::of(before, after, &matched);
    let mut by_values = ByValues::default();
    let then = by_values.numbers(before, dimensions, |at| young.earlier(before, at).0);
    let now = by_values.numbers(after, dimensions, |at| young.later(after, at).0);
    let changes = matched.changes(&then, &now, Moves::WithItsState);
    let taken = |report: &Report<'_>| report.snapshot.taken_at_ns;
    let between_ns = taken(after) - taken(before);
    let only_waits = |report: &Report<'_>| {
        report
            .rows()
            .all(|row| row.socket.state == State::CloseWait)
    };
    Diff {
        identity: matched.identity,
        total: matched.total(),
        one_sided: matched.one_sided(),
        lines: by_values.lines(changes),
        between_ms: u64::try_from(between_ns / 1_000_000)
            .ok()
            .filter(|between| *between > 0),
        of_close_wait: only_waits(before) && only_waits(after),
    }
}

/// The change of each line of a [`tally`](crate::classifier::tally::tally) of the later reading, and of
/// those that only the earlier one has. A socket counts where the tally of its reading has it.
pub fn of_tally(
    before: &Report<'_>,
    after: &Report<'_>,
    dimensions: &[Dimension],
    all: bool,
) -> Vec<Line> {
    let matched = Matched::of(before, after, all);
    let mut by_values = ByValues::default();
    let then = by_values.numbers(before, dimensions, |at| before.row(at));
    let now = by_values.numbers(after, dimensions, |at| after.row(at));
    let changes = matched.changes(&then, &now, Moves::Always);
    by_values.lines(changes)
}

/// Numbers for values that are equal in both readings.
#[derive(Default)]
struct ByValues(FxHashMap<Vec<ValueText>, u32>);

impl ByValues {
    /// The number of each row.
    fn numbers<'a>(
        &mut self,
        report: &'a Report<'a>,
        dimensions: &'a [Dimension],
        row: impl Fn(usize) -> Row<'a>,
    ) -> Vec<Option<u32>> {
        let mut lines = LineNumbers::new(report, dimensions);
        let of_rows: Vec<usize> = (0..report.len()).map(|at| lines.line(&row(at))).collect();
        let shared: Vec<u32> = lines
            .lines()
            .iter()
            .map(|values| {
                let values = values.iter().map(|value| value.text(report.snapshot));
                let known = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
                *self.0.entry(values.collect()).or_insert(known)
            })
            .collect();
        let numbers = of_rows.into_iter().map(|line| shared.get(line).copied());
        numbers.collect()
    }

    /// The lines with sockets that count.
    fn lines(self, changes: Vec<Change>) -> Vec<Line> {
        let of = |number: u32| changes.get(number as usize).copied().unwrap_or_default();
        let lines = self.0.into_iter().map(|(values, number)| Line {
            values,
            change: of(number),
        });
        let mut lines: Vec<Line> = lines
            .filter(|line| line.change != Change::default())
            .collect();
        lines.sort_unstable_by(|a, b| {
            let rank = |line: &Line| (line.change.growth(), line.change.still);
            rank(b).cmp(&rank(a)).then_with(|| a.values.cmp(&b.values))
        });
        lines
    }
}
