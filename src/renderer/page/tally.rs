//! Counts by chosen dimensions, as a table.

use std::io::{self, Write};
use std::time::Duration;

use crate::classifier::Report;
use crate::classifier::tally::Dimension;
use crate::model::State;
use crate::renderer::counts::{self, By, Counts};
use crate::renderer::table::Grid;
use crate::renderer::view::View;
use crate::renderer::{frame, units};

/// The screen: what was read, the counts, and what could not be seen.
pub fn screen(
    report: &Report<'_>,
    view: &View,
    by: &By,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    frame::header(report, view, elapsed, out)?;
    let counts = Counts::new(report, by, view.limit);
    writeln!(out)?;
    table(&counts, view, by.heading, out)?;
    frame::gaps(report, view.look, out)
}

const NUMBERS: [&str; 3] = ["Sockets", counts::SHARE, "CLOSE_WAIT"];

fn table(counts: &Counts<'_>, view: &View, heading: bool, out: &mut impl Write) -> io::Result<()> {
    // If each line is of one state, the colour shows CLOSE_WAIT.
    let numbers = match counts.dimensions.contains(&Dimension::State) {
        true => &NUMBERS[..2],
        false => &NUMBERS,
    };
    let with_numbers = |mut cells: Vec<String>, sockets: u64, close_wait: u64| {
        let share = percent(counts.share(sockets));
        let all = [units::count(sockets), share, units::count(close_wait)];
        cells.extend(all.into_iter().take(numbers.len()));
        cells
    };
    let rows = counts.lines.iter().map(|line| {
        let cells = line.values.iter().map(|value| counts.cell(value)).collect();
        let cells = with_numbers(cells, line.sockets, line.close_wait);
        (cells, line.close_wait > 0)
    });
    let close_wait = counts.report.states.of(State::CloseWait);
    let total = counts::total(counts.dimensions);
    let grid = Grid {
        columns: counts::columns(counts.dimensions, numbers),
        rows: rows.collect(),
        note: left_out(counts),
        total: Some(with_numbers(total, counts.total, close_wait.unwrap_or(0))),
    };
    grid.write(view.look, heading, out)
}

/// What a limit leaves out.
fn left_out(counts: &Counts<'_>) -> Option<String> {
    let (lines, sockets) = counts.left_out;
    (lines > 0).then(|| {
        format!(
            "… {} more with {} sockets ({}); --limit 0 shows all",
            units::count(lines as u64),
            units::count(sockets),
            percent(counts.share(sockets)).trim_start()
        )
    })
}

/// `41.9 %`.
fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
