//! Dead descriptors: open descriptors of sockets whose connections are in no table any more, and
//! whose they are.

use std::collections::BTreeMap;

use super::finding::{DETAILED, Finding};
use super::identity::Identities;
use super::report::Report;
use super::rules::Thresholds;
use super::severity::{Severity, Weight, severity};
use super::socket_set;
use super::stacks::SharedStacks;
use super::workers::Workers;
use crate::model::{Cause, Evidence, FdLimit, Name, Pid};

/// The largest difference between two counts of the legs of one proxy, in percent: some connection
/// is always on its way.
const APART_PERCENT: u64 = 20;

/// Findings about dead descriptors, one for each program that has many.
pub(super) fn findings(
    report: &Report<'_>,
    evidence: &[Evidence],
    thresholds: &Thresholds,
) -> Vec<Finding> {
    let dead = |evidence: &Evidence| evidence.dead_sockets.unwrap_or_default();
    let mut programs: BTreeMap<(Option<&Name>, Option<Pid>), Vec<&Evidence>> = BTreeMap::new();
    for evidence in evidence {
        if dead(evidence) > 0 && report.asks_about_dead(evidence.pid) {
            let name = report.holders().name(evidence.pid);
            let unnamed = name.is_none().then_some(evidence.pid);
            programs.entry((name, unnamed)).or_default().push(evidence);
        }
    }
    let judge = |mut processes: Vec<&Evidence>| {
        processes.sort_by_key(|evidence| (std::cmp::Reverse(dead(evidence)), evidence.pid));
        let sockets = processes
            .iter()
            .map(|evidence| dead(evidence))
            .fold(0, u64::saturating_add);
        let shares = processes.iter().filter_map(|evidence| {
            let limit = evidence.fd_limit.and_then(FdLimit::files)?;
            Some(dead(evidence).saturating_mul(100) / limit.max(1))
        });
        let weight = Weight {
            cause: Cause::DeadDescriptors,
            pool_verdict: None,
            sockets,
            fd_percent: shares.max(),
            queue_percent: None,
            stopped: false,
            out_of_fds: false,
        };
        let pids = processes.iter().map(|evidence| evidence.pid).collect();
        let set = socket_set::dead(report, pids, sockets);
        Finding {
            severity: severity(&weight, thresholds),
            beginnings: Vec::new(),
            identities: Identities::of(report, &set, evidence),
            set,
            queue: None,
            evidence: processes.into_iter().take(DETAILED).cloned().collect(),
            workers: Workers::default(),
            peeks: None,
            stacks: SharedStacks::default(),
            culprit: None,
            halted: None,
            chain: Vec::new(),
            old_workers: None,
            fd_percent: weight.fd_percent,
            dead: 0,
            sum: None,
            parts: Vec::new(),
            growth: None,
        }
    };
    programs
        .into_values()
        .map(judge)
        .filter(|finding| finding.severity > Severity::Info)
        .collect()
}

/// Adds findings about dead descriptors. If a program has about as many of them, together with
/// CLOSE_WAIT sockets, as it has FIN_WAIT2 sockets that wait for a remote end, they are the other
/// legs of these: the hosts of the clients have dropped the connections, and the program waits for
/// the remote end on both legs.
pub(super) fn add_to(dead: Vec<Finding>, findings: &mut Vec<Finding>, thresholds: &Thresholds) {
    for one in dead {
        match findings.iter_mut().find(|finding| is_leg(&one, finding)) {
            None => findings.push(one),
            Some(finding) => {
                finding.dead = one.set.sockets;
                let both = finding.fd_percent.zip(one.fd_percent);
                finding.fd_percent = both.map(|(a, b)| a.saturating_add(b));
                let weight = Weight {
                    cause: finding.set.cause,
                    pool_verdict: None,
                    sockets: one.set.sockets,
                    fd_percent: finding.fd_percent,
                    queue_percent: None,
                    stopped: false,
                    out_of_fds: false,
                };
                finding.severity = finding.severity.max(severity(&weight, thresholds));
            }
        }
    }
}

fn is_leg(dead: &Finding, finding: &Finding) -> bool {
    let waiting = finding.waiting();
    let closed = match finding.set.waiting {
        Some(_) => 0,
        None => finding.set.sockets,
    };
    let others = closed.saturating_add(dead.set.sockets);
    let apart = others.abs_diff(waiting).saturating_mul(100);
    let whose = |pid: &Pid| finding.set.owner.pids.contains(pid);
    waiting > 0
        && apart <= waiting.saturating_mul(APART_PERCENT)
        && dead.set.owner.pids.iter().all(whose)
}
