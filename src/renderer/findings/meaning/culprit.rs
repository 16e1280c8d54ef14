//! What a finding means if a culprit explains it.

use crate::classifier::culprit::Culprit;
use crate::classifier::finding::Finding;
use crate::model::{Cause, Evidence, Runtime};
use crate::renderer::findings::meaning::cause;
use crate::renderer::findings::set::end_on;
use crate::renderer::findings::{backends, halt, spin};

/// The facts of a cause that something other than the program may explain.
fn facts(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::NotAccepted => "The program does not call accept() in time",
        Cause::SlowHandler => "Nothing was sent since the last byte came in",
        Cause::NotReading => "Data lies unread",
        Cause::NeverClosed => "End-of-file was read and close() was not called",
        Cause::Abandoned => "The last request was answered, and end-of-file was not read",
        Cause::StalePool => "The server closed these connections, and end-of-file was not read",
        Cause::HalfClose => "The peers closed one direction only, and wait",
        _ => return None,
    })
}

/// What it means if a culprit explains the cause; the words are the same for every cause.
pub(super) fn words(finding: &Finding, cause: Cause, culprit: Culprit) -> Option<String> {
    let facts = facts(cause)?;
    let words = match culprit {
        Culprit::Halted(_, hold) => halt::meaning(hold, finding.halted),
        Culprit::FileLock(_) => format!(
            "{facts}, and the threads that should serve these connections wait for a file lock: its \
             holder blocks them."
        ),
        Culprit::Throttled(_) => format!(
            "{facts}, and the program's control group used up its CPU quota: consistent with a \
             quota that is too small for this work."
        ),
        Culprit::NoDescriptors => {
            "The process has no file descriptors left, so accept() fails: consistent with EMFILE."
                .to_owned()
        }
        Culprit::Backend(remote) => {
            let end = backends::end(finding).map_or(String::new(), |end| format!(" {end}"));
            format!(
                "{facts}, and {} for {remote}: consistent with a slow service behind this one.{end}",
                who_waits(finding)
            )
        }
        Culprit::Blocked(_) => format!(
            "{facts}, and the event loop that watches the connections does not run: consistent with \
             a call that blocks it{}.",
            match finding.workers.waits.first() {
                Some(common) => format!(" ({})", common.call),
                None => String::new(),
            }
        ),
        Culprit::Lock(_) => format!(
            "{facts}, and {} for a lock that is not released: the thread that holds it is the one \
             to look at.",
            who_waits(finding)
        ),
        Culprit::FarEnd(end) if finding.set.relayed_to.is_some() => format!(
            "{facts}. When these peers closed, the program closed its direction of as many \
             connections {}, and waits for that end: consistent with a proxy whose two legs carry \
             different bytes (TLS, headers). If so, the fault is at that end; otherwise close() is \
             missing here.",
            end_on(end, "")
        ),
        Culprit::FarEnd(end) => format!(
            "The program passed the close on, and waits for the remote end of its connections {} \
             to close: the fault is there.{}",
            end_on(end, ""),
            backends::end(finding).map_or(String::new(), |end| format!(" {end}"))
        ),
        Culprit::Exhausted(end) => format!(
            "{facts}, and the program has no open connection {} left: consistent with an exhausted \
             pool.{}",
            end_on(end, ""),
            match finding.stacks.main() {
                Some(_) => "",
                None => " The stacks of the waiting threads show whether it is.",
            }
        ),
        Culprit::Spinning(_, spin) => spin::meaning(facts, spin),
        Culprit::Sleepers if is_helper(finding) => {
            "The holder of the listener is a program that never opens one itself: consistent with \
             a helper that inherited the listener from a server that has exited. While the helper \
             runs, connections queue up and the port stays in use."
                .to_owned()
        }
        Culprit::Sleepers => {
            "The process that holds the listener sleeps and does not accept: consistent with a \
             server that sleeps or waits for a child, or with a helper that inherited the listener \
             from a server that has exited."
                .to_owned()
        }
    };
    Some(match cause {
        Cause::NotAccepted => cause::with_those_who_left(finding, words),
        Cause::NeverClosed if may_leak_too(finding, culprit) => {
            format!("{words} Sockets that remain after it has answered are a leak.")
        }
        _ => words,
    })
}

/// Whether connections on which end-of-file was read may remain after the backend answers. Go reads
/// it while a handler works.
fn may_leak_too(finding: &Finding, culprit: Culprit) -> bool {
    matches!(culprit, Culprit::Backend(_))
        && finding.set.all_pair().is_none()
        && !cause::is_of(finding, Runtime::Go)
}

/// `all 4 workers wait`.
fn who_waits(finding: &Finding) -> String {
    let workers = &finding.workers;
    let held_up = match (finding.culprit, workers.backend(), workers.contended_lock()) {
        (Some(Culprit::Backend(remote)), Some((other, common)), _) if remote == other => {
            common.workers
        }
        (Some(Culprit::Lock(_)), _, Some((contended_lock, _))) => contended_lock.workers,
        _ => 0,
    };
    match workers.total {
        2 if held_up == 2 => "both workers wait".to_owned(),
        2.. if held_up == workers.total => format!("all {held_up} workers wait"),
        _ if matches!(finding.culprit, Some(Culprit::Lock(_))) => {
            "most of its threads wait".to_owned()
        }
        _ => "the program waits".to_owned(),
    }
}

/// Whether every holder of the listener runs a program that cannot have created it.
pub(in crate::renderer::findings) fn is_helper(finding: &Finding) -> bool {
    /// Shells and tools that never listen.
    const NEVER: [&str; 11] = [
        "bash", "cat", "dash", "logger", "nohup", "sh", "sleep", "su", "sudo", "tail", "tee",
    ];
    let never = |evidence: &Evidence| {
        let exe = evidence.inside.exe.as_ref();
        let name = exe.and_then(|exe| exe.bytes().rsplit(|byte| *byte == b'/').next());
        name.is_some_and(|name| NEVER.iter().any(|never| never.as_bytes() == name))
    };
    !finding.evidence.is_empty() && finding.evidence.iter().all(never)
}
