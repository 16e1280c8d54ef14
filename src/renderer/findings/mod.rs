//! Findings in words: a headline, the evidence as short lines, what it means, what to do next.
//!
//! The screen and JSON show the same words.

mod backends;
mod epoll;
mod evidence;
mod functions;
mod halt;
mod lines;
mod meaning;
mod owner;
mod pool;
mod reload;
mod requests;
mod set;
mod spin;
mod stacks;
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
pub use crate::renderer::findings::summary::{brief, place, subject, summary};
use crate::renderer::frame;
use crate::renderer::style::{Look, MARK, NO_MARK, Role};

/// The columns before the text of evidence and steps: a margin, a sign and a blank.
const INDENT: usize = 6;

/// A finding in full, as lines of text without line ends.
pub struct Block {
    /// The headline, and what it means.
    pub head: Vec<String>,
    /// Each fact, as one or more lines, the most informative first.
    pub evidence: Vec<Vec<String>>,
    /// Each step, as one or more lines. A command can be copied, whatever the width.
    pub steps: Vec<Vec<String>>,
}

impl Block {
    /// Words a finding. If there is a subject, each line below the headline begins with it.
    pub fn new(report: &Report<'_>, finding: &Finding, subject: Option<&str>, look: Look) -> Block {
        let mut head = headline(finding, &summary(report, finding), look);
        let before = subject.map_or(String::new(), |subject| format!("{subject}: "));
        let meaning = format!("{before}{}", meaning(finding));
        let meaning = frame::wrapped(&meaning, look.width, 4);
        head.extend(meaning.into_iter().map(|line| format!("    {line}")));
        let before = subject.map_or(String::new(), |subject| format!("{subject} "));
        let signed = |sign: &str, lines: Vec<String>| -> Vec<String> {
            let starts = std::iter::once(sign).chain(std::iter::repeat(" "));
            let lines = starts.zip(lines);
            lines
                .map(|(start, line)| format!("    {before}{start} {line}"))
                .collect()
        };
        let fact = |fact: &String| signed("·", frame::wrapped(fact, look.width, INDENT));
        let step = |step: &Step| {
            let lines = match look.width {
                None => vec![step.to_string()],
                Some(width) => step.lines(width.saturating_sub(INDENT)),
            };
            signed("→", lines)
        };
        Block {
            head,
            evidence: evidence(report, finding).iter().map(fact).collect(),
            steps: steps(report, finding).iter().map(step).collect(),
        }
    }

    /// Writes its lines.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let items = self.evidence.iter().chain(&self.steps);
        for line in self.head.iter().chain(items.flatten()) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

/// A finding in one line: where it is and how many sockets, without what it means. Wrapped where the
/// terminal is too narrow.
pub fn line(report: &Report<'_>, finding: &Finding, look: Look) -> Vec<String> {
    headline(finding, &brief(report, finding), look)
}

/// Severity, cause and a text, in the colour of the severity and with its mark.
pub fn headline(finding: &Finding, text: &str, look: Look) -> Vec<String> {
    let (role, mark) = match finding.severity {
        Severity::Info => (Role::Info, NO_MARK),
        Severity::Warning => (Role::Warning, MARK),
        Severity::Critical => (Role::Critical, MARK),
    };
    let severity = finding.severity.name().to_uppercase();
    let text = format!("{severity} {}: {text}", finding.set.cause);
    let starts = std::iter::once(mark).chain(std::iter::repeat(NO_MARK));
    let lines = starts.zip(frame::wrapped(&text, look.width, mark.len()));
    lines
        .map(|(start, line)| look.paint(role, format_args!("{start}{line}")))
        .collect()
}
