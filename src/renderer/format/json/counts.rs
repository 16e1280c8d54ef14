//! Counts by chosen dimensions, as JSON: the object `by` of a document, or one line each.

use std::io::{self, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::classifier::Report;
use crate::classifier::tally::{Dimension, Line, Value};
use crate::renderer::counts::{self, By, Counts};
use crate::renderer::view::View;

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
        if counts::is_by_owner(counts.dimensions) {
            map.serialize_entry("owner", counts::owner(counts.dimensions, self.line))?;
        }
        map.serialize_entry("sockets", &self.line.sockets)?;
        map.serialize_entry("share", &counts.share(self.line.sockets))?;
        map.serialize_entry("close_wait", &self.line.close_wait)?;
        map.end()
    }
}
