//! What a process that a finding names does.

use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::classifier::process::Descriptors;
use crate::classifier::process::HaltReason;
use crate::model::{Cause, Evidence, FdLimit};
use crate::renderer::findings::epoll::epoll_line;
use crate::renderer::findings::evidence::origin;
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::findings::{halt, spin};
use crate::renderer::names::process;
use crate::renderer::units::{self, plural};

pub(super) fn lines(
    report: &Report<'_>,
    finding: &Finding,
    evidence: &Evidence,
    lines: &mut Lines,
) {
    let name = process(report, evidence.pid);
    for line in halt::lines(report, evidence) {
        lines.add(Rank::Decisive, line);
    }
    cpu(&name, evidence, lines);
    open_files(&name, finding, evidence, lines);
    dead_sockets(&name, finding, evidence, lines);
    if let Some(words) = epoll_line(finding, evidence) {
        let whose = match finding.set.owner.pids.len() {
            1 => String::new(),
            _ => format!(" of {name}"),
        };
        lines.add(Rank::Telling, format!("epoll{whose}: {words}"));
    }
    origin::lines(report, finding, evidence, lines);
    for unread in &evidence.unread {
        lines.add(Rank::Plain, format!("unknown about {name}: {unread}"));
    }
}

/// The CPU use of a process, unless it cannot run.
fn cpu(name: &str, evidence: &Evidence, lines: &mut Lines) {
    let cannot_run = matches!(
        HaltReason::of(evidence),
        Some(HaltReason::Frozen | HaltReason::Traced | HaltReason::Stopped)
    );
    if let Some(cpu) = evidence.cpu.as_ref().filter(|_| !cannot_run) {
        let (never_sleeps, line) = spin::line(name, evidence, cpu);
        let rank = if never_sleeps {
            Rank::Decisive
        } else {
            Rank::Plain
        };
        lines.add(rank, line);
    }
}

/// The open files of a process, and the share of its limit that the sockets use.
fn open_files(name: &str, finding: &Finding, evidence: &Evidence, lines: &mut Lines) {
    let (Some(open), Some(FdLimit::Files(limit))) = (evidence.open_fds, evidence.fd_limit) else {
        return;
    };
    let (rank, near) = match Descriptors::of(evidence) {
        Some(Descriptors::Gone) => (Rank::Decisive, ": accept() and open() fail (EMFILE)"),
        Some(Descriptors::Short) => (Rank::Decisive, ": close to the limit (EMFILE)"),
        Some(Descriptors::Enough) | None => (Rank::Plain, ""),
    };
    let what = match finding.set.cause {
        Cause::DeadDescriptors => "descriptors",
        _ => "sockets",
    };
    let (rank, share) = match finding.fd_percent {
        Some(percent @ 1..) => (
            rank.min(Rank::Telling),
            format!("; these {what} are {percent} % of the limit"),
        ),
        _ => (rank, String::new()),
    };
    let (open, limit) = (units::count(open), units::count(limit));
    lines.add(
        rank,
        format!("{name} has {open} of {limit} files open{near}{share}"),
    );
}

/// The descriptors of a process whose connections are gone.
fn dead_sockets(name: &str, finding: &Finding, evidence: &Evidence, lines: &mut Lines) {
    let Some(dead) = evidence.dead_sockets.filter(|dead| *dead > 0) else {
        return;
    };
    let (rank, also) = match finding.set.cause {
        Cause::DeadDescriptors => (Rank::Decisive, ""),
        _ if finding.dead > 0 => (Rank::Decisive, "also "),
        _ => (Rank::Telling, "also "),
    };
    let why = match finding.dead {
        0 => "reset, timed out or never connected, and not closed",
        _ => {
            "consistent with the other legs of these connections, which their remote hosts have \
             dropped"
        }
    };
    let (count, s) = (units::count(dead), plural(dead));
    let are = if dead == 1 { "is" } else { "are" };
    lines.add(
        rank,
        format!("{name} {also}holds {count} TCP socket{s} that {are} in no socket table: {why}"),
    );
}
