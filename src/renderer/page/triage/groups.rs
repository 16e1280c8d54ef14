//! The table of groups: state, side, service, owner, and their figures.

use std::io::{self, Write};

use crate::classifier::Report;
use crate::classifier::group::Group;
use crate::model::{Protocol, Side, State};
use crate::renderer::since::Since;
use crate::renderer::table::{Align, Column, Cut, Grid, Narrow, Step, When};
use crate::renderer::view::View;
use crate::renderer::{columns, growth, names, order, style, units};

/// The columns.
const COLUMNS: [(&str, Align); 12] = [
    ("State", Align::Left),
    ("Side", Align::Left),
    ("Service", Align::Left),
    ("Netns", Align::Left),
    ("Owner", Align::Left),
    ("Sockets", Align::Right),
    ("New/gone", Align::Right),
    ("Per min", Align::Right),
    (growth::LATEST, Align::Right),
    ("Recv-Q 0/1/+", Align::Right),
    ("Age p50/max", Align::Right),
    ("Max age", Align::Right),
];
/// Its position.
const MAX_AGE: usize = 11;
/// The most columns of a namespace's name.
const NETNS_MOST: usize = 24;

/// The columns, and how a narrow terminal narrows them. Without the side, the service shows it (`:80`,
/// `to …`).
fn layout(several_namespaces: bool, since: Option<Since<'_>>) -> Vec<Column> {
    let cut = |least, by| Narrow::Cut(Cut { least, by });
    let mut columns = COLUMNS.map(|(heading, align)| Column::new(heading, align));
    let [
        _,
        side,
        service,
        netns,
        owner,
        _,
        changes,
        rate,
        latest,
        recv_q,
        age,
        max_age,
    ] = &mut columns;
    let step = |column: &mut Column, rank, narrow| {
        column.steps.push(Step {
            rank,
            when: When::Always,
            narrow,
        });
    };
    step(side, 0, Narrow::Drop);
    step(changes, 1, Narrow::Drop);
    for (rank, of_service, of_owner) in [(1, 20, 24), (4, 14, 19), (5, 9, 17)] {
        step(service, rank, cut(of_service, style::cut_start));
        step(owner, rank, cut(of_owner, columns::cut_owner));
    }
    step(age, 2, Narrow::Replace(MAX_AGE));
    step(recv_q, 3, Narrow::Drop);
    step(netns, 5, cut(10, style::cut_namespace));
    netns.is_spare = !several_namespaces;
    (changes.is_spare, rate.is_spare) = (since.is_none(), since.is_none());
    latest.is_spare = since.is_none_or(|since| since.latest.is_none());
    max_age.is_spare = true;
    columns.into()
}

pub fn table(
    report: &Report<'_>,
    since: Option<Since<'_>>,
    view: &View,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut groups = order::groups(report, view.sort);
    let all = groups.len();
    groups.truncate(view.limit.unwrap_or(usize::MAX));
    if groups.is_empty() {
        return Ok(());
    }
    let row = |group: &Group| {
        let cells = cells(report, since, group).into();
        (cells, group.state == State::CloseWait)
    };
    let grid = Grid {
        columns: layout(report.snapshot.only_namespace().is_none(), since),
        rows: groups.iter().map(row).collect(),
        note: units::more(all - groups.len(), "group"),
        total: None,
    };
    writeln!(out)?;
    grid.write(view.look, true, out)
}

fn cells(report: &Report<'_>, since: Option<Since<'_>>, group: &Group) -> [String; 12] {
    let [changes, rate, latest] = growth_of(since, group);
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
    let least = match group.state {
        State::CloseWait => "≥",
        _ => "",
    };
    let [age, max_age] = match group.idle {
        Some(idle) => {
            let (p50, max) = (units::duration(idle.p50_ms), units::duration(idle.max_ms));
            [format!("{least}{p50} / {max}"), format!("{least}{max}")]
        }
        None => ["-", "-"].map(str::to_owned),
    };
    let mut netns = names::netns_of(report, group.netns);
    style::cut(&mut netns, NETNS_MOST);
    [
        group.protocol.state_name(group.state).to_owned(),
        match group.protocol {
            Protocol::Udp => "-".to_owned(),
            _ => group.service.side().map_or("-", Side::name).to_owned(),
        },
        names::service_of(report, group.netns, group.service, group.protocol) + protocol,
        netns,
        names::owner_of(report, &group.owner),
        units::count(group.sockets),
        changes,
        rate,
        latest,
        queue,
        age,
        max_age,
    ]
}

/// How many sockets of the group are new and gone, the growth per minute, and the change since the
/// reading before.
fn growth_of(since: Option<Since<'_>>, group: &Group) -> [String; 3] {
    let Some(Since { growth, latest, .. }) = since else {
        return Default::default();
    };
    let change = growth.of_group(group);
    let changes = format!("{}/{}", units::count(change.new), units::count(change.gone));
    let latest = latest.map(|latest| growth::latest(&latest.growth.of_group(group)));
    [
        changes,
        growth::rate_of(&change, growth.between_ms),
        latest.unwrap_or_default(),
    ]
}
