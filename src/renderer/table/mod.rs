//! Tables: which columns there are, and two writers with one layout.
//!
//! [`Grid`] is for tens of rows, in memory. [`stream`] is for any number of rows: it goes over them
//! twice, once to measure and once to write, so that a row costs no memory that stays and no
//! allocation.

mod fit;
mod grid;
mod layout;
mod stream;

use std::thread;

pub(super) use self::grid::Grid;
pub(super) use self::stream::stream;
use crate::model::Charset;
use crate::renderer::columns::width;

/// A column, before it is known how wide its cells are.
pub(super) struct Column {
    pub(super) heading: String,
    pub(super) align: Align,
    /// How it may be narrowed when lines are longer than the terminal is wide.
    pub(super) steps: Vec<Step>,
    /// Whether it is only shown in place of another, [`Narrow::Replace`].
    pub(super) is_spare: bool,
}

impl Column {
    /// A column that is always shown whole.
    pub(super) fn new(heading: &str, align: Align) -> Column {
        Column {
            heading: heading.to_owned(),
            align,
            steps: Vec::new(),
            is_spare: false,
        }
    }

    /// One more step to narrow it.
    pub(super) fn step(mut self, rank: u8, when: When, narrow: Narrow) -> Column {
        self.steps.push(Step { rank, when, narrow });
        self
    }
}

/// Where the text of a column begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A way to narrow a column.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// Steps are taken in this order, until the lines fit.
    pub(super) rank: u8,
    pub(super) when: When,
    pub(super) narrow: Narrow,
}

/// When a step may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// If all rows have the same cell in this column, which is then named once.
    Alike(usize),
    /// If no row has a value: all cells are `-`.
    Empty,
}

/// How a column is narrowed.
#[derive(Clone, Copy)]
pub(super) enum Narrow {
    /// It is not shown.
    Drop,
    /// The column at this position is shown instead.
    Replace(usize),
    /// Its cells are cut by a function, to no fewer than so many columns.
    Cut(Cut),
}

#[derive(Clone, Copy)]
pub(super) struct Cut {
    pub(super) least: usize,
    pub(super) by: fn(&mut String, usize),
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
    fn width(
        &self,
        row: &Self::Row<'_>,
        column: usize,
        charset: Charset,
        scratch: &mut String,
    ) -> usize {
        scratch.clear();
        self.push(row, column, scratch);
        width(scratch, charset)
    }

    /// The cell that all rows have in a column; `None` if they differ.
    fn common(&self, column: usize) -> Option<String> {
        let cell = |at: usize, cell: &mut String| {
            cell.clear();
            self.push(&self.row(at), column, cell);
        };
        let (mut first, mut other) = (String::new(), String::new());
        let rows = 0..self.len();
        rows.clone().next().map(|at| cell(at, &mut first))?;
        rows.skip(1)
            .all(|at| {
                cell(at, &mut other);
                other == first
            })
            .then_some(first)
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

    const CUT: Narrow = Narrow::Cut(Cut {
        least: 4,
        by: style::cut,
    });

    /// Three columns, each with the steps of its position.
    fn grid(steps: &[(usize, u8, When, Narrow)]) -> Grid {
        let column = |at: usize| {
            let own = steps.iter().filter(|(of, ..)| *of == at);
            own.fold(
                Column::new(&format!("H{at}"), Align::Left),
                |column, (_, rank, when, narrow)| column.step(*rank, *when, *narrow),
            )
        };
        let row = |last: &str| {
            let cells = ["aaaaaaaa", "bbbbbb", last, "s"];
            (cells.map(str::to_owned).into(), last == "1")
        };
        let spare = Column {
            is_spare: true,
            ..Column::new("S", Align::Left)
        };
        Grid {
            columns: (0..3).map(column).chain([spare]).collect(),
            rows: vec![row("1"), row("-")],
            note: None,
            total: None,
        }
    }

    /// What both writers write; only the streamed table has a note.
    fn written(grid: &Grid, look: Look) -> (String, Option<String>) {
        let (mut whole, mut streamed) = (Vec::new(), Vec::new());
        grid.write(look, true, &mut whole).unwrap();
        stream(grid, &grid.columns, look, true, &mut streamed).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (whole, streamed) = (text(whole), text(streamed));
        let note = streamed.strip_prefix(&whole).expect("the same lines");
        let note = note.split_whitespace().collect::<Vec<_>>().join(" ");
        (whole, (!note.is_empty()).then_some(note))
    }

    fn at(width: usize) -> Look {
        Look {
            width: Some(width),
            marks: true,
            ..Look::plain()
        }
    }

    #[test]
    fn steps_are_taken_in_order_until_lines_fit() {
        let grid = grid(&[
            (0, 2, When::Always, CUT),
            (1, 1, When::Always, Narrow::Replace(3)),
            (2, 0, When::Always, Narrow::Drop),
        ]);
        let whole = "  H0       H1     H2\n! aaaaaaaa bbbbbb 1\n  aaaaaaaa bbbbbb -\n";
        assert_eq!(written(&grid, at(20)), (whole.to_owned(), None));
        let (text, note) = written(&grid, at(19));
        assert_eq!(
            text,
            "  H0       H1\n! aaaaaaaa bbbbbb\n  aaaaaaaa bbbbbb\n"
        );
        assert_eq!(note.unwrap(), "19 columns: H2 not shown; -W shows all");
        let (text, note) = written(&grid, at(12));
        assert_eq!(text, "  H0       S\n! aaaaaaaa s\n  aaaaaaaa s\n");
        let words = "12 columns: H2 and H1 not shown; -W shows all";
        assert_eq!(note.unwrap(), words);
        let (text, _) = written(&grid, at(9));
        assert_eq!(text, "  H0    S\n! aaaa… s\n  aaaa… s\n");
    }

    #[test]
    fn where_nothing_helps_everything_is_shown() {
        let grid = grid(&[
            (0, 0, When::Always, CUT),
            (2, 1, When::Always, Narrow::Drop),
        ]);
        let (text, note) = written(&grid, at(12));
        assert!(text.contains("! aaaaaaaa bbbbbb 1\n"), "{text}");
        assert_eq!(note, None);
    }

    #[test]
    fn what_is_the_same_in_every_row_is_said_once() {
        let grid = grid(&[
            (2, 0, When::Empty, Narrow::Drop),
            (2, 0, When::Alike(2), Narrow::Drop),
            (0, 1, When::Alike(0), Narrow::Drop),
        ]);
        let (text, note) = written(&grid, at(18));
        assert_eq!(text, "  H1     H2\n! bbbbbb 1\n  bbbbbb -\n");
        let note = note.unwrap();
        assert_eq!(note, "18 columns: H0 (aaaaaaaa) not shown; -W shows all");
    }

    #[test]
    fn cuts_of_one_rank_take_from_the_widest_and_a_pipe_is_never_cut() {
        let grid = grid(&[(0, 0, When::Always, CUT), (1, 0, When::Always, CUT)]);
        let (text, _) = written(&grid, at(16));
        assert!(text.contains("! aaaa… bbbb… 1\n"), "{text}");
        let (text, note) = written(
            &grid,
            Look {
                width: None,
                ..at(0)
            },
        );
        assert!(text.contains("! aaaaaaaa bbbbbb 1\n"), "{text}");
        assert_eq!(note, None);
    }

    #[test]
    fn in_ascii_cells_are_measured_as_they_are_shown() {
        let mut grid = grid(&[(0, 0, When::Always, CUT)]);
        let row = |first: &str| {
            let cells = [first, "≥12m", "1", ""];
            (cells.map(str::to_owned).into(), false)
        };
        grid.rows = vec![row("é"), row("日本日本")];
        let look = |width| Look {
            charset: Charset::Ascii,
            ..at(width)
        };
        let (text, _) = written(&grid, look(80));
        let wide = "  \\u{e9}                           >=12m 1\n";
        assert!(text.contains(wide), "{text}");
        let (text, _) = written(&grid, look(17));
        assert!(
            text.contains("  \\u{e9} >=12m 1\n  \\u{65~ >=12m 1\n"),
            "{text}"
        );
    }
}
