//! The netstat-style listing: one line a socket.
//!
//! Written in two passes over the rows, one to measure and one to write, so that a line costs no
//! memory that stays and no allocation.

use std::cmp::Ordering;
use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use super::columns::{self, Column};
use super::style::{self, MARK, NO_MARK, Role};
use super::{Sort, SortKey, View};
use crate::classifier::{Report, Row};
use crate::model::{Holders, State};

/// Writes the table; what `--limit` leaves out is told by [`left_out`].
pub fn table(
    report: &Report<'_>,
    view: &View,
    columns: &[Column],
    header: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let order = order(report, view.sort, view.limit);
    let holders = report.holders();
    let mut line = Line {
        columns,
        widths: columns
            .iter()
            .map(|column| column.heading().width())
            .collect(),
        cell: String::new(),
        text: String::new(),
    };
    let columns_but_last = columns.len().saturating_sub(1);
    for row in order.rows(report) {
        line.measure(&row, holders, columns_but_last);
    }
    if header {
        line.heading(view.look.marks);
        line.finish(view.look.width);
        writeln!(out, "{}", view.look.paint(Role::Heading, &line.text))?;
    }
    let (on, off) = view.look.around(Role::CloseWait);
    for row in order.rows(report) {
        let highlighted = row.socket.state == State::CloseWait;
        line.fill(&row, holders, view.look.marks.then_some(highlighted));
        line.finish(view.look.width);
        if highlighted {
            writeln!(out, "{on}{}{off}", line.text)?;
        } else {
            writeln!(out, "{}", line.text)?;
        }
    }
    Ok(())
}

/// How many rows a limit leaves out.
pub fn left_out(report: &Report<'_>, limit: Option<usize>) -> usize {
    limit.map_or(0, |limit| report.len().saturating_sub(limit))
}

/// A line that is built anew in the same memory for each row.
struct Line<'a> {
    columns: &'a [Column],
    widths: Vec<usize>,
    cell: String,
    text: String,
}

impl Line<'_> {
    fn measure(&mut self, row: &Row<'_>, holders: &Holders, columns: usize) {
        for (column, width) in self.columns.iter().zip(&mut self.widths).take(columns) {
            self.cell.clear();
            column.push(row, holders, &mut self.cell);
            *width = (*width).max(self.cell.width());
        }
    }

    fn heading(&mut self, marks: bool) {
        self.text.clear();
        if marks {
            self.text.push_str(NO_MARK);
        }
        for (at, column) in self.columns.iter().enumerate() {
            self.cell.clear();
            self.cell.push_str(column.heading());
            self.put(at, *column);
        }
    }

    fn fill(&mut self, row: &Row<'_>, holders: &Holders, mark: Option<bool>) {
        self.text.clear();
        match mark {
            Some(true) => self.text.push_str(MARK),
            Some(false) => self.text.push_str(NO_MARK),
            None => {}
        }
        let columns = self.columns;
        for (at, column) in columns.iter().enumerate() {
            self.cell.clear();
            column.push(row, holders, &mut self.cell);
            self.put(at, *column);
        }
    }

    fn put(&mut self, at: usize, column: Column) {
        let blanks = self.widths[at].saturating_sub(self.cell.width());
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

    /// Takes trailing blanks off, and what a terminal has no room for.
    fn finish(&mut self, width: Option<usize>) {
        let length = self.text.trim_end().len();
        self.text.truncate(length);
        if let Some(width) = width
            && self.text.width() > width
        {
            self.text = style::cut(&self.text, width);
        }
    }
}

/// The rows to print: as they are, or positions in another order.
pub enum Order {
    AsRead { limit: usize },
    Sorted(Vec<u32>),
}

impl Order {
    pub fn rows<'a>(&'a self, report: &'a Report<'_>) -> Box<dyn Iterator<Item = Row<'a>> + 'a> {
        match self {
            Order::AsRead { limit } => Box::new(report.rows().take(*limit)),
            Order::Sorted(positions) => {
                Box::new(positions.iter().map(|at| report.row(*at as usize)))
            }
        }
    }
}

/// The order that a view asks for, cut to its limit.
pub fn order(report: &Report<'_>, sort: Option<Sort>, limit: Option<usize>) -> Order {
    let limit = limit.unwrap_or(usize::MAX);
    let Some(sort) = sort else {
        return Order::AsRead { limit };
    };
    let holders = report.holders();
    let mut positions: Vec<u32> = (0u32..).take(report.len()).collect();
    positions.sort_by(|a, b| {
        let (a, b) = (report.row(*a as usize), report.row(*b as usize));
        let order = compare(sort.key, &a, &b, holders);
        if sort.descending {
            order.reverse()
        } else {
            order
        }
    });
    positions.truncate(limit);
    Order::Sorted(positions)
}

fn compare(key: SortKey, a: &Row<'_>, b: &Row<'_>, holders: &Holders) -> Ordering {
    let by = |value: fn(&Row<'_>) -> u64| value(a).cmp(&value(b));
    match key {
        SortKey::Sockets => Ordering::Equal,
        SortKey::State => a.socket.state.name().cmp(b.socket.state.name()),
        SortKey::Local => a.socket.local.cmp(&b.socket.local),
        SortKey::Remote => a.socket.remote.cmp(&b.socket.remote),
        SortKey::Port => by(|row| u64::from(row.socket.local.port)),
        SortKey::RecvQ => by(|row| u64::from(row.socket.recv_q)),
        SortKey::SendQ => by(|row| u64::from(row.socket.send_q)),
        SortKey::Age => {
            let age = |row: &Row<'_>| row.idle.map(|idle| idle.at_least_ms);
            age(a).cmp(&age(b))
        }
        SortKey::Cause => a
            .cause
            .map(|cause| cause.name())
            .cmp(&b.cause.map(|cause| cause.name())),
        SortKey::Owner => owner_text(a, holders).cmp(&owner_text(b, holders)),
        SortKey::Pid => {
            let pid = |row: &Row<'_>| row.owner.holders().first().map(|holder| holder.pid);
            pid(a).cmp(&pid(b))
        }
        SortKey::Uid => a.socket.user().cmp(&b.socket.user()),
        SortKey::Inode => by(|row| u64::from(row.socket.inode)),
    }
}

fn owner_text(row: &Row<'_>, holders: &Holders) -> String {
    let mut text = String::new();
    columns::push_owner(&row.owner, holders, &mut text);
    text
}
