//! Tables: which columns there are, and two writers with one layout.
//!
//! [`Grid`] is for tens of rows, in memory. [`stream`] is for any number of rows: it goes over them
//! twice, once to measure and once to write, so that a row costs no memory that stays and no
//! allocation.

mod grid;
mod layout;
mod stream;

use std::thread;

pub(super) use self::grid::Grid;
pub(super) use self::stream::stream;
use crate::renderer::columns::width;

/// A column, before it is known how wide its cells are.
pub(super) struct Column {
    pub(super) heading: String,
    pub(super) align: Align,
    pub(super) fit: Fit,
}

/// Where the text of a column begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// What happens to a column when lines are longer than the terminal is wide.
#[derive(Clone, Copy)]
pub(super) enum Fit {
    /// Nothing: the terminal wraps the line.
    Whole,
    /// It is left out; the lowest number first.
    Drop(u8),
    /// Its cells are cut by this function, the widest column first.
    Cut(fn(&str, usize) -> String),
}

/// The rows of a table.
pub(super) trait Rows: Sync {
    type Row<'a>
    where
        Self: 'a;

    fn len(&self) -> usize;
    fn row(&self, at: usize) -> Self::Row<'_>;
    /// Whether the row is highlighted.
    fn is_marked(&self, row: &Self::Row<'_>) -> bool;
    /// Appends the cell of a column.
    fn push(&self, row: &Self::Row<'_>, column: usize, cell: &mut String);

    /// The width of what [`Rows::push`] appends. `scratch` is overwritten.
    fn width(&self, row: &Self::Row<'_>, column: usize, scratch: &mut String) -> usize {
        scratch.clear();
        self.push(row, column, scratch);
        width(scratch)
    }
}

/// How many rows a thread formats before they are written. This bounds the memory that a table
/// takes, however long it is.
const BATCH: usize = 4_096;

/// How many threads measure and format: for a short table none is worth starting.
fn workers(rows: usize) -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    processors.min(rows / BATCH).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renderer::style::{self, Look};

    fn grid(fits: [Fit; 3]) -> Grid {
        let column = |(at, fit)| Column {
            heading: format!("H{at}"),
            align: Align::Left,
            fit,
        };
        Grid {
            columns: fits.into_iter().enumerate().map(column).collect(),
            rows: vec![(vec!["aaaaaaaa".into(), "bbbbbb".into(), "1".into()], true)],
            note: None,
            total: None,
        }
    }

    /// The same table by both writers.
    fn written(grid: &Grid, width: usize) -> String {
        let look = Look {
            width: Some(width),
            marks: true,
            ..Look::plain()
        };
        let (mut whole, mut streamed) = (Vec::new(), Vec::new());
        grid.write(look, true, &mut whole).unwrap();
        stream(grid, &grid.columns, look, true, &mut streamed).unwrap();
        assert_eq!(whole, streamed);
        String::from_utf8(whole).unwrap()
    }

    #[test]
    fn columns_are_dropped_before_others_are_cut() {
        let cut = grid([Fit::Cut(style::cut), Fit::Drop(1), Fit::Whole]);
        assert_eq!(
            written(&cut, 20),
            "  H0       H1     H2\n! aaaaaaaa bbbbbb 1\n"
        );
        assert_eq!(written(&cut, 19), "  H0       H2\n! aaaaaaaa 1\n");
        assert_eq!(written(&cut, 11), "  H0     H2\n! aaaaa… 1\n");
        assert_eq!(written(&cut, 1), "  H0   H2\n! aaa… 1\n");
    }

    #[test]
    fn the_widest_column_is_cut_first_and_nothing_is_cut_in_a_pipe() {
        let cut = grid([Fit::Cut(style::cut), Fit::Cut(style::cut_start), Fit::Whole]);
        assert_eq!(written(&cut, 18), "  H0     H1     H2\n! aaaaa… bbbbbb 1\n");
        let mut out = Vec::new();
        cut.write(Look::plain(), false, &mut out).unwrap();
        assert_eq!(out, b"! aaaaaaaa bbbbbb 1\n");
    }
}
