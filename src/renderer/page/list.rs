//! The netstat-style listing: one line a socket.
//!
//! Written in two passes over the rows, one to measure and one to write, so that a line costs no
//! memory that stays and no allocation. Long listings are formatted by all processors, a batch
//! each, and written in order.

use std::io::{self, Write};
use std::ops::Range;
use std::thread;

use unicode_width::UnicodeWidthStr;

use crate::classifier::{Report, Row};
use crate::model::{Protocol, State};
use crate::renderer::columns::order::compare;
use crate::renderer::columns::{self, Column};
use crate::renderer::style::{Look, MARK, NO_MARK, Role};
use crate::renderer::{Sort, SortKey, View};

/// Rows that one thread formats before they are written: bounds the memory that a listing takes,
/// however long it is.
const BATCH: usize = 4_096;

/// Writes the table; what `--limit` leaves out is told by [`left_out`].
pub fn table(
    report: &Report<'_>,
    view: &View,
    columns: &[Column],
    header: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let order = order(report, view.sort, view.limit);
    let mut layout = Layout {
        widths: widths(report, &order, columns, view.look.width.is_some()),
        columns: columns.to_vec(),
        look: view.look,
    };
    layout.fit();
    if header {
        let mut line = Line::new(&layout);
        line.heading();
        writeln!(out, "{}", view.look.paint(Role::Heading, &line.text))?;
    }
    let rows = order.len(report);
    let workers = workers(rows);
    let mut texts: Vec<String> = vec![String::new(); workers];
    for start in (0..rows).step_by(BATCH * workers) {
        let batch = |worker: usize| {
            let first = (start + worker * BATCH).min(rows);
            first..(first + BATCH).min(rows)
        };
        let format = |worker, text: &mut String| {
            format(report, &order, &layout, batch(worker), text);
        };
        texts.iter_mut().for_each(String::clear);
        if let Some((last, others)) = texts.split_last_mut() {
            thread::scope(|scope| {
                for (worker, text) in others.iter_mut().enumerate() {
                    let thread = thread::Builder::new();
                    let _ = thread.spawn_scoped(scope, move || format(worker, text));
                }
                // The last one is done here.
                format(workers - 1, last);
            });
        }
        // With those for which no thread was to be had.
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

/// How many threads format: short listings are not worth starting one.
fn workers(rows: usize) -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    processors.min(rows / BATCH).max(1)
}

/// Formats some rows into `text`.
fn format(
    report: &Report<'_>,
    order: &Order,
    layout: &Layout,
    rows: Range<usize>,
    text: &mut String,
) {
    let (on, off) = layout.look.around(Role::CloseWait);
    let mut line = Line::new(layout);
    text.clear();
    for at in rows {
        let row = order.row(report, at);
        let highlighted =
            row.socket.state == State::CloseWait && row.socket.protocol != Protocol::Subflow;
        line.fill(&row, report, highlighted);
        if highlighted {
            text.push_str(&on);
        }
        text.push_str(&line.text);
        if highlighted {
            text.push_str(&off);
        }
        text.push('\n');
    }
}

/// The width of each column; of the last one, which nothing follows, only where it is asked for.
fn widths(report: &Report<'_>, order: &Order, columns: &[Column], last_too: bool) -> Vec<usize> {
    let measured = columns.len() - usize::from(!last_too && !columns.is_empty());
    let rows = order.len(report);
    let share = rows.div_ceil(workers(rows)).max(1);
    let measure = |first: usize| {
        let mut widths: Vec<usize> = columns
            .iter()
            .map(|column| column.heading().width())
            .collect();
        let mut cell = String::new();
        for at in first..(first + share).min(rows) {
            let row = order.row(report, at);
            for (column, width) in columns.iter().zip(&mut widths).take(measured) {
                *width = (*width).max(column.width(&row, report, &mut cell));
            }
        }
        widths
    };
    let parts: Vec<Vec<usize>> = thread::scope(|scope| {
        let measure = &measure;
        let mut parts = Vec::new();
        let mut threads = Vec::new();
        for first in (share..rows).step_by(share) {
            match thread::Builder::new().spawn_scoped(scope, move || measure(first)) {
                Ok(thread) => threads.push(thread),
                Err(_) => parts.push(measure(first)),
            }
        }
        parts.push(measure(0));
        // A thread that panicked has measured nothing; the lines are right without it.
        parts.extend(threads.into_iter().filter_map(|thread| thread.join().ok()));
        parts
    });
    (0..columns.len())
        .map(|at| parts.iter().map(|widths| widths[at]).max().unwrap_or(0))
        .collect()
}

/// How many rows a limit leaves out.
pub fn left_out(report: &Report<'_>, limit: Option<usize>) -> usize {
    limit.map_or(0, |limit| report.listed().saturating_sub(limit))
}

/// How the lines of a listing are laid out.
struct Layout {
    columns: Vec<Column>,
    widths: Vec<usize>,
    look: Look,
}

impl Layout {
    /// Leaves out of a narrow terminal's lines what triage tells better. The rest is never cut:
    /// the terminal goes on in the next line, as with netstat.
    fn fit(&mut self) {
        let Some(width) = self.look.width else { return };
        for column in [Column::Cause, Column::Age] {
            let line: usize = self.widths.iter().sum::<usize>() + self.widths.len() - 1;
            let at = self.columns.iter().position(|shown| *shown == column);
            if let Some(at) = at
                && MARK.len() + line > width
            {
                self.columns.remove(at);
                self.widths.remove(at);
            }
        }
    }
}

/// A line that is built anew in the same memory for each row.
struct Line<'a> {
    layout: &'a Layout,
    cell: String,
    text: String,
}

impl<'a> Line<'a> {
    fn new(layout: &'a Layout) -> Line<'a> {
        Line {
            layout,
            cell: String::new(),
            text: String::new(),
        }
    }

    fn heading(&mut self) {
        self.start(false);
        for (at, column) in self.layout.columns.iter().enumerate() {
            self.cell.clear();
            self.cell.push_str(column.heading());
            self.put(at, *column);
        }
        self.finish();
    }

    fn fill(&mut self, row: &Row<'_>, report: &Report<'_>, highlighted: bool) {
        self.start(highlighted);
        for (at, column) in self.layout.columns.iter().enumerate() {
            self.cell.clear();
            column.push(row, report, &mut self.cell);
            self.put(at, *column);
        }
        self.finish();
    }

    fn start(&mut self, highlighted: bool) {
        self.text.clear();
        if self.layout.look.marks {
            self.text.push_str(if highlighted { MARK } else { NO_MARK });
        }
    }

    fn put(&mut self, at: usize, column: Column) {
        let blanks = self.layout.widths[at].saturating_sub(columns::width(&self.cell));
        let pad = |text: &mut String| text.extend(std::iter::repeat_n(' ', blanks));
        if at > 0 {
            self.text.push(' ');
        }
        if column.is_right_aligned() {
            pad(&mut self.text);
            self.text.push_str(&self.cell);
        } else {
            self.text.push_str(&self.cell);
            pad(&mut self.text);
        }
    }

    /// Takes trailing blanks off.
    fn finish(&mut self) {
        let length = self.text.trim_end().len();
        self.text.truncate(length);
    }
}

/// The rows to print: as they are, or positions in another order.
pub enum Order {
    AsRead { limit: usize },
    Sorted(Vec<u32>),
}

impl Order {
    /// How many rows there are to print.
    pub fn len(&self, report: &Report<'_>) -> usize {
        match self {
            Order::AsRead { limit } => report.listed().min(*limit),
            Order::Sorted(positions) => positions.len(),
        }
    }

    /// The row at a position below [`Order::len`].
    pub fn row<'a>(&self, report: &'a Report<'_>, at: usize) -> Row<'a> {
        match self {
            Order::AsRead { .. } => report.row(at),
            Order::Sorted(positions) => report.row(positions[at] as usize),
        }
    }

    pub fn rows<'a>(&'a self, report: &'a Report<'_>) -> impl Iterator<Item = Row<'a>> {
        (0..self.len(report)).map(|at| self.row(report, at))
    }
}

/// The order that a view asks for, cut to its limit.
pub fn order(report: &Report<'_>, sort: Option<Sort>, limit: Option<usize>) -> Order {
    let limit = limit.unwrap_or(usize::MAX);
    let Some(sort) = sort else {
        return match report.listing() {
            None => Order::AsRead { limit },
            Some(mut positions) => {
                positions.truncate(limit);
                Order::Sorted(positions)
            }
        };
    };
    let mut positions: Vec<u32> = (0u32..).take(report.listed()).collect();
    if let SortKey::Column(column) = sort.key {
        positions.sort_by(|a, b| {
            let (a, b) = (report.row(*a as usize), report.row(*b as usize));
            compare(column, sort.descending, &a, &b, report)
        });
    }
    positions.truncate(limit);
    Order::Sorted(positions)
}
