//! Relief: what keeps the evidence, and what helps until the fault is fixed.
//!
//! A restart is no relief where another program or the remote end is at fault,
//! or where connections are in use.

use crate::classifier::Report;
use crate::classifier::culprit::Culprit;
use crate::classifier::finding::Finding;
use crate::classifier::process::Descriptors;
use crate::classifier::service::{ServedAt, ServiceEnd};
use crate::classifier::socket_set::SocketSet;
use crate::model::{Cause, Evidence, Protocol, Socket, Source, State, Tool};
use crate::renderer::findings::steps::culprit;
use crate::renderer::findings::steps::list::namespace_option;
use crate::renderer::findings::steps::place::{Place, closewait};
use crate::renderer::findings::steps::restart::restart;
use crate::renderer::findings::steps::step::Step;
use crate::renderer::units;

/// Half an hour: to find a leak takes longer.
const SOON_MS: u64 = 30 * 60 * 1_000;

/// The default of the sysctl fs.nr_open: no limit of open files may be higher.
const NR_OPEN: u64 = 1 << 20;
/// `FD_SETSIZE` of select(2), which cannot handle descriptors from this number on.
const FD_SETSIZE: u64 = 1024;
/// The calls of select(2).
const SELECT: [&str; 3] = ["select", "pselect6", "_newselect"];

/// Saves what a restart destroys.
pub(super) fn record(report: &Report<'_>, set: &SocketSet) -> Option<Step> {
    if report.snapshot.recorded {
        return None;
    }
    let clock = units::clock(report.snapshot.taken_at_ns);
    let time = clock.get(11..)?.replace(':', "");
    let (closewait, within) = (closewait(report), namespace_option(report, set));
    let step = Step::run(format!(
        "{closewait} record{within} /tmp/incident-{time}.cw"
    ));
    Some(step.with("keeps the evidence"))
}

/// What helps for now, the least drastic first; for warnings and worse.
pub(super) fn steps(report: &Report<'_>, finding: &Finding) -> Vec<Step> {
    if finding.set.is_age_missing() {
        return Vec::new();
    }
    let all = [
        more_files(report, finding),
        restart(report, finding),
        kill(report, finding),
    ];
    all.into_iter().flatten().collect()
}

/// A higher limit of open files, if few are left. A program that cannot run opens none.
fn more_files(report: &Report<'_>, finding: &Finding) -> Option<Step> {
    if matches!(finding.culprit, Some(Culprit::Halted(..))) {
        return None;
    }
    let is_short = |evidence: &&Evidence| {
        Descriptors::of(evidence) > Some(Descriptors::Enough) || is_short_soon(finding, evidence)
    };
    let evidence = finding.evidence.iter().find(is_short)?;
    let (limit, most) = (evidence.fd_limit?.files()?, evidence.inside.max_files?);
    let wanted = limit.checked_mul(2)?;
    let mut calls = evidence.waits.iter().flatten().map(|wait| &wait.call);
    if wanted > FD_SETSIZE && calls.any(|call| SELECT.iter().any(|select| *call == **select)) {
        return None;
    }
    let root = report.snapshot.scan.root;
    // Root can raise the hard limit too.
    let (value, raises_hard) = if wanted <= most {
        (format!("{wanted}:"), false)
    } else if wanted <= NR_OPEN && (root || most <= limit) {
        (format!("{wanted}:{wanted}"), true)
    } else if most > limit {
        (format!("{most}:"), false)
    } else {
        return None;
    };
    let place = Place::new(report, finding, evidence.pid);
    let step = place.host(
        Tool::Prlimit,
        &format!("--pid {} --nofile={value}", evidence.pid),
    );
    let step = step.with("relief until these are used up too");
    let step = match limit <= FD_SETSIZE {
        true => step.with("not if it uses select(2)"),
        false => step,
    };
    Some(if raises_hard {
        place.as_root(step)
    } else {
        step
    })
}

/// Whether the process runs out of descriptors before an operator has found the cause.
fn is_short_soon(finding: &Finding, evidence: &Evidence) -> bool {
    let full_in_ms = || {
        let limit = evidence.fd_limit?.files()?;
        let growth = finding.growth.as_ref()?;
        growth.full_in_ms(evidence.pid, evidence.open_fds?, limit)
    };
    full_in_ms().is_some_and(|time| time < SOON_MS)
}

/// What ends the sockets, if no other CLOSE_WAIT socket would match.
fn kill(report: &Report<'_>, finding: &Finding) -> Option<Step> {
    let set = &finding.set;
    let is_left = matches!(set.cause, Cause::NeverClosed | Cause::Abandoned);
    let is_simple = finding.culprit.is_none()
        && culprit::awaited(finding).is_none()
        && finding.parts.is_empty()
        && finding.old_workers.is_none()
        && set.uncounted_fins == 0
        && report.snapshot.netns(set.netns).source == Source::Netlink;
    if !is_left || !is_simple || report.may_miss_sockets() {
        return None;
    }
    let ServiceEnd::One(service) = set.end else {
        return None;
    };
    let port = service.port()?;
    let filter = match service.at {
        ServedAt::Local(_) => format!("sport = :{port}"),
        ServedAt::Remote(remote) => format!("dst {remote}"),
        ServedAt::Unknown(_) => return None,
    };
    let is_matched = |socket: &Socket| {
        let is_there = match service.at {
            ServedAt::Local(port) => socket.local.port == port,
            ServedAt::Remote(remote) => socket.remote.canonical() == remote,
            ServedAt::Unknown(_) => false,
        };
        let is_open = socket.protocol == Protocol::Tcp && socket.state == State::CloseWait;
        is_there && is_open && socket.netns == set.netns
    };
    // The tables are complete, whatever is selected.
    let sockets = report.snapshot.sockets.iter();
    let matched = sockets.filter(|socket| is_matched(socket)).count() as u64;
    let are_stuck = report.rows().all(|row| {
        let is_stuck = row.cause == Some(set.cause) && row.lingers() == Some(true);
        is_stuck || !is_matched(row.socket)
    });
    if matched != set.sockets || !are_stuck {
        return None;
    }
    let place = Place::new(report, finding, *set.by_weight.first()?);
    let step = place.network(Tool::Ss, &format!("-K -t state close-wait '{filter}'"));
    let words = "ends connections, frees no descriptor; needs CONFIG_INET_DIAG_DESTROY";
    let step = step.with(words);
    Some(match place.enter_network().is_empty() {
        true => place.as_root(step),
        false => step,
    })
}
