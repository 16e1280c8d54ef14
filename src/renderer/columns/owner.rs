//! Who holds a socket, as text.

use unicode_width::UnicodeWidthStr;

use super::super::{escape, style};
use super::Column;
use super::text::{push_number, push_word};
use crate::classifier::{Report, Row};
use crate::model::{HiddenReason, Holders, Owner, Pid};

/// After the owner of a connection that waits in its listener's queue.
const NOT_ACCEPTED: &str = " (not accepted)";

/// `java[1234]`, `nginx[10] +3`, `python3[3225] (not accepted)`, `-`, `? (needs root)`.
pub fn push_owner(owner: &Owner<'_>, holders: &Holders, out: &mut String) {
    match owner {
        Owner::Process(_) => push_processes(
            owner.holders().iter().map(|holder| holder.pid),
            holders,
            out,
        ),
        Owner::Listener([]) => {
            out.push('?');
            out.push_str(NOT_ACCEPTED);
        }
        Owner::Listener(_) => {
            push_processes(
                owner.holders().iter().map(|holder| holder.pid),
                holders,
                out,
            );
            out.push_str(NOT_ACCEPTED);
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

/// The fewest columns of a name beside anything but its pid, and beside that.
const NAME_LEAST: usize = 8;
const NAME_AT_ALL: usize = 4;

/// Cuts an owner, as [`push_owner`] appends it: `(not accepted)` becomes `queued`, then the end of the
/// name goes, then what follows the pid, then more of the name.
pub fn cut_owner(owner: &mut String, width: usize) {
    if let Some(at) = owner.rfind(NOT_ACCEPTED)
        && owner.width() > width
    {
        owner.replace_range(at.., " queued");
    }
    let Some(at) = owner.rfind('[').filter(|_| owner.width() > width) else {
        return style::cut(owner, width);
    };
    let mut rest = owner.split_off(at);
    let least = owner.width().min(NAME_LEAST);
    if let Some(at) = rest.find(']')
        && least + rest.width() > width
        && at + 1 < rest.len()
    {
        rest.truncate(at + 1);
        rest.push(style::CUT);
    }
    let room = width.saturating_sub(rest.width());
    style::cut(owner, room.max(least.min(NAME_AT_ALL)));
    owner.push_str(&rest);
    style::cut(owner, width);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_keeps_its_name_readable_and_its_pid() {
        let cut = |owner: &str, width| {
            let mut owner = owner.to_owned();
            cut_owner(&mut owner, width);
            owner
        };
        let queued = "gunicorn: worke[15280] (not accepted)";
        assert_eq!(cut(queued, 37), queued);
        assert_eq!(cut(queued, 36), "gunicorn: worke[15280] queued");
        assert_eq!(cut(queued, 24), "gunicorn:…[15280] queued");
        assert_eq!(cut(queued, 17), "gunicorn…[15280]…");
        assert_eq!(cut(queued, 16), "gunicor…[15280]…");
        assert_eq!(cut("python3[15280] +12", 17), "python3[15280]…");
        assert_eq!(cut("python3[15280] +12", 18), "python3[15280] +12");
        assert_eq!(cut("a-name-of-fifteen[1]", 17), "a-name-of-fif…[1]");
        assert_eq!(cut("java[4194304]", 13), "java[4194304]");
        assert_eq!(cut("python3[4194304] +3", 17), "python3[4194304]…");
        assert_eq!(cut("python3[4194304] +3", 14), "pyt…[4194304]…");
        assert_eq!(cut("python3[4194304]", 14), "pyth…[4194304]");
        assert_eq!(cut("? (not accepted)", 15), "? queued");
        assert_eq!(cut("? (not visible)", 12), "? (not visi…");
    }
}
