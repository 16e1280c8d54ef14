//! CSV by RFC 4180: a heading, and one record a socket or a line of counts. What is unknown, or not
//! there, is an empty field.

use std::io::{self, Write};

use crate::classifier::diff::{Change, Diff};
use crate::classifier::{Report, Row};
use crate::renderer::columns::{self, Column};
use crate::renderer::counts::{self, By, Counts};
use crate::renderer::order;
use crate::renderer::since::Since;
use crate::renderer::view::{Page, View};

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

/// Writes a record for each selected socket.
pub fn rows(
    report: &Report<'_>,
    since: Option<Since<'_>>,
    view: &View,
    out: &mut impl Write,
) -> io::Result<()> {
    records(report, since, view, out).map_err(cause)
}

/// Writes a record for each line of counts.
pub fn tally(
    report: &Report<'_>,
    since: Option<Since<'_>>,
    view: &View,
    by: &By,
    out: &mut impl Write,
) -> io::Result<()> {
    tally_records(&Counts::new(report, since, by, view.limit), out).map_err(cause)
}

/// Writes a record for each line of a comparison.
pub fn diff(diff: &Diff, view: &View, by: &By, out: &mut impl Write) -> io::Result<()> {
    diff_records(diff, view, by, out).map_err(cause)
}

fn writer<W: Write>(out: W) -> csv::Writer<W> {
    csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(out)
}

/// The error of the output itself, so that a closed pipe is recognized.
fn cause(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn records(
    report: &Report<'_>,
    since: Option<Since<'_>>,
    view: &View,
    out: &mut impl Write,
) -> csv::Result<()> {
    let Page::List {
        columns, header, ..
    } = &view.page
    else {
        return Ok(());
    };
    let mut records = writer(out);
    if *header {
        records.write_record(columns.iter().map(|column| column.name()))?;
    }
    let order = order::rows(report, view.sort, view.limit);
    write_rows(order.rows(report), report, columns, &mut records)?;
    if let Some((gone, before)) = order::gone(report, since, view.sort, view.limit) {
        write_rows(gone.rows(before), before, columns, &mut records)?;
    }
    Ok(records.flush()?)
}

fn write_rows<'a, W: Write>(
    rows: impl Iterator<Item = Row<'a>>,
    report: &Report<'_>,
    columns: &[Column],
    records: &mut csv::Writer<W>,
) -> csv::Result<()> {
    let mut field = String::new();
    for row in rows {
        for column in columns {
            field.clear();
            match (column, row.socket.timer) {
                (Column::Timer, timer) => {
                    field.push_str(timer.map_or("", |timer| timer.kind.name()))
                }
                _ => {
                    columns::push_known(*column, &row, report, &mut field);
                }
            }
            records.write_field(&field)?;
        }
        records.write_record(None::<&[u8]>)?;
    }
    Ok(())
}

fn tally_records(counts: &Counts<'_>, out: &mut impl Write) -> csv::Result<()> {
    let mut records = writer(out);
    let names = counts.dimensions.iter().map(|by| by.name());
    let has_owner = counts::is_by_owner(counts.dimensions);
    let owner = has_owner.then_some("owner");
    let grown = counts.growth.as_ref();
    let figures = grown.map_or(&[][..], |_| &["new", "gone", "growth_per_min"]);
    let counted = ["sockets", "share", "close_wait"];
    let figures = counted.into_iter().chain(figures.iter().copied());
    records.write_record(names.chain(owner).chain(figures))?;
    let changes = |change: Option<Change>| {
        let (growth, change) = grown.zip(change)?;
        let rate = change.per_minute(growth.between_ms);
        let rate = rate.map_or(String::new(), |rate| format!("{rate:.3}"));
        Some([change.new.to_string(), change.gone.to_string(), rate])
    };
    for line in &counts.lines {
        let text = |value| {
            counts
                .text(value)
                .map_or(String::new(), |text| text.to_string())
        };
        let owner = has_owner.then(|| counts::owner(counts.dimensions, line).to_owned());
        let numbers = [
            line.sockets.to_string(),
            format!("{:.6}", counts.share(line.sockets)),
            line.close_wait.to_string(),
        ];
        let words = line.values.iter().map(text);
        let changes = changes(counts.change(line)).into_iter().flatten();
        records.write_record(words.chain(owner).chain(numbers).chain(changes))?;
    }
    for line in grown.iter().flat_map(|growth| &growth.gone) {
        let words = line.values.iter().map(counts::field);
        let owner = has_owner.then(String::new);
        let numbers = ["0", "0", "0"].map(str::to_owned);
        let changes = changes(Some(line.change)).into_iter().flatten();
        records.write_record(words.chain(owner).chain(numbers).chain(changes))?;
    }
    Ok(records.flush()?)
}

fn diff_records(diff: &Diff, view: &View, by: &By, out: &mut impl Write) -> csv::Result<()> {
    let mut records = writer(out);
    let names = by.dimensions.iter().map(|by| by.name());
    let figures = ["before", "after", "still", "new", "gone", "growth_per_min"];
    records.write_record(names.chain(figures))?;
    for line in counts::shown(diff, view.limit).0 {
        let rate = diff.per_minute(&line.change);
        let rate = rate.map_or(String::new(), |rate| format!("{rate:.3}"));
        let figures = counts::figures(&line.change).map(|count| count.to_string());
        let words = line.values.iter().map(counts::field);
        records.write_record(words.chain(figures).chain([rate]))?;
    }
    Ok(records.flush()?)
}
