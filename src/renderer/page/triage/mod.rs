//! Triage: one screen with the states, the groups, what could not be seen, and the findings.
//!
//! The worst finding comes last, directly above the prompt. A line below the header names it for
//! readers who see the first lines (`head`, `less`).

mod found;
mod groups;
mod legend;
mod limits;
mod notes;
mod states;

use std::io::{self, Write};
use std::time::Duration;

use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::renderer::since::Since;
use crate::renderer::view::View;
use crate::renderer::{frame, growth};

/// Writes the screen.
pub fn screen(
    report: &Report<'_>,
    found: &[Finding],
    since: Option<Since<'_>>,
    view: &View,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    // In memory, because the findings are fitted to the rows that are left.
    let mut above = Vec::new();
    frame::header(report, view, elapsed, &mut above)?;
    growth::header(since, view.look, &mut above)?;
    found::worst(report, found, view.look, &mut above)?;
    states::states(report, view, &mut above)?;
    groups::table(report, since, view, &mut above)?;
    legend::legend(view.look, &mut above)?;
    growth::gone(since, view.look, &mut above)?;
    notes::notes(report, found, view.look, &mut above)?;
    limits::lines(report, view, &mut above)?;
    frame::gaps(report, view.look, &mut above)?;
    out.write_all(&above)?;
    let above = above.iter().filter(|byte| **byte == b'\n').count();
    found::section(report, found, view, above, out)
}
