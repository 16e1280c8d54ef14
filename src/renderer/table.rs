//! Tables: how wide each column is, what gives way on a narrow terminal, and two writers.
//!
//! [`Grid`] is for tens of rows, in memory. [`stream`] is for any number of rows: it goes over them
//! twice, once to measure and once to write, so that a row costs no memory that stays and no
//! allocation.

use std::io::{self, Write};
use std::ops::Range;
use std::thread;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::renderer::columns::width;
use crate::renderer::style::{Look, MARK, NO_MARK, Role};

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

/// The narrowest that a column is cut to.
const CUT_LEAST: usize = 4;

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

/// The columns that are shown, with their widths.
struct Layout<'a> {
    columns: &'a [Column],
    /// The position of each in `columns`, and its width.
    shown: Vec<(usize, usize)>,
    look: Look,
}

impl<'a> Layout<'a> {
    /// Measures the rows and fits the columns to the terminal. If lines have no limit, the last
    /// column is not measured.
    fn new<R: Rows>(rows: &R, columns: &'a [Column], look: Look) -> Layout<'a> {
        let last_too = usize::from(look.width.is_some());
        let measured = (columns.len() + last_too).saturating_sub(1);
        let widths = measure(rows, columns, measured);
        let mut shown: Vec<(usize, usize)> = widths.into_iter().enumerate().collect();
        if let Some(width) = look.width {
            fit(columns, &mut shown, width.saturating_sub(MARK.len()));
        }
        Layout {
            columns,
            shown,
            look,
        }
    }

    /// Shortens a cell to the width of its column.
    fn cut(&self, at: usize, width: usize, cell: &mut String) {
        if let Fit::Cut(cut) = self.columns[at].fit
            && self.look.width.is_some()
        {
            *cell = cut(cell, width);
        }
    }
}

/// Fits lines to a width: drops columns, then takes from the widest of those that may be cut.
fn fit(columns: &[Column], shown: &mut Vec<(usize, usize)>, most: usize) {
    let over = |shown: &[(usize, usize)]| {
        let cells: usize = shown.iter().map(|(_, width)| width).sum();
        (cells + shown.len().saturating_sub(1)).saturating_sub(most)
    };
    while over(shown) > 0 {
        let order = |(position, (at, _)): (usize, &(usize, usize))| match columns[*at].fit {
            Fit::Drop(order) => Some((order, position)),
            Fit::Whole | Fit::Cut(_) => None,
        };
        let Some((_, position)) = shown.iter().enumerate().filter_map(order).min() else {
            break;
        };
        shown.remove(position);
    }
    while over(shown) > 0 {
        let mut cuttable: Vec<&mut (usize, usize)> = shown
            .iter_mut()
            .filter(|(at, width)| matches!(columns[*at].fit, Fit::Cut(_)) && *width > CUT_LEAST)
            .collect();
        let Some((_, widest)) = cuttable.iter_mut().max_by_key(|(_, width)| *width) else {
            break;
        };
        *widest -= 1;
    }
}

/// The width of the widest cell of each column, the heading included.
fn measure<R: Rows>(rows: &R, columns: &[Column], measured: usize) -> Vec<usize> {
    let share = rows.len().div_ceil(workers(rows.len())).max(1);
    let part = |first: usize| {
        let headings = columns.iter().map(|column| width(&column.heading));
        let mut widths: Vec<usize> = headings.collect();
        let mut cell = String::new();
        for at in first..(first + share).min(rows.len()) {
            let row = rows.row(at);
            for (column, width) in widths.iter_mut().enumerate().take(measured) {
                *width = (*width).max(rows.width(&row, column, &mut cell));
            }
        }
        widths
    };
    let parts: Vec<Vec<usize>> = thread::scope(|scope| {
        let part = &part;
        let mut parts = Vec::new();
        let mut threads = Vec::new();
        for first in (share..rows.len()).step_by(share) {
            match thread::Builder::new().spawn_scoped(scope, move || part(first)) {
                Ok(thread) => threads.push(thread),
                Err(_) => parts.push(part(first)),
            }
        }
        parts.push(part(0));
        // A thread that panicked has measured nothing; the lines are right without it.
        parts.extend(threads.into_iter().filter_map(|thread| thread.join().ok()));
        parts
    });
    (0..columns.len())
        .map(|at| parts.iter().map(|widths| widths[at]).max().unwrap_or(0))
        .collect()
}

/// A table of tens of rows.
pub(super) struct Grid {
    pub(super) columns: Vec<Column>,
    /// The cells of each row, and whether it is highlighted.
    pub(super) rows: Vec<(Vec<String>, bool)>,
    /// A line below the rows.
    pub(super) note: Option<String>,
    /// The row below that.
    pub(super) total: Option<Vec<String>>,
}

impl Rows for Grid {
    type Row<'a> = (&'a [String], bool);

    fn len(&self) -> usize {
        self.rows.len() + usize::from(self.total.is_some())
    }

    fn row(&self, at: usize) -> (&[String], bool) {
        match (self.rows.get(at), &self.total) {
            (Some((cells, is_marked)), _) => (cells, *is_marked),
            (None, total) => (total.as_deref().unwrap_or_default(), false),
        }
    }

    fn is_marked(&self, row: &(&[String], bool)) -> bool {
        row.1
    }

    fn push(&self, row: &(&[String], bool), column: usize, cell: &mut String) {
        cell.push_str(row.0.get(column).map_or("", String::as_str));
    }
}

impl Grid {
    /// Writes the table; rows have marks in a pipe, too.
    pub(super) fn write(&self, look: Look, heading: bool, out: &mut impl Write) -> io::Result<()> {
        let layout = Layout::new(self, &self.columns, look);
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        let headings = |at: usize| self.columns[at].heading.clone();
        table.set_header(marked(&layout, NO_MARK, headings));
        for (cells, is_marked) in (0..self.len()).map(|at| self.row(at)) {
            let mark = if is_marked { MARK } else { NO_MARK };
            table.add_row(marked(&layout, mark, |at| cells[at].clone()));
        }
        let last = layout.shown.len().saturating_sub(1);
        for (position, (at, _)) in layout.shown.iter().enumerate() {
            let Some(column) = table.column_mut(position) else {
                continue;
            };
            column.set_padding((0, u16::from(position < last)));
            if self.columns[*at].align == Align::Right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        // Each cell is one line, so the lines are the heading and the rows. They are painted whole.
        for (position, line) in table.lines().enumerate() {
            let line = line.trim_end();
            let Some(at) = position.checked_sub(1) else {
                if heading {
                    writeln!(out, "{}", look.paint(Role::Heading, line))?;
                }
                continue;
            };
            if at == self.rows.len() {
                self.write_note(look, out)?;
            }
            match self.row(at) {
                (_, true) => writeln!(out, "{}", look.paint(Role::CloseWait, line))?,
                (_, false) => writeln!(out, "{line}")?,
            }
        }
        match self.total {
            None => self.write_note(look, out),
            Some(_) => Ok(()),
        }
    }

    fn write_note(&self, look: Look, out: &mut impl Write) -> io::Result<()> {
        match &self.note {
            Some(note) => writeln!(out, "{NO_MARK}{}", look.paint(Role::Quiet, note)),
            None => Ok(()),
        }
    }
}

/// The cells of a line, the first one behind the mark.
fn marked(layout: &Layout<'_>, mark: &str, cell: impl Fn(usize) -> String) -> Vec<Cell> {
    let shown = layout.shown.iter().enumerate();
    shown
        .map(|(position, (at, width))| {
            let mut text = cell(*at);
            layout.cut(*at, *width, &mut text);
            Cell::new(if position == 0 {
                format!("{mark}{text}")
            } else {
                text
            })
        })
        .collect()
}

/// How many rows a thread formats before they are written. This bounds the memory that a table
/// takes, however long it is.
const BATCH: usize = 4_096;

/// How many threads measure and format: for a short table none is worth starting.
fn workers(rows: usize) -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    processors.min(rows / BATCH).max(1)
}

/// Writes a table of any number of rows: batches of rows are formatted in parallel and written in
/// order.
pub(super) fn stream<R: Rows>(
    rows: &R,
    columns: &[Column],
    look: Look,
    heading: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let layout = Layout::new(rows, columns, look);
    if heading {
        let mut line = Line::new(&layout);
        line.fill(false, |at, cell| cell.push_str(&columns[at].heading));
        writeln!(out, "{}", look.paint(Role::Heading, &line.text))?;
    }
    let workers = workers(rows.len());
    let mut texts: Vec<String> = vec![String::new(); workers];
    for start in (0..rows.len()).step_by(BATCH * workers) {
        let format = |worker: usize, text: &mut String| {
            let first = (start + worker * BATCH).min(rows.len());
            format(rows, &layout, first..(first + BATCH).min(rows.len()), text);
        };
        let format = &format;
        texts.iter_mut().for_each(String::clear);
        if let Some((last, others)) = texts.split_last_mut() {
            thread::scope(|scope| {
                for (worker, text) in others.iter_mut().enumerate() {
                    let thread = thread::Builder::new();
                    let _ = thread.spawn_scoped(scope, move || format(worker, text));
                }
                // This thread formats the last batch.
                format(workers - 1, last);
            });
        }
        // Batches for which no thread could be started are formatted here.
        for (worker, text) in texts.iter_mut().enumerate() {
            if text.is_empty() {
                format(worker, text);
            }
        }
        for text in &texts {
            out.write_all(text.as_bytes())?;
        }
    }
    Ok(())
}

/// Formats some rows into `text`.
fn format<R: Rows>(rows: &R, layout: &Layout<'_>, batch: Range<usize>, text: &mut String) {
    let (on, off) = layout.look.around(Role::CloseWait);
    let mut line = Line::new(layout);
    text.clear();
    for at in batch {
        let row = rows.row(at);
        let is_marked = rows.is_marked(&row);
        line.fill(is_marked, |column, cell| rows.push(&row, column, cell));
        if is_marked {
            text.push_str(&on);
        }
        text.push_str(&line.text);
        if is_marked {
            text.push_str(&off);
        }
        text.push('\n');
    }
}

/// A line that is built in the same memory for each row.
struct Line<'a> {
    layout: &'a Layout<'a>,
    cell: String,
    text: String,
}

impl<'a> Line<'a> {
    fn new(layout: &'a Layout<'a>) -> Line<'a> {
        Line {
            layout,
            cell: String::new(),
            text: String::new(),
        }
    }

    fn fill(&mut self, is_marked: bool, push: impl Fn(usize, &mut String)) {
        self.text.clear();
        if self.layout.look.marks {
            self.text.push_str(if is_marked { MARK } else { NO_MARK });
        }
        for (position, (at, column_width)) in self.layout.shown.iter().enumerate() {
            self.cell.clear();
            push(*at, &mut self.cell);
            self.layout.cut(*at, *column_width, &mut self.cell);
            let blanks = column_width.saturating_sub(width(&self.cell));
            let pad = |text: &mut String| text.extend(std::iter::repeat_n(' ', blanks));
            if position > 0 {
                self.text.push(' ');
            }
            if self.layout.columns[*at].align == Align::Right {
                pad(&mut self.text);
                self.text.push_str(&self.cell);
            } else {
                self.text.push_str(&self.cell);
                pad(&mut self.text);
            }
        }
        let length = self.text.trim_end().len();
        self.text.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renderer::style;

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
