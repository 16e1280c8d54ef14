//! Processes that cannot run: what that means, and the facts.

use crate::classifier::Report;
use crate::classifier::halt::HaltedShare;
use crate::classifier::process::{HaltReason, throttled};
use crate::model::{Container, Evidence, Freezer, Name, Pid, Quota, Stuck};
use crate::renderer::names::process;
use crate::renderer::units;

/// What it means that a process cannot run.
pub(super) fn meaning(hold: HaltReason, share: Option<HaltedShare>) -> String {
    let words = match hold {
        HaltReason::Frozen => {
            "A process that should serve these connections is in a frozen control group. It cannot \
             accept, read or close until the group is thawed."
        }
        HaltReason::Traced => {
            "A process that should serve these connections is stopped by its tracer. It cannot \
             accept, read or close until the tracer resumes or detaches from it. SIGCONT does not \
             end this."
        }
        HaltReason::Stopped => {
            "A process that should serve these connections is stopped. It cannot accept, read or \
             close until it is continued."
        }
        HaltReason::Forking => {
            "The thread that should serve these connections waits in vfork(). It cannot continue \
             until its child executes a program or exits."
        }
        HaltReason::Stuck => {
            "The threads that should serve these connections are in uninterruptible sleep. They \
             continue when the operation they wait for completes."
        }
    };
    match share {
        Some(HaltedShare { held: 1, all }) if all > 1 => {
            format!("{words} It is 1 of {all} workers.")
        }
        Some(HaltedShare { held, all }) if held > 1 && held < all => {
            format!("{words} {held} of {all} workers are in this state.")
        }
        Some(HaltedShare { held: 2, .. }) => format!("{words} Both workers are in this state."),
        Some(HaltedShare { held, all }) if held > 1 => {
            format!("{words} All {all} workers are in this state.")
        }
        _ => words.to_owned(),
    }
}

/// The facts that keep a process from running, each a line.
pub(super) fn lines(report: &Report<'_>, evidence: &Evidence) -> Vec<String> {
    let name = process(report, evidence.pid);
    let halt = &evidence.halt;
    let mut lines = Vec::new();
    match HaltReason::of(evidence) {
        Some(HaltReason::Frozen) => {
            lines.extend(halt.freezer.as_ref().map(|freezer| frozen(&name, freezer)));
        }
        Some(HaltReason::Traced) => {
            let tracer = halt.tracer.as_ref();
            let who = tracer.and_then(|tracer| Some(named(tracer.name.as_ref(), tracer.pid?)));
            let who = who.unwrap_or("a process outside this PID namespace".to_owned());
            lines.push(format!(
                "{name} is traced by {who}, which has stopped it: it runs no code"
            ));
        }
        Some(HaltReason::Stopped) => lines.push(format!(
            "{name} is stopped by a signal (SIGSTOP, SIGTSTP): it runs no code"
        )),
        Some(HaltReason::Forking | HaltReason::Stuck) | None => {}
    }
    if let Some(vfork) = &halt.vfork {
        let child = vfork.child.map_or("a child".to_owned(), |child| {
            named(vfork.name.as_ref(), child)
        });
        let age = vfork.age_ms.map_or(String::new(), |age| {
            format!(" for {}", units::duration(age))
        });
        let call = vfork
            .call
            .as_ref()
            .map_or(String::new(), |call| format!(", which is in {call}"));
        lines.push(format!(
            "thread {} of {name} has waited in vfork{age} for {child}{call}",
            vfork.thread
        ));
    }
    let total = evidence.threads.map_or(0, |threads| threads.total);
    for stuck in &halt.stuck {
        lines.push(format!(
            "{} of {total} {} of {name} {} in uninterruptible sleep{}",
            stuck.threads,
            if total == 1 { "thread" } else { "threads" },
            if stuck.threads == 1 { "is" } else { "are" },
            place(stuck)
        ));
    }
    for lock in &halt.locks {
        let holder = lock.holder.map_or("an open file".to_owned(), |holder| {
            named(lock.name.as_ref(), holder)
        });
        lines.push(format!(
            "{} of {total} {} of {name} {} for a file lock held by {holder}",
            lock.threads,
            if total == 1 { "thread" } else { "threads" },
            if lock.threads == 1 { "waits" } else { "wait" },
        ));
    }
    lines.extend(throttled(evidence).map(|quota| quota_line(&name, quota)));
    lines
}

fn frozen(name: &str, freezer: &Freezer) -> String {
    let group = match &freezer.directory {
        Some(directory) => directory.to_string(),
        None => "(not visible here)".to_owned(),
    };
    match &freezer.container {
        Some(container) => format!(
            "{name} is in the container {}, which is paused: its control group {group} is frozen",
            short(container)
        ),
        None => format!("{name} runs no code: its control group {group} is frozen"),
    }
}

/// ` in openat, at mnt_want_write (a frozen file system)`.
fn place(stuck: &Stuck) -> String {
    let mut words = String::new();
    if let Some(call) = &stuck.call {
        words.push_str(&format!(" in {call}"));
    }
    match &stuck.place {
        Some(place) => {
            words.push_str(&format!(" at {place}"));
            if let Some(what) = what(place) {
                words.push_str(&format!(": {what}"));
            }
        }
        None => words.push_str(": a disk, a hung mount, or a kernel lock"),
    }
    words
}

/// What a kernel function waits for, if its name is unambiguous.
fn what(place: &Name) -> Option<&'static str> {
    let starts = |starts: &[&str]| {
        starts
            .iter()
            .any(|start| place.bytes().starts_with(start.as_bytes()))
    };
    Some(match place {
        _ if starts(&[
            "mnt_want_write",
            "sb_start_",
            "__sb_start_write",
            "file_start_write",
        ]) =>
        {
            "a file system that is frozen (fsfreeze)"
        }
        _ if starts(&["rpc_", "nfs"]) => "an NFS server",
        _ if starts(&["fuse_", "request_wait_answer", "__fuse_"]) => {
            "the program behind a FUSE file system"
        }
        _ if starts(&["cifs_", "smb2_"]) => "an SMB server",
        _ if starts(&["jbd2_", "blk_", "submit_bio_wait", "xfs_log_"]) => "a disk",
        _ => return None,
    })
}

fn quota_line(name: &str, quota: &Quota) -> String {
    let group = match &quota.container {
        Some(container) => format!("the container {}", short(container)),
        None => format!("the control group {}", quota.directory),
    };
    let ms = |us: u64| units::count(us / 1_000);
    let (run, period) = (ms(quota.quota_us), ms(quota.period_us));
    let ran_out = match quota.sample.filter(|sample| sample.all > 0) {
        Some(sample) => format!("{} of {}", sample.throttled, units::count(sample.all)),
        None => format!(
            "{} of {}",
            units::count(quota.total.throttled),
            units::count(quota.total.all)
        ),
    };
    let since = match quota.sample.filter(|sample| sample.all > 0) {
        Some(_) => format!(
            " ({} of {} in all)",
            units::count(quota.total.throttled),
            units::count(quota.total.all)
        ),
        None => String::new(),
    };
    format!(
        "{group} of {name} has a CPU quota of {run} ms in every {period} ms, and used it up in \
         {ran_out} periods{since}"
    )
}

/// How much of a container's id its engine prints, and takes.
pub(super) const ID_SHOWN: usize = 12;

pub(super) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn short(container: &Container) -> String {
    let id = container.id.to_string();
    match id.get(..ID_SHOWN).filter(|_| is_id(&id)) {
        Some(short) => short.to_owned(),
        None => id,
    }
}

pub(super) fn named(name: Option<&Name>, pid: Pid) -> String {
    match name {
        Some(name) => format!("{name}[{pid}]"),
        None => format!("process {pid}"),
    }
}
