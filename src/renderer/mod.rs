//! Words and bytes: a report goes into a given `impl Write`, one file for each form.

pub mod columns;
pub mod counts;
pub mod findings;
pub mod format;
mod frame;
mod growth;
pub mod guard;
pub mod live;
pub mod names;
pub mod order;
pub mod page;
mod since;
pub mod style;
mod table;
pub mod units;
mod view;

pub use self::frame::did_you_mean;
pub use self::since::{Latest, Since};
pub use self::view::{Comparison, Format, Object, Page, Shown, Sort, SortKey, View};
pub use crate::model::{Name, escape};

use std::io::{self, Write};
use std::time::Duration;

use self::format::{csv, json, openmetrics};
use self::guard::{Form, Guard};
use self::page::{diagram, figures, list, tally, triage};
use crate::classifier::Report;
use crate::classifier::finding::Findings;

/// Prints what the view asks for, and what grew `since` an earlier reading. `elapsed` is how long the run has taken so far.
pub fn render(
    report: &Report<'_>,
    findings: &Findings,
    since: Option<Since<'_>>,
    view: &View,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut out = Guard::new(out, Form::of(view));
    written(report, findings, since, view, elapsed, &mut out).and_then(|()| out.flush())
}

/// Prints how many sockets are new and gone `since` an earlier reading, above a list.
pub fn changes(since: Option<Since<'_>>, view: &View, out: &mut impl Write) -> io::Result<()> {
    let mut out = Guard::new(out, Form::of(view));
    growth::header(since, view.look, &mut out).and_then(|()| out.flush())
}

fn written(
    report: &Report<'_>,
    findings: &Findings,
    since: Option<Since<'_>>,
    view: &View,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    match (view.format, &view.page) {
        (Format::Json, _) => json::document(report, findings, since, view, elapsed, out),
        (Format::Jsonl, Page::Tally(by)) => json::tally_lines(report, since, view, by, out),
        (Format::Csv, Page::Tally(by)) => csv::tally(report, since, view, by, out),
        (Format::Jsonl, _) => json::lines(report, since, view, out),
        (Format::Csv, _) => csv::rows(report, since, view, out),
        (Format::Prometheus { label_limit }, _) => {
            openmetrics::exposition(report, findings, label_limit, elapsed, out)
        }
        (Format::Table, Page::Triage) => {
            triage::screen(report, &findings.findings, since, view, elapsed, out)
        }
        (Format::Table, Page::Tally(by)) => tally::screen(report, since, view, by, elapsed, out),
        (Format::Table, Page::Diagram) => diagram::diagram(&report.states, view.look, out),
        (Format::Table, Page::Figures(topic, language)) => {
            figures::figures(report, *topic, *language, out)
        }
        (
            Format::Table,
            Page::List {
                columns,
                named,
                header,
                ..
            },
        ) => list::table(report, since, view, columns, named, *header, out),
    }
}

/// Writes the comparison in the form that the view has.
pub fn render_diff(compared: Comparison<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    let mut out = Guard::new(out, Form::of(view));
    diff_written(compared, view, &mut out).and_then(|()| out.flush())
}

fn diff_written(compared: Comparison<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    match view.format {
        Format::Json => json::diff::document(compared, view, out),
        Format::Jsonl => json::diff::lines(compared.diff, view, compared.by, out),
        Format::Csv => csv::diff(compared.diff, view, compared.by, out),
        Format::Table | Format::Prometheus { .. } => page::diff::screen(compared, view, out),
    }
}
