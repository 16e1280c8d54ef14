//! Tallies: how many selected sockets share a state, a peer, a program and so on (`--by`).
//!
//! Every socket is counted once. A socket of several programs counts for that set of programs, so
//! that the shares add up to 100 %.

mod dimension;
mod interned;
mod value;
mod values;

pub use self::dimension::Dimension;
use self::interned::Interned;
pub use self::value::{Value, ValueText};
use self::values::{Key, Values};
use crate::classifier::report::Report;
use crate::classifier::row::Row;
use crate::model::State;

/// The sockets with the same values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// In the order of the dimensions.
    pub values: Vec<Value>,
    pub sockets: u64,
    /// How many of them are in CLOSE_WAIT.
    pub close_wait: u64,
}

/// Assigns each selected socket to a line, numbered from 0.
pub struct LineNumbers<'a> {
    values: Values<'a>,
    dimensions: &'a [Dimension],
    keys: Interned<Key>,
}

impl<'a> LineNumbers<'a> {
    pub fn new(report: &'a Report<'a>, dimensions: &'a [Dimension]) -> LineNumbers<'a> {
        LineNumbers {
            values: Values::of(report),
            dimensions,
            keys: Interned::default(),
        }
    }

    /// The line of a socket. Allocates only for a new line or value.
    pub fn line(&mut self, row: &Row<'_>) -> usize {
        let key = self.values.key(self.dimensions, row);
        self.keys.number(key) as usize
    }

    /// The values of each line.
    pub fn lines(&self) -> Vec<Vec<Value>> {
        let keys = self.keys.things.iter();
        keys.map(|key| self.values.of_key(self.dimensions, key))
            .collect()
    }
}

/// Counts the selected sockets, the most frequent first.
pub fn tally(report: &Report<'_>, dimensions: &[Dimension]) -> Vec<Line> {
    let mut numbers = LineNumbers::new(report, dimensions);
    let mut counts: Vec<(u64, u64)> = Vec::new();
    for row in report.rows() {
        let line = numbers.line(&row);
        if counts.len() <= line {
            counts.resize(line + 1, (0, 0));
        }
        if let Some((sockets, close_wait)) = counts.get_mut(line) {
            *sockets += 1;
            *close_wait += u64::from(row.socket.state == State::CloseWait);
        }
    }
    let mut lines: Vec<Line> = numbers
        .lines()
        .into_iter()
        .zip(counts)
        .map(|(values, (sockets, close_wait))| Line {
            values,
            sockets,
            close_wait,
        })
        .collect();
    lines
        .sort_unstable_by(|a, b| (b.sockets.cmp(&a.sockets)).then_with(|| a.values.cmp(&b.values)));
    lines
}
