//! How wide each column is, and which columns give way on a narrow terminal.

use std::thread;

use super::{Column, Fit, Rows, workers};
use crate::renderer::columns::width;
use crate::renderer::style::{Look, MARK};

/// The narrowest that a column is cut to.
const CUT_LEAST: usize = 4;

/// The columns that are shown, with their widths.
pub(super) struct Layout<'a> {
    pub(super) columns: &'a [Column],
    /// The position of each in `columns`, and its width.
    pub(super) shown: Vec<(usize, usize)>,
    pub(super) look: Look,
}

impl<'a> Layout<'a> {
    /// Measures the rows and fits the columns to the terminal. If lines have no limit, the last
    /// column is not measured.
    pub(super) fn new<R: Rows>(rows: &R, columns: &'a [Column], look: Look) -> Layout<'a> {
        let last_too = usize::from(look.width.is_some());
        let measured = (columns.len() + last_too).saturating_sub(1);
        let widths = measure(rows, columns, measured);
        let mut shown: Vec<(usize, usize)> = widths.into_iter().enumerate().collect();
        if let Some(width) = look.width {
            fit(columns, &mut shown, width.saturating_sub(MARK.len()));
        }
        Layout {
            columns,
            shown,
            look,
        }
    }

    /// Shortens a cell to the width of its column.
    pub(super) fn cut(&self, at: usize, width: usize, cell: &mut String) {
        if let Fit::Cut(cut) = self.columns[at].fit
            && self.look.width.is_some()
        {
            *cell = cut(cell, width);
        }
    }
}

/// Fits lines to a width: drops columns, then takes from the widest of those that may be cut.
fn fit(columns: &[Column], shown: &mut Vec<(usize, usize)>, most: usize) {
    let over = |shown: &[(usize, usize)]| {
        let cells: usize = shown.iter().map(|(_, width)| width).sum();
        (cells + shown.len().saturating_sub(1)).saturating_sub(most)
    };
    while over(shown) > 0 {
        let order = |(position, (at, _)): (usize, &(usize, usize))| match columns[*at].fit {
            Fit::Drop(order) => Some((order, position)),
            Fit::Whole | Fit::Cut(_) => None,
        };
        let Some((_, position)) = shown.iter().enumerate().filter_map(order).min() else {
            break;
        };
        shown.remove(position);
    }
    while over(shown) > 0 {
        let mut cuttable: Vec<&mut (usize, usize)> = shown
            .iter_mut()
            .filter(|(at, width)| matches!(columns[*at].fit, Fit::Cut(_)) && *width > CUT_LEAST)
            .collect();
        let Some((_, widest)) = cuttable.iter_mut().max_by_key(|(_, width)| *width) else {
            break;
        };
        *widest -= 1;
    }
}

/// The width of the widest cell of each column, the heading included.
fn measure<R: Rows>(rows: &R, columns: &[Column], measured: usize) -> Vec<usize> {
    let share = rows.len().div_ceil(workers(rows.len())).max(1);
    let part = |first: usize| {
        let headings = columns.iter().map(|column| width(&column.heading));
        let mut widths: Vec<usize> = headings.collect();
        let mut cell = String::new();
        for at in first..(first + share).min(rows.len()) {
            let row = rows.row(at);
            for (column, width) in widths.iter_mut().enumerate().take(measured) {
                *width = (*width).max(rows.width(&row, column, &mut cell));
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
