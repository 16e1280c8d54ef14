//! What a process that a finding names does.

use crate::classifier::Report;
use crate::classifier::culprit::Descriptors;
use crate::classifier::finding::Finding;
use crate::classifier::halt::HaltReason;
use crate::model::Cause;
use crate::model::Evidence;
use crate::model::FdLimit;
use crate::model::Runtime;
use crate::renderer::findings::epoll::epoll_line;
use crate::renderer::findings::evidence::Lines;
use crate::renderer::findings::evidence::Rank;
use crate::renderer::findings::halt;
use crate::renderer::findings::spin;
use crate::renderer::names;
use crate::renderer::names::process;
use crate::renderer::units;

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
    let runs = !matches!(
        HaltReason::of(evidence),
        Some(HaltReason::Frozen | HaltReason::Traced | HaltReason::Stopped)
    );
    if let Some(cpu) = evidence.cpu.as_ref().filter(|_| runs) {
        let (never_rests, line) = spin::line(&name, evidence, cpu);
        let rank = if never_rests {
            Rank::Decisive
        } else {
            Rank::Plain
        };
        lines.add(rank, line);
    }
    if let (Some(open), Some(FdLimit::Files(limit))) = (evidence.open_fds, evidence.fd_limit) {
        let (rank, near) = match Descriptors::of(evidence) {
            Some(Descriptors::Gone) => (Rank::Decisive, ": accept() and open() fail (EMFILE)"),
            Some(Descriptors::Short) => (Rank::Decisive, ": nearly all of them, EMFILE is near"),
            Some(Descriptors::Enough) | None => (Rank::Plain, ""),
        };
        let what = match finding.set.cause {
            Cause::DeadDescriptors => "descriptors",
            _ => "sockets",
        };
        let held = match finding.fd_percent {
            Some(percent @ 1..) => format!("; these {what} are {percent} % of the limit"),
            _ => String::new(),
        };
        let rank = if held.is_empty() {
            rank
        } else {
            rank.min(Rank::Telling)
        };
        lines.add(
            rank,
            format!(
                "{name} has {} of {} files open{near}{held}",
                units::count(open),
                units::count(limit)
            ),
        );
    }
    if let Some(dead) = evidence.dead_sockets.filter(|dead| *dead > 0) {
        let (rank, also) = match finding.set.cause {
            Cause::DeadDescriptors => (Rank::Decisive, ""),
            _ if finding.dead > 0 => (Rank::Decisive, "also "),
            _ => (Rank::Telling, "also "),
        };
        let (plural, are) = if dead == 1 { ("", "is") } else { ("s", "are") };
        let why = match finding.dead {
            0 => "reset, reaped or never connected, and not closed",
            _ => "consistent with the other legs of these, whose hosts have let go of them",
        };
        lines.add(
            rank,
            format!(
                "{name} {also}holds {} TCP socket{plural} that {are} in no table: {why}",
                units::count(dead)
            ),
        );
    }
    if let Some(words) = epoll_line(finding, evidence) {
        let whose = match finding.set.owner.pids.len() {
            1 => String::new(),
            _ => format!(" of {name}"),
        };
        lines.add(Rank::Telling, format!("epoll{whose}: {words}"));
    }
    if let Some(age) = evidence.age_ms {
        lines.add(
            Rank::Plain,
            format!(
                "{name} started {} ago{}",
                units::duration(age),
                match evidence.runtime {
                    Runtime::Native => String::new(),
                    runtime => format!(" ({})", names::runtime(runtime)),
                }
            ),
        );
    }
    for unread in &evidence.unread {
        lines.add(Rank::Plain, format!("not known of {name}: {unread}"));
    }
}
