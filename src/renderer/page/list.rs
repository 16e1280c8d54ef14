//! The netstat-style listing: one line a socket.

use std::io::{self, Write};

use crate::classifier::change::Presence;
use crate::classifier::{Report, Row};
use crate::model::{Charset, Protocol, State};
use crate::renderer::columns::{self, Column};
use crate::renderer::order::{self, Order};
use crate::renderer::since::Since;
use crate::renderer::style;
use crate::renderer::table::{self, Align, Cut, Narrow, Rows, When};
use crate::renderer::view::View;

/// Writes the table; [`order::left_out`] counts what `--limit` leaves out. A narrow terminal does not
/// narrow the columns that the user named.
pub fn table(
    report: &Report<'_>,
    since: Option<Since<'_>>,
    view: &View,
    columns: &[Column],
    named: &[Column],
    header: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let shown = columns.iter().copied().map(Cell::Of);
    let listing = Listing {
        report,
        order: order::rows(report, view.sort, view.limit),
        gone: order::gone(report, since, view.sort, view.limit),
        cells: shown.chain(SPARE).collect(),
    };
    let mut all: Vec<table::Column> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| match named.contains(column) {
            true => whole(*column),
            false => narrowed(*column, at, columns.len()),
        })
        .collect();
    all.extend(SPARE.map(|cell| match cell {
        Cell::Of(column) => spare(whole(column)),
        Cell::LocalPort => spare(table::Column::new("Local", Align::Left)),
    }));
    table::stream(&listing, &all, view.look, header, out)
}

/// What a column of the table shows.
#[derive(Clone, Copy)]
enum Cell {
    Of(Column),
    /// The port of the local end, `:80`.
    LocalPort,
}

/// The columns behind those that are shown: one in place of the local address, and what is compared
/// before others are narrowed.
const SPARE: [Cell; 3] = [
    Cell::LocalPort,
    Cell::Of(Column::LocalAddr),
    Cell::Of(Column::Protocol),
];

fn whole(column: Column) -> table::Column {
    let align = match column.is_right_aligned() {
        true => Align::Right,
        false => Align::Left,
    };
    table::Column::new(column.heading(), align)
}

fn spare(column: table::Column) -> table::Column {
    table::Column {
        is_spare: true,
        ..column
    }
}

/// How a narrow terminal narrows a column, `at` its position. First what says nothing goes, then what
/// is the same in every row. The last to go is what one looks for: whose socket, in which state, since
/// when and why.
fn narrowed(column: Column, at: usize, spares: usize) -> table::Column {
    let [port, address, protocol] = [spares, spares + 1, spares + 2];
    let cut = |least, by| Narrow::Cut(Cut { least, by });
    let (always, alike) = (When::Always, When::Alike(at));
    let plain = whole(column);
    match column {
        Column::Cause | Column::Age => plain.step(0, When::Empty, Narrow::Drop),
        Column::Proto => plain
            .step(1, alike, Narrow::Drop)
            // The addresses show the family.
            .step(4, When::Alike(protocol), Narrow::Drop)
            .step(10, always, Narrow::Drop),
        Column::SendQ => plain
            .step(1, alike, Narrow::Drop)
            .step(5, always, Narrow::Drop),
        Column::RecvQ => plain
            .step(2, alike, Narrow::Drop)
            .step(7, always, Narrow::Drop),
        Column::Netns => {
            plain
                .step(2, alike, Narrow::Drop)
                .step(8, always, cut(10, style::cut_namespace))
        }
        Column::State => plain.step(3, alike, Narrow::Drop),
        Column::Local => plain
            .step(3, When::Alike(address), Narrow::Replace(port))
            .step(6, always, Narrow::Replace(port)),
        Column::Remote => plain.step(8, always, cut(15, style::cut_start)).step(
            9,
            always,
            cut(12, style::cut_start),
        ),
        Column::Owner => plain
            .step(0, When::Empty, Narrow::Drop)
            .step(4, always, cut(24, columns::cut_owner))
            .step(8, always, cut(17, columns::cut_owner))
            .step(9, always, cut(14, columns::cut_owner)),
        _ => plain,
    }
}

struct Listing<'a> {
    report: &'a Report<'a>,
    order: Order,
    /// The rows that only an earlier reading has, and that reading.
    gone: Option<(Order, &'a Report<'a>)>,
    cells: Vec<Cell>,
}

impl Listing<'_> {
    /// The reading that a row is from.
    fn of(&self, row: &Row<'_>) -> &Report<'_> {
        match &self.gone {
            Some((_, before)) if row.change == Some(Presence::Gone) => before,
            _ => self.report,
        }
    }
}

impl Rows for Listing<'_> {
    type Row<'a>
        = Row<'a>
    where
        Self: 'a;

    fn len(&self) -> usize {
        let gone = self.gone.as_ref();
        self.order.len(self.report) + gone.map_or(0, |(gone, before)| gone.len(before))
    }

    fn row(&self, at: usize) -> Row<'_> {
        match (at.checked_sub(self.order.len(self.report)), &self.gone) {
            (Some(at), Some((gone, before))) => gone.row(before, at),
            _ => self.order.row(self.report, at),
        }
    }

    fn is_marked(&self, row: &Row<'_>) -> bool {
        row.socket.state == State::CloseWait && row.socket.protocol != Protocol::Subflow
    }

    fn push(&self, row: &Row<'_>, column: usize, cell: &mut String) {
        match self.cells[column] {
            Cell::Of(column) => column.push(row, self.of(row), cell),
            Cell::LocalPort => {
                let names = &self.of(row).resolved;
                columns::push_port(row.socket.local, row.socket.protocol, names, cell);
            }
        }
    }

    fn width(&self, row: &Row<'_>, column: usize, charset: Charset, scratch: &mut String) -> usize {
        match self.cells[column] {
            Cell::Of(column) => column.width(row, self.of(row), charset, scratch),
            Cell::LocalPort => {
                scratch.clear();
                self.push(row, column, scratch);
                columns::width(scratch, charset)
            }
        }
    }
}
