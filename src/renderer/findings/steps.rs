//! What to do next: commands that fit the owner, its runtime and the cause.

use super::super::escape;
use super::words::{awaited, emfile};
use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::model::{Cause, Pid, Runtime};

/// Commands that fit the owner and the cause.
pub fn next_steps(report: &Report<'_>, finding: &Finding) -> Vec<String> {
    let set = &finding.set;
    let mut steps = Vec::new();
    if matches!(set.cause, Cause::Transient | Cause::HalfClose) {
        return steps;
    }
    let pid = set.owner.pids.first().copied();
    let stopped = finding.evidence.iter().any(|evidence| {
        evidence
            .threads
            .is_some_and(|threads| threads.stopped == threads.total)
    });
    match pid {
        Some(pid) if stopped => steps.push(format!(
            "kill -CONT {pid}, if it was not stopped on purpose"
        )),
        Some(pid) => {
            let runtime = finding
                .evidence
                .iter()
                .find(|evidence| evidence.pid == pid)
                .map_or(Runtime::Native, |evidence| evidence.runtime);
            steps.push(stack_command(runtime, pid));
        }
        None if set.owner.kind.is_none() => {
            steps.push("run it without --no-owners to see whose they are".to_owned())
        }
        None => steps.push("run it as root to see whose they are".to_owned()),
    }
    if let Some(queue) = &finding.queue {
        if emfile(finding)
            && let Some(pid) = pid
        {
            steps.push(format!(
                "ls -l /proc/{pid}/fd | awk '{{print $NF}}' | sort | uniq -c | sort -rn | head"
            ));
        }
        if queue.at_somaxconn {
            steps.push(
                "make accept() faster first; a larger backlog needs net.core.somaxconn raised too"
                    .to_owned(),
            );
        }
    }
    if let Some(remote) = awaited(finding) {
        steps.push(format!(
            "look at {remote}: that is what the threads wait for"
        ));
    }
    let mut list = format!("closewait list --state close-wait --cause {}", set.cause);
    if let Some(pid) = pid {
        list.push_str(&format!(" --pid {pid}"));
    }
    let asked = report.snapshot.netns_asked.as_deref();
    if let Some(netns) = asked {
        list.push_str(&format!(" -N {}", escape::text(netns.as_bytes())));
    }
    steps.push(list);
    steps.push(format!("closewait explain {}", set.cause));
    steps
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
