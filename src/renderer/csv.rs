//! CSV by RFC 4180: a heading, and one record a socket.

use std::io::{self, Write};

use super::{View, columns, list};
use crate::classifier::{Report, Row};
use crate::model::{Cause, Holders};

const HEADING: [&str; 19] = [
    "netns",
    "family",
    "state",
    "local_addr",
    "local_port",
    "remote_addr",
    "remote_port",
    "side",
    "recv_q",
    "send_q",
    "timer",
    "uid",
    "inode",
    "cookie",
    "owner_kind",
    "owners",
    "idle_at_least_ms",
    "idle_at_most_ms",
    "cause",
];

/// Writes a record for each selected socket. What is unknown is an empty field.
pub fn rows(report: &Report<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    records(report, view, out).map_err(as_it_was)
}

/// The error of the output as it was, so that a closed pipe is known for one.
pub(super) fn as_it_was(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

fn records(report: &Report<'_>, view: &View, out: &mut impl Write) -> csv::Result<()> {
    let mut records = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(out);
    records.write_record(HEADING)?;
    for row in list::order(report, view.sort, view.limit).rows(report) {
        let socket = row.socket;
        let netns = report.snapshot.namespace(socket).label.as_deref();
        records.write_field(netns.unwrap_or_default())?;
        records.write_field(socket.family.name())?;
        records.write_field(socket.state.name())?;
        records.write_field(socket.local.addr.to_string())?;
        records.write_field(socket.local.port.to_string())?;
        records.write_field(socket.remote.addr.to_string())?;
        records.write_field(socket.remote.port.to_string())?;
        records.write_field(row.side.name())?;
        records.write_field(socket.recv_q.to_string())?;
        records.write_field(or_empty(report.send_q(socket)))?;
        records.write_field(socket.timer.map_or("", |timer| timer.kind.name()))?;
        records.write_field(or_empty(socket.user()))?;
        records.write_field(or_empty((socket.inode != 0).then_some(socket.inode)))?;
        records.write_field(or_empty(socket.cookie))?;
        records.write_field(row.owner.kind().unwrap_or_default())?;
        records.write_field(owners(&row, report.holders()))?;
        records.write_field(or_empty(row.idle.map(|idle| idle.at_least_ms)))?;
        records.write_field(or_empty(row.idle.and_then(|idle| idle.at_most_ms)))?;
        records.write_field(row.cause.map_or("", Cause::name))?;
        records.write_record(None::<&[u8]>)?;
    }
    Ok(records.flush()?)
}

fn or_empty(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// `pid:fd:name` of every holder, separated by blanks; a name's own blanks and control characters
/// are escaped as for a terminal, since a spreadsheet is one.
fn owners(row: &Row<'_>, holders: &Holders) -> String {
    let mut text = String::new();
    for holder in row.owner.holders() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&format!("{}:{}:", holder.pid, holder.fd));
        if let Some(name) = holders.name(holder.pid) {
            columns::push_word(name.bytes(), &mut text);
        }
    }
    text
}
