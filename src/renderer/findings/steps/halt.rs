//! What lets a process run again.

use crate::classifier::process::{HaltReason, throttled};
use crate::model::{Engine, Evidence, Freezer, Name, Pid, Version};
use crate::renderer::findings::halt::{ID_SHOWN, is_id, named};
use crate::renderer::findings::steps::step::Step;

const ON_PURPOSE: &str = "if it was not stopped on purpose";

/// What ends it.
pub(super) fn steps(evidence: &Evidence, hold: HaltReason) -> Vec<Step> {
    let (halt, pid) = (&evidence.halt, evidence.pid);
    match hold {
        HaltReason::Frozen => halt.freezer.iter().map(thaw).collect(),
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
fn thaw(freezer: &Freezer) -> Step {
    let id = freezer.container.as_ref().and_then(|of| plain(&of.id));
    let engine = freezer.container.as_ref().and_then(|of| of.engine);
    let command = match engine {
        Some(Engine::Docker) => Some("docker unpause"),
        Some(Engine::Podman) => Some("podman unpause"),
        Some(Engine::Nerdctl) => Some("nerdctl unpause"),
        Some(Engine::Lxc) => Some("lxc-unfreeze -n"),
        None => None,
    };
    if let Some((command, id)) = command.zip(id) {
        let id = id.get(..ID_SHOWN).filter(|_| is_id(id)).unwrap_or(id);
        return Step::run(format!("{command} {id}")).with(ON_PURPOSE);
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

/// A name that needs no quotes in a shell; otherwise `None`.
fn plain(name: &Name) -> Option<&str> {
    let text = std::str::from_utf8(name.bytes()).ok()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:@,=+-".contains(c);
    (!text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain)).then_some(text)
}

/// A name in quotes if a shell needs them; `None` if a terminal would not show it as it is.
fn quoted(name: &Name) -> Option<String> {
    if let Some(text) = plain(name) {
        return Some(text.to_owned());
    }
    let text = std::str::from_utf8(name.bytes()).ok()?;
    let is_shown = |c: char| c == ' ' || c.is_ascii_graphic() && c != '\'';
    text.chars().all(is_shown).then(|| format!("'{text}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_a_shell_takes_it_or_not_at_all() {
        let written = |path: &str| quoted(&Name::new(path.as_bytes()));
        assert_eq!(written("/sys/fs/a.b-c").as_deref(), Some("/sys/fs/a.b-c"));
        assert_eq!(written("/a\\x2d b;c").as_deref(), Some("'/a\\x2d b;c'"));
        for hostile in ["/a'b", "/a\nb", "/\u{1b}[31m", "/é"] {
            assert_eq!(written(hostile), None, "{hostile:?}");
        }
    }
}
