//! Two readings compared, as a table, as CSV and as JSON.

use std::io::{self, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::classifier::Report;
use crate::classifier::diff::{Change, Diff, Identity, Line};
use crate::classifier::tally::ValueText;
use crate::renderer::format::json;
use crate::renderer::format::json::NameJson;
use crate::renderer::guard::{Form, Guard};
use crate::renderer::page::tally::{By, cell, field, heading};
use crate::renderer::page::triage;
use crate::renderer::style::Role;
use crate::renderer::table::Grid;
use crate::renderer::{Format, View, units};

const COUNTS: [&str; 6] = ["Before", "After", "Still", "New", "Gone", "Per min"];

/// Writes the comparison in the form that the view has.
pub fn render(
    diff: &Diff,
    before: &Report<'_>,
    after: &Report<'_>,
    view: &View,
    by: &By,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut out = Guard::new(out, Form::of(view));
    written(diff, before, after, view, by, &mut out).and_then(|()| out.flush())
}

fn written(
    diff: &Diff,
    before: &Report<'_>,
    after: &Report<'_>,
    view: &View,
    by: &By,
    out: &mut impl Write,
) -> io::Result<()> {
    match view.format {
        Format::Json => document(diff, before, after, view, by, out),
        Format::Jsonl => lines(diff, view, by, out),
        Format::Csv => csv(diff, view, by, out).map_err(crate::renderer::format::csv::as_it_was),
        Format::Table | Format::Prometheus { .. } => screen(diff, before, after, view, by, out),
    }
}

fn screen(
    diff: &Diff,
    before: &Report<'_>,
    after: &Report<'_>,
    view: &View,
    by: &By,
    out: &mut impl Write,
) -> io::Result<()> {
    let look = view.look;
    let host = &after.snapshot.host.name;
    let title = look.paint(Role::Heading, format_args!("closewait diff of {host}"));
    let between = diff.between_ms.map_or_else(
        || "no time between them".to_owned(),
        |between| format!("{} later", units::duration(between)),
    );
    let times = format!("{} UTC and {between}", time(before));
    writeln!(out, "{title}  {}", look.paint(Role::Quiet, times))?;
    if let Some(selection) = &view.selection {
        writeln!(out, "selected: {selection}")?;
    }
    let complete = before.is_complete() && after.is_complete();
    triage::write_wrapped(&verdict(diff, complete), look.width, 0, out)?;
    if diff.one_sided > 0 {
        let text = format!(
            "{} network namespaces are in one of the readings only: left out",
            diff.one_sided
        );
        triage::write_wrapped(&text, look.width, 0, out)?;
    }
    if diff.identity == Identity::Ends {
        let text = "told by their ends: one of the readings has no cookies";
        triage::write_wrapped(text, look.width, 0, out)?;
    }
    writeln!(out)?;
    table(diff, view, by, out)?;
    for (when, report) in [("Before", before), ("After", after)] {
        if !report.gaps.is_empty() {
            writeln!(out)?;
            write!(out, "{when}:")?;
            triage::gaps(report, look, out)?;
        }
    }
    Ok(())
}

/// The whole in a sentence: whether those of before are those of now.
fn verdict(diff: &Diff, complete: bool) -> String {
    let Change { still, new, gone } = diff.total;
    let (before, after) = (diff.total.before(), diff.total.after());
    let rate = match diff.per_minute(&diff.total) {
        Some(rate) if new + gone > 0 => format!(" ({} a minute)", signed(rate)),
        _ => String::new(),
    };
    let counts = format!(
        "{} before, {} after{rate}: ",
        units::count(before),
        units::count(after)
    );
    let said = match (still, new, gone) {
        (0, 0, 0) => "none at all".to_owned(),
        (_, 0, 0) => "the same sockets".to_owned(),
        (0, 0, _) => "all are gone".to_owned(),
        (0, _, 0) => "all are new".to_owned(),
        (0, _, _) => "all others: none of before is there any more".to_owned(),
        _ => format!(
            "{} still there, {} new, {} gone",
            units::count(still),
            units::count(new),
            units::count(gone)
        ),
    };
    let seen = if complete { "" } else { "as far as was seen: " };
    format!("{seen}{counts}{said}")
}

fn time(report: &Report<'_>) -> String {
    let time = json::taken_at(report.snapshot.taken_at_ns).unwrap_or_default();
    time.get(..19).unwrap_or_default().replace('T', " ")
}

/// `+12`, `-0.5`, `0`.
fn signed(rate: f64) -> String {
    let text = match rate.abs() {
        rate if rate >= 10.0 => format!("{rate:.0}"),
        rate => format!("{rate:.1}"),
    };
    match (text.as_str(), rate > 0.0) {
        ("0.0", _) => "0".to_owned(),
        (text, true) => format!("+{text}"),
        (text, false) => format!("-{text}"),
    }
}

fn table(diff: &Diff, view: &View, by: &By, out: &mut impl Write) -> io::Result<()> {
    let numbers = |change: &Change| {
        let counts = [
            change.before(),
            change.after(),
            change.still,
            change.new,
            change.gone,
        ];
        let rate = diff.per_minute(change).map_or("-".to_owned(), signed);
        counts.map(units::count).into_iter().chain([rate])
    };
    let row = |line: &Line| -> (Vec<String>, bool) {
        let words = line.values.iter().map(cell);
        let waits = diff.of_close_wait && line.change.after() > 0;
        (words.chain(numbers(&line.change)).collect(), waits)
    };
    let mut total = vec![String::new(); by.dimensions.len()];
    if let Some(first) = total.first_mut() {
        "total".clone_into(first);
    }
    total.extend(numbers(&diff.total));
    let (shown, left_out) = shown(diff, view);
    let more = left_out.len();
    let headings = by.dimensions.iter().copied().map(heading);
    let grid = Grid {
        words: by.dimensions.len(),
        headings: headings.chain(COUNTS.map(str::to_owned)).collect(),
        rows: shown.iter().map(row).collect(),
        note: (more > 0).then(|| format!("… {} more: --limit 0", units::count(more as u64))),
        total: Some(total),
    };
    grid.write(view.look, by.heading, out)
}

/// The lines that are shown, and those that a limit leaves out.
fn shown<'a>(diff: &'a Diff, view: &View) -> (&'a [Line], &'a [Line]) {
    let most = view.limit.unwrap_or(usize::MAX).min(diff.lines.len());
    diff.lines.split_at(most)
}

fn csv(diff: &Diff, view: &View, by: &By, out: &mut impl Write) -> csv::Result<()> {
    let mut records = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(out);
    let names = by.dimensions.iter().map(|by| by.name());
    let counts = ["before", "after", "still", "new", "gone", "growth_per_min"];
    records.write_record(names.chain(counts))?;
    for line in shown(diff, view).0 {
        let change = &line.change;
        let counts = [
            change.before(),
            change.after(),
            change.still,
            change.new,
            change.gone,
        ];
        let rate = diff.per_minute(change);
        let words = line.values.iter().map(field);
        let counts = counts.map(|count| count.to_string());
        let rate = rate.map_or(String::new(), |rate| format!("{rate:.3}"));
        records.write_record(words.chain(counts).chain([rate]))?;
    }
    records.flush()?;
    Ok(())
}

fn lines(diff: &Diff, view: &View, by: &By, out: &mut impl Write) -> io::Result<()> {
    for line in shown(diff, view).0 {
        serde_json::to_writer(&mut *out, &LineJson { diff, by, line })?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn document(
    diff: &Diff,
    before: &Report<'_>,
    after: &Report<'_>,
    view: &View,
    by: &By,
    out: &mut impl Write,
) -> io::Result<()> {
    let (shown, left_out) = shown(diff, view);
    let rows = shown.iter().map(|line| LineJson { diff, by, line });
    let document = Document {
        schema: json::SCHEMA,
        tool: json::Tool::THIS,
        before: json::Reading::of(before),
        after: json::Reading::of(after),
        complete: before.is_complete() && after.is_complete(),
        selection: view.selection.as_ref().map(NameJson),
        between_ms: diff.between_ms,
        told_by: match diff.identity {
            Identity::Cookie => "cookie",
            Identity::Ends => "ends",
        },
        namespaces_left_out: diff.one_sided,
        total: ChangeJson {
            diff,
            change: &diff.total,
        },
        dimensions: by.dimensions.iter().map(|by| by.name()).collect(),
        rows: rows.collect(),
        left_out: left_out.len(),
    };
    serde_json::to_writer(&mut *out, &document)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    tool: json::Tool,
    before: json::Reading<'a>,
    after: json::Reading<'a>,
    complete: bool,
    selection: Option<NameJson<'a>>,
    between_ms: Option<u64>,
    told_by: &'static str,
    namespaces_left_out: usize,
    total: ChangeJson<'a>,
    dimensions: Vec<&'static str>,
    rows: Vec<LineJson<'a>>,
    left_out: usize,
}

struct ChangeJson<'a> {
    diff: &'a Diff,
    change: &'a Change,
}

impl ChangeJson<'_> {
    fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("before", &self.change.before())?;
        map.serialize_entry("after", &self.change.after())?;
        map.serialize_entry("still", &self.change.still)?;
        map.serialize_entry("new", &self.change.new)?;
        map.serialize_entry("gone", &self.change.gone)?;
        map.serialize_entry("growth_per_min", &self.diff.per_minute(self.change))
    }
}

impl Serialize for ChangeJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.entries(&mut map)?;
        map.end()
    }
}

struct LineJson<'a> {
    diff: &'a Diff,
    by: &'a By,
    line: &'a Line,
}

impl Serialize for LineJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (dimension, told) in self.by.dimensions.iter().zip(&self.line.values) {
            map.serialize_entry(dimension.name(), &ToldJson(told))?;
        }
        let change = ChangeJson {
            diff: self.diff,
            change: &self.line.change,
        };
        change.entries(&mut map)?;
        map.end()
    }
}

/// A value in JSON: null where there is none, or none is known.
pub(in crate::renderer) struct ToldJson<'a>(pub(super) &'a ValueText);

impl Serialize for ToldJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            ValueText::Number(number) => serializer.serialize_u64(*number),
            ValueText::Text(text) => NameJson(text).serialize(serializer),
            ValueText::Outside | ValueText::None | ValueText::Unknown => {
                serializer.serialize_none()
            }
        }
    }
}
