//! The lines of the format: families, samples and labels.

use std::io::{self, Write};

/// Writes families, one after the other.
pub(super) struct Metrics<'a, W: Write> {
    pub(super) out: &'a mut W,
    /// The family that samples are of.
    pub(super) name: &'static str,
}

impl<W: Write> Metrics<'_, W> {
    /// Begins a family of gauges.
    pub(super) fn family(
        &mut self,
        name: &'static str,
        unit: Option<&str>,
        help: &str,
    ) -> io::Result<()> {
        self.typed(name, "gauge", unit, help)
    }

    pub(super) fn typed(
        &mut self,
        name: &'static str,
        kind: &str,
        unit: Option<&str>,
        help: &str,
    ) -> io::Result<()> {
        self.name = name;
        writeln!(self.out, "# TYPE {name} {kind}")?;
        if let Some(unit) = unit {
            writeln!(self.out, "# UNIT {name} {unit}")?;
        }
        writeln!(self.out, "# HELP {name} {help}")
    }

    pub(super) fn sample(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        value: u64,
    ) -> io::Result<()> {
        self.labelled(suffix, labels)?;
        writeln!(self.out, " {value}")
    }

    pub(super) fn figure(&mut self, labels: &[(&str, &str)], value: f64) -> io::Result<()> {
        self.labelled("", labels)?;
        writeln!(self.out, " {value}")
    }

    pub(super) fn labelled(&mut self, suffix: &str, labels: &[(&str, &str)]) -> io::Result<()> {
        write!(self.out, "{}{suffix}", self.name)?;
        for (at, (label, value)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            write!(self.out, "{before}{label}=\"{}\"", escaped(value))?;
        }
        if !labels.is_empty() {
            self.out.write_all(b"}")?;
        }
        Ok(())
    }
}

/// A label's value by the format's rule: backslash, quote and newline are escaped. Other control
/// characters are nothing to the format, and shown as they are nowhere.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text
}
