//! Counts by chosen dimensions, as a table.

use std::io::{self, Write};
use std::time::Duration;

use crate::classifier::Report;
use crate::classifier::change::Change;
use crate::classifier::tally::Dimension;
use crate::model::State;
use crate::renderer::counts::{self, By, Counts};
use crate::renderer::since::Since;
use crate::renderer::table::Grid;
use crate::renderer::view::View;
use crate::renderer::{frame, growth, units};

/// The screen: what was read, the counts, and what could not be seen.
pub fn screen(
    report: &Report<'_>,
    since: Option<Since<'_>>,
    view: &View,
    by: &By,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    frame::header(report, view, elapsed, out)?;
    growth::header(since, view.look, out)?;
    let counts = Counts::new(report, since, by, view.limit);
    writeln!(out)?;
    table(&counts, view, by.heading, out)?;
    frame::gaps(report, view.look, out)
}

const NUMBERS: [&str; 3] = ["Sockets", counts::SHARE, "CLOSE_WAIT"];
/// After two readings.
const GROWTH: [&str; 3] = ["New", "Gone", "Per min"];

fn table(counts: &Counts<'_>, view: &View, heading: bool, out: &mut impl Write) -> io::Result<()> {
    // If each line is of one state, the colour shows CLOSE_WAIT.
    let by_state = counts.dimensions.contains(&Dimension::State);
    let mut headings = NUMBERS[..if by_state { 2 } else { 3 }].to_vec();
    let counted = headings.len();
    if counts.growth.is_some() {
        headings.extend(GROWTH);
    }
    if counts.latest_total().is_some() {
        headings.push(growth::LATEST);
    }
    let with_numbers = |mut cells: Vec<String>, sockets, close_wait, change: Changes| {
        let share = percent(counts.share(sockets));
        let all = [units::count(sockets), share, units::count(close_wait)];
        cells.extend(all.into_iter().take(counted));
        cells.extend(changes(counts, change.all).into_iter().flatten());
        cells.extend(change.latest.as_ref().map(growth::latest));
        cells
    };
    let rows = counts.lines.iter().map(|line| {
        let cells = line.values.iter().map(|value| counts.cell(value)).collect();
        let change = Changes {
            all: counts.change(line),
            latest: counts.latest(&counts.texts(line)),
        };
        let cells = with_numbers(cells, line.sockets, line.close_wait, change);
        (cells, line.close_wait > 0)
    });
    let gone = counts.growth.iter().flat_map(|growth| &growth.gone);
    let gone = gone.map(|line| {
        let cells = line.values.iter().map(counts::cell).collect();
        let change = Changes {
            all: Some(line.change),
            latest: counts.latest(&line.values),
        };
        (with_numbers(cells, 0, 0, change), false)
    });
    let close_wait = counts.report.states.of(State::CloseWait).unwrap_or(0);
    let total = counts::total(counts.dimensions);
    let change = Changes {
        all: counts.growth.as_ref().map(|growth| growth.total),
        latest: counts.latest_total(),
    };
    let grid = Grid {
        columns: counts::columns(counts.dimensions, &headings),
        rows: rows.chain(gone).collect(),
        note: left_out(counts),
        total: Some(with_numbers(total, counts.total, close_wait, change)),
    };
    grid.write(view.look, heading, out)
}

/// How a line changed since the first reading, and since the one before.
struct Changes {
    all: Option<Change>,
    latest: Option<Change>,
}

/// The cells of a change, after two readings.
fn changes(counts: &Counts<'_>, change: Option<Change>) -> Option<[String; 3]> {
    let (growth, change) = counts.growth.as_ref().zip(change)?;
    let rate = growth::rate_of(&change, growth.between_ms);
    Some([units::count(change.new), units::count(change.gone), rate])
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
