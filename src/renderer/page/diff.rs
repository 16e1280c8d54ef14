//! Two readings compared, as a table.

use std::io::{self, Write};

use crate::classifier::diff::{Change, Diff, Identity, Line};
use crate::renderer::counts::{self, By};
use crate::renderer::style::Role;
use crate::renderer::table::Grid;
use crate::renderer::view::{Comparison, View};
use crate::renderer::{frame, growth, units};

const NUMBERS: [&str; 6] = ["Before", "After", counts::STILL, "New", "Gone", "Per min"];

/// The screen: what was read, the comparison, and what could not be seen.
pub fn screen(compared: Comparison<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    let Comparison {
        diff,
        before,
        after,
        by,
    } = compared;
    let look = view.look;
    let host = &after.snapshot.host.name;
    let title = look.paint(Role::Heading, format_args!("closewait diff of {host}"));
    let between = diff.between_ms.map_or_else(
        || "no time between them".to_owned(),
        |between| format!("{} later", units::duration(between)),
    );
    let times = format!(
        "{} UTC and {between}",
        units::clock(before.snapshot.taken_at_ns)
    );
    writeln!(out, "{title}  {}", look.paint(Role::Quiet, times))?;
    if let Some(selection) = &view.selection {
        writeln!(out, "selected: {selection}")?;
    }
    let complete = before.is_complete() && after.is_complete();
    frame::write_wrapped(&verdict(diff, complete), look.width, 0, out)?;
    if let Some(text) = growth::one_sided(diff.one_sided) {
        frame::write_wrapped(&text, look.width, 0, out)?;
    }
    if diff.identity == Identity::Ends {
        let text = "matched by address and port: one of the readings has no socket cookies";
        frame::write_wrapped(text, look.width, 0, out)?;
    }
    writeln!(out)?;
    table(diff, view, by, out)?;
    for (when, report) in [("Before", before), ("After", after)] {
        if !report.gaps.is_empty() {
            writeln!(out)?;
            write!(out, "{when}:")?;
            frame::gaps(report, look, out)?;
        }
    }
    Ok(())
}

/// The comparison in a sentence: whether the sockets are still the same.
fn verdict(diff: &Diff, complete: bool) -> String {
    let Change { still, new, gone } = diff.total;
    let (before, after) = (diff.total.before(), diff.total.after());
    let rate = match diff.per_minute(&diff.total) {
        Some(rate) if new + gone > 0 => format!(" ({} a minute)", growth::rate(rate)),
        _ => String::new(),
    };
    let counts = format!(
        "{} before, {} after{rate}: ",
        units::count(before),
        units::count(after)
    );
    let said = match (still, new, gone) {
        (0, 0, 0) => "no sockets".to_owned(),
        (_, 0, 0) => "the same sockets".to_owned(),
        (0, 0, _) => "all are gone".to_owned(),
        (0, _, 0) => "all are new".to_owned(),
        (0, _, _) => "all different: none of the earlier ones is left".to_owned(),
        _ => format!(
            "{} still there, {} new, {} gone",
            units::count(still),
            units::count(new),
            units::count(gone)
        ),
    };
    let seen = if complete {
        ""
    } else {
        "as far as could be seen: "
    };
    format!("{seen}{counts}{said}")
}

fn table(diff: &Diff, view: &View, by: &By, out: &mut impl Write) -> io::Result<()> {
    let numbers = |change: &Change| {
        let rate = diff.per_minute(change).map_or("-".to_owned(), growth::rate);
        let figures = counts::figures(change).map(units::count);
        figures.into_iter().chain([rate])
    };
    let row = |line: &Line| -> (Vec<String>, bool) {
        let words = line.values.iter().map(counts::cell);
        let waits = diff.of_close_wait && line.change.after() > 0;
        (words.chain(numbers(&line.change)).collect(), waits)
    };
    let total = counts::total(&by.dimensions).into_iter();
    let (shown, left_out) = counts::shown(diff, view.limit);
    let grid = Grid {
        columns: counts::columns(&by.dimensions, &NUMBERS),
        rows: shown.iter().map(row).collect(),
        note: units::more(left_out.len(), "line"),
        total: Some(total.chain(numbers(&diff.total)).collect()),
    };
    grid.write(view.look, by.heading, out)
}
