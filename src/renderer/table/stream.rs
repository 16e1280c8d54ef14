//! A table of any number of rows.

use std::io::{self, Write};
use std::ops::Range;
use std::thread;

use super::fit::Shown;
use super::layout::Layout;
use super::{Align, BATCH, Column, Rows, workers};
use crate::renderer::columns::width;
use crate::renderer::frame;
use crate::renderer::style::{Look, MARK, NO_MARK, Role};

/// Writes a table of any number of rows: batches of rows are formatted in parallel and written in
/// order. A note below says what a narrow terminal does not show.
pub(in crate::renderer) fn stream<R: Rows>(
    rows: &R,
    columns: &[Column],
    look: Look,
    heading: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let layout = Layout::new(rows, columns, look);
    if heading {
        let mut line = Line::new(&layout);
        line.fill_with_headings();
        writeln!(out, "{}", look.paint(Role::Heading, &line.text))?;
    }
    let workers = workers(rows.len());
    let mut texts: Vec<String> = vec![String::new(); workers];
    for start in (0..rows.len()).step_by(BATCH * workers) {
        let format = |worker: usize, text: &mut String| {
            let first = (start + worker * BATCH).min(rows.len());
            format(rows, &layout, first..(first + BATCH).min(rows.len()), text);
        };
        let format = &format;
        texts.iter_mut().for_each(String::clear);
        if let Some((last, others)) = texts.split_last_mut() {
            thread::scope(|scope| {
                for (worker, text) in others.iter_mut().enumerate() {
                    let thread = thread::Builder::new();
                    let _ = thread.spawn_scoped(scope, move || format(worker, text));
                }
                // This thread formats the last batch.
                format(workers - 1, last);
            });
        }
        // Batches for which no thread could be started are formatted here.
        for (worker, text) in texts.iter_mut().enumerate() {
            if text.is_empty() {
                format(worker, text);
            }
        }
        for text in &texts {
            out.write_all(text.as_bytes())?;
        }
    }
    if let Some(note) = layout.note() {
        for line in frame::wrapped(&note, look.width, NO_MARK.len()) {
            writeln!(out, "{NO_MARK}{}", look.paint(Role::Quiet, line))?;
        }
    }
    Ok(())
}

/// Formats some rows into `text`.
fn format<R: Rows>(rows: &R, layout: &Layout<'_>, batch: Range<usize>, text: &mut String) {
    let (on, off) = layout.look.around(Role::CloseWait);
    let mut line = Line::new(layout);
    text.clear();
    for at in batch {
        let row = rows.row(at);
        let is_marked = rows.is_marked(&row);
        line.fill(is_marked, |column, cell| rows.push(&row, column, cell));
        if is_marked {
            text.push_str(&on);
        }
        text.push_str(&line.text);
        if is_marked {
            text.push_str(&off);
        }
        text.push('\n');
    }
}

/// A line that is built in the same memory for each row.
struct Line<'a> {
    layout: &'a Layout<'a>,
    cell: String,
    scratch: String,
    text: String,
}

impl<'a> Line<'a> {
    fn new(layout: &'a Layout<'a>) -> Line<'a> {
        Line {
            layout,
            cell: String::new(),
            scratch: String::new(),
            text: String::new(),
        }
    }

    /// Makes it the line of headings.
    fn fill_with_headings(&mut self) {
        let layout = self.layout;
        self.put(false, |shown, cell, _| *cell = layout.heading(shown));
    }

    /// Makes it the line of a row.
    fn fill(&mut self, is_marked: bool, push: impl Fn(usize, &mut String)) {
        let layout = self.layout;
        self.put(is_marked, |shown, cell, scratch| {
            push(shown.at, cell);
            layout.show(shown, cell, scratch);
        });
    }

    /// Puts cells side by side. `fill` gets an empty cell.
    fn put(&mut self, is_marked: bool, fill: impl Fn(&Shown, &mut String, &mut String)) {
        self.text.clear();
        if self.layout.look.marks {
            self.text.push_str(if is_marked { MARK } else { NO_MARK });
        }
        for (position, shown) in self.layout.shown.iter().enumerate() {
            self.cell.clear();
            fill(shown, &mut self.cell, &mut self.scratch);
            let width = width(&self.cell, self.layout.look.charset);
            let blanks = shown.width.saturating_sub(width);
            let pad = |text: &mut String| text.extend(std::iter::repeat_n(' ', blanks));
            if position > 0 {
                self.text.push(' ');
            }
            if self.layout.columns[shown.at].align == Align::Right {
                pad(&mut self.text);
                self.text.push_str(&self.cell);
            } else {
                self.text.push_str(&self.cell);
                pad(&mut self.text);
            }
        }
        let length = self.text.trim_end().len();
        self.text.truncate(length);
    }
}
