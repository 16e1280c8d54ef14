//! A table of tens of rows, in memory.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::fit::Shown;
use super::layout::Layout;
use super::{Align, Column, Rows};
use crate::renderer::style::{Look, MARK, NO_MARK, Role};

/// A table of tens of rows.
pub(in crate::renderer) struct Grid {
    pub(in crate::renderer) columns: Vec<Column>,
    /// The cells of each row, and whether it is highlighted.
    pub(in crate::renderer) rows: Vec<(Vec<String>, bool)>,
    /// A line below the rows.
    pub(in crate::renderer) note: Option<String>,
    /// The row below that.
    pub(in crate::renderer) total: Option<Vec<String>>,
}

impl Rows for Grid {
    type Row<'a> = (&'a [String], bool);

    fn len(&self) -> usize {
        self.rows.len() + usize::from(self.total.is_some())
    }

    fn row(&self, at: usize) -> (&[String], bool) {
        match (self.rows.get(at), &self.total) {
            (Some((cells, is_marked)), _) => (cells, *is_marked),
            (None, total) => (total.as_deref().unwrap_or_default(), false),
        }
    }

    fn is_marked(&self, row: &(&[String], bool)) -> bool {
        row.1
    }

    fn push(&self, row: &(&[String], bool), column: usize, cell: &mut String) {
        cell.push_str(row.0.get(column).map_or("", String::as_str));
    }
}

impl Grid {
    /// Writes the table; rows have marks in a pipe, too.
    pub(in crate::renderer) fn write(
        &self,
        look: Look,
        heading: bool,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let layout = Layout::new(self, &self.columns, look);
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled);
        let headings = |shown: &Shown| layout.heading(shown);
        table.set_header(marked(&layout, NO_MARK, headings));
        for (cells, is_marked) in (0..self.len()).map(|at| self.row(at)) {
            let mark = if is_marked { MARK } else { NO_MARK };
            let cell = |shown: &Shown| {
                let mut cell = cells[shown.at].clone();
                layout.show(shown, &mut cell, &mut String::new());
                cell
            };
            table.add_row(marked(&layout, mark, cell));
        }
        let last = layout.shown.len().saturating_sub(1);
        for (position, shown) in layout.shown.iter().enumerate() {
            let Some(column) = table.column_mut(position) else {
                continue;
            };
            column.set_padding((0, u16::from(position < last)));
            if self.columns[shown.at].align == Align::Right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        // Each cell is one line, so the lines are the heading and the rows. They are painted whole.
        for (position, line) in table.lines().enumerate() {
            let line = line.trim_end();
            let Some(at) = position.checked_sub(1) else {
                if heading {
                    writeln!(out, "{}", look.paint(Role::Heading, line))?;
                }
                continue;
            };
            if at == self.rows.len() {
                self.write_note(look, out)?;
            }
            match self.row(at) {
                (_, true) => writeln!(out, "{}", look.paint(Role::CloseWait, line))?,
                (_, false) => writeln!(out, "{line}")?,
            }
        }
        match self.total {
            None => self.write_note(look, out),
            Some(_) => Ok(()),
        }
    }

    fn write_note(&self, look: Look, out: &mut impl Write) -> io::Result<()> {
        match &self.note {
            Some(note) => writeln!(out, "{NO_MARK}{}", look.paint(Role::Quiet, note)),
            None => Ok(()),
        }
    }
}

/// The cells of a line, the first one behind the mark.
fn marked(layout: &Layout<'_>, mark: &str, cell: impl Fn(&Shown) -> String) -> Vec<Cell> {
    let cells = layout.shown.iter().map(cell).enumerate();
    cells
        .map(|(position, text)| match position {
            0 => Cell::new(format!("{mark}{text}")),
            _ => Cell::new(text),
        })
        .collect()
}
