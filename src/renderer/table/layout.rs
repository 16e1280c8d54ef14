//! How wide each column is, and which columns are narrowed on a narrow terminal.

use std::thread;

use super::fit::{self, Narrowed, Shown};
use super::{Column, Cut, Rows, workers};
use crate::model::Charset;
use crate::renderer::columns::width;
use crate::renderer::style::{self, CUT, Look, MARK};

/// The columns that are shown, with their widths.
pub(super) struct Layout<'a> {
    pub(super) columns: &'a [Column],
    pub(super) shown: Vec<Shown>,
    pub(super) look: Look,
    narrowed: Narrowed,
}

impl<'a> Layout<'a> {
    /// Measures the rows and fits the columns to the terminal. If lines have no limit, the last
    /// column is not measured.
    pub(super) fn new<R: Rows>(rows: &R, columns: &'a [Column], look: Look) -> Layout<'a> {
        let all = 0..columns.len();
        let own: Vec<usize> = all.clone().filter(|at| !columns[*at].is_spare).collect();
        let measured = match (look.width, own.split_last()) {
            (None, Some((_, others))) => others.to_vec(),
            _ => all.collect(),
        };
        let widths = measure(rows, columns, &measured, look.charset);
        let whole: Vec<Shown> = own.iter().map(|at| Shown::new(*at, widths[*at])).collect();
        let (shown, narrowed) = match look.width {
            Some(width) => {
                let most = width.saturating_sub(MARK.len());
                fit::fit(rows, columns, &widths, whole, most)
            }
            None => (whole, Narrowed::default()),
        };
        Layout {
            columns,
            shown,
            look,
            narrowed,
        }
    }

    /// Makes a cell what is shown: in the charset of the terminal, and cut to its column. `scratch`
    /// is overwritten.
    pub(super) fn show(&self, shown: &Shown, cell: &mut String, scratch: &mut String) {
        let charset = self.look.charset;
        if charset == Charset::Ascii && !cell.is_ascii() {
            scratch.clear();
            charset.push(cell, scratch);
            std::mem::swap(cell, scratch);
        }
        let Some(cut) = shown.cut else { return };
        if width(cell, charset) <= shown.width {
            return;
        }
        (cut.by)(cell, shown.width);
        // An ellipsis in ASCII has three columns.
        while let Some(at) = cell.find(CUT).filter(|_| charset == Charset::Ascii) {
            cell.replace_range(at..at + CUT.len_utf8(), "~");
        }
    }

    /// The heading of a column. It is read from its start, wherever its cells are cut.
    pub(super) fn heading(&self, shown: &Shown) -> String {
        let mut heading = self.columns[shown.at].heading.clone();
        let shown = Shown {
            cut: shown.cut.map(|cut| Cut {
                by: style::cut,
                ..cut
            }),
            ..*shown
        };
        self.show(&shown, &mut heading, &mut String::new());
        heading
    }

    /// What a narrow terminal does not show: `80 columns: Proto (tcp) and Send-Q not shown; -W shows
    /// all`. Where nothing is missing, which cells are cut.
    pub(super) fn note(&self) -> Option<String> {
        let heading = |at: usize| self.columns[at].heading.as_str();
        let dropped = self.narrowed.dropped.iter();
        let dropped = dropped.map(|(at, value)| match value {
            Some(value) => format!("{} ({value})", heading(*at)),
            None => heading(*at).to_owned(),
        });
        let cut = self.narrowed.cut.iter().map(|at| heading(*at).to_owned());
        let said = match listed(dropped.collect()) {
            Some(dropped) => format!("{dropped} not shown"),
            None => format!("{} shortened", listed(cut.collect())?),
        };
        Some(format!(
            "{} columns: {said}; -W shows all",
            self.look.width?
        ))
    }
}

/// `A, B and C`; `None` for nothing.
fn listed(mut names: Vec<String>) -> Option<String> {
    let last = names.pop()?;
    Some(match names.as_slice() {
        [] => last,
        others => format!("{} and {last}", others.join(", ")),
    })
}

/// The width of the heading of each column, or of its widest cell if it is measured and wider.
fn measure<R: Rows>(
    rows: &R,
    columns: &[Column],
    measured: &[usize],
    charset: Charset,
) -> Vec<usize> {
    let share = rows.len().div_ceil(workers(rows.len())).max(1);
    let part = |first: usize| {
        let headings = columns.iter().map(|column| width(&column.heading, charset));
        let mut widths: Vec<usize> = headings.collect();
        let mut cell = String::new();
        for at in first..(first + share).min(rows.len()) {
            let row = rows.row(at);
            for column in measured {
                let width = rows.width(&row, *column, charset, &mut cell);
                widths[*column] = widths[*column].max(width);
            }
        }
        widths
    };
    let parts: Vec<Vec<usize>> = thread::scope(|scope| {
        let part = &part;
        let mut parts = Vec::new();
        let mut threads = Vec::new();
        for first in (share..rows.len()).step_by(share) {
            match thread::Builder::new().spawn_scoped(scope, move || part(first)) {
                Ok(thread) => threads.push(thread),
                Err(_) => parts.push(part(first)),
            }
        }
        parts.push(part(0));
        // A thread that panicked has measured nothing; the lines are right without it.
        parts.extend(threads.into_iter().filter_map(|thread| thread.join().ok()));
        parts
    });
    (0..columns.len())
        .map(|at| parts.iter().map(|widths| widths[at]).max().unwrap_or(0))
        .collect()
}
