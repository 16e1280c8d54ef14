//! Hidden owners: why holders of sockets were not found, for how many sockets, and what to try.

use super::listeners::Listeners;
use super::row::Row;
use crate::model::{BlindSpot, Gap, GapKind, HiddenReason, Holding, Name, Owner, Scan, Snapshot};

/// Why a holder may not have been found: the first reason that can be removed. Others may apply
/// too; the gap lists all.
pub fn hidden_reason(snapshot: &Snapshot) -> HiddenReason {
    let scan = &snapshot.scan;
    let unlisted = scan
        .blind_spots
        .iter()
        .any(|blind_spot| matches!(blind_spot, BlindSpot::Hidepid(_)));
    match scan.processes_read < scan.processes_seen || unlisted {
        true if scan.privileged => HiddenReason::Refused,
        true if scan.root => HiddenReason::NeedsCapability,
        true => HiddenReason::NeedsRoot,
        false => HiddenReason::Elsewhere,
    }
}

/// Counts selected sockets without a known owner.
#[derive(Default)]
pub(super) struct Hidden {
    hidden: u64,
    listener_unknown: u64,
    in_another_queue: u64,
}

impl Hidden {
    pub(super) fn add(&mut self, row: &Row<'_>, listeners: &Listeners) {
        match row.owner {
            Owner::Hidden(_) => self.hidden += 1,
            Owner::Listener([]) if listeners.queue_of(row.socket).is_none() => {
                self.in_another_queue += 1;
            }
            Owner::Listener([]) => self.listener_unknown += 1,
            _ => {}
        }
    }

    pub(super) fn gaps(&self, snapshot: &Snapshot, undecided: u64) -> Vec<Gap> {
        let scan = &snapshot.scan;
        let gaps: [(GapKind, u64, String, String); 4] = [
            (
                GapKind::OwnersHidden,
                self.hidden,
                format!("without a visible holder, perhaps held by {}", reasons(scan).join(", or ")),
                remedy(hidden_reason(snapshot), scan),
            ),
            (
                GapKind::ListenerUnknown,
                self.listener_unknown,
                "not accepted, by a listener whose process was not seen".to_owned(),
                "run as root in the listener's namespace".to_owned(),
            ),
            (
                GapKind::ListenerUnknown,
                self.in_another_queue,
                "not accepted, perhaps in the queue of a listener on another port (transparent \
                 proxying, sk_lookup)"
                    .to_owned(),
                String::new(),
            ),
            (
                GapKind::Undecided,
                undecided,
                "could not be matched: the filter needs a fact that is unknown (an owner, a side, a unit, a \
                 cause, an age, an interface, a mark or a cgroup)"
                    .to_owned(),
                match hidden_reason(snapshot) {
                    // As root, the other reasons do not apply.
                    hidden @ HiddenReason::NeedsCapability => format!(
                        "{}, or select by state and port alone",
                        remedy(hidden, scan)
                    ),
                    _ => "run as root, or select by state and port alone".to_owned(),
                },
            ),
        ];
        gaps.into_iter()
            .filter(|(_, count, ..)| *count > 0)
            .map(|(kind, count, detail, hint)| {
                let plural = if count == 1 { "" } else { "s" };
                Gap {
                    kind,
                    count,
                    detail: format!("{count} socket{plural} {detail}").into(),
                    hint: hint.into(),
                }
            })
            .collect()
    }
}

/// Who may hold the sockets, the most specific first; never empty.
fn reasons(scan: &Scan) -> Vec<String> {
    let held = scan
        .blind_spots
        .iter()
        .filter_map(|blind_spot| match blind_spot {
            BlindSpot::InFlight(holding) => Some(format!(
                "an unread message in a UNIX socket of {} ({} in flight)",
                name(holding),
                descriptors(holding)
            )),
            BlindSpot::Call(holding) => Some(format!(
                "{}, in a system call on a closed descriptor",
                name(holding)
            )),
            BlindSpot::Mapping(holding) => Some(format!("{}, which has it mapped", name(holding))),
            _ => None,
        });
    let mut reasons: Vec<String> = held.collect();
    let (seen, unread) = (
        scan.processes_seen,
        scan.processes_seen.saturating_sub(scan.processes_read),
    );
    if unread > 0 {
        let why = if !scan.privileged {
            "cannot be read"
        } else if scan.blind_spots.contains(&BlindSpot::UserNamespace) {
            "cannot be read from this user namespace"
        } else {
            "cannot be read even with every capability (a security module?)"
        };
        reasons.push(match unread {
            1 => format!("1 process (of {seen}) that {why}"),
            _ => format!("one of the {unread} processes (of {seen}) that {why}"),
        });
    }
    for blind_spot in &scan.blind_spots {
        match blind_spot {
            BlindSpot::Hidepid(option) => reasons.push(format!(
                "another user's process, which /proc does not list ({option})"
            )),
            BlindSpot::PidNamespace => {
                reasons.push("a process in another PID namespace".to_owned())
            }
            BlindSpot::Kernel => reasons.push("the kernel itself (NFS, for example)".to_owned()),
            _ => {}
        }
    }
    match reasons.as_slice() {
        [] if seen == 0 => vec!["a process that could not be listed".to_owned()],
        [] => vec![
            "a process in another PID namespace or the kernel, or closed during the run".to_owned(),
        ],
        _ => reasons,
    }
}

/// What to try against this reason.
fn remedy(hidden_reason: HiddenReason, scan: &Scan) -> String {
    let has = |blind_spot| scan.blind_spots.contains(&blind_spot);
    match hidden_reason {
        HiddenReason::NeedsRoot => match lacking(scan) {
            Some(names) => format!("run as root (or with {names})"),
            None => "run as root (or with CAP_SYS_PTRACE)".to_owned(),
        },
        HiddenReason::NeedsCapability => match lacking(scan) {
            Some(names) => format!("run it with {names}"),
            None => "run it with CAP_SYS_PTRACE".to_owned(),
        },
        HiddenReason::Refused if has(BlindSpot::UserNamespace) => {
            "run it outside this user namespace".to_owned()
        }
        HiddenReason::Elsewhere if scan.may_be_elsewhere() => {
            "run it on the host, or with the host's --proc".to_owned()
        }
        HiddenReason::Refused | HiddenReason::Elsewhere => String::new(),
    }
}

/// The capabilities that closewait lacks; `None` if that was not read.
fn lacking(scan: &Scan) -> Option<String> {
    scan.blind_spots
        .iter()
        .find_map(|blind_spot| match blind_spot {
            BlindSpot::Capabilities(names) => {
                let names: Vec<String> = names.iter().map(Name::to_string).collect();
                Some(names.join(" and "))
            }
            _ => None,
        })
}

fn descriptors(holding: &Holding) -> String {
    match holding.count {
        1 => "1 descriptor".to_owned(),
        count => format!("{count} descriptors"),
    }
}

fn name(holding: &Holding) -> String {
    match &holding.name {
        Some(name) => format!("{name}[{}]", holding.pid),
        None => format!("process {}", holding.pid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, Pid};

    fn reason(unread: u32, privileged: bool, blind_spots: Vec<BlindSpot>) -> String {
        let scan = Scan {
            processes_seen: 90,
            processes_read: 90 - unread,
            privileged,
            blind_spots,
            ..Scan::default()
        };
        reasons(&scan).join(", or ")
    }

    #[test]
    fn every_reason_that_applies_is_named_and_no_other() {
        let holding = || Holding {
            pid: Pid(7),
            name: Some(Name::new(*b"store")),
            count: 8,
        };
        assert_eq!(
            reason(0, true, vec![BlindSpot::Kernel]),
            "the kernel itself (NFS, for example)"
        );
        assert_eq!(
            reason(1, true, vec![BlindSpot::InFlight(holding())]),
            "an unread message in a UNIX socket of store[7] (8 descriptors in flight), or 1 \
             process (of 90) that cannot be read even with every capability (a security module?)"
        );
        assert_eq!(
            reason(
                0,
                true,
                vec![BlindSpot::Call(holding()), BlindSpot::PidNamespace]
            ),
            "store[7], in a system call on a closed descriptor, or a process in another PID \
             namespace"
        );
        let hidepid = BlindSpot::Hidepid("hidepid=invisible".into());
        let names = BlindSpot::Capabilities(vec!["CAP_SYS_PTRACE".into()]);
        assert_eq!(
            reason(0, false, vec![names, hidepid]),
            "another user's process, which /proc does not list (hidepid=invisible)"
        );
        assert_eq!(
            reason(89, false, Vec::new()),
            "one of the 89 processes (of 90) that cannot be read"
        );
        assert_eq!(
            reason(30, true, vec![BlindSpot::UserNamespace]),
            "one of the 30 processes (of 90) that cannot be read from this user namespace"
        );
    }
}
