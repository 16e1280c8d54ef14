//! The order of a listing by a column.

use std::cmp::Ordering;

use super::Column;
use super::cell::{self, Value};
use crate::classifier::{Report, Row};

/// How two rows compare by a column; what is unknown stands last, in either direction.
pub fn compare(
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
                let told = cell::push_known(column, row, report, &mut text);
                told.then_some(text)
            };
            let (a, b) = (text(a), text(b));
            known(a.is_some(), b.is_some()).then_with(|| turn(a.cmp(&b)))
        }
        _ => {
            let (a, b) = (
                cell::value(column, a, report),
                cell::value(column, b, report),
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
