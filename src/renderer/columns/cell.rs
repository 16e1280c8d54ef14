//! What the columns of a listing show of a row.

use super::super::units;
use super::Column;
use super::ends::{digits, ipv4_width, is_plain, push_addr, push_end};
use super::owner::{push_holders, push_owner};
use super::text::{push_number, push_word, width};
use crate::classifier::change::Presence;
use crate::classifier::{Report, Row};
use crate::model::{Charset, FigureValue, Missing, Owner, Placed, Timer};

/// What a column shows of a row, if it is one plain value.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Value<'a> {
    Flag(bool),
    Number(u64),
    /// A word of ours.
    Word(&'static str),
    /// Text from the system.
    Text(&'a [u8]),
}

/// The plain value of a column; `None` if unknown, or if the column has no plain value: an end, an
/// age, a timer, owners.
pub fn value<'a>(column: Column, row: &Row<'a>, report: &'a Report<'_>) -> Option<Value<'a>> {
    let socket = row.socket;
    let number = |number: Option<u64>| number.map(Value::Number);
    let detail = || report.snapshot.detail(socket);
    let idle = row.idle;
    match column {
        // Most sockets stay: no word is needed for them.
        Column::Change => {
            let change = row.change.filter(|change| *change != Presence::Still)?;
            Some(Value::Word(change.name()))
        }
        Column::Netns => report
            .snapshot
            .namespace(socket)
            .label
            .as_ref()
            .map(|label| Value::Text(label.bytes())),
        Column::Proto => Some(Value::Word(socket.proto())),
        Column::Protocol => Some(Value::Word(socket.protocol.name())),
        Column::Family => Some(Value::Word(socket.family.name())),
        Column::RecvQ => number(Some(socket.recv_q.into())),
        Column::SendQ => number(report.send_q(socket).map(u64::from)),
        Column::LocalPort => number(Some(socket.local.port.into())),
        Column::RemotePort => number(Some(socket.remote.port.into())),
        Column::State => Some(Value::Word(socket.state_name())),
        Column::Side => row.side().map(|side| Value::Word(side.name())),
        Column::IdleAtLeast => number(idle.map(|idle| idle.at_least_ms)),
        Column::IdleAtMost => number(idle.and_then(|idle| idle.at_most_ms)),
        Column::Cause => row.cause.map(|cause| Value::Word(cause.name())),
        Column::TimerExpires => number(socket.timer.map(|timer| timer.expires_ms.into())),
        Column::TimerRetransmits => number(socket.timer.map(|timer| timer.retransmits.into())),
        Column::Uid => number(socket.user().map(u64::from)),
        Column::User => {
            let name = report.snapshot.host.users.name(socket.user()?)?;
            Some(Value::Text(name.bytes()))
        }
        Column::Inode => number((socket.inode != 0).then_some(socket.inode.into())),
        Column::Cookie => number(socket.cookie.map(u64::from)),
        Column::Token => number(socket.token.map(|token| token.get().into())),
        Column::CgroupId => number(socket.cgroup.map(u64::from)),
        Column::Cgroup | Column::Unit | Column::Container => {
            let Placed::In(cgroup) = placed(row, report) else {
                return None;
            };
            let name = match column {
                Column::Unit => cgroup.unit.as_ref()?,
                Column::Container => cgroup.container.as_ref()?,
                _ => &cgroup.path,
            };
            Some(Value::Text(name.bytes()))
        }
        Column::Accepted => row.accepted().map(Value::Flag),
        Column::OwnerKind => row.owner.kind().map(Value::Word),
        // /proc does not have it: it is 0 there.
        Column::Interface => number(socket.cookie.map(|_| socket.interface.into())),
        Column::Mark => number(socket.mark.map(u64::from)),
        Column::V6only => socket.v6only.map(Value::Flag),
        Column::Congestion => detail()?.congestion().map(Value::Text),
        Column::Tos => number(detail()?.tos.map(u64::from)),
        Column::Tclass => number(detail()?.tclass.map(u64::from)),
        Column::Shutdown => number(detail()?.shutdown.map(u64::from)),
        Column::Figure(figure) => Some(match figure.of(detail()?)? {
            FigureValue::Flag(flag) => Value::Flag(flag),
            FigureValue::Number(number) => Value::Number(number),
        }),
        Column::Local
        | Column::LocalAddr
        | Column::Remote
        | Column::RemoteAddr
        | Column::Age
        | Column::Timer
        | Column::Owner
        | Column::Owners
        | Column::Pids
        | Column::Programs => None,
    }
}

/// The control group of a socket.
fn placed<'a>(row: &Row<'_>, report: &'a Report<'_>) -> Placed<'a> {
    let cgroups = report.snapshot.cgroups.as_ref();
    cgroups.map_or(Placed::Unknown, |all| all.of(row.socket, &row.owner))
}

/// Appends what a column shows of a row, unless it is unknown; returns whether it is known. Only
/// [`Column::Owner`] contains blanks.
pub fn push_known(column: Column, row: &Row<'_>, report: &Report<'_>, out: &mut String) -> bool {
    let socket = row.socket;
    match column {
        Column::Local => {
            let device = report.snapshot.namespace(socket).device(socket.interface);
            let names = &report.resolved;
            push_end(socket.local, device.as_deref(), socket.protocol, names, out);
        }
        Column::Remote => push_end(socket.remote, None, socket.protocol, &report.resolved, out),
        Column::LocalAddr => push_addr(socket.local.addr, out),
        Column::RemoteAddr => push_addr(socket.remote.addr, out),
        Column::Age => match row.idle {
            Some(idle) if matches!(row.missing, Some(Missing::Age(_))) => {
                units::push_bracket(idle, out);
            }
            Some(idle) => units::push_idle(idle, out),
            None => return false,
        },
        Column::Timer => match socket.timer {
            Some(timer) => push_timer(timer, out),
            None => return false,
        },
        Column::Owner => match row.owner {
            Owner::Kernel | Owner::Unread => return false,
            _ => push_owner(&row.owner, report.holders(), out),
        },
        Column::Owners | Column::Pids | Column::Programs => {
            return push_holders(column, row, report, out);
        }
        _ => match value(column, row, report) {
            Some(Value::Number(number)) => push_number(number, out),
            Some(Value::Flag(flag)) => out.push_str(if flag { "yes" } else { "no" }),
            Some(Value::Word(word)) => out.push_str(word),
            Some(Value::Text(text)) => push_word(text, out),
            None => return false,
        },
    }
    true
}

impl Column {
    pub fn is_right_aligned(self) -> bool {
        matches!(
            self,
            Column::RecvQ
                | Column::SendQ
                | Column::LocalPort
                | Column::RemotePort
                | Column::IdleAtLeast
                | Column::IdleAtMost
                | Column::TimerExpires
                | Column::TimerRetransmits
                | Column::Figure(_)
        )
    }

    /// Appends what the column shows of a row, `-` if unknown: a column has the same number on
    /// every line, if those that may contain blanks come last.
    pub fn push(self, row: &Row<'_>, report: &Report<'_>, out: &mut String) {
        if !push_known(self, row, report, out) {
            let of_cgroup = matches!(self, Column::Cgroup | Column::Unit | Column::Container);
            // A group that is not known may be one that was looked for.
            let unknown = of_cgroup && matches!(placed(row, report), Placed::Unknown);
            out.push(if unknown { '?' } else { '-' });
        }
    }

    /// The width of what [`Column::push`] appends, computed without formatting where possible: a
    /// listing is measured before it is written. `scratch` is overwritten.
    pub fn width(
        self,
        row: &Row<'_>,
        report: &Report<'_>,
        charset: Charset,
        scratch: &mut String,
    ) -> usize {
        let socket = row.socket;
        match self {
            Column::Proto => socket.proto().len(),
            Column::RecvQ => digits(socket.recv_q),
            Column::State => socket.state_name().len(),
            Column::Cause => row.cause.map_or(1, |cause| cause.name().len()),
            Column::Local if is_plain(socket.local, report) && socket.interface == 0 => {
                ipv4_width(socket.local)
            }
            Column::Remote if is_plain(socket.remote, report) => ipv4_width(socket.remote),
            _ => {
                scratch.clear();
                self.push(row, report, scratch);
                width(scratch, charset)
            }
        }
    }
}

/// `keepalive(1h,0)`: the kind, when it fires, and retransmissions or unanswered probes so far.
fn push_timer(timer: Timer, out: &mut String) {
    out.push_str(timer.kind.name());
    out.push('(');
    units::push_duration(u64::from(timer.expires_ms), out);
    out.push(',');
    push_number(timer.retransmits, out);
    out.push(')');
}
