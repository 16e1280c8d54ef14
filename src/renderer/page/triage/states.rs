//! How many sockets are in each state, with bars.

use std::cmp::Reverse;
use std::io::{self, Write};

use crate::classifier::Report;
use crate::model::{Protocol, State, StateSet};
use crate::renderer::style::{Look, MARK, NO_MARK, Role};
use crate::renderer::units;
use crate::renderer::view::View;

/// The fewest columns of a state with its bar, the most that stand side by side, and the longest bar.
const CELL_LEAST: usize = 30;
const CELLS: usize = 4;
const BAR: usize = 30;
/// What separates two of them.
const BETWEEN: &str = "  ";

/// Writes the states that occur, CLOSE_WAIT first: side by side on a terminal, else a line each.
pub fn states(report: &Report<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    if report.states.asked != StateSet::NONE {
        tcp(report, view, out)?;
    }
    udp(report, out)
}

fn tcp(report: &Report<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    if report.states.of(State::CloseWait) == Some(0) {
        none(report, view, out)?;
    }
    let mut counts: Vec<(State, u64)> = State::ALL
        .into_iter()
        .filter_map(|state| Some((state, report.states.of(state)?)))
        .filter(|(_, count)| *count > 0)
        .collect();
    counts.sort_by_key(|(state, count)| (*state != State::CloseWait, Reverse(*count)));
    let (cells, width) = match view.look.width {
        Some(width) => {
            let cells = (width / CELL_LEAST).clamp(1, CELLS);
            let between = BETWEEN.len() * (cells - 1);
            (cells, width.saturating_sub(between) / cells)
        }
        None => (1, usize::MAX),
    };
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let digits = |(_, count): &(State, u64)| units::count(*count).len();
    let digits = counts.iter().map(digits).max().unwrap_or(0);
    let names = counts.iter().map(|(state, _)| state.name().len());
    let names = names.max().unwrap_or(0);
    let longest = width.saturating_sub(MARK.len() + names + digits + 2);
    for row in counts.chunks(cells) {
        let row = row.iter().map(|(state, count)| {
            let bar = bar(*count, most, longest.clamp(1, BAR));
            let count = units::count(*count);
            (*state, format!("{state:<names$} {count:>digits$} {bar}"))
        });
        write_row(row, width, view.look, out)?;
    }
    Ok(())
}

/// Writes states side by side, padded to `width` but for the last.
fn write_row(
    row: impl ExactSizeIterator<Item = (State, String)>,
    width: usize,
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    let last = row.len().saturating_sub(1);
    for (at, (state, text)) in row.enumerate() {
        let marked = match state {
            State::CloseWait => look.paint(Role::CloseWait, format_args!("{MARK}{text}")),
            _ => format!("{NO_MARK}{text}"),
        };
        write!(out, "{marked}")?;
        if at < last {
            let used = MARK.len() + text.chars().count();
            let blanks = width.saturating_sub(used);
            write!(out, "{:blanks$}{BETWEEN}", "")?;
        }
    }
    writeln!(out)
}

/// That there is no CLOSE_WAIT socket, as far as all were seen.
fn none(report: &Report<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    let which = match view.selection {
        Some(_) => "selected ",
        None => "",
    };
    // A hidden owner hides no socket.
    if report.may_miss_sockets() || report.undecided > 0 {
        return writeln!(
            out,
            "No {which}socket in CLOSE_WAIT was seen; what could not be seen is listed below."
        );
    }
    let words = format!("No {which}socket is in CLOSE_WAIT.");
    writeln!(out, "{}", view.look.paint(Role::Good, words))
}

/// The states of UDP, on a line of their own.
fn udp(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    let Some(counts) = &report.udp else {
        return Ok(());
    };
    let counts_shown = [State::Established, State::Close].map(|state| {
        let name = Protocol::Udp.state_name(state);
        let count = counts.of(state);
        let count = count.map_or_else(|| "not requested".to_owned(), units::count);
        format!("{name} {count}")
    });
    writeln!(out, "{NO_MARK}UDP: {}", counts_shown.join(" · "))
}

/// A bar in eighths of blocks; at least one eighth.
fn bar(count: u64, most: u64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let full = u128::from(count) * (width as u128) * 8 / u128::from(most.max(1));
    let eighths = usize::try_from(full).unwrap_or(0).clamp(1, width * 8);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}
