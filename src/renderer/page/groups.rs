//! The table of groups: state, side, service, owner, and their figures.

use std::cmp::Ordering;
use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use unicode_width::UnicodeWidthStr;

use crate::classifier::group::{Group, GroupOwner, ServedAt, Service, first_name};
use crate::classifier::listeners::Bound;
use crate::classifier::{Report, hidden_reason};
use crate::model::endpoint::is_wildcard;
use crate::model::{Name, Protocol, Resolved, Side, State};
use crate::renderer::columns::Column;
use crate::renderer::style::{self, MARK, NO_MARK, Role};
use crate::renderer::{Sort, SortKey, View, columns, units};

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
    let service = |group: &Group| group.service.port();
    let name = |group: &Group| first_name(&group.owner, |pid| report.holders().name(pid)).cloned();
    let column = match key {
        SortKey::Sockets => return a.sockets.cmp(&b.sockets),
        SortKey::Column(column) => column,
    };
    match column {
        Column::State => a.state.name().cmp(b.state.name()),
        Column::LocalPort | Column::Local => service(a).cmp(&service(b)),
        Column::Remote => a.service.cmp(&b.service),
        Column::RecvQ => a.recv_q.max.cmp(&b.recv_q.max),
        Column::SendQ => a.send_q_max.cmp(&b.send_q_max),
        Column::Age => {
            let oldest = |group: &Group| group.idle.map(|idle| idle.max_ms);
            oldest(a).cmp(&oldest(b))
        }
        Column::Owner => name(a).cmp(&name(b)),
        Column::Pids => a.owner.pids.cmp(&b.owner.pids),
        Column::Cause => {
            let first = |group: &Group| group.causes.first().map(|(cause, _)| cause.name());
            first(a).cmp(&first(b))
        }
        _ => Ordering::Equal,
    }
}

/// The columns that groups can be ordered by.
pub const SORTED_BY: [Column; 9] = [
    Column::State,
    Column::LocalPort,
    Column::Remote,
    Column::RecvQ,
    Column::SendQ,
    Column::Age,
    Column::Owner,
    Column::Pids,
    Column::Cause,
];

/// The headings; on a narrow terminal the side is told by the service alone (`:80`, `to …`).
const HEADINGS: [&str; 8] = [
    "State",
    "Side",
    "Service",
    "Netns",
    "Owner",
    "Sockets",
    "Recv-Q 0/1/+",
    "Age p50/max",
];
const SIDE: usize = 1;
const SERVICE: usize = 2;
/// Shown where there are several.
const NETNS: usize = 3;
const OWNER: usize = 4;
/// From this column on they are numbers.
const FIRST_NUMBER: usize = 5;
/// Below this width the side has no column of its own.
const WIDE: usize = 100;
/// The most that is shown of a namespace's name.
const NETNS_MOST: usize = 24;
/// What is left of a process's name at the least.
const NAME_LEAST: usize = 4;

pub fn table(report: &Report<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
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
        .filter(|column| match *column {
            SIDE => !narrow,
            NETNS => report.snapshot.only_namespace().is_none(),
            _ => true,
        })
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

fn cells(report: &Report<'_>, group: &Group) -> [String; 8] {
    let protocol = match group.protocol {
        Protocol::Tcp | Protocol::Subflow => "",
        Protocol::Mptcp => " mptcp",
        Protocol::Udp => " udp",
    };
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
        group.protocol.state_name(group.state).to_owned(),
        match group.protocol {
            Protocol::Udp => "-".to_owned(),
            _ => group.service.side().map_or("-", Side::name).to_owned(),
        },
        service_of(report, group.netns, group.service, group.protocol) + protocol,
        style::cut(&netns_of(report, group.netns), NETNS_MOST),
        owner_of(report, &group.owner),
        units::count(group.sockets),
        queue,
        age,
    ]
}

/// `%eth0`, or nothing.
pub fn on_device(device: Option<&Name>) -> String {
    device.map_or(String::new(), |device| format!("%{device}"))
}

/// Where a listener listens: `0.0.0.0:80`, `[::]%eth0:80`.
pub fn listener_of(report: &Report<'_>, bound: &Bound) -> String {
    let device = report.snapshot.netns(bound.netns).device(bound.device);
    let mut text = String::new();
    let names = Resolved::default();
    columns::push_end(
        bound.local,
        device.as_deref(),
        Protocol::Tcp,
        &names,
        &mut text,
    );
    text
}

/// `:80`, `%eth0:80` if the listener is bound to a device, `to 10.0.0.5:3306`; a star stands for many
/// ports. `with 10.0.0.9` if it is not known which end serves; `-` if there is no other end.
pub fn service_of(report: &Report<'_>, netns: u16, service: Service, protocol: Protocol) -> String {
    let names = &report.resolved;
    let device = report.snapshot.netns(netns).device(service.device);
    let on = on_device(device.as_deref());
    match service.at {
        ServedAt::Local(0) => format!("{on}:*"),
        ServedAt::Local(port) => match names.service(protocol, port) {
            Some(name) => format!("{on}:{name}"),
            None => format!("{on}:{port}"),
        },
        ServedAt::Remote(remote) => {
            let mut text = "to ".to_owned();
            columns::push_end(remote, device.as_deref(), protocol, names, &mut text);
            text
        }
        ServedAt::Unknown(addr) if is_wildcard(addr) => "-".to_owned(),
        ServedAt::Unknown(addr) => match names.host(addr) {
            Some(name) => format!("with {name}{on}"),
            None => format!("with {addr}{on}"),
        },
    }
}

/// What a namespace is called, as a terminal may be shown it.
pub fn netns_of(report: &Report<'_>, netns: u16) -> String {
    let label = report.snapshot.netns(netns).label.as_ref();
    label.map_or("?".to_owned(), Name::to_string)
}

/// `java[1234]`, `nginx[10] +3`, `python3[7] (queued)`, `-`, `?`.
pub fn owner_of(report: &Report<'_>, owner: &GroupOwner) -> String {
    let mut text = String::new();
    if let Some(first) = owner.pids.first() {
        match report.holders().name(*first) {
            Some(name) => text.push_str(&name.to_string()),
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
        Some("hidden") => columns::hidden(hidden_reason(report.snapshot)).to_owned(),
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
