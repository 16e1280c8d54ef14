//! What lets a process run again.

use crate::classifier::Report;
use crate::classifier::process::{HaltReason, throttled};
use crate::model::{Engine, Evidence, Freezer, Pid, Tool, Version};
use crate::renderer::findings::halt::named;
use crate::renderer::findings::steps::restart::{container_id, on_host};
use crate::renderer::findings::steps::step::{Step, quoted};

const ON_PURPOSE: &str = "if it was not stopped on purpose";

/// What ends it.
pub(super) fn steps(report: &Report<'_>, evidence: &Evidence, hold: HaltReason) -> Vec<Step> {
    let (halt, pid) = (&evidence.halt, evidence.pid);
    match hold {
        HaltReason::Frozen => {
            let freezer = halt.freezer.iter();
            freezer.map(|freezer| thaw(report, freezer)).collect()
        }
        HaltReason::Traced => match (halt.tracer.as_ref()).and_then(|of| Some((of.pid?, &of.name)))
        {
            Some((tracer, name)) => vec![
                Step::run(format!("ps -o pid,ppid,tty,lstart,args -p {tracer}")),
                Step::advice(format!(
                    "detach {} from {pid} (gdb: detach, strace: end it), {ON_PURPOSE}",
                    named(name.as_ref(), tracer)
                )),
            ],
            None => vec![Step::advice(format!(
                "find the tracer of {pid} from the host: it is in another PID namespace"
            ))],
        },
        HaltReason::Stopped => vec![go_on(&[pid], 0)],
        HaltReason::Forking => match halt.vfork.as_ref().and_then(|vfork| vfork.child) {
            Some(child) => vec![
                Step::run(format!("cat /proc/{child}/stack; ls -l /proc/{child}/fd")),
                Step::run(format!("kill {child}")).with(format!("{pid} then continues")),
            ],
            None => vec![Step::run(format!("ps -o pid,stat,wchan,args --ppid {pid}"))],
        },
        HaltReason::Stuck => vec![Step::run(format!("cat /proc/{pid}/task/*/stack"))],
    }
}

/// What resumes processes that a signal stopped; `more` others are not listed.
pub(super) fn go_on(pids: &[Pid], more: u64) -> Step {
    let numbers: Vec<String> = pids.iter().map(Pid::to_string).collect();
    let step = Step::run(format!("kill -CONT {}", numbers.join(" ")));
    step.with(match (pids, more) {
        ([_], 0) => ON_PURPOSE.to_owned(),
        (_, 0) => "if they were not stopped on purpose".to_owned(),
        (_, more) => format!("and {more} more, if they were not stopped on purpose"),
    })
}

/// What shows more about a quota, and about the holder of a lock.
pub(super) fn beside(evidence: &Evidence) -> Vec<Step> {
    let mut steps = Vec::new();
    for holder in evidence.halt.locks.iter().filter_map(|lock| lock.holder) {
        steps.push(Step::run(format!(
            "ps -o pid,stat,lstart,args -p {holder}; cat /proc/{holder}/stack"
        )));
    }
    if let Some(directory) = throttled(evidence).and_then(|quota| quoted(&quota.directory)) {
        steps.push(Step::run(format!(
            "cat {directory}/cpu.stat; sleep 10; cat {directory}/cpu.stat"
        )));
    }
    steps
}

/// What thaws a group, by what most likely froze it.
fn thaw(report: &Report<'_>, freezer: &Freezer) -> Step {
    let container = freezer.container.as_ref();
    let id = container.and_then(|of| container_id(&of.id));
    let tool = container
        .and_then(|of| of.engine)
        .map(|engine| match engine {
            Engine::Docker => (Tool::Docker, "docker unpause"),
            Engine::Podman => (Tool::Podman, "podman unpause"),
            Engine::Nerdctl => (Tool::Nerdctl, "nerdctl unpause"),
            // A tool of the same package.
            Engine::Lxc => (Tool::LxcStop, "lxc-unfreeze -n"),
        });
    if let Some(((tool, command), id)) = tool.zip(id) {
        let step = Step::run(format!("{command} {id}")).with(ON_PURPOSE);
        return on_host(report, tool, step);
    }
    let (file, word) = match freezer.version {
        Version::V1 => ("freezer.state", "THAWED"),
        Version::V2 => ("cgroup.freeze", "0"),
    };
    match &freezer.directory {
        Some(directory) => match quoted(directory) {
            Some(directory) => {
                Step::run(format!("echo {word} > {directory}/{file}")).with(ON_PURPOSE)
            }
            None => Step::advice(format!("write {word} to {file} of that control group")),
        },
        None => Step::advice("thaw the control group on the host: it is not visible here"),
    }
}
