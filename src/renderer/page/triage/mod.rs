//! Triage: one screen with the states, the groups and what could not be seen.

mod groups;
mod limits;

use std::io::{self, Write};
use std::time::Duration;

use crate::classifier::Report;
use crate::classifier::fin_wait2::FinWait2;
use crate::classifier::finding::Finding;
use crate::classifier::service::ServedAt;
use crate::classifier::silent::silent;
use crate::model::{Namespace, Protocol, State, StateSet};
use crate::renderer::style::{Look, MARK, NO_MARK, Role};
use crate::renderer::view::View;
use crate::renderer::{findings, frame, units};

/// Writes the screen.
pub fn screen(
    report: &Report<'_>,
    found: &[Finding],
    view: &View,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    frame::header(report, view, elapsed, out)?;
    if report.states.asked != StateSet::NONE {
        states(report, view, out)?;
    } else {
        writeln!(out)?;
    }
    udp(report, out)?;
    groups::table(report, view, out)?;
    by_itself(report, view.look, out)?;
    limits::lines(report, view, out)?;
    never_answered(report, found, view.look, out)?;
    let limit = view.limit.map_or(usize::MAX, |limit| limit.min(FINDINGS));
    findings::section(report, found, limit, view.look, out)?;
    frame::gaps(report, view.look, out)
}

/// Which FIN_WAIT2 sockets end by themselves, and when.
fn by_itself(report: &Report<'_>, look: Look, out: &mut impl Write) -> io::Result<()> {
    let FinWait2 {
        orphaned,
        last_ends_ms,
        orphaned_to,
        held,
    } = FinWait2::of(report);
    if orphaned + held == 0 {
        return Ok(());
    }
    let mut parts = Vec::new();
    if orphaned > 0 {
        let timeout = |namespace: &Namespace| namespace.settings.fin_timeout_s;
        let namespaces = &report.snapshot.namespaces;
        let first = namespaces.first().and_then(timeout);
        let shared = first.filter(|_| namespaces.iter().all(|other| timeout(other) == first));
        let bound = match shared {
            Some(seconds) => format!("tcp_fin_timeout {seconds}s"),
            None => "tcp_fin_timeout".to_owned(),
        };
        let ends = last_ends_ms.map_or(String::new(), |ends| {
            format!(", the last in {}", units::duration(ends.into()))
        });
        let end = if orphaned == 1 {
            "ends by itself"
        } else {
            "end by themselves"
        };
        let whose = match orphaned_to.map(|service| service.at) {
            Some(ServedAt::Remote(remote)) if remote.port > 0 => {
                format!(": {remote} has not closed")
            }
            _ => String::new(),
        };
        let orphaned = units::count(orphaned);
        parts.push(format!("{orphaned} {end}{ends} ({bound}){whose}"));
    }
    if held > 0 {
        let are = if held == 1 { "is" } else { "are" };
        parts.push(format!(
            "{} {are} held by a process, without a time limit",
            units::count(held)
        ));
    }
    writeln!(out)?;
    let text = format!("FIN_WAIT2: {}", parts.join("; "));
    frame::write_wrapped(&text, look.width, NO_MARK.len(), out)
}

/// Services that do not answer programs, and that no finding covers.
fn never_answered(
    report: &Report<'_>,
    found: &[Finding],
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    for silent in silent(report, found).iter().take(SILENT) {
        writeln!(out)?;
        let text = findings::silent(report, silent);
        frame::write_wrapped(&text, look.width, NO_MARK.len(), out)?;
    }
    Ok(())
}

/// The most services without an answer on the screen.
const SILENT: usize = 3;
/// The most findings on the screen.
const FINDINGS: usize = 5;

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

/// The states that occur, with a bar each; CLOSE_WAIT always.
fn states(report: &Report<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    let look = view.look;
    const BAR: usize = 30;
    writeln!(out)?;
    let mut counts: Vec<(State, u64)> = State::ALL
        .into_iter()
        .filter_map(|state| Some((state, report.states.of(state)?)))
        .filter(|(state, count)| *count > 0 && *state != State::CloseWait)
        .collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let close_wait = report.states.of(State::CloseWait);
    match close_wait {
        Some(0) => {
            let which = if view.selection.is_some() {
                "selected "
            } else {
                ""
            };
            // A hidden owner hides no socket.
            let certain = !report.may_miss_sockets() && report.undecided == 0;
            let words = if certain {
                look.paint(
                    Role::Good,
                    format_args!("No {which}socket is in CLOSE_WAIT."),
                )
            } else {
                format!(
                    "No {which}socket in CLOSE_WAIT was seen; what could not be seen is listed \
                     below."
                )
            };
            writeln!(out, "{words}")?;
        }
        Some(count) => counts.insert(0, (State::CloseWait, count)),
        None => {}
    }
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let digits = counts
        .iter()
        .map(|(_, count)| units::count(*count).len())
        .max()
        .unwrap_or(0);
    for (state, count) in counts {
        let highlighted = state == State::CloseWait;
        let line = format!(
            "{state:<14} {:>digits$}  {}",
            units::count(count),
            bar(count, most, BAR)
        );
        write_marked(&line, highlighted, look, out)?;
    }
    Ok(())
}

fn write_marked(line: &str, highlighted: bool, look: Look, out: &mut impl Write) -> io::Result<()> {
    if highlighted {
        writeln!(
            out,
            "{}",
            look.paint(Role::CloseWait, format_args!("{MARK}{line}"))
        )
    } else {
        writeln!(out, "{NO_MARK}{line}")
    }
}

/// A bar in eighths of blocks; at least one eighth.
fn bar(count: u64, most: u64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let full = u128::from(count) * (width as u128) * 8 / u128::from(most.max(1));
    let eighths = usize::try_from(full).unwrap_or(0).clamp(1, width * 8);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}
