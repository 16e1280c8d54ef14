//! Counts by chosen dimensions, as a table, as CSV and as JSON.

use std::cmp::Ordering;
use std::io::{self, Write};
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::style::{self, MARK, NO_MARK, Role};
use super::{View, columns, escape, triage, units};
use crate::classifier::Report;
use crate::classifier::tally::{Dimension, Line, Value, tally};
use crate::model::{Cause, Name, Protocol, State};

/// What to count by, and in which order to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    pub dimensions: Vec<Dimension>,
    /// `None`: the most frequent first.
    pub sort: Option<BySort>,
    /// Of the table.
    pub heading: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BySort {
    pub key: ByKey,
    pub descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByKey {
    Sockets,
    CloseWait,
    /// The dimension at a position.
    Dimension(usize),
}

/// The lines that are shown, and what they are of.
pub struct Counts<'a> {
    report: &'a Report<'a>,
    dimensions: &'a [Dimension],
    lines: Vec<Line>,
    /// The lines that a limit leaves out, and their sockets.
    left_out: (usize, u64),
    total: u64,
}

impl<'a> Counts<'a> {
    pub fn new(report: &'a Report<'a>, by: &'a By, limit: Option<usize>) -> Counts<'a> {
        let mut lines = tally(report, &by.dimensions);
        if let Some(sort) = by.sort {
            lines.sort_by(|a, b| {
                let order = compare(sort.key, a, b);
                if sort.descending {
                    order.reverse()
                } else {
                    order
                }
            });
        }
        let rest = lines.split_off(limit.unwrap_or(usize::MAX).min(lines.len()));
        Counts {
            report,
            dimensions: &by.dimensions,
            lines,
            left_out: (rest.len(), rest.iter().map(|line| line.sockets).sum()),
            total: report.len() as u64,
        }
    }

    /// The part of all selected sockets, from 0 to 1.
    fn share(&self, sockets: u64) -> f64 {
        sockets as f64 / self.total.max(1) as f64
    }

    /// What a value is called; `None` where there is none, or none is known.
    fn text(&self, value: &Value) -> Option<String> {
        let snapshot = self.report.snapshot;
        Some(match value {
            Value::Protocol(protocol) => protocol.name().to_owned(),
            Value::State(state) => state.name().to_owned(),
            Value::Unconnected => Protocol::Udp.state_name(State::Close).to_owned(),
            Value::Side(side) => side.name().to_owned(),
            Value::Port(port) => port.to_string(),
            Value::Peer(addr) => addr.to_string(),
            Value::Programs(names) => joined(names),
            Value::User(uid) => match snapshot.host.users.name(*uid) {
                Some(name) => name.to_owned(),
                None => uid.to_string(),
            },
            Value::Scope(name) => String::from_utf8_lossy(name.bytes()).into_owned(),
            Value::Netns(at) => return snapshot.netns(*at).label.clone(),
            Value::Cause(cause) => Cause::name(*cause).to_owned(),
            Value::None | Value::Outside | Value::Unknown => return None,
        })
    }

    fn cell(&self, value: &Value) -> String {
        match (value, self.text(value)) {
            (Value::None, _) => "-".to_owned(),
            (Value::Outside, _) => "(none)".to_owned(),
            (_, Some(text)) => escape::text(text.as_bytes()),
            (_, None) => "?".to_owned(),
        }
    }
}

/// The names of a set of programs, joined by commas.
fn joined(names: &[Name]) -> String {
    let mut text = String::new();
    for name in names {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&String::from_utf8_lossy(name.bytes()));
    }
    text
}

fn compare(key: ByKey, a: &Line, b: &Line) -> Ordering {
    match key {
        ByKey::Sockets => a.sockets.cmp(&b.sockets),
        ByKey::CloseWait => a.close_wait.cmp(&b.close_wait),
        ByKey::Dimension(at) => a.values.get(at).cmp(&b.values.get(at)),
    }
}

/// The screen: what was read, the counts, and what could not be seen.
pub fn screen(
    report: &Report<'_>,
    view: &View,
    by: &By,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    triage::header(report, view, elapsed, out)?;
    let counts = Counts::new(report, by, view.limit);
    writeln!(out)?;
    table(&counts, view, by.heading, out)?;
    triage::gaps(report, view.look, out)
}

const SOCKETS: &str = "Sockets";
const SHARE: &str = "Share";
const CLOSE_WAIT: &str = "CLOSE_WAIT";

fn table(counts: &Counts<'_>, view: &View, heading: bool, out: &mut impl Write) -> io::Result<()> {
    let words = counts.dimensions.len();
    // Where each line is of one state, its colour tells.
    let numbers = if counts.dimensions.contains(&Dimension::State) {
        2
    } else {
        3
    };
    let row = |mut cells: Vec<String>, sockets: u64, close_wait: u64| {
        cells.push(units::count(sockets));
        cells.push(percent(counts.share(sockets)));
        cells.push(units::count(close_wait));
        cells.truncate(words + numbers);
        (cells, close_wait > 0)
    };
    let title = |dimension: &Dimension| {
        let name = dimension.name();
        let (first, rest) = name.split_at(1);
        format!("{}{rest}", first.to_uppercase())
    };
    let mut headings: Vec<String> = counts.dimensions.iter().map(title).collect();
    headings.extend([SOCKETS, SHARE, CLOSE_WAIT].map(str::to_owned));
    headings.truncate(words + numbers);
    let mut rows: Vec<(Vec<String>, bool)> = counts
        .lines
        .iter()
        .map(|line| {
            let cells = line.values.iter().map(|value| counts.cell(value)).collect();
            row(cells, line.sockets, line.close_wait)
        })
        .collect();
    let mut total = vec![String::new(); words];
    if let Some(first) = total.first_mut() {
        "total".clone_into(first);
    }
    let all_waits = counts.report.states.of(State::CloseWait);
    rows.push((row(total, counts.total, all_waits.unwrap_or(0)).0, false));
    let mut widths: Vec<usize> = headings.iter().map(|text| columns::width(text)).collect();
    for (cells, _) in &rows {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(columns::width(cell));
        }
    }
    if let Some(most) = view.look.width {
        fit(&mut widths, words, most.saturating_sub(MARK.len()));
    }
    let line = |cells: &[String], mark: &str| {
        let mut text = mark.to_owned();
        for (at, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let cell = style::cut(cell, *width);
            let blanks = " ".repeat(width.saturating_sub(columns::width(&cell)));
            if at > 0 {
                text.push(' ');
            }
            if at < words {
                text.push_str(&cell);
                text.push_str(&blanks);
            } else {
                text.push_str(&blanks);
                text.push_str(&cell);
            }
        }
        text.truncate(text.trim_end().len());
        text
    };
    let look = view.look;
    if heading {
        let text = line(&headings, NO_MARK);
        writeln!(out, "{}", look.paint(Role::Heading, text))?;
    }
    let last = rows.len().saturating_sub(1);
    for (at, (cells, waits)) in rows.iter().enumerate() {
        if at == last {
            left_out(counts, view, out)?;
        }
        if *waits {
            writeln!(out, "{}", look.paint(Role::CloseWait, line(cells, MARK)))?;
        } else {
            writeln!(out, "{}", line(cells, NO_MARK))?;
        }
    }
    Ok(())
}

/// Says what a limit leaves out.
fn left_out(counts: &Counts<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    let (lines, sockets) = counts.left_out;
    if lines == 0 {
        return Ok(());
    }
    let text = format!(
        "… {} more with {} sockets ({}): --limit 0",
        units::count(lines as u64),
        units::count(sockets),
        percent(counts.share(sockets)).trim_start()
    );
    writeln!(out, "{NO_MARK}{}", view.look.paint(Role::Quiet, text))
}

/// Takes from the widest of the words until a line fits.
fn fit(widths: &mut [usize], words: usize, most: usize) {
    const LEAST: usize = 4;
    loop {
        let line: usize = widths.iter().sum::<usize>() + widths.len().saturating_sub(1);
        let over = line.saturating_sub(most);
        let widest = widths.iter_mut().take(words).max_by_key(|width| **width);
        match widest {
            Some(width) if over > 0 && *width > LEAST => *width -= 1,
            _ => return,
        }
    }
}

/// `41.9 %`.
fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// CSV by RFC 4180: a heading, and a record a line. What is not known, or not there, is an empty
/// field.
pub fn csv(report: &Report<'_>, view: &View, by: &By, out: &mut impl Write) -> io::Result<()> {
    let counts = Counts::new(report, by, view.limit);
    let mut records = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(out);
    let mut heading: Vec<&str> = by.dimensions.iter().map(|by| by.name()).collect();
    if tells_owner(&by.dimensions) {
        heading.push("owner");
    }
    heading.extend(["sockets", "share", "close_wait"]);
    records
        .write_record(heading)
        .map_err(super::csv::as_it_was)?;
    for line in &counts.lines {
        let mut fields: Vec<String> = line
            .values
            .iter()
            .map(|value| match counts.text(value) {
                Some(text) => escape::text(text.as_bytes()),
                None => String::new(),
            })
            .collect();
        if tells_owner(&by.dimensions) {
            fields.push(owner(&by.dimensions, line).to_owned());
        }
        fields.push(line.sockets.to_string());
        fields.push(format!("{:.6}", counts.share(line.sockets)));
        fields.push(line.close_wait.to_string());
        records
            .write_record(fields)
            .map_err(super::csv::as_it_was)?;
    }
    records.flush()
}

/// One JSON object a line.
pub fn lines(report: &Report<'_>, view: &View, by: &By, out: &mut impl Write) -> io::Result<()> {
    let counts = Counts::new(report, by, view.limit);
    for line in &counts.lines {
        let counts = &counts;
        serde_json::to_writer(&mut *out, &LineJson { counts, line })?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Whether the lines are of programs, of which the kernel has none and some are hidden.
fn tells_owner(dimensions: &[Dimension]) -> bool {
    dimensions.iter().any(|by| by.tells_owner())
}

/// `held` by a process or waiting for one, `kernel` or `hidden`.
fn owner(dimensions: &[Dimension], line: &Line) -> &'static str {
    let by = dimensions.iter().zip(&line.values);
    let mut told = by.filter(|(dimension, _)| dimension.tells_owner());
    match told.next() {
        Some((_, Value::None)) => "kernel",
        Some((_, Value::Unknown)) => "hidden",
        _ => "held",
    }
}

/// The object `by` of a document.
impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Lines<'a>(&'a Counts<'a>);
        impl Serialize for Lines<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let counts = self.0;
                serializer.collect_seq(counts.lines.iter().map(|line| LineJson { counts, line }))
            }
        }
        let names: Vec<&str> = self.dimensions.iter().map(|by| by.name()).collect();
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("dimensions", &names)?;
        map.serialize_entry("sockets", &self.total)?;
        map.serialize_entry("rows", &Lines(self))?;
        map.serialize_entry("left_out", &self.left_out.0)?;
        map.end()
    }
}

struct LineJson<'a> {
    counts: &'a Counts<'a>,
    line: &'a Line,
}

impl Serialize for LineJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = self.counts;
        let mut map = serializer.serialize_map(None)?;
        for (dimension, value) in counts.dimensions.iter().zip(&self.line.values) {
            match value {
                Value::Port(port) => map.serialize_entry(dimension.name(), port)?,
                _ => map.serialize_entry(dimension.name(), &counts.text(value))?,
            }
            if let (Dimension::User, Value::User(uid)) = (dimension, value) {
                map.serialize_entry("uid", uid)?;
            }
        }
        if tells_owner(counts.dimensions) {
            map.serialize_entry("owner", owner(counts.dimensions, self.line))?;
        }
        map.serialize_entry("sockets", &self.line.sockets)?;
        map.serialize_entry("share", &counts.share(self.line.sockets))?;
        map.serialize_entry("close_wait", &self.line.close_wait)?;
        map.end()
    }
}
