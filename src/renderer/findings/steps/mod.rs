//! What to do next: commands that fit the owner, its runtime and the cause, and run as printed.

mod culprit;
mod halt;
mod list;
mod place;
mod relief;
mod restart;
mod stack;
mod step;
mod waiting;

use crate::classifier::culprit::Culprit;
use crate::classifier::finding::Finding;
use crate::classifier::pool::PoolVerdict;
use crate::classifier::process::{Descriptors, descriptors};
use crate::classifier::severity::Severity;
use crate::classifier::socket_set::SocketSet;
use crate::classifier::{Report, hidden_reason};
use crate::model::{Cause, HiddenReason, Pid, Tool};
use crate::renderer::findings::meaning::is_helper;
use crate::renderer::findings::steps::list::{list, namespace_option};
use crate::renderer::findings::steps::place::{Place, closewait};
use crate::renderer::findings::steps::stack::{log, stack};
pub use crate::renderer::findings::steps::step::Step;

/// More holders of inherited sockets than this are not named.
const HOLDERS_MAX: usize = 8;
/// The seconds after which lingering sockets are still there, and after which a leak has grown.
const STAYS_S: u32 = 10;
const GROWS_S: u32 = 60;

/// The steps as text, a line each.
pub fn next_steps(report: &Report<'_>, finding: &Finding) -> Vec<String> {
    let steps = steps(report, finding);
    steps.iter().map(Step::to_string).collect()
}

/// What to do, in this order: keep the evidence, learn more, list the sockets, relief.
pub fn steps(report: &Report<'_>, finding: &Finding) -> Vec<Step> {
    let set = &finding.set;
    let mut steps = Vec::new();
    if matches!(set.cause, Cause::Transient)
        || (set.cause == Cause::HalfClose && finding.culprit.is_none())
    {
        return steps;
    }
    if report.snapshot.host.has_other_pids {
        let words = "run these commands on the host: process ids are other ones here";
        steps.push(Step::advice(words));
    }
    let is_ambiguous = set.pool_verdict == Some(PoolVerdict::Ambiguous);
    let is_urgent = finding.severity > Severity::Info;
    // A second look begins with a recording.
    if is_urgent && !is_ambiguous && !set.is_age_missing() {
        steps.extend(relief::record(report, set));
    }
    match set.cause {
        Cause::DeadDescriptors => steps.extend(of_dead(report, finding)),
        _ if set.is_age_missing() => steps.push(look_again(report, set, STAYS_S)),
        // A running program does not explain idle connections.
        _ if set.pool_verdict == Some(PoolVerdict::AtRest) => {}
        _ => {
            if is_ambiguous {
                steps.push(look_again(report, set, GROWS_S));
            }
            if !is_ambiguous || is_urgent {
                steps.extend(culprit::steps(report, finding));
                steps.extend(waiting::steps(report, finding));
                steps.extend(of_owner(report, finding));
                steps.extend(of_queue(report, finding));
            }
        }
    }
    // The descriptors of this cause are in no table.
    if set.cause != Cause::DeadDescriptors {
        steps.push(list(report, finding));
    }
    if is_urgent {
        steps.extend(relief::steps(report, finding));
    }
    let closewait = closewait(report);
    steps.push(Step::run(format!("{closewait} explain {}", set.cause)));
    let mut known = Vec::new();
    steps.retain(|step| {
        let is_new = !known.contains(step);
        known.push(step.clone());
        is_new
    });
    steps
}

/// What to run on the owner, if that can show more.
fn of_owner(report: &Report<'_>, finding: &Finding) -> Vec<Step> {
    let set = &finding.set;
    match (finding.culprit, finding.pid()) {
        // It cannot run, or has done its part: its stack shows nothing more.
        (Some(Culprit::Halted(..) | Culprit::FarEnd(_)), _) => Vec::new(),
        // For a process that only sleeps, its parent is the useful part.
        (Some(Culprit::Sleepers), Some(pid)) => {
            let mut steps = vec![family(set)];
            if is_helper(finding) {
                steps.push(Step::advice(format!(
                    "end it ({pid}) to free the port, then start the server; open its listener \
                     with SOCK_CLOEXEC"
                )));
            } else {
                steps.extend(stack(&Place::new(report, finding, pid)));
            }
            steps
        }
        (_, None) => vec![Step::advice(how_to_see_holders(report, set))],
        (_, Some(_)) if set.cause == Cause::Inherited => vec![family(set)],
        (_, Some(pid)) => {
            let place = Place::new(report, finding, pid);
            match place.evidence {
                Some(_) => stack(&place),
                // Its runtime is unknown.
                None => vec![family(set)],
            }
        }
    }
}

/// The parents and start times of its holders.
fn family(set: &SocketSet) -> Step {
    let pids = set.by_weight.iter().take(HOLDERS_MAX).map(Pid::to_string);
    let pids: Vec<String> = pids.collect();
    Step::run(format!("ps -o pid,ppid,lstart,args -p {}", pids.join(",")))
}

/// What to do about an accept queue.
fn of_queue(report: &Report<'_>, finding: &Finding) -> Vec<Step> {
    let mut steps = Vec::new();
    let Some(queue) = &finding.queue else {
        return steps;
    };
    if descriptors(&finding.evidence) > Descriptors::Enough
        && let Some(pid) = finding.set.by_weight.first()
    {
        // Each socket and pipe has a number of its own.
        let kind = "awk '{sub(/:.*/, \"\", $NF); print $NF}'";
        steps.push(Step::run(format!(
            "ls -l /proc/{pid}/fd | {kind} | sort | uniq -c | sort -rn | head"
        )));
        steps.extend(log(&Place::new(report, finding, *pid)));
    }
    if queue.is_cut_short() {
        steps.push(Step::advice(
            "make accept() faster first; a larger backlog needs net.core.somaxconn raised too",
        ));
    }
    steps
}

/// What shows where descriptors without a connection come from.
fn of_dead(report: &Report<'_>, finding: &Finding) -> Vec<Step> {
    let Some(pid) = finding.evidence.first().map(|evidence| evidence.pid) else {
        return Vec::new();
    };
    let place = Place::new(report, finding, pid);
    // lsof identifies neither sockets of other namespaces nor those in no table.
    let dead = place.network(Tool::Lsof, &format!("-nP -p {pid} | grep -w sock"));
    let mut steps = vec![dead];
    steps.extend(stack(&place));
    let closewait = closewait(report);
    steps.push(Step::run(format!("{closewait} list --pid {pid}")));
    steps
}

/// A second look, some seconds later, which shows whether they stay or grow.
fn look_again(report: &Report<'_>, set: &SocketSet, seconds: u32) -> Step {
    let within = namespace_option(report, set);
    let closewait = closewait(report);
    Step::run(format!(
        "f=$(mktemp -d)/cw; {closewait} record{within} $f; sleep {seconds}; {closewait} diff $f now"
    ))
}

/// What to try if no holder of the sockets was seen.
fn how_to_see_holders(report: &Report<'_>, set: &SocketSet) -> &'static str {
    if set.owner.kind.is_none() {
        return "run without --no-owners to see who holds them";
    }
    match hidden_reason(report.snapshot) {
        HiddenReason::NeedsRoot => "run as root to see who holds them",
        HiddenReason::NeedsCapability => "run with CAP_SYS_PTRACE to see who holds them",
        HiddenReason::Refused | HiddenReason::Elsewhere
            if report.snapshot.scan.may_be_elsewhere() =>
        {
            "run on the host, or with the host's --proc, to see who holds them"
        }
        HiddenReason::Refused | HiddenReason::Elsewhere => {
            "look at \"Not seen\": it lists what may hide the holder"
        }
    }
}
