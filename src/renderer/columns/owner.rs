//! Who holds a socket, as text.

use super::super::escape;
use super::Column;
use super::text::{push_number, push_word};
use crate::classifier::{Report, Row};
use crate::model::{HiddenReason, Holders, Owner, Pid};

/// `java[1234]`, `nginx[10] +3`, `python3[3225] (not accepted)`, `-`, `? (needs root)`.
pub fn push_owner(owner: &Owner<'_>, holders: &Holders, out: &mut String) {
    match owner {
        Owner::Process(_) => push_processes(
            owner.holders().iter().map(|holder| holder.pid),
            holders,
            out,
        ),
        Owner::Listener([]) => out.push_str("? (not accepted)"),
        Owner::Listener(_) => {
            push_processes(
                owner.holders().iter().map(|holder| holder.pid),
                holders,
                out,
            );
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
        HiddenReason::Refused | HiddenReason::Elsewhere => "? (not visible)",
    }
}

/// Appends `nginx[10] +3`: the first process, and how many others follow; nothing for none. The
/// same process is counted once where its numbers follow each other.
pub fn push_processes(mut pids: impl Iterator<Item = Pid>, holders: &Holders, out: &mut String) {
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
        out.push_str(" +");
        push_number(others, out);
    }
}

/// Every holder once: as `pid:fd:name`, or each process or each name once, separated by commas.
pub(super) fn push_holders(
    column: Column,
    row: &Row<'_>,
    report: &Report<'_>,
    out: &mut String,
) -> bool {
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
