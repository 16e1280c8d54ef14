//! Counts by chosen dimensions, as a table, as CSV and as JSON.

use std::cmp::Ordering;
use std::io::{self, Write};
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::classifier::Report;
use crate::classifier::tally::{Dimension, Line, Value, ValueText, tally};
use crate::model::{Name, State};
use crate::renderer::page::triage;
use crate::renderer::table::Grid;
use crate::renderer::{View, units};

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
    fn text(&self, value: &Value) -> Option<Name> {
        match value.text(self.report.snapshot) {
            ValueText::Text(text) => Some(text),
            ValueText::Number(number) => Some(number.to_string().into()),
            ValueText::Outside | ValueText::None | ValueText::Unknown => None,
        }
    }

    fn cell(&self, value: &Value) -> String {
        cell(&value.text(self.report.snapshot))
    }
}

/// A value in a table.
pub(in crate::renderer) fn cell(told: &ValueText) -> String {
    match told {
        ValueText::Text(text) => text.to_string(),
        ValueText::Number(number) => number.to_string(),
        ValueText::Outside => "(none)".to_owned(),
        ValueText::None => "-".to_owned(),
        ValueText::Unknown => "?".to_owned(),
    }
}

/// A value in CSV: nothing where there is none, or none is known.
pub(in crate::renderer) fn field(told: &ValueText) -> String {
    match told {
        ValueText::Outside | ValueText::None | ValueText::Unknown => String::new(),
        told => cell(told),
    }
}

/// The heading of a dimension.
pub(in crate::renderer) fn heading(dimension: Dimension) -> String {
    let (first, rest) = dimension.name().split_at(1);
    format!("{}{rest}", first.to_uppercase())
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
    let mut headings: Vec<String> = counts
        .dimensions
        .iter()
        .copied()
        .map(crate::renderer::page::tally::heading)
        .collect();
    headings.extend([SOCKETS, SHARE, CLOSE_WAIT].map(str::to_owned));
    headings.truncate(words + numbers);
    let rows: Vec<(Vec<String>, bool)> = counts
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
    let grid = Grid {
        words,
        headings,
        rows,
        note: left_out(counts),
        total: Some(row(total, counts.total, all_waits.unwrap_or(0)).0),
    };
    grid.write(view.look, heading, out)
}

/// What a limit leaves out.
fn left_out(counts: &Counts<'_>) -> Option<String> {
    let (lines, sockets) = counts.left_out;
    (lines > 0).then(|| {
        format!(
            "… {} more with {} sockets ({}): --limit 0",
            units::count(lines as u64),
            units::count(sockets),
            percent(counts.share(sockets)).trim_start()
        )
    })
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
    if is_by_owner(&by.dimensions) {
        heading.push("owner");
    }
    heading.extend(["sockets", "share", "close_wait"]);
    records
        .write_record(heading)
        .map_err(crate::renderer::format::csv::as_it_was)?;
    for line in &counts.lines {
        let mut fields: Vec<String> = line
            .values
            .iter()
            .map(|value| {
                counts
                    .text(value)
                    .map_or(String::new(), |text| text.to_string())
            })
            .collect();
        if is_by_owner(&by.dimensions) {
            fields.push(owner(&by.dimensions, line).to_owned());
        }
        fields.push(line.sockets.to_string());
        fields.push(format!("{:.6}", counts.share(line.sockets)));
        fields.push(line.close_wait.to_string());
        records
            .write_record(fields)
            .map_err(crate::renderer::format::csv::as_it_was)?;
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
fn is_by_owner(dimensions: &[Dimension]) -> bool {
    dimensions.iter().any(|by| by.is_by_owner())
}

/// `held` by a process or waiting for one, `kernel` or `hidden`.
fn owner(dimensions: &[Dimension], line: &Line) -> &'static str {
    let by = dimensions.iter().zip(&line.values);
    let mut told = by.filter(|(dimension, _)| dimension.is_by_owner());
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
                Value::Pids(pids) if pids.len() == 1 => {
                    map.serialize_entry(dimension.name(), &pids.first().map(|pid| pid.0))?;
                }
                _ => map.serialize_entry(dimension.name(), &counts.text(value))?,
            }
            if let (Dimension::User, Value::User(uid)) = (dimension, value) {
                map.serialize_entry("uid", uid)?;
            }
        }
        if is_by_owner(counts.dimensions) {
            map.serialize_entry("owner", owner(counts.dimensions, self.line))?;
        }
        map.serialize_entry("sockets", &self.line.sockets)?;
        map.serialize_entry("share", &counts.share(self.line.sockets))?;
        map.serialize_entry("close_wait", &self.line.close_wait)?;
        map.end()
    }
}
