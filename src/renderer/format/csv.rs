//! CSV by RFC 4180: a heading, and one record a socket.

use std::io::{self, Write};

use crate::classifier::Report;
use crate::renderer::columns::{Column, cell};
use crate::renderer::page::list;
use crate::renderer::{Page, View};

/// The columns that are written unless others are asked for.
pub const USUAL: [Column; 20] = [
    Column::Netns,
    Column::Protocol,
    Column::Family,
    Column::State,
    Column::LocalAddr,
    Column::LocalPort,
    Column::RemoteAddr,
    Column::RemotePort,
    Column::Side,
    Column::RecvQ,
    Column::SendQ,
    Column::Timer,
    Column::Uid,
    Column::Inode,
    Column::Cookie,
    Column::OwnerKind,
    Column::Owners,
    Column::IdleAtLeast,
    Column::IdleAtMost,
    Column::Cause,
];

/// Writes a record for each selected socket. What is unknown is an empty field.
pub fn rows(report: &Report<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    records(report, view, out).map_err(as_it_was)
}

/// The error of the output as it was, so that a closed pipe is known for one.
pub(in crate::renderer) fn as_it_was(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn records(report: &Report<'_>, view: &View, out: &mut impl Write) -> csv::Result<()> {
    let Page::List {
        columns, header, ..
    } = &view.page
    else {
        return Ok(());
    };
    let mut records = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(out);
    if *header {
        records.write_record(columns.iter().map(|column| column.name()))?;
    }
    let mut field = String::new();
    for row in list::order(report, view.sort, view.limit).rows(report) {
        for column in columns {
            field.clear();
            match (column, row.socket.timer) {
                (Column::Timer, timer) => {
                    field.push_str(timer.map_or("", |timer| timer.kind.name()))
                }
                _ => {
                    cell::push_known(*column, &row, report, &mut field);
                }
            }
            records.write_field(&field)?;
        }
        records.write_record(None::<&[u8]>)?;
    }
    Ok(records.flush()?)
}
