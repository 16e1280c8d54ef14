//! What to do next: commands that fit the owner, its runtime and the cause.

use crate::classifier::culprit::{self, Culprit, Descriptors};
use crate::classifier::finding::{End, Finding, Set};
use crate::classifier::group::At;
use crate::classifier::{Report, hiding};
use crate::model::{Cause, Hiding, Namespace, Pid, Runtime};

/// Commands that fit the owner and the cause.
pub fn next_steps(report: &Report<'_>, finding: &Finding) -> Vec<String> {
    let set = &finding.set;
    let mut steps = Vec::new();
    if matches!(set.cause, Cause::Transient | Cause::HalfClose) {
        return steps;
    }
    if set.cause == Cause::DeadDescriptors {
        return steps_of_dead(finding);
    }
    let pid = set.by_weight.first().copied();
    if set.is_age_missing() {
        steps.push("closewait record before.cw; sleep 10; closewait diff before.cw now".to_owned());
        steps.push(list(report, finding, pid));
        steps.push(format!("closewait explain {}", set.cause));
        return steps;
    }
    match finding.culprit {
        Some(Culprit::Behind(remote)) => {
            steps.push(format!("look at {remote}: it has not answered"));
        }
        Some(Culprit::FarEnd(End::One(service))) => match service.at {
            At::Remote(remote) => {
                steps.push(format!("look at {remote}: it has not closed its end"));
            }
            At::Local(port) => steps.push(format!(
                "look at the clients of :{port}: they have not closed"
            )),
            At::Untold(_) => {}
        },
        _ => {}
    }
    match (finding.culprit, pid) {
        (Some(Culprit::Halted(stopped)), _) => steps.push(format!(
            "kill -CONT {stopped}, if it was not stopped on purpose"
        )),
        // It has done its part: no stack of it tells more.
        (Some(Culprit::FarEnd(_)), _) => {}
        (_, Some(pid)) => {
            let runtime = finding
                .evidence
                .iter()
                .find(|evidence| evidence.pid == pid)
                .map_or(Runtime::Native, |evidence| evidence.runtime);
            if set.cause == Cause::Inherited {
                let pids: Vec<String> = set.by_weight.iter().take(8).map(Pid::to_string).collect();
                steps.push(format!("ps -o pid,ppid,lstart,args -p {}", pids.join(",")));
            } else {
                steps.push(stack_command(runtime, pid));
            }
        }
        (_, None) => steps.push(whose(report, set).to_owned()),
    }
    if let Some(queue) = &finding.queue {
        if culprit::descriptors(&finding.evidence) > Descriptors::Enough
            && let Some(pid) = pid
        {
            steps.push(format!(
                "ls -l /proc/{pid}/fd | awk '{{print $NF}}' | sort | uniq -c | sort -rn | head"
            ));
        }
        if queue.is_cut_short() {
            steps.push(
                "make accept() faster first; a larger backlog needs net.core.somaxconn raised too"
                    .to_owned(),
            );
        }
    }
    steps.push(list(report, finding, pid));
    steps.push(format!("closewait explain {}", set.cause));
    steps
}

/// The command that lists the sockets.
fn list(report: &Report<'_>, finding: &Finding, pid: Option<Pid>) -> String {
    let set = &finding.set;
    let mut list = match &finding.queue {
        // Nobody gave up yet: what waits in the queue has no cause to be found by.
        Some(queue) if set.sockets == 0 => {
            format!("closewait list --port {}", queue.bound.local.port)
        }
        _ => format!("closewait list --state close-wait --cause {}", set.cause),
    };
    if let Some(pid) = pid {
        list.push_str(&format!(" --pid {pid}"));
    }
    list.push_str(&within(report.snapshot.netns(set.netns)));
    list
}

/// What tells where descriptors come from that are in no table.
fn steps_of_dead(finding: &Finding) -> Vec<String> {
    let mut steps = Vec::new();
    if let Some(evidence) = finding.evidence.first() {
        let pid = evidence.pid;
        steps.push(format!("lsof -nP -p {pid} | grep -w sock"));
        steps.push(stack_command(evidence.runtime, pid));
        steps.push(format!("closewait list --pid {pid}"));
    }
    steps.push(format!("closewait explain {}", finding.set.cause));
    steps
}

/// The words that choose a namespace. A name that a shell would not take as it is is left out: who
/// made it may have meant that.
fn within(namespace: &Namespace) -> String {
    let is_plain = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
        !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
    };
    match (&namespace.asked, namespace.inode) {
        (Some(name), _) if is_plain(name) => format!(" -N {name}"),
        (Some(_), Some(inode)) => format!(" netns = {inode}"),
        _ => String::new(),
    }
}

fn stack_command(runtime: Runtime, pid: Pid) -> String {
    match runtime {
        Runtime::Java => format!("jcmd {pid} Thread.print"),
        Runtime::Python => format!("py-spy dump --pid {pid}"),
        Runtime::Ruby => format!("rbspy snapshot --pid {pid}"),
        Runtime::Go => {
            format!("dlv attach {pid} (goroutines), or curl its /debug/pprof/goroutine?debug=2")
        }
        Runtime::Node => format!("kill -USR1 {pid}, then node inspect -p {pid}"),
        Runtime::Php | Runtime::Nginx | Runtime::Native => {
            format!("gdb -p {pid} -batch -ex 'thread apply all bt'")
        }
    }
}

/// What to try where nobody is seen who holds the sockets.
fn whose(report: &Report<'_>, set: &Set) -> &'static str {
    if set.owner.kind.is_none() {
        return "run it without --no-owners to see whose they are";
    }
    match hiding(report.snapshot) {
        Hiding::NeedsRoot => "run it as root to see whose they are",
        Hiding::NeedsCapability => "run it with CAP_SYS_PTRACE to see whose they are",
        Hiding::Refused | Hiding::Elsewhere if report.snapshot.scan.may_be_elsewhere() => {
            "run it on the host, or with the host's --proc, to see whose they are"
        }
        Hiding::Refused | Hiding::Elsewhere => "see below what may hide the holder",
    }
}
