//! Two readings compared, as JSON.

use std::io::{self, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::classifier::diff::{Change, Diff, Line};
use crate::renderer::counts::{self, By};
use crate::renderer::format::json::context::{NameJson, ValueJson};
use crate::renderer::format::json::reading::{Reading, SCHEMA, Tool};
use crate::renderer::view::{Comparison, View};

/// Writes one line of the comparison a line.
pub fn lines(diff: &Diff, view: &View, by: &By, out: &mut impl Write) -> io::Result<()> {
    for line in counts::shown(diff, view.limit).0 {
        serde_json::to_writer(&mut *out, &LineJson { diff, by, line })?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes the whole document, by `docs/diff.schema.json`.
pub fn document(compared: Comparison<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    let Comparison {
        diff,
        before,
        after,
        by,
    } = compared;
    let (shown, left_out) = counts::shown(diff, view.limit);
    let rows = shown.iter().map(|line| LineJson { diff, by, line });
    let document = Document {
        schema: SCHEMA,
        tool: Tool::THIS,
        before: Reading::of(before),
        after: Reading::of(after),
        complete: before.is_complete() && after.is_complete(),
        selection: view.selection.as_ref().map(NameJson),
        between_ms: diff.between_ms,
        told_by: diff.identity.name(),
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
    tool: Tool,
    before: Reading<'a>,
    after: Reading<'a>,
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
        let names = ["before", "after", "still", "new", "gone"];
        for (name, figure) in names.iter().zip(counts::figures(self.change)) {
            map.serialize_entry(name, &figure)?;
        }
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
        for (dimension, value) in self.by.dimensions.iter().zip(&self.line.values) {
            map.serialize_entry(dimension.name(), &ValueJson(value))?;
        }
        let change = ChangeJson {
            diff: self.diff,
            change: &self.line.change,
        };
        change.entries(&mut map)?;
        map.end()
    }
}
