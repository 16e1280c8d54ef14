//! What the columns of a listing show of a row.

use std::fmt::Write;
use std::net::IpAddr;

use unicode_width::UnicodeWidthStr;

use super::super::{escape, units};
use super::Column;
use crate::classifier::{Report, Row};
use crate::model::{
    Endpoint, FigureValue, HiddenReason, Holders, Missing, Name, Owner, Placed, Protocol, Resolved,
    Timer,
};

/// What a column says of a row, where it is one plain value.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Value<'a> {
    Flag(bool),
    Number(u64),
    /// A word of ours.
    Word(&'static str),
    /// Text from the system.
    Text(&'a [u8]),
}

/// The plain value of a column; `None` where it is unknown, or where the column is none: an end,
/// an age, a timer, owners.
pub fn value<'a>(column: Column, row: &Row<'a>, report: &'a Report<'_>) -> Option<Value<'a>> {
    let socket = row.socket;
    let number = |number: Option<u64>| number.map(Value::Number);
    let detail = || report.snapshot.detail(socket);
    let idle = row.idle;
    match column {
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
        // What /proc does not tell stands at 0.
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

/// What the control group of a socket tells.
fn placed<'a>(row: &Row<'_>, report: &'a Report<'_>) -> Placed<'a> {
    let cgroups = report.snapshot.cgroups.as_ref();
    cgroups.map_or(Placed::Unknown, |all| all.of(row.socket, &row.owner))
}

/// Appends what a column shows of a row, unless it is unknown; says whether it is known. There
/// are no blanks in it but in [`Column::Owner`].
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

/// Every holder once: as `pid:fd:name`, or each process or each name once, separated by commas.
fn push_holders(column: Column, row: &Row<'_>, report: &Report<'_>, out: &mut String) -> bool {
    let holders = row.owner.holders();
    let names = report.holders();
    let start = out.len();
    for (at, holder) in holders.iter().enumerate() {
        let before = &holders[..at];
        let again = match column {
            Column::Owners => false,
            Column::Pids => before.iter().any(|other| other.pid == holder.pid),
            _ => before
                .iter()
                .any(|other| names.name(other.pid) == names.name(holder.pid)),
        };
        if again {
            continue;
        }
        if out.len() > start {
            out.push(',');
        }
        if column != Column::Programs {
            push_number(holder.pid.0, out);
        }
        if column == Column::Owners {
            out.push(':');
            push_number(holder.fd, out);
            out.push(':');
        }
        if column != Column::Pids {
            match names.name(holder.pid) {
                Some(name) => push_word(name.bytes(), out),
                None => out.push('?'),
            }
        }
    }
    out.len() > start
}

/// A name of any bytes, without a blank in it.
pub fn push_word(name: &[u8], out: &mut String) {
    let start = out.len();
    escape::push(name, out);
    if out[start..].contains(' ') {
        let word = out.split_off(start).replace(' ', "\\x20");
        out.push_str(&word);
    }
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

    /// Appends what the column shows of a row, `-` where it is unknown: a column has the same
    /// number on every line, as long as those that may have blanks stand last.
    pub fn push(self, row: &Row<'_>, report: &Report<'_>, out: &mut String) {
        if !push_known(self, row, report, out) {
            let of_cgroup = matches!(self, Column::Cgroup | Column::Unit | Column::Container);
            // A group that is not known may be one that was looked for.
            let unknown = of_cgroup && matches!(placed(row, report), Placed::Unknown);
            out.push(if unknown { '?' } else { '-' });
        }
    }

    /// The width of what [`Column::push`] appends, without appending it where that can be told
    /// from the numbers: a listing is measured before it is written. `scratch` is overwritten.
    pub fn width(self, row: &Row<'_>, report: &Report<'_>, scratch: &mut String) -> usize {
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
                width(scratch)
            }
        }
    }
}

/// Whether an end is shown as an IPv4 address and a number.
fn is_plain(end: Endpoint, report: &Report<'_>) -> bool {
    end.addr.is_ipv4() && report.resolved.is_empty()
}

/// Appends an end by its names, as far as it has any, with the interface that it is bound to as
/// ss has it: `0.0.0.0%eth0:80`, `[fe80::1]%eth0:80`.
pub fn push_end(
    end: Endpoint,
    device: Option<&Name>,
    protocol: Protocol,
    names: &Resolved,
    out: &mut String,
) {
    if names.is_empty() && device.is_none() {
        return push_endpoint(end, out);
    }
    let (host, service) = (names.host(end.addr), names.service(protocol, end.port));
    match (host, end.addr) {
        (Some(host), _) => out.push_str(host),
        (None, IpAddr::V4(_)) => push_addr(end.addr, out),
        (None, IpAddr::V6(addr)) => {
            let _ = write!(out, "[{addr}]");
        }
    }
    if let Some(device) = device {
        out.push('%');
        escape::push(device.bytes(), out);
    }
    out.push(':');
    match (service, end.port) {
        (Some(service), 1..) => out.push_str(service),
        (_, 0) => out.push('*'),
        (None, port) => push_number(port, out),
    }
}

/// The width of `a.b.c.d:port`.
fn ipv4_width(end: Endpoint) -> usize {
    let IpAddr::V4(addr) = end.addr else { return 0 };
    let octets: usize = addr.octets().map(|octet| digits(octet.into())).iter().sum();
    let dots_and_colon = 4;
    // Port 0 is shown as a star, which is as wide.
    octets + dots_and_colon + digits(end.port.into())
}

fn digits(number: u32) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// The columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}

fn push_number(number: impl itoa::Integer, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// As the endpoint's `Display`, without the formatting machinery for IPv4: this is the hot path
/// of a listing.
fn push_endpoint(end: Endpoint, out: &mut String) {
    if end.addr.is_ipv6() {
        // Writing to a String does not fail.
        let _ = write!(out, "{end}");
        return;
    }
    push_addr(end.addr, out);
    out.push(':');
    match end.port {
        0 => out.push('*'),
        port => push_number(port, out),
    }
}

fn push_addr(addr: IpAddr, out: &mut String) {
    let IpAddr::V4(addr) = addr else {
        let _ = write!(out, "{addr}");
        return;
    };
    for (at, octet) in addr.octets().into_iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        push_number(octet, out);
    }
}

/// `keepalive(1h,0)`: the kind, when it fires, and retransmissions or unanswered probes so far.
fn push_timer(timer: Timer, out: &mut String) {
    out.push_str(timer.kind.name());
    out.push('(');
    units::push_duration(u64::from(timer.expires_ms), out);
    let _ = write!(out, ",{})", timer.retransmits);
}

/// `java[1234]`, `nginx[10] +3`, `python3[3225] (not accepted)`, `-`, `? (needs root)`.
pub fn push_owner(owner: &Owner<'_>, holders: &Holders, out: &mut String) {
    match owner {
        Owner::Process(_) => push_processes(owner, holders, out),
        Owner::Listener([]) => out.push_str("? (not accepted)"),
        Owner::Listener(_) => {
            push_processes(owner, holders, out);
            out.push_str(" (not accepted)");
        }
        Owner::Kernel | Owner::Unread => out.push('-'),
        Owner::Hidden(hidden_reason) => out.push_str(hidden(*hidden_reason)),
    }
}

pub fn hidden(hidden_reason: HiddenReason) -> &'static str {
    match hidden_reason {
        HiddenReason::NeedsRoot => "? (needs root)",
        HiddenReason::NeedsCapability => "? (not permitted)",
        HiddenReason::Refused | HiddenReason::Elsewhere => "? (not in sight)",
    }
}

fn push_processes(owner: &Owner<'_>, holders: &Holders, out: &mut String) {
    let mut pids = owner.holders().iter().map(|holder| holder.pid);
    let Some(first) = pids.next() else { return };
    match holders.name(first) {
        Some(name) => escape::push(name.bytes(), out),
        None => out.push('?'),
    }
    out.push('[');
    push_number(first.0, out);
    out.push(']');
    let mut last = first;
    let others = pids
        .filter(|pid| std::mem::replace(&mut last, *pid) != *pid)
        .count();
    if others > 0 {
        let _ = write!(out, " +{others}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_of_an_ipv4_end_is_that_of_its_text() {
        for (addr, port) in [
            ([0, 0, 0, 0], 0),
            ([10, 0, 0, 99], 80),
            ([255; 4], 65535),
            ([1, 10, 100, 9], 1000),
        ] {
            let end = Endpoint::new(addr, port);
            let mut text = String::new();
            push_endpoint(end, &mut text);
            assert_eq!(text, end.to_string());
            assert_eq!(ipv4_width(end), text.len());
        }
    }

    #[test]
    fn digits_are_counted_as_they_are_written() {
        for number in [0, 9, 10, 99, 100, 4_294_967_295] {
            assert_eq!(digits(number), number.to_string().len());
        }
    }
}
