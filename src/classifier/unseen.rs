//! Owners that could not be seen: why, how many, and what to try.

use super::Row;
use super::listeners::Listeners;
use crate::model::{Gap, GapKind, Hiding, Owner, Snapshot};

/// Why a holder may have gone unseen in this snapshot.
pub fn hiding(snapshot: &Snapshot) -> Hiding {
    let scan = snapshot.scan;
    match (scan.processes_read < scan.processes_seen, scan.privileged) {
        (true, false) => Hiding::NeedsRoot,
        (true, true) => Hiding::Refused,
        (false, _) => Hiding::Elsewhere,
    }
}

/// Counts selected sockets whose owner is not known.
#[derive(Default)]
pub(super) struct Hidden {
    needs_root: u64,
    refused: u64,
    elsewhere: u64,
    listener_unknown: u64,
    in_another_queue: u64,
}

impl Hidden {
    pub(super) fn add(&mut self, row: &Row<'_>, listeners: &Listeners) {
        match row.owner {
            Owner::Hidden(Hiding::NeedsRoot) => self.needs_root += 1,
            Owner::Hidden(Hiding::Refused) => self.refused += 1,
            Owner::Hidden(Hiding::Elsewhere) => self.elsewhere += 1,
            Owner::Listener([]) if listeners.queue_of(row.socket).is_none() => {
                self.in_another_queue += 1;
            }
            Owner::Listener([]) => self.listener_unknown += 1,
            _ => {}
        }
    }

    pub(super) fn gaps(&self, snapshot: &Snapshot, undecided: u64) -> Vec<Gap> {
        let scan = snapshot.scan;
        let unread = scan.processes_seen.saturating_sub(scan.processes_read);
        let of_all = format!("{unread} of {} processes", scan.processes_seen);
        let told: [(GapKind, u64, String, &'static str); 6] = [
            (
                GapKind::OwnersHidden,
                self.needs_root,
                format!("with a hidden owner: {of_all} may not be read"),
                "run as root to see every owner",
            ),
            (
                GapKind::OwnersHidden,
                self.refused,
                format!(
                    "held by no process in sight: {of_all} refused to be read, even to root; or \
                     closed while this ran"
                ),
                "another user namespace or a security module keeps them apart",
            ),
            (
                GapKind::OwnersHidden,
                self.elsewhere,
                "held by no process in sight: by one in another PID namespace, by the kernel, or \
                 closed while this ran"
                    .to_owned(),
                "run it on the host, or with the host's --proc",
            ),
            (
                GapKind::ListenerUnknown,
                self.listener_unknown,
                "not accepted, by a listener whose process was not seen".to_owned(),
                "run as root in the listener's namespace",
            ),
            (
                GapKind::ListenerUnknown,
                self.in_another_queue,
                "not accepted, in the queue of a listener that is not certain: one on another \
                 port (transparent proxying, sk_lookup)"
                    .to_owned(),
                "",
            ),
            (
                GapKind::Undecided,
                undecided,
                "left out: the filter asks for what is not known of them (an owner, a side, a unit, a cause, \
                 an age, an interface, a mark or a cgroup)"
                    .to_owned(),
                "run as root, or select by state and port alone",
            ),
        ];
        told.into_iter()
            .filter(|(_, count, ..)| *count > 0)
            .map(|(kind, count, detail, hint)| {
                let plural = if count == 1 { "" } else { "s" };
                Gap {
                    kind,
                    count,
                    detail: format!("{count} socket{plural} {detail}"),
                    hint: hint.into(),
                }
            })
            .collect()
    }
}
