//! A table of counts: words to the left, numbers to the right, as wide as its widest cells.

use std::io::{self, Write};

use crate::renderer::columns;
use crate::renderer::style::{self, Look, MARK, NO_MARK, Role};

/// A table of counts.
pub(super) struct Grid {
    /// How many columns are words; the others are numbers.
    pub(super) words: usize,
    pub(super) headings: Vec<String>,
    /// The cells of each row, and whether it is of CLOSE_WAIT.
    pub(super) rows: Vec<(Vec<String>, bool)>,
    /// What is said below the rows.
    pub(super) note: Option<String>,
    /// The row below that.
    pub(super) total: Option<Vec<String>>,
}

impl Grid {
    pub(super) fn write(&self, look: Look, heading: bool, out: &mut impl Write) -> io::Result<()> {
        let widths = self.widths(look.width);
        if heading {
            let text = self.line(&self.headings, NO_MARK, &widths);
            writeln!(out, "{}", look.paint(Role::Heading, text))?;
        }
        for (cells, waits) in &self.rows {
            if *waits {
                let text = self.line(cells, MARK, &widths);
                writeln!(out, "{}", look.paint(Role::CloseWait, text))?;
            } else {
                writeln!(out, "{}", self.line(cells, NO_MARK, &widths))?;
            }
        }
        if let Some(note) = &self.note {
            writeln!(out, "{NO_MARK}{}", look.paint(Role::Quiet, note))?;
        }
        if let Some(cells) = &self.total {
            writeln!(out, "{}", self.line(cells, NO_MARK, &widths))?;
        }
        Ok(())
    }

    fn widths(&self, most: Option<usize>) -> Vec<usize> {
        let of_row = |cells: &[String]| -> Vec<usize> {
            cells.iter().map(|cell| columns::width(cell)).collect()
        };
        let mut widths = of_row(&self.headings);
        let rows = self.rows.iter().map(|(cells, _)| cells);
        for cells in rows.chain(&self.total) {
            for (width, cell) in widths.iter_mut().zip(of_row(cells)) {
                *width = (*width).max(cell);
            }
        }
        if let Some(most) = most {
            fit(&mut widths, self.words, most.saturating_sub(MARK.len()));
        }
        widths
    }

    fn line(&self, cells: &[String], mark: &str, widths: &[usize]) -> String {
        let mut text = mark.to_owned();
        for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let cell = style::cut(cell, *width);
            let blanks = " ".repeat(width.saturating_sub(columns::width(&cell)));
            if at > 0 {
                text.push(' ');
            }
            if at < self.words {
                text.push_str(&cell);
                text.push_str(&blanks);
            } else {
                text.push_str(&blanks);
                text.push_str(&cell);
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

/// Takes from the widest of the words until a line fits.
fn fit(widths: &mut [usize], words: usize, most: usize) {
    const LEAST: usize = 4;
    loop {
        let line: usize = widths.iter().sum::<usize>() + widths.len().saturating_sub(1);
        let over = line.saturating_sub(most);
        let widest = widths.iter_mut().take(words).max_by_key(|width| **width);
        match widest {
            Some(width) if over > 0 && *width > LEAST => *width -= 1,
            _ => return,
        }
    }
}
