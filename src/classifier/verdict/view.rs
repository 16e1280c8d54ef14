//! What a check could not look at.

use super::criteria::Criteria;
use crate::classifier::hidden_reason;
use crate::classifier::report::Report;
use crate::model::{GapKind, HiddenReason, Pid, State};

/// Whether an accept queue has something in it, and nothing tells how full that makes it.
fn has_queue_without_limit(report: &Report<'_>) -> bool {
    report.rows().any(|row| {
        let socket = row.socket;
        socket.state == State::Listen && socket.recv_q > 0 && report.send_q(socket).is_none()
    })
}

/// What a test could not look at.
#[derive(Default)]
pub(super) struct View {
    /// What hides something that it asks for.
    pub(super) unseen: Vec<String>,
    /// What it does without.
    pub(super) unjudged: Vec<String>,
}

impl View {
    pub(super) fn of(report: &Report<'_>, test: &Criteria, hidden: u64) -> View {
        let mut view = View::default();
        for gap in &report.gaps {
            let needed = match gap.kind {
                GapKind::DumpInterrupted
                | GapKind::Malformed
                | GapKind::FamilyUnread
                | GapKind::UdpUnread
                | GapKind::NetnsUnread
                | GapKind::StateUnread
                | GapKind::MptcpUnread
                | GapKind::Undecided => Some(true),
                GapKind::ProcessesUnlisted => Some(test.needs_owners()),
                // A stopped process, or one that runs out of files, is told by its evidence alone.
                GapKind::EvidenceMissing => Some(test.needs_evidence()),
                // What is not counted does not matter.
                _ => None,
            };
            let reason = gap.to_string();
            match needed {
                Some(true) => view.unseen.push(reason),
                Some(false) if !test.strict => view.unjudged.push(gap.detail.to_string()),
                _ if test.strict => view.unseen.push(reason),
                _ => {}
            }
        }
        if test.judges_findings() && has_queue_without_limit(report) {
            let queues = "how full the accept queues are (/proc does not tell their limits)";
            if test.is_by_severity() {
                view.unseen.push(
                    "connections wait to be accepted, and /proc does not tell how many may; allow \
                     sock_diag"
                        .to_owned(),
                );
            } else if test.queue.is_empty() {
                view.unjudged.push(queues.to_owned());
            }
        }
        if test.strict {
            view.unseen
                .extend(report.not_looked_at().map(|words| words.to_string()));
        }
        let count_unknown = report.rows().filter(|row| {
            let socket = row.socket;
            socket.state == State::FinWait2 && socket.inode != 0 && socket.tcp.is_none()
        });
        let count_unknown = count_unknown.count();
        if test.judges_findings() && count_unknown > 0 {
            let plural = if count_unknown == 1 { "" } else { "s" };
            let what =
                format!("how long {count_unknown} FIN_WAIT2 socket{plural} have waited (no ages)");
            if test.strict {
                view.unseen.push(what);
            } else {
                view.unjudged.push(what);
            }
        }
        view.hidden_owners(report, test, hidden);
        view.unread_processes(report, test);
        let findings = match test.queue.is_empty() {
            true => "CLOSE_WAIT and accept queues",
            false => "CLOSE_WAIT",
        };
        let said = [
            (test.judges_findings(), findings),
            (test.owners, "owners (--no-owners)"),
            (
                test.evidence || !test.owners || !test.judges_findings(),
                "dead descriptors, shares of file limits and stopped processes (--no-evidence)",
            ),
        ];
        let left_out = said.into_iter().filter(|(judged, _)| !judged);
        view.unjudged
            .extend(left_out.map(|(_, what)| what.to_owned()));
        if test.allow_partial {
            view.unjudged.splice(0..0, view.unseen.drain(..));
        }
        view
    }

    /// What one of the judgements lacks.
    pub(super) fn add(&mut self, what: String, test: &Criteria) {
        if test.allow_partial {
            self.unjudged.push(what);
        } else {
            self.unseen.push(what);
        }
    }

    /// Only its descriptors show what is in no table.
    fn unread_processes(&mut self, report: &Report<'_>, test: &Criteria) {
        let scan = &report.snapshot.scan;
        let unread = scan.processes_seen.saturating_sub(scan.processes_read);
        let judges = test.judges_findings() && test.evidence;
        // No process has the number 0: if it is asked about, all are.
        if unread == 0 || !judges || !report.asks_about_dead(Pid(0)) {
            return;
        }
        let plural = if unread == 1 { "" } else { "es" };
        let what = format!("dead descriptors of {unread} process{plural} that may not be read");
        if test.strict {
            self.unseen.push(what);
        } else {
            self.unjudged.push(what);
        }
    }

    fn hidden_owners(&mut self, report: &Report<'_>, test: &Criteria, hidden: u64) {
        let told = !self.unseen.is_empty() && (test.needs_owners() || test.strict);
        if hidden == 0 || told {
            return;
        }
        let plural = if hidden == 1 { "" } else { "s" };
        let what = format!("the owners of {hidden} socket{plural}");
        if !test.needs_owners() {
            self.unjudged.push(format!("{what} (hidden)"));
            return;
        }
        let hint = match hidden_reason(report.snapshot) {
            HiddenReason::NeedsRoot => "run as root, or judge --by total",
            HiddenReason::NeedsCapability => "run with CAP_SYS_PTRACE, or judge --by total",
            HiddenReason::Refused | HiddenReason::Elsewhere => {
                "judge --by total, or --allow-partial"
            }
        };
        self.unseen.push(format!("{what} are hidden; {hint}"));
    }
}
