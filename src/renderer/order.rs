//! The order of rows and of groups, and what a limit leaves of them.

use std::cmp::Ordering;

use crate::classifier::change::Presence;
use crate::classifier::group::Group;
use crate::classifier::owner::first_name;
use crate::classifier::{Report, Row};
use crate::renderer::columns::{self, Column, Value};
use crate::renderer::since::Since;
use crate::renderer::view::{Sort, SortKey};

/// The rows to print: as they are, or positions in another order.
pub enum Order {
    AsRead { limit: usize },
    Sorted(Vec<u32>),
}

impl Order {
    /// How many rows there are to print.
    pub fn len(&self, report: &Report<'_>) -> usize {
        match self {
            Order::AsRead { limit } => report.listed().min(*limit),
            Order::Sorted(positions) => positions.len(),
        }
    }

    /// The row at a position below [`Order::len`].
    pub fn row<'a>(&self, report: &'a Report<'_>, at: usize) -> Row<'a> {
        match self {
            Order::AsRead { .. } => report.row(at),
            Order::Sorted(positions) => report.row(positions[at] as usize),
        }
    }

    pub fn rows<'a>(&'a self, report: &'a Report<'_>) -> impl Iterator<Item = Row<'a>> {
        (0..self.len(report)).map(|at| self.row(report, at))
    }
}

/// The order that a view asks for, cut to its limit.
pub fn rows(report: &Report<'_>, sort: Option<Sort>, limit: Option<usize>) -> Order {
    let limit = limit.unwrap_or(usize::MAX);
    let Some(sort) = sort else {
        return match report.listing() {
            None => Order::AsRead { limit },
            Some(mut positions) => {
                positions.truncate(limit);
                Order::Sorted(positions)
            }
        };
    };
    let mut positions: Vec<u32> = (0u32..).take(report.listed()).collect();
    if let SortKey::Column(column) = sort.key {
        positions.sort_by(|a, b| {
            let (a, b) = (report.row(*a as usize), report.row(*b as usize));
            compare_rows(column, sort.descending, &a, &b, report)
        });
    }
    positions.truncate(limit);
    Order::Sorted(positions)
}

/// The rows that only an earlier reading has, in the order that a view asks for, and that reading.
/// They come after those of the report, within the same limit.
pub fn gone<'a>(
    report: &Report<'_>,
    since: Option<Since<'a>>,
    sort: Option<Sort>,
    limit: Option<usize>,
) -> Option<(Order, &'a Report<'a>)> {
    let before = since?.before;
    let is_gone = |at: u32| before.row(at as usize).change == Some(Presence::Gone);
    let positions = match rows(before, sort, None) {
        Order::AsRead { .. } => (0u32..).take(before.listed()).collect(),
        Order::Sorted(positions) => positions,
    };
    let mut positions: Vec<u32> = positions.into_iter().filter(|at| is_gone(*at)).collect();
    let room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(report.listed()));
    positions.truncate(room);
    Some((Order::Sorted(positions), before))
}

/// How many rows a limit leaves out, those included that are gone since an earlier reading.
pub fn left_out(report: &Report<'_>, since: Option<Since<'_>>, limit: Option<usize>) -> usize {
    let gone = since.map_or(0, |since| since.growth.gone().len());
    let all = report.listed() + gone;
    limit.map_or(0, |limit| all.saturating_sub(limit))
}

/// How two rows compare by a column; unknown values come last in both directions.
fn compare_rows(
    column: Column,
    descending: bool,
    a: &Row<'_>,
    b: &Row<'_>,
    report: &Report<'_>,
) -> Ordering {
    let turn = |order: Ordering| if descending { order.reverse() } else { order };
    let known = |a: bool, b: bool| b.cmp(&a);
    match column {
        Column::Local => turn(a.socket.local.cmp(&b.socket.local)),
        Column::Remote => turn(a.socket.remote.cmp(&b.socket.remote)),
        Column::LocalAddr => turn(a.socket.local.addr.cmp(&b.socket.local.addr)),
        Column::RemoteAddr => turn(a.socket.remote.addr.cmp(&b.socket.remote.addr)),
        Column::Age => by(turn, a, b, |row| row.idle.map(|idle| idle.at_least_ms)),
        Column::Timer => by(turn, a, b, |row| {
            row.socket.timer.map(|timer| timer.expires_ms)
        }),
        Column::Pids | Column::Owners => by(turn, a, b, |row| {
            row.owner.holders().first().map(|holder| holder.pid)
        }),
        Column::Owner | Column::Programs => {
            let text = |row: &Row<'_>| {
                let mut text = String::new();
                let known_text = columns::push_known(column, row, report, &mut text);
                known_text.then_some(text)
            };
            let (a, b) = (text(a), text(b));
            known(a.is_some(), b.is_some()).then_with(|| turn(a.cmp(&b)))
        }
        _ => {
            let (a, b) = (
                columns::value(column, a, report),
                columns::value(column, b, report),
            );
            known(a.is_some(), b.is_some()).then_with(|| turn(values(a, b)))
        }
    }
}

fn by<T: Ord>(
    turn: impl Fn(Ordering) -> Ordering,
    a: &Row<'_>,
    b: &Row<'_>,
    value: impl Fn(&Row<'_>) -> Option<T>,
) -> Ordering {
    match (value(a), value(b)) {
        (Some(a), Some(b)) => turn(a.cmp(&b)),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn values(a: Option<Value<'_>>, b: Option<Value<'_>>) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// The groups in the order that a view asks for.
pub fn groups(report: &Report<'_>, sort: Option<Sort>) -> Vec<Group> {
    let mut groups = report.groups();
    if let Some(sort) = sort {
        groups.sort_by(|a, b| {
            let order = compare_groups(sort.key, a, b, report);
            if sort.descending {
                order.reverse()
            } else {
                order
            }
        });
    }
    groups
}

fn compare_groups(key: SortKey, a: &Group, b: &Group, report: &Report<'_>) -> Ordering {
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
pub const GROUPS_BY: [Column; 9] = [
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
