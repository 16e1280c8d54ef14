//! The findings on the screen: the least severe first and the worst last, so that it is what a terminal
//! shows above the prompt. On a terminal only the worst is in full.

use std::io::{self, Write};

use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::classifier::severity::Severity;
use crate::renderer::findings::{self, Block};
use crate::renderer::style::{Look, NO_MARK, Role};
use crate::renderer::units;
use crate::renderer::view::View;

/// So many facts are shown even if what is above the findings scrolls away for it, and so many
/// findings in short form are kept visible beside them.
const FACTS_KEPT: usize = 3;
const SHORT_KEPT: usize = 3;

/// Names the worst finding, for those who see the first lines; nothing if none is a warning.
pub fn worst(
    report: &Report<'_>,
    found: &[Finding],
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    let Some(finding) = found
        .first()
        .filter(|finding| finding.severity > Severity::Info)
    else {
        return Ok(());
    };
    let place = findings::place(report, finding);
    let text = match found.len() {
        1 => place,
        all => format!("{place} (last of {} findings)", units::count(all as u64)),
    };
    for line in findings::headline(finding, &text, look) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Writes the findings below a number of other lines.
pub fn section(
    report: &Report<'_>,
    found: &[Finding],
    view: &View,
    above: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let shown = found.len().min(view.findings.most.unwrap_or(usize::MAX));
    let in_full = shown.min(view.findings.in_full.unwrap_or(usize::MAX));
    let (Some(full), Some(short)) = (found.get(..in_full), found.get(in_full..shown)) else {
        return Ok(());
    };
    if shown == 0 {
        return Ok(());
    }
    writeln!(out)?;
    let note = units::more(found.len() - shown, "finding");
    let mut lines: Vec<String> = note
        .map(|note| format!("{NO_MARK}{}", view.look.paint(Role::Quiet, note)))
        .into_iter()
        .collect();
    let short_lines = short.iter().rev();
    lines.extend(short_lines.flat_map(|finding| findings::line(report, finding, view.look)));
    for line in &lines {
        writeln!(out, "{line}")?;
    }
    let mut left_out = LeftOut {
        findings: short.len(),
        ..LeftOut::default()
    };
    for (at, finding) in full.iter().rev().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        // In a pipe each line must be found by itself.
        let subject = (!view.look.terminal).then(|| findings::subject(report, finding));
        let mut block = Block::new(report, finding, subject.as_deref(), view.look);
        if let Some(rows) = view.findings.rows {
            let above = above + 1;
            if view.findings.whole_page {
                let room = rows.saturating_sub(above + lines.len() + 1);
                let line = || findings::line(report, finding, view.look);
                left_out.fit_page(&mut block, room, line);
            } else {
                left_out.fit(&mut block, above, lines.len(), rows);
            }
        }
        block.write(out)?;
    }
    match left_out.in_words() {
        Some(words) => writeln!(out, "{NO_MARK}{}", view.look.paint(Role::Quiet, words)),
        None => Ok(()),
    }
}

/// What the screen does not show of the findings.
#[derive(Default)]
struct LeftOut {
    /// Findings in short form.
    findings: usize,
    facts: usize,
    steps: usize,
}

impl LeftOut {
    /// Leaves out facts, and only then steps, that have no room on a screen of so many rows. The
    /// headline, the meaning and the steps come first, then some facts and findings in short form, and
    /// the rest of the facts only if nothing above scrolls away.
    fn fit(&mut self, block: &mut Block, above: usize, short: usize, rows: usize) {
        let count = |items: &[Vec<String>]| items.iter().map(Vec::len).sum::<usize>();
        // The prompt, and what was left out.
        let room = rows.saturating_sub(2 + block.head.len());
        let steps = whole(&block.steps, room).max(1);
        self.steps += block.steps.len().saturating_sub(steps);
        block.steps.truncate(steps);
        let room = room.saturating_sub(count(&block.steps));
        let facts = &block.evidence;
        let kept = count(facts.get(..FACTS_KEPT).unwrap_or(facts));
        let beside = room.saturating_sub(short.min(SHORT_KEPT));
        let room = room.saturating_sub(above + short).max(kept.min(beside));
        let mut facts = whole(facts, room);
        let left = block.evidence.get(facts..).unwrap_or_default();
        if self.findings + self.steps == 0 && count(left) == 1 {
            // The line that reports it would take its place.
            facts = block.evidence.len();
        }
        self.facts += block.evidence.len() - facts;
        block.evidence.truncate(facts);
    }

    /// Leaves out steps, and only then facts, that have no room in so many rows; without room for the
    /// headline and a fact, it becomes one line.
    fn fit_page(&mut self, block: &mut Block, room: usize, line: impl FnOnce() -> Vec<String>) {
        let room = room.saturating_sub(block.head.len());
        let facts = whole(&block.evidence, room);
        if facts == 0 {
            self.findings += 1;
            block.head = line();
            block.evidence.clear();
            block.steps.clear();
            return;
        }
        let used: usize = block.evidence.iter().take(facts).map(Vec::len).sum();
        let steps = match facts == block.evidence.len() {
            true => whole(&block.steps, room - used),
            false => 0,
        };
        self.facts += block.evidence.len() - facts;
        self.steps += block.steps.len() - steps;
        block.evidence.truncate(facts);
        block.steps.truncate(steps);
    }

    /// A line about it; `None` if everything is in full.
    fn in_words(&self) -> Option<String> {
        let some = |count: usize, noun: &str, more: &str| {
            let number = units::count(count as u64);
            let s = units::plural(count as u64);
            (count > 0).then(|| format!("{number} {noun}{s}{more}"))
        };
        let parts = [
            some(self.facts, "more fact", ""),
            some(self.steps, "more step", ""),
            some(self.findings, "finding", " in short"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| format!("… {}; -v shows all", parts.join(", ")))
    }
}

/// How many of the first items fit so many lines.
fn whole(items: &[Vec<String>], room: usize) -> usize {
    let mut used = 0;
    let fits = |item: &&Vec<String>| {
        used += item.len();
        used <= room
    };
    items.iter().take_while(fits).count()
}
