//! What to print: which page, in which form, in which order.

use crate::classifier::Report;
use crate::classifier::diff::Diff;
use crate::explain::{Language, Topic};
use crate::model::Name;
use crate::renderer::columns::Column;
use crate::renderer::counts::By;
use crate::renderer::style::Look;

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
    pub findings: Shown,
    /// What was selected, in words; `None` for everything.
    pub selection: Option<Name>,
    /// Whether every TCP socket is read, so that a name without sockets can be reported.
    pub whole: bool,
}

/// How much a page shows of the findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// At most so many, the worst ones; `None` for all.
    pub most: Option<usize>,
    /// So many of the worst are in full, and the others in one line each; `None` for all.
    pub in_full: Option<usize>,
    /// The rows of the screen that the worst one must fit; `None` leaves nothing out.
    pub rows: Option<usize>,
    /// Whether the page must fit those rows as a whole. Facts are then more important than steps.
    pub whole_page: bool,
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

/// Two readings compared, and by what their sockets are counted.
#[derive(Clone, Copy)]
pub struct Comparison<'a> {
    pub diff: &'a Diff,
    pub before: &'a Report<'a>,
    pub after: &'a Report<'a>,
    pub by: &'a By,
}

/// Which page of a report.
#[derive(Debug, Clone, PartialEq)]
pub enum Page {
    Triage,
    /// Counts by chosen dimensions, in place of groups and findings.
    Tally(By),
    Diagram,
    /// What the host has of a topic of `closewait explain`.
    Figures(Topic, Language),
    List {
        /// The columns of a table and of CSV.
        columns: Vec<Column>,
        /// Those of them that the user named: a narrow terminal shows them whole.
        named: Vec<Column>,
        header: bool,
        object: Object,
    },
}

/// What a socket is in JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// The whole object of the schema, and extra columns.
    Whole {
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
