//! View: what a check could not read.

use super::criteria::Criteria;
use super::files::Files;
use crate::classifier::hidden_reason;
use crate::classifier::report::Report;
use crate::model::{GapKind, HiddenReason, Pid, State};

/// Whether an accept queue is not empty and its limit is unknown.
fn has_queue_without_limit(report: &Report<'_>) -> bool {
    report.rows().any(|row| {
        let socket = row.socket;
        socket.state == State::Listen && socket.recv_q > 0 && report.send_q(socket).is_none()
    })
}

/// What a check could not read.
#[derive(Default)]
pub(super) struct View {
    /// Reasons why something that the criteria need is unknown.
    pub(super) unseen: Vec<String>,
    /// What was not judged.
    pub(super) unjudged: Vec<String>,
}

impl View {
    pub(super) fn of(report: &Report<'_>, test: &Criteria, hidden: u64) -> View {
        let mut view = View::default();
        view.add_gaps(report, test);
        if test.judges_findings() && has_queue_without_limit(report) {
            let queues = "how full the accept queues are (/proc does not show their limits)";
            if test.is_by_severity() {
                view.unseen.push(
                    "connections wait to be accepted, and /proc does not show the limit; allow \
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
        view.add_fin_wait2(report, test);
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

    /// Adds the gaps of a report.
    fn add_gaps(&mut self, report: &Report<'_>, test: &Criteria) {
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
                // Only evidence shows a stopped process, or one without descriptors.
                GapKind::EvidenceMissing => Some(test.needs_evidence()),
                // Anything else is not counted.
                _ => None,
            };
            let reason = gap.to_string();
            match needed {
                Some(true) => self.unseen.push(reason),
                Some(false) if !test.strict => self.unjudged.push(gap.detail.to_string()),
                _ if test.strict => self.unseen.push(reason),
                _ => {}
            }
        }
    }

    /// Adds FIN_WAIT2 sockets without times.
    fn add_fin_wait2(&mut self, report: &Report<'_>, test: &Criteria) {
        let unknown = report.rows().filter(|row| {
            let socket = row.socket;
            socket.state == State::FinWait2 && socket.inode != 0 && socket.tcp.is_none()
        });
        let unknown = unknown.count();
        if test.judges_findings() && unknown > 0 {
            let plural = if unknown == 1 { "" } else { "s" };
            let what = format!("how long {unknown} FIN_WAIT2 socket{plural} have waited (no ages)");
            if test.strict {
                self.unseen.push(what);
            } else {
                self.unjudged.push(what);
            }
        }
    }

    /// Adds what is unknown about open files, if more than `hidden` owners.
    pub(super) fn add_files(&mut self, files: &Files, hidden: u64, test: &Criteria) {
        if files.unknown > 0 {
            let plural = if files.unknown == 1 { "" } else { "es" };
            let what = format!("the file limit of {} process{plural}", files.unknown);
            self.add(what, test);
        }
        if files.hidden > hidden {
            let plural = if files.hidden == 1 { "" } else { "s" };
            let what = format!(
                "the open files of the holders of {} socket{plural}",
                files.hidden
            );
            self.add(what, test);
        }
    }

    /// Adds the reasons of an earlier reading, each once.
    pub(super) fn add_earlier(&mut self, reasons: &[String]) {
        for reason in reasons {
            if !self.unseen.contains(reason) {
                self.unseen.push(reason.clone());
            }
        }
    }

    /// Adds something that one of the criteria needs.
    pub(super) fn add(&mut self, what: String, test: &Criteria) {
        if test.allow_partial {
            self.unjudged.push(what);
        } else {
            self.unseen.push(what);
        }
    }

    /// Only the descriptors of a process show connections that are in no table.
    fn unread_processes(&mut self, report: &Report<'_>, test: &Criteria) {
        let scan = &report.snapshot.scan;
        let unread = scan.processes_seen.saturating_sub(scan.processes_read);
        let judges = test.judges_findings() && test.evidence;
        // No process has id 0: if the filter may select it, it may select any process.
        if unread == 0 || !judges || !report.asks_about_dead(Pid(0)) {
            return;
        }
        let plural = if unread == 1 { "" } else { "es" };
        let what = format!("dead descriptors of {unread} process{plural} that cannot be read");
        if test.strict {
            self.unseen.push(what);
        } else {
            self.unjudged.push(what);
        }
    }

    fn hidden_owners(&mut self, report: &Report<'_>, test: &Criteria, hidden: u64) {
        let is_reported = !self.unseen.is_empty() && (test.needs_owners() || test.strict);
        if hidden == 0 || is_reported {
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
