//! Counts by chosen dimensions, as JSON: the object `by` of a document, or one line each.

use std::io::{self, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::classifier::tally::{Dimension, Line, Value};
use crate::classifier::{Report, diff};
use crate::renderer::counts::{self, By, Counts};
use crate::renderer::format::json::context::ValueJson;
use crate::renderer::format::json::group::ChangeJson;
use crate::renderer::since::Since;
use crate::renderer::view::View;

/// One JSON object a line.
pub fn lines(
    report: &Report<'_>,
    since: Option<Since<'_>>,
    view: &View,
    by: &By,
    out: &mut impl Write,
) -> io::Result<()> {
    let counts = Counts::new(report, since, by, view.limit);
    for line in &counts.lines {
        let counts = &counts;
        serde_json::to_writer(&mut *out, &LineJson { counts, line })?;
        out.write_all(b"\n")?;
    }
    for line in counts.growth.iter().flat_map(|growth| &growth.gone) {
        let counts = &counts;
        serde_json::to_writer(&mut *out, &GoneJson { counts, line })?;
        out.write_all(b"\n")?;
    }
    Ok(())
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
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("dimensions", &names)?;
        map.serialize_entry("sockets", &self.total)?;
        map.serialize_entry("rows", &Lines(self))?;
        map.serialize_entry("left_out", &self.left_out.0)?;
        if let Some(growth) = &self.growth {
            let gone = growth.gone.iter();
            let gone: Vec<_> = gone.map(|line| GoneJson { counts: self, line }).collect();
            map.serialize_entry("gone", &gone)?;
        }
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
        if counts::is_by_owner(counts.dimensions) {
            map.serialize_entry("owner", counts::owner(counts.dimensions, self.line))?;
        }
        map.serialize_entry("sockets", &self.line.sockets)?;
        map.serialize_entry("share", &counts.share(self.line.sockets))?;
        map.serialize_entry("close_wait", &self.line.close_wait)?;
        if let Some((growth, change)) = counts.growth.as_ref().zip(counts.change(self.line)) {
            let growth = ChangeJson::of(&change, growth.between_ms);
            map.serialize_entry("growth", &growth)?;
        }
        map.end()
    }
}

/// A line that only the earlier of two readings has.
struct GoneJson<'a> {
    counts: &'a Counts<'a>,
    line: &'a diff::Line,
}

impl Serialize for GoneJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (dimension, value) in self.counts.dimensions.iter().zip(&self.line.values) {
            map.serialize_entry(dimension.name(), &ValueJson(value))?;
        }
        for name in ["sockets", "share", "close_wait"] {
            map.serialize_entry(name, &0)?;
        }
        if let Some(growth) = &self.counts.growth {
            let growth = ChangeJson::of(&self.line.change, growth.between_ms);
            map.serialize_entry("growth", &growth)?;
        }
        map.end()
    }
}
