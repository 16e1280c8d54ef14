//! The columns of a listing: their names, and what they show of a row.

use std::fmt::Write;

use super::{escape, units};
use crate::classifier::Row;
use crate::model::{Hiding, Holders, Owner, Timer};

/// One column of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
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
    Owner,
}

impl Column {
    /// The heading, as netstat words it where netstat has the column.
    pub fn heading(self) -> &'static str {
        match self {
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
            Column::Owner => "Owner",
        }
    }

    pub fn is_right_aligned(self) -> bool {
        matches!(self, Column::RecvQ | Column::SendQ)
    }

    /// Appends what the column shows of a row. It is never empty and has no blanks but in the
    /// owner, which stands last: a column has the same number on every line.
    pub fn push(self, row: &Row<'_>, holders: &Holders, out: &mut String) {
        let socket = row.socket;
        // Writing to a String does not fail.
        let _ = match self {
            Column::Proto => write!(out, "{}", socket.family.proto()),
            Column::RecvQ => write!(out, "{}", socket.recv_q),
            Column::SendQ => write!(out, "{}", socket.send_q),
            Column::Local => write!(out, "{}", socket.local),
            Column::Foreign => write!(out, "{}", socket.remote),
            Column::State => write!(out, "{}", socket.state),
            Column::Cause => or_dash(out, row.cause),
            Column::User => or_dash(out, socket.user()),
            Column::Inode => or_dash(out, (socket.inode != 0).then_some(socket.inode)),
            Column::Cookie => or_dash(out, socket.cookie),
            Column::Age => {
                match row.idle {
                    Some(idle) => units::push_idle(idle, out),
                    None => out.push('-'),
                }
                Ok(())
            }
            Column::Timer => {
                match socket.timer {
                    Some(timer) => push_timer(timer, out),
                    None => out.push('-'),
                }
                Ok(())
            }
            Column::Owner => {
                push_owner(&row.owner, holders, out);
                Ok(())
            }
        };
    }
}

fn or_dash(out: &mut String, value: Option<impl std::fmt::Display>) -> std::fmt::Result {
    match value {
        Some(value) => write!(out, "{value}"),
        None => write!(out, "-"),
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
        Hiding::NotPermitted => "? (needs root)",
        Hiding::Elsewhere => "? (not in sight)",
    }
}

fn push_processes(owner: &Owner<'_>, holders: &Holders, out: &mut String) {
    let mut pids = owner.holders().iter().map(|holder| holder.pid);
    let Some(first) = pids.next() else { return };
    match holders.name(first) {
        Some(name) => escape::push(name.bytes(), out),
        None => out.push('?'),
    }
    let _ = write!(out, "[{first}]");
    let mut last = first;
    let others = pids
        .filter(|pid| std::mem::replace(&mut last, *pid) != *pid)
        .count();
    if others > 0 {
        let _ = write!(out, " +{others}");
    }
}
