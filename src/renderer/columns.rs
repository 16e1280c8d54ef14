//! The columns of a listing: their names, and what they show of a row.

use std::fmt::Write;
use std::net::IpAddr;

use unicode_width::UnicodeWidthStr;

use super::{escape, units};
use crate::classifier::{Report, Row};
use crate::model::{Cause, Cgroup, Endpoint, Hiding, Holders, Name, Owner, Placed, Timer};

/// One column of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Netns,
    Proto,
    RecvQ,
    SendQ,
    Local,
    Foreign,
    State,
    Age,
    Cause,
    Timer,
    User,
    Inode,
    Cookie,
    Unit,
    Container,
    Cgroup,
    Owner,
}

impl Column {
    /// The heading, as netstat words it where netstat has the column.
    pub fn heading(self) -> &'static str {
        match self {
            Column::Netns => "Netns",
            Column::Proto => "Proto",
            Column::RecvQ => "Recv-Q",
            Column::SendQ => "Send-Q",
            Column::Local => "Local Address",
            Column::Foreign => "Foreign Address",
            Column::State => "State",
            Column::Age => "Age",
            Column::Cause => "Cause",
            Column::Timer => "Timer",
            Column::User => "User",
            Column::Inode => "Inode",
            Column::Cookie => "Cookie",
            Column::Unit => "Unit",
            Column::Container => "Container",
            Column::Cgroup => "Cgroup",
            Column::Owner => "Owner",
        }
    }

    pub fn is_right_aligned(self) -> bool {
        matches!(self, Column::RecvQ | Column::SendQ)
    }

    /// Appends what the column shows of a row. It is never empty and has no blanks but in the
    /// owner, which stands last: a column has the same number on every line.
    pub fn push(self, row: &Row<'_>, report: &Report<'_>, out: &mut String) {
        let socket = row.socket;
        match self {
            Column::Netns => {
                let label = report.snapshot.namespace(socket).label.as_deref();
                push_word(label.map_or(b"?", str::as_bytes), out);
            }
            Column::Proto => out.push_str(socket.family.proto()),
            Column::RecvQ => push_number(socket.recv_q, out),
            Column::SendQ => or_dash(report.send_q(socket), push_number, out),
            Column::Local => push_endpoint(socket.local, out),
            Column::Foreign => push_endpoint(socket.remote, out),
            Column::State => out.push_str(socket.state.name()),
            Column::Cause => out.push_str(row.cause.map_or("-", Cause::name)),
            Column::User => or_dash(socket.user(), push_number, out),
            Column::Inode => or_dash(
                (socket.inode != 0).then_some(socket.inode),
                push_number,
                out,
            ),
            Column::Cookie => or_dash(socket.cookie.map(u64::from), push_number, out),
            Column::Unit => push_placed(row, report, |found| found.unit.as_ref(), out),
            Column::Container => push_placed(row, report, |found| found.container.as_ref(), out),
            Column::Cgroup => push_placed(row, report, |found| Some(&found.path), out),
            Column::Age => or_dash(row.idle, units::push_idle, out),
            Column::Timer => or_dash(socket.timer, push_timer, out),
            Column::Owner => push_owner(&row.owner, report.holders(), out),
        }
    }
}

impl Column {
    /// The width of what [`Column::push`] appends, without appending it where that can be told
    /// from the numbers: a listing is measured before it is written. `scratch` is overwritten.
    pub fn width(self, row: &Row<'_>, report: &Report<'_>, scratch: &mut String) -> usize {
        let socket = row.socket;
        match self {
            Column::Proto => socket.family.proto().len(),
            Column::RecvQ => digits(socket.recv_q),
            Column::State => socket.state.name().len(),
            Column::Cause => row.cause.map_or(1, |cause| cause.name().len()),
            Column::Local if socket.local.addr.is_ipv4() => ipv4_width(socket.local),
            Column::Foreign if socket.remote.addr.is_ipv4() => ipv4_width(socket.remote),
            _ => {
                scratch.clear();
                self.push(row, report, scratch);
                width(scratch)
            }
        }
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

fn or_dash<T>(value: Option<T>, push: impl FnOnce(T, &mut String), out: &mut String) {
    match value {
        Some(value) => push(value, out),
        None => out.push('-'),
    }
}

/// What the control group of a socket tells; `?` where that is not known.
fn push_placed(
    row: &Row<'_>,
    report: &Report<'_>,
    of: fn(&Cgroup) -> Option<&Name>,
    out: &mut String,
) {
    let cgroups = report.snapshot.cgroups.as_ref();
    match cgroups.map_or(Placed::Unknown, |all| all.of(row.socket, &row.owner)) {
        Placed::In(cgroup) => or_dash(of(cgroup), |name, out| push_word(name.bytes(), out), out),
        Placed::Nowhere => out.push('-'),
        Placed::Unknown => out.push('?'),
    }
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

fn push_number(number: impl itoa::Integer, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// As the endpoint's `Display`, without the formatting machinery for IPv4: this is the hot path
/// of a listing.
fn push_endpoint(end: Endpoint, out: &mut String) {
    let IpAddr::V4(addr) = end.addr else {
        // Writing to a String does not fail.
        let _ = write!(out, "{end}");
        return;
    };
    for (at, octet) in addr.octets().into_iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        push_number(octet, out);
    }
    out.push(':');
    match end.port {
        0 => out.push('*'),
        port => push_number(port, out),
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
        Owner::Hidden(hiding) => out.push_str(hidden(*hiding)),
    }
}

pub fn hidden(hiding: Hiding) -> &'static str {
    match hiding {
        Hiding::NeedsRoot => "? (needs root)",
        Hiding::Refused | Hiding::Elsewhere => "? (not in sight)",
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
