//! Counts by chosen dimensions, as every form of output shows them.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;

use crate::classifier::Report;
use crate::classifier::diff::{self, Change, Diff};
use crate::classifier::growth::Growth;
use crate::classifier::tally::{Dimension, Line, Value, ValueText, tally};
use crate::model::Name;
use crate::renderer::since::{Latest, Since};
use crate::renderer::style;
use crate::renderer::table::{Align, Column, Cut, Narrow, When};

/// What to count by, and in which order to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    pub dimensions: Vec<Dimension>,
    /// `None`: the most frequent first.
    pub sort: Option<BySort>,
    /// Of the table.
    pub heading: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BySort {
    pub key: ByKey,
    pub descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByKey {
    Sockets,
    CloseWait,
    /// The dimension at a position.
    Dimension(usize),
}

/// The lines that are shown, and what they count.
pub struct Counts<'a> {
    pub(super) report: &'a Report<'a>,
    pub(super) dimensions: &'a [Dimension],
    pub(super) lines: Vec<Line>,
    /// The lines that a limit leaves out, and their sockets.
    pub(super) left_out: (usize, u64),
    pub(super) total: u64,
    pub(super) growth: Option<CountsGrowth>,
}

/// How counts grew between two readings.
pub struct CountsGrowth {
    pub(super) between_ms: u64,
    pub(super) total: Change,
    /// By the values of a line.
    changes: FxHashMap<Vec<ValueText>, Change>,
    /// The same since the reading before, with its total, if there are several.
    latest: Option<(FxHashMap<Vec<ValueText>, Change>, Change)>,
    /// The lines that only the earlier reading has.
    pub(super) gone: Vec<diff::Line>,
}

impl<'a> Counts<'a> {
    pub fn new(
        report: &'a Report<'a>,
        since: Option<Since<'_>>,
        by: &'a By,
        limit: Option<usize>,
    ) -> Counts<'a> {
        let mut lines = tally(report, &by.dimensions);
        if let Some(sort) = by.sort {
            lines.sort_by(|a, b| {
                let order = compare(sort.key, a, b);
                if sort.descending {
                    order.reverse()
                } else {
                    order
                }
            });
        }
        let rest = lines.split_off(limit.unwrap_or(usize::MAX).min(lines.len()));
        Counts {
            report,
            dimensions: &by.dimensions,
            lines,
            left_out: (rest.len(), rest.iter().map(|line| line.sockets).sum()),
            total: report.len() as u64,
            growth: since.map(|since| CountsGrowth::of(report, since, by)),
        }
    }

    /// How a line grew; `None` after one reading.
    pub(super) fn change(&self, line: &Line) -> Option<Change> {
        let growth = self.growth.as_ref()?;
        let change = growth.changes.get(&self.texts(line));
        Some(change.copied().unwrap_or_default())
    }

    /// How a line grew since the reading before; `None` if there is no such reading.
    pub(super) fn latest(&self, values: &[ValueText]) -> Option<Change> {
        let (changes, _) = self.growth.as_ref()?.latest.as_ref()?;
        Some(changes.get(values).copied().unwrap_or_default())
    }

    /// How all of them grew since the reading before.
    pub(super) fn latest_total(&self) -> Option<Change> {
        let (_, total) = self.growth.as_ref()?.latest.as_ref()?;
        Some(*total)
    }

    /// The values of a line, comparable with those of other readings.
    pub(super) fn texts(&self, line: &Line) -> Vec<ValueText> {
        let values = line.values.iter();
        values
            .map(|value| value.text(self.report.snapshot))
            .collect()
    }

    /// The part of all selected sockets, from 0 to 1.
    pub(super) fn share(&self, sockets: u64) -> f64 {
        sockets as f64 / self.total.max(1) as f64
    }

    /// The text of a value; `None` if there is none, or if unknown.
    pub(super) fn text(&self, value: &Value) -> Option<Name> {
        match value.text(self.report.snapshot) {
            ValueText::Text(text) => Some(text),
            ValueText::Number(number) => Some(number.to_string().into()),
            ValueText::Outside | ValueText::None | ValueText::Unknown => None,
        }
    }

    pub(super) fn cell(&self, value: &Value) -> String {
        cell(&value.text(self.report.snapshot))
    }
}

impl CountsGrowth {
    fn of(report: &Report<'_>, since: Since<'_>, by: &By) -> CountsGrowth {
        let lines = |before, growth: &Growth| {
            diff::of_tally(before, report, &by.dimensions, growth.all).into_iter()
        };
        let by_values = |lines: Vec<diff::Line>| {
            let lines = lines.into_iter().map(|line| (line.values, line.change));
            lines.collect::<FxHashMap<_, _>>()
        };
        let Since { growth, before, .. } = since;
        let (there, gone): (Vec<_>, Vec<_>) =
            lines(before, growth).partition(|line| line.change.after() > 0);
        let latest = since.latest.map(|Latest { growth, before }| {
            let lines = lines(before, growth).collect();
            (by_values(lines), growth.total)
        });
        CountsGrowth {
            between_ms: growth.between_ms,
            total: growth.total,
            changes: by_values(there),
            latest,
            gone,
        }
    }
}

/// A value in a table.
pub(super) fn cell(text: &ValueText) -> String {
    match text {
        ValueText::Text(text) => text.to_string(),
        ValueText::Number(number) => number.to_string(),
        ValueText::Outside => "(none)".to_owned(),
        ValueText::None => "-".to_owned(),
        ValueText::Unknown => "?".to_owned(),
    }
}

/// A value in CSV: empty if there is none, or if unknown.
pub(super) fn field(text: &ValueText) -> String {
    match text {
        ValueText::Outside | ValueText::None | ValueText::Unknown => String::new(),
        text => cell(text),
    }
}

/// The heading of a dimension.
fn heading(dimension: Dimension) -> String {
    let (first, rest) = dimension.name().split_at(1);
    format!("{}{rest}", first.to_uppercase())
}

fn compare(key: ByKey, a: &Line, b: &Line) -> Ordering {
    match key {
        ByKey::Sockets => a.sockets.cmp(&b.sockets),
        ByKey::CloseWait => a.close_wait.cmp(&b.close_wait),
        ByKey::Dimension(at) => a.values.get(at).cmp(&b.values.get(at)),
    }
}

/// Whether the lines are of programs, of which the kernel has none and some are hidden.
pub(super) fn is_by_owner(dimensions: &[Dimension]) -> bool {
    dimensions.iter().any(|by| by.is_by_owner())
}

/// `held` by a process or waiting for one, `kernel` or `hidden`.
pub(super) fn owner(dimensions: &[Dimension], line: &Line) -> &'static str {
    let by = dimensions.iter().zip(&line.values);
    let mut owners = by.filter(|(dimension, _)| dimension.is_by_owner());
    match owners.next() {
        Some((_, Value::None)) => "kernel",
        Some((_, Value::Unknown)) => "hidden",
        _ => "held",
    }
}

/// The lines that are shown, and those that a limit leaves out.
pub(super) fn shown(diff: &Diff, limit: Option<usize>) -> (&[diff::Line], &[diff::Line]) {
    let most = limit.unwrap_or(usize::MAX).min(diff.lines.len());
    diff.lines.split_at(most)
}

/// The figures of a change, in the order of every form of output: before, after, still, new, gone.
pub(super) fn figures(change: &Change) -> [u64; 5] {
    let Change { still, new, gone } = *change;
    [change.before(), change.after(), still, new, gone]
}

/// Headings of numbers that follow from the others, which a narrow terminal does not show.
pub(super) const SHARE: &str = "Share";
pub(super) const STILL: &str = "Still";

/// The columns of a table: the dimensions, which may be cut, and the numbers.
pub(super) fn columns(dimensions: &[Dimension], numbers: &[&str]) -> Vec<Column> {
    let cut = |least, by| Narrow::Cut(Cut { least, by });
    let words = dimensions.iter().map(|dimension| {
        let column = Column::new(&heading(*dimension), Align::Left);
        let by: fn(&mut String, usize) = match dimension {
            Dimension::Peer => style::cut_start,
            Dimension::Netns => style::cut_namespace,
            _ => style::cut,
        };
        match dimension {
            // Words of closewait and numbers are cut last: their ends matter.
            Dimension::Protocol
            | Dimension::State
            | Dimension::Side
            | Dimension::Port
            | Dimension::Cause => column.step(3, When::Always, cut(8, by)),
            _ => column
                .step(0, When::Always, cut(16, by))
                .step(2, When::Always, cut(8, by)),
        }
    });
    let numbers = numbers.iter().map(|heading| {
        let column = Column::new(heading, Align::Right);
        match *heading {
            SHARE | STILL => column.step(1, When::Always, Narrow::Drop),
            _ => column,
        }
    });
    words.chain(numbers).collect()
}

/// The words of the last row of a table.
pub(super) fn total(dimensions: &[Dimension]) -> Vec<String> {
    let mut cells = vec![String::new(); dimensions.len()];
    if let Some(first) = cells.first_mut() {
        "total".clone_into(first);
    }
    cells
}
