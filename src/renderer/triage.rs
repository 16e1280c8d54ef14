//! Triage: one screen with the states, the groups and what could not be seen.

use std::cmp::Ordering;
use std::io::{self, Write};
use std::time::Duration;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use unicode_width::UnicodeWidthStr;

use super::style::{self, Look, MARK, NO_MARK, Role};
use super::{Sort, SortKey, View, columns, escape, findings, json, units};
use crate::classifier::finding::{FinWait2, Finding};
use crate::classifier::group::{Group, GroupOwner, Service, first_name};
use crate::classifier::{Report, hiding};
use crate::model::{Source, State};

/// Writes the screen.
pub fn screen(
    report: &Report<'_>,
    found: &[Finding],
    view: &View,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    header(report, view, elapsed, out)?;
    states(report, view, out)?;
    groups(report, view, out)?;
    by_itself(report, view.look, out)?;
    let limit = view.limit.map_or(usize::MAX, |limit| limit.min(FINDINGS));
    findings::section(report, found, limit, view.look, out)?;
    gaps(report, view.look, out)
}

/// What will end by itself, and when.
fn by_itself(report: &Report<'_>, look: Look, out: &mut impl Write) -> io::Result<()> {
    let FinWait2 {
        orphaned,
        last_ends_ms,
        held,
    } = FinWait2::of(report);
    if orphaned + held == 0 {
        return Ok(());
    }
    let mut parts = Vec::new();
    if orphaned > 0 {
        let bound = match report.snapshot.host.fin_timeout_s {
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
        parts.push(format!("{} {end}{ends} ({bound})", units::count(orphaned)));
    }
    if held > 0 {
        let are = if held == 1 { "is" } else { "are" };
        parts.push(format!(
            "{} {are} held by a process: nothing bounds that",
            units::count(held)
        ));
    }
    writeln!(out)?;
    let text = format!("FIN_WAIT2: {}", parts.join("; "));
    write_wrapped(&text, look.width, NO_MARK.len(), out)
}

/// The most findings on the screen.
const FINDINGS: usize = 5;

fn header(
    report: &Report<'_>,
    view: &View,
    elapsed: Duration,
    out: &mut impl Write,
) -> io::Result<()> {
    let snapshot = report.snapshot;
    let look = view.look;
    let time = json::taken_at(snapshot.taken_at_ns).unwrap_or_default();
    let time = time.get(..19).unwrap_or_default().replace('T', " ");
    let host = escape::text(snapshot.host.name.as_bytes());
    let netns = snapshot.netns.as_deref().unwrap_or("unknown namespace");
    let title = look.paint(Role::Heading, format_args!("closewait on {host}"));
    writeln!(
        out,
        "{title}  {}",
        look.paint(
            Role::Quiet,
            format_args!("{}, {time} UTC", escape::text(netns.as_bytes()))
        )
    )?;
    let sockets = units::count(report.states.total());
    let scan = snapshot.scan;
    let processes = match (&snapshot.holders, scan.processes_seen) {
        (None, _) => "owners not read".to_owned(),
        (Some(_), 0) => "no owners to read".to_owned(),
        (Some(_), seen) => format!(
            "{} of {} processes read",
            units::count(scan.processes_read.into()),
            units::count(seen.into())
        ),
    };
    let source = match snapshot.source {
        Source::Netlink => "sock_diag",
        Source::Procfs => "/proc/net/tcp: no ages",
    };
    let plural = if report.states.total() == 1 { "" } else { "s" };
    writeln!(
        out,
        "{sockets} TCP socket{plural} · {processes} · {source} · {}",
        units::duration(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
    )?;
    if let Some(selection) = &view.selection {
        writeln!(out, "selected: {}", escape::text(selection.as_bytes()))?;
    }
    Ok(())
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
            let words = if report.is_complete() {
                look.paint(
                    Role::Good,
                    format_args!("No {which}socket is in CLOSE_WAIT."),
                )
            } else {
                format!(
                    "No {which}socket in CLOSE_WAIT was seen; what could not be seen stands below."
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

/// A bar of eighths of blocks; at least one eighth for what is not nothing.
fn bar(count: u64, most: u64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let full = u128::from(count) * (width as u128) * 8 / u128::from(most.max(1));
    let eighths = usize::try_from(full).unwrap_or(0).clamp(1, width * 8);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// The groups in the order that a view asks for.
pub fn ordered(report: &Report<'_>, sort: Option<Sort>) -> Vec<Group> {
    let mut groups = report.groups();
    if let Some(sort) = sort {
        groups.sort_by(|a, b| {
            let order = compare(sort.key, a, b, report);
            if sort.descending {
                order.reverse()
            } else {
                order
            }
        });
    }
    groups
}

fn compare(key: SortKey, a: &Group, b: &Group, report: &Report<'_>) -> Ordering {
    let service = |group: &Group| match group.service {
        Service::Local(port) => port,
        Service::Remote(remote) => remote.port,
    };
    let name = |group: &Group| first_name(&group.owner, |pid| report.holders().name(pid)).cloned();
    match key {
        SortKey::Sockets => a.sockets.cmp(&b.sockets),
        SortKey::State => a.state.name().cmp(b.state.name()),
        SortKey::Port | SortKey::Local => service(a).cmp(&service(b)),
        SortKey::Remote => a.service.cmp(&b.service),
        SortKey::RecvQ => a.recv_q.max.cmp(&b.recv_q.max),
        SortKey::SendQ => a.send_q_max.cmp(&b.send_q_max),
        SortKey::Age => {
            let oldest = |group: &Group| group.idle.map(|idle| idle.max_ms);
            oldest(a).cmp(&oldest(b))
        }
        SortKey::Owner => name(a).cmp(&name(b)),
        SortKey::Pid => a.owner.pids.cmp(&b.owner.pids),
        SortKey::Cause => {
            let first = |group: &Group| group.causes.first().map(|(cause, _)| cause.name());
            first(a).cmp(&first(b))
        }
        SortKey::Uid | SortKey::Inode => Ordering::Equal,
    }
}

/// The headings; on a narrow terminal the side is told by the service alone (`:80`, `to …`).
const HEADINGS: [&str; 7] = [
    "State",
    "Side",
    "Service",
    "Owner",
    "Sockets",
    "Recv-Q 0/1/+",
    "Age p50/max",
];
const SIDE: usize = 1;
const SERVICE: usize = 2;
const OWNER: usize = 3;
/// From this column on they are numbers.
const FIRST_NUMBER: usize = 4;
/// Below this width the side has no column of its own.
const WIDE: usize = 100;
/// What is left of a process's name at the least.
const NAME_LEAST: usize = 4;

fn groups(report: &Report<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    let mut groups = ordered(report, view.sort);
    let more = groups
        .len()
        .saturating_sub(view.limit.unwrap_or(usize::MAX));
    groups.truncate(groups.len() - more);
    if groups.is_empty() {
        return Ok(());
    }
    let look = view.look;
    let narrow = look.width.is_some_and(|width| width < WIDE);
    let shown: Vec<usize> = (0..HEADINGS.len())
        .filter(|column| !(narrow && *column == SIDE))
        .collect();
    let mut rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            let cells = cells(report, group);
            shown.iter().map(|column| cells[*column].clone()).collect()
        })
        .collect();
    let headings: Vec<String> = shown
        .iter()
        .map(|column| HEADINGS[*column].to_owned())
        .collect();
    if let Some(width) = look.width {
        let at = |column| shown.iter().position(|shown| *shown == column);
        if let (Some(service), Some(owner)) = (at(SERVICE), at(OWNER)) {
            fit(&headings, &mut rows, service, owner, width);
        }
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(marked(headings, false));
    let highlighted: Vec<bool> = groups
        .iter()
        .map(|group| group.state == State::CloseWait)
        .collect();
    for (cells, highlighted) in rows.into_iter().zip(&highlighted) {
        table.add_row(marked(cells, *highlighted));
    }
    for (column, shown_as) in table.column_iter_mut().zip(&shown) {
        column.set_padding((0, u16::from(shown_as + 1 < HEADINGS.len())));
        if *shown_as >= FIRST_NUMBER {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    writeln!(out)?;
    // Each cell is one line, so the lines are the heading and the rows. They are painted whole,
    // by our own policy of colours.
    let roles = std::iter::once(Some(Role::Heading)).chain(
        highlighted
            .into_iter()
            .map(|highlighted| highlighted.then_some(Role::CloseWait)),
    );
    for (line, role) in table.lines().zip(roles) {
        let line = line.trim_end();
        match role {
            Some(role) => writeln!(out, "{}", look.paint(role, line))?,
            None => writeln!(out, "{line}")?,
        }
    }
    if more > 0 {
        let plural = if more == 1 { "" } else { "s" };
        let text = format!(
            "… {} more group{plural}: --limit 0",
            units::count(more as u64)
        );
        writeln!(out, "{NO_MARK}{}", look.paint(Role::Quiet, text))?;
    }
    Ok(())
}

/// The cells with the first one marked, or moved by a mark's width.
fn marked(cells: Vec<String>, highlighted: bool) -> Vec<Cell> {
    let mark = if highlighted { MARK } else { NO_MARK };
    cells
        .into_iter()
        .enumerate()
        .map(|(at, text)| {
            Cell::new(if at == 0 {
                format!("{mark}{text}")
            } else {
                text
            })
        })
        .collect()
}

fn cells(report: &Report<'_>, group: &Group) -> [String; 7] {
    let queue = group.recv_q;
    let queue = match group.state {
        // A listener's Recv-Q counts connections, and its total is in `list`.
        State::Listen => "-".to_owned(),
        _ => format!("{}/{}/{}", queue.zero, queue.one, queue.more),
    };
    let age = match group.idle {
        Some(idle) => format!(
            "{}{} / {}",
            if group.state == State::CloseWait {
                "≥"
            } else {
                ""
            },
            units::duration(idle.p50_ms),
            units::duration(idle.max_ms)
        ),
        None => "-".to_owned(),
    };
    [
        group.state.to_string(),
        group.service.side().name().to_owned(),
        match group.service {
            Service::Local(port) => format!(":{port}"),
            Service::Remote(remote) => format!("to {remote}"),
        },
        owner_of(report, &group.owner),
        units::count(group.sockets),
        queue,
        age,
    ]
}

/// `java[1234]`, `nginx[10] +3`, `python3[7] (queued)`, `-`, `?`.
pub fn owner_of(report: &Report<'_>, owner: &GroupOwner) -> String {
    let mut text = String::new();
    if let Some(first) = owner.pids.first() {
        match report.holders().name(*first) {
            Some(name) => escape::push(name.bytes(), &mut text),
            None => text.push('?'),
        }
        text.push_str(&format!("[{first}]"));
        if owner.pids.len() > 1 {
            text.push_str(&format!(" +{}", owner.pids.len() - 1));
        }
    }
    match owner.kind {
        Some("listener") if text.is_empty() => "? (not accepted)".to_owned(),
        Some("listener") => text + " (not accepted)",
        Some("hidden") => columns::hidden(hiding(report.snapshot)).to_owned(),
        _ if text.is_empty() => "-".to_owned(),
        _ => text,
    }
}

/// Cuts the service and owner columns so that a line fits.
fn fit(headings: &[String], rows: &mut [Vec<String>], service: usize, owner: usize, width: usize) {
    let widest = |column: usize| {
        let cells = rows.iter().map(|cells| cells[column].width());
        cells.max().unwrap_or(0).max(headings[column].width())
    };
    let widths: Vec<usize> = (0..headings.len()).map(widest).collect();
    let separators = headings.len() - 1 + MARK.len();
    let fixed: usize = widths.iter().sum::<usize>() - widths[service] - widths[owner] + separators;
    let room = width.saturating_sub(fixed);
    if widths[service] + widths[owner] <= room {
        return;
    }
    // The owner gets what the service leaves, and the service at least half.
    let for_owner = widths[owner].min(room.saturating_sub(widths[service].min(room / 2)));
    let for_service = room.saturating_sub(for_owner);
    for cells in rows {
        cells[service] = style::cut_start(&cells[service], for_service);
        cells[owner] = cut_owner(&cells[owner], for_owner);
    }
}

/// An owner in fewer columns: the name gives way first, the pid last.
fn cut_owner(owner: &str, width: usize) -> String {
    let Some((name, rest)) = owner.rfind('[').map(|at| owner.split_at(at)) else {
        return style::cut(owner, width);
    };
    let rest = if owner.width() > width {
        rest.replace(" (not accepted)", " queued")
    } else {
        rest.to_owned()
    };
    let room = width.saturating_sub(rest.width());
    style::cut(
        &format!("{}{rest}", style::cut(name, room.max(NAME_LEAST))),
        width,
    )
}

/// What could not be seen, in words.
fn gaps(report: &Report<'_>, look: Look, out: &mut impl Write) -> io::Result<()> {
    if report.gaps.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", look.paint(Role::Heading, "Not seen"))?;
    for gap in &report.gaps {
        let mut text = escape::text(gap.detail.as_bytes());
        if !gap.hint.is_empty() {
            text.push_str("; ");
            text.push_str(&gap.hint);
        }
        write_wrapped(&text, look.width, NO_MARK.len(), out)?;
    }
    Ok(())
}

/// Writes words on lines of at most `width` columns, indented.
pub fn write_wrapped(
    text: &str,
    width: Option<usize>,
    indent: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    for line in wrapped(text, width, indent) {
        writeln!(out, "{:indent$}{line}", "")?;
    }
    Ok(())
}

/// The words of a text on lines that leave room for an indent; one line where nothing bounds it.
pub fn wrapped(text: &str, width: Option<usize>, indent: usize) -> Vec<String> {
    let Some(width) = width else {
        return vec![text.to_owned()];
    };
    let room = width.saturating_sub(indent);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() || word.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}
