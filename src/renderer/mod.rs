//! Words and bytes: a report goes into a given `impl Write`, one file for each form.

pub mod columns;
pub mod counts;
pub mod findings;
pub mod format;
mod frame;
pub mod guard;
pub mod names;
pub mod order;
pub mod page;
pub mod style;
mod table;
pub mod units;

pub use crate::model::{Name, escape};

use std::io::{self, Write};
use std::time::Duration;

use self::columns::Column;
use self::counts::By;
use self::format::{csv, json, openmetrics};
use self::guard::{Form, Guard};
use self::page::{diagram, list, tally, triage};
use self::style::Look;
use crate::classifier::Report;
use crate::classifier::diff::Diff;
use crate::classifier::finding::Findings;

/// What to print of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    pub page: Page,
    pub format: Format,
    pub look: Look,
    /// The order of rows or groups; `None` for the page's own.
    pub sort: Option<Sort>,
    /// The most rows or groups to print; `None` for all.
    pub limit: Option<usize>,
    /// What was selected, in words; `None` for everything.
    pub selection: Option<Name>,
}

impl View {
    /// Whether the page has a place for findings.
    pub fn has_findings(&self) -> bool {
        matches!(
            (&self.page, self.format),
            (Page::Triage, _) | (_, Format::Json)
        )
    }
}

/// Which page of a report.
#[derive(Debug, Clone, PartialEq)]
pub enum Page {
    Triage,
    /// Counts by chosen dimensions, in place of groups and findings.
    Tally(By),
    Diagram,
    List {
        /// The columns of a table and of CSV.
        columns: Vec<Column>,
        header: bool,
        object: Object,
    },
}

/// What a socket is in JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// The whole object of the schema, and extra columns.
    SumKey {
        tcp_info: bool,
        memory: bool,
        /// The control group, with unit and container.
        cgroups: bool,
        more: Vec<Column>,
    },
    /// Only these columns, and the cookie.
    Columns(Vec<Column>),
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Json,
    Jsonl,
    Csv,
    /// OpenMetrics text with at most so many series of ports, programs or queues.
    Prometheus {
        label_limit: usize,
    },
}

/// An order by a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    pub key: SortKey,
    pub descending: bool,
}

/// What rows and groups can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// How many sockets a group has; in a list every row has one.
    Sockets,
    Column(Column),
}

/// Prints what the view asks for. `elapsed` is how long the run has taken so far.
pub fn render(
    report: &Report<'_>,
    findings: &Findings,
    view: &View,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut out = Guard::new(out, Form::of(view));
    written(report, findings, view, elapsed, &mut out).and_then(|()| out.flush())
}

fn written(
    report: &Report<'_>,
    findings: &Findings,
    view: &View,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    match (view.format, &view.page) {
        (Format::Json, _) => json::document(report, findings, view, elapsed, out),
        (Format::Jsonl, Page::Tally(by)) => json::tally_lines(report, view, by, out),
        (Format::Csv, Page::Tally(by)) => csv::tally(report, view, by, out),
        (Format::Jsonl, _) => json::lines(report, view, out),
        (Format::Csv, _) => csv::rows(report, view, out),
        (Format::Prometheus { label_limit }, _) => {
            openmetrics::exposition(report, findings, label_limit, elapsed, out)
        }
        (Format::Table, Page::Triage) => {
            triage::screen(report, &findings.findings, view, elapsed, out)
        }
        (Format::Table, Page::Tally(by)) => tally::screen(report, view, by, elapsed, out),
        (Format::Table, Page::Diagram) => diagram::diagram(&report.states, view.look, out),
        (
            Format::Table,
            Page::List {
                columns, header, ..
            },
        ) => list::table(report, view, columns, *header, out),
    }
}

/// Writes the comparison in the form that the view has.
pub fn render_diff(
    diff: &Diff,
    before: &Report<'_>,
    after: &Report<'_>,
    view: &View,
    by: &By,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut out = Guard::new(out, Form::of(view));
    diff_written(diff, before, after, view, by, &mut out).and_then(|()| out.flush())
}

fn diff_written(
    diff: &Diff,
    before: &Report<'_>,
    after: &Report<'_>,
    view: &View,
    by: &By,
    out: &mut impl Write,
) -> io::Result<()> {
    match view.format {
        Format::Json => json::diff::document(diff, before, after, view, by, out),
        Format::Jsonl => json::diff::lines(diff, view, by, out),
        Format::Csv => csv::diff(diff, view, by, out),
        Format::Table | Format::Prometheus { .. } => {
            page::diff::screen(diff, before, after, view, by, out)
        }
    }
}
