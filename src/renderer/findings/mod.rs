//! Findings in words: a headline, the evidence as short lines, what it means, what to do next.
//!
//! The screen and JSON show the same words.

mod backends;
mod epoll;
mod evidence;
mod halt;
mod lines;
mod meaning;
mod pool;
mod reload;
mod requests;
mod set;
mod spin;
mod steps;
mod summary;
mod waiting;
mod waits;

use std::io::{self, Write};

use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::classifier::severity::Severity;
pub use crate::renderer::findings::backends::silent;
pub use crate::renderer::findings::evidence::evidence;
pub use crate::renderer::findings::meaning::meaning;
pub use crate::renderer::findings::steps::{Step, next_steps, steps};
pub use crate::renderer::findings::summary::summary;
use crate::renderer::frame;
use crate::renderer::style::{Look, MARK, NO_MARK, Role};
use crate::renderer::units;

/// At most this many of the evidence lines of a finding go to the screen; JSON has all.
const LINES: usize = 6;
/// The most lines of a finding that is shown in short form.
const LINES_SHORT: usize = 1;

/// Writes the findings of the screen: at most `limit`, and how many more there are. The first one,
/// and all above info, are shown in full.
pub fn section(
    report: &Report<'_>,
    findings: &[Finding],
    limit: usize,
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    for (at, finding) in findings.iter().take(limit).enumerate() {
        let at_length = at == 0 || finding.severity > Severity::Info;
        write_finding(report, finding, at_length, look, out)?;
    }
    if let Some(more) = units::more(findings.len().saturating_sub(limit), "finding") {
        writeln!(out, "\n{NO_MARK}{}", look.paint(Role::Quiet, more))?;
    }
    Ok(())
}

fn write_finding(
    report: &Report<'_>,
    finding: &Finding,
    at_length: bool,
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out)?;
    let (role, mark) = match finding.severity {
        Severity::Info => (Role::Info, NO_MARK),
        Severity::Warning => (Role::Warning, MARK),
        Severity::Critical => (Role::Critical, MARK),
    };
    let severity = finding.severity.name().to_uppercase();
    let headline = format!(
        "{severity} {}: {}",
        finding.set.cause,
        summary(report, finding)
    );
    for (at, line) in frame::wrapped(&headline, look.width, mark.len())
        .iter()
        .enumerate()
    {
        let start = if at == 0 { mark } else { NO_MARK };
        writeln!(out, "{}", look.paint(role, format_args!("{start}{line}")))?;
    }
    let (lines, most) = if at_length {
        (LINES, usize::MAX)
    } else {
        (LINES_SHORT, 0)
    };
    frame::write_wrapped(&meaning(finding), look.width, 4, out)?;
    for line in evidence(report, finding).iter().take(lines) {
        bullet("·", line, look, out)?;
    }
    for step in steps(report, finding).iter().take(most) {
        self::step(step, look, out)?;
    }
    Ok(())
}

/// A command can be copied as it is printed, whatever the width.
fn step(step: &Step, look: Look, out: &mut impl Write) -> io::Result<()> {
    let lines = match (step, look.width) {
        (Step::Advice(words), _) => return bullet("→", words, look, out),
        (_, None) => vec![step.to_string()],
        (Step::Run { .. }, Some(width)) => step.lines(width.saturating_sub(6)),
    };
    for (at, line) in lines.iter().enumerate() {
        let start = if at == 0 { "→" } else { " " };
        writeln!(out, "    {start} {line}")?;
    }
    Ok(())
}

fn bullet(sign: &str, text: &str, look: Look, out: &mut impl Write) -> io::Result<()> {
    for (at, line) in frame::wrapped(text, look.width, 6).iter().enumerate() {
        let start = if at == 0 { sign } else { " " };
        writeln!(out, "    {start} {line}")?;
    }
    Ok(())
}
