//! The netstat-style listing: one line a socket.

use std::io::{self, Write};

use crate::classifier::{Report, Row};
use crate::model::{Protocol, State};
use crate::renderer::columns::Column;
use crate::renderer::order::{self, Order};
use crate::renderer::table::{self, Align, Fit, Rows};
use crate::renderer::view::View;

/// Writes the table; [`order::left_out`] counts what `--limit` leaves out.
pub fn table(
    report: &Report<'_>,
    view: &View,
    columns: &[Column],
    header: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let listing = Listing {
        report,
        order: order::rows(report, view.sort, view.limit),
        columns,
    };
    let columns: Vec<table::Column> = columns.iter().copied().map(column).collect();
    table::stream(&listing, &columns, view.look, header, out)
}

/// On a narrow terminal, columns that triage shows better are left out. Nothing is cut, as with
/// netstat.
fn column(column: Column) -> table::Column {
    table::Column {
        heading: column.heading().to_owned(),
        align: if column.is_right_aligned() {
            Align::Right
        } else {
            Align::Left
        },
        fit: match column {
            Column::Cause => Fit::Drop(0),
            Column::Age => Fit::Drop(1),
            _ => Fit::Whole,
        },
    }
}

struct Listing<'a> {
    report: &'a Report<'a>,
    order: Order,
    columns: &'a [Column],
}

impl Rows for Listing<'_> {
    type Row<'a>
        = Row<'a>
    where
        Self: 'a;

    fn len(&self) -> usize {
        self.order.len(self.report)
    }

    fn row(&self, at: usize) -> Row<'_> {
        self.order.row(self.report, at)
    }

    fn is_marked(&self, row: &Row<'_>) -> bool {
        row.socket.state == State::CloseWait && row.socket.protocol != Protocol::Subflow
    }

    fn push(&self, row: &Row<'_>, column: usize, cell: &mut String) {
        self.columns[column].push(row, self.report, cell);
    }

    fn width(&self, row: &Row<'_>, column: usize, scratch: &mut String) -> usize {
        self.columns[column].width(row, self.report, scratch)
    }
}
