//! Readings of many hosts, summed: as a table, as CSV and as JSON. Each line names its host, so
//! that it can be cut out and says all the same.

use std::io::{self, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::diff::ToldJson;
use super::grid::Grid;
use super::guard::{Form, Guard};
use super::style::Role;
use super::tally::{By, cell, field, heading};
use super::{Format, View, escape, json, units};
use crate::classifier::merge::{Line, Merged, Part};
use crate::model::{Gap, State};

/// A file that could not be read, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Unread {
    pub file: String,
    pub reason: String,
}

/// Writes the sums in the form that the view has.
pub fn render(
    merged: &Merged,
    unread: &[Unread],
    view: &View,
    by: &By,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut out = Guard::new(out, Form::of(view));
    written(merged, unread, view, by, &mut out).and_then(|()| out.flush())
}

fn written(
    merged: &Merged,
    unread: &[Unread],
    view: &View,
    by: &By,
    out: &mut impl Write,
) -> io::Result<()> {
    match view.format {
        Format::Json => document(merged, unread, view, by, out),
        Format::Jsonl => lines(merged, view, by, out),
        Format::Csv => csv(merged, view, by, out).map_err(super::csv::as_it_was),
        Format::Table | Format::Prometheus { .. } => screen(merged, unread, view, by, out),
    }
}

fn screen(
    merged: &Merged,
    unread: &[Unread],
    view: &View,
    by: &By,
    out: &mut impl Write,
) -> io::Result<()> {
    let look = view.look;
    let hosts = match merged.parts.len() {
        1 => "1 host".to_owned(),
        hosts => format!("{} hosts", units::count(hosts as u64)),
    };
    let title = look.paint(Role::Heading, format_args!("closewait merge of {hosts}"));
    writeln!(out, "{title}")?;
    if let Some(selection) = &view.selection {
        writeln!(out, "selected: {}", escape::text(selection.as_bytes()))?;
    }
    writeln!(out)?;
    hosts_table(merged, view, by, out)?;
    writeln!(out)?;
    lines_table(merged, view, by, out)?;
    let gaps = || {
        merged
            .parts
            .iter()
            .flat_map(|part| part.gaps.iter().map(move |gap| (part, gap)))
    };
    if unread.is_empty() && gaps().next().is_none() {
        return Ok(());
    }
    writeln!(out, "\n{}", look.paint(Role::Heading, "Not seen"))?;
    for Unread { file, reason } in unread {
        writeln!(
            out,
            "  {}: {}",
            escape::text(file.as_bytes()),
            escape::text(reason.as_bytes())
        )?;
    }
    for (part, Gap { detail, .. }) in gaps() {
        let host = escape::text(part.host.as_bytes());
        writeln!(out, "  {host}: {}", escape::text(detail.as_bytes()))?;
    }
    Ok(())
}

fn hosts_table(merged: &Merged, view: &View, by: &By, out: &mut impl Write) -> io::Result<()> {
    let row = |part: &Part| {
        let waits = part.states.of(State::CloseWait);
        let cells = vec![
            escape::text(part.host.as_bytes()),
            time(part),
            if part.complete { "all" } else { "in part" }.to_owned(),
            waits.map_or("-".to_owned(), units::count),
            units::count(part.sockets),
        ];
        (cells, waits.is_some_and(|waits| waits > 0))
    };
    let mut parts: Vec<&Part> = merged.parts.iter().collect();
    parts.sort_by_key(|part| std::cmp::Reverse((part.states.of(State::CloseWait), part.sockets)));
    let grid = Grid {
        words: 3,
        headings: ["Host", "Taken", "Seen", "CLOSE_WAIT", "Selected"]
            .map(str::to_owned)
            .into(),
        rows: parts.into_iter().map(row).collect(),
        note: None,
        total: None,
    };
    grid.write(view.look, by.heading, out)
}

fn lines_table(merged: &Merged, view: &View, by: &By, out: &mut impl Write) -> io::Result<()> {
    let lines = merged.lines();
    let (shown, left_out) = shown(&lines, view);
    let row = |line: &Line, (host, sockets): &(usize, u64)| {
        let words = line.values.iter().map(cell);
        let host = merged.parts.get(*host).map_or("?", |part| &part.host);
        let cells = words
            .chain([escape::text(host.as_bytes())])
            .chain([units::count(*sockets), units::count(line.sockets)])
            .collect();
        (cells, line.close_wait > 0)
    };
    let rows = shown
        .iter()
        .flat_map(|line| line.hosts.iter().map(move |host| row(line, host)));
    let headings = by.dimensions.iter().copied().map(heading);
    let words = by.dimensions.len() + 1;
    let mut total = vec![String::new(); words];
    if let Some(first) = total.first_mut() {
        "total".clone_into(first);
    }
    total.extend([String::new(), units::count(merged.sockets())]);
    let more = left_out.len();
    let grid = Grid {
        words,
        headings: headings
            .chain(["Host", "Sockets", "All hosts"].map(str::to_owned))
            .collect(),
        rows: rows.collect(),
        note: (more > 0).then(|| format!("… {} more: --limit 0", units::count(more as u64))),
        total: Some(total),
    };
    grid.write(view.look, by.heading, out)
}

fn time(part: &Part) -> String {
    let time = json::taken_at(part.taken_at_ns).unwrap_or_default();
    time.get(..19).unwrap_or_default().replace('T', " ")
}

/// The lines that are shown, and those that a limit leaves out.
fn shown<'a>(lines: &'a [Line], view: &View) -> (&'a [Line], &'a [Line]) {
    lines.split_at(view.limit.unwrap_or(usize::MAX).min(lines.len()))
}

fn csv(merged: &Merged, view: &View, by: &By, out: &mut impl Write) -> csv::Result<()> {
    let mut records = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(out);
    let names = by.dimensions.iter().map(|by| by.name());
    records.write_record(names.chain(["host", "sockets", "all_hosts"]))?;
    for line in shown(&merged.lines(), view).0 {
        for (host, sockets) in &line.hosts {
            let words = line.values.iter().map(field);
            let host = merged.parts.get(*host).map_or("", |part| &part.host);
            let host = escape::text(host.as_bytes());
            let counts = [sockets.to_string(), line.sockets.to_string()];
            records.write_record(words.chain([host]).chain(counts))?;
        }
    }
    records.flush()?;
    Ok(())
}

fn lines(merged: &Merged, view: &View, by: &By, out: &mut impl Write) -> io::Result<()> {
    for line in shown(&merged.lines(), view).0 {
        serde_json::to_writer(&mut *out, &LineJson { merged, by, line })?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn document(
    merged: &Merged,
    unread: &[Unread],
    view: &View,
    by: &By,
    out: &mut impl Write,
) -> io::Result<()> {
    let lines = merged.lines();
    let (shown, left_out) = shown(&lines, view);
    let document = Document {
        schema: json::SCHEMA,
        tool: json::Tool::THIS,
        complete: unread.is_empty() && merged.parts.iter().all(|part| part.complete),
        selection: view.selection.as_deref(),
        hosts: merged.parts.iter().map(PartJson::of).collect(),
        unread,
        sockets: merged.sockets(),
        dimensions: by.dimensions.iter().map(|by| by.name()).collect(),
        rows: shown
            .iter()
            .map(|line| LineJson { merged, by, line })
            .collect(),
        left_out: left_out.len(),
    };
    serde_json::to_writer(&mut *out, &document)?;
    out.write_all(b"\n")
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    tool: json::Tool,
    complete: bool,
    selection: Option<&'a str>,
    hosts: Vec<PartJson<'a>>,
    unread: &'a [Unread],
    sockets: u64,
    dimensions: Vec<&'static str>,
    rows: Vec<LineJson<'a>>,
    left_out: usize,
}

#[derive(Serialize)]
struct PartJson<'a> {
    host: &'a str,
    taken_at: Option<String>,
    complete: bool,
    gaps: Vec<json::Gap<'a>>,
    states: json::States<'a>,
    sockets: u64,
}

impl<'a> PartJson<'a> {
    fn of(part: &'a Part) -> PartJson<'a> {
        PartJson {
            host: &part.host,
            taken_at: json::taken_at(part.taken_at_ns),
            complete: part.complete,
            gaps: part.gaps.iter().map(json::Gap::of).collect(),
            states: json::States(&part.states),
            sockets: part.sockets,
        }
    }
}

struct LineJson<'a> {
    merged: &'a Merged,
    by: &'a By,
    line: &'a Line,
}

impl Serialize for LineJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct HostJson<'a> {
            host: &'a str,
            sockets: u64,
        }
        let mut map = serializer.serialize_map(None)?;
        for (dimension, told) in self.by.dimensions.iter().zip(&self.line.values) {
            map.serialize_entry(dimension.name(), &ToldJson(told))?;
        }
        map.serialize_entry("sockets", &self.line.sockets)?;
        map.serialize_entry("close_wait", &self.line.close_wait)?;
        let hosts = self.line.hosts.iter().filter_map(|(host, sockets)| {
            let part = self.merged.parts.get(*host)?;
            Some(HostJson {
                host: &part.host,
                sockets: *sockets,
            })
        });
        map.serialize_entry("hosts", &hosts.collect::<Vec<_>>())?;
        map.end()
    }
}
