//! The table of groups: state, side, service, owner, and their figures.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::classifier::Report;
use crate::classifier::group::Group;
use crate::model::{Protocol, Side, State};
use crate::renderer::table::{Align, Column, Fit, Grid};
use crate::renderer::view::View;
use crate::renderer::{names, order, style, units};

/// The columns. On a narrow terminal the service alone shows the side (`:80`, `to …`).
const COLUMNS: [(&str, Align, Fit); 8] = [
    ("State", Align::Left, Fit::Whole),
    ("Side", Align::Left, Fit::Drop(0)),
    ("Service", Align::Left, Fit::Cut(style::cut_start)),
    ("Netns", Align::Left, Fit::Whole),
    ("Owner", Align::Left, Fit::Cut(cut_owner)),
    ("Sockets", Align::Right, Fit::Whole),
    ("Recv-Q 0/1/+", Align::Right, Fit::Whole),
    ("Age p50/max", Align::Right, Fit::Whole),
];
/// Only shown if there are several namespaces.
const NETNS: usize = 3;
/// The most columns of a namespace's name.
const NETNS_MOST: usize = 24;
/// The fewest columns that a process's name is cut to.
const NAME_LEAST: usize = 2;

pub fn table(report: &Report<'_>, view: &View, out: &mut impl Write) -> io::Result<()> {
    let mut groups = order::groups(report, view.sort);
    let all = groups.len();
    groups.truncate(view.limit.unwrap_or(usize::MAX));
    if groups.is_empty() {
        return Ok(());
    }
    let is_shown = |at: usize| at != NETNS || report.snapshot.only_namespace().is_none();
    let columns = COLUMNS.into_iter().enumerate();
    let row = |group: &Group| {
        let cells = cells(report, group).into_iter().enumerate();
        let cells = cells.filter(|(at, _)| is_shown(*at)).map(|(_, cell)| cell);
        (cells.collect(), group.state == State::CloseWait)
    };
    let grid = Grid {
        columns: columns
            .filter(|(at, _)| is_shown(*at))
            .map(|(_, (heading, align, fit))| Column {
                heading: heading.to_owned(),
                align,
                fit,
            })
            .collect(),
        rows: groups.iter().map(row).collect(),
        note: units::more(all - groups.len(), "group"),
        total: None,
    };
    writeln!(out)?;
    grid.write(view.look, true, out)
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
        names::service_of(report, group.netns, group.service, group.protocol) + protocol,
        style::cut(&names::netns_of(report, group.netns), NETNS_MOST),
        names::owner_of(report, &group.owner),
        units::count(group.sockets),
        queue,
        age,
    ]
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
