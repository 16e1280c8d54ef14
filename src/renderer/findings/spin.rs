//! The words for a thread that never rests.

use crate::classifier::spin::{Spin, spinning};
use crate::model::{Cpu, Evidence};

/// A difference to what it ran that is worth telling, in percent: the rest of its time others took.
const WAITED_PERCENT: f64 = 5.0;

/// What it means, behind what is to be seen of the sockets.
pub(super) fn meaning(seen: &str, spin: Spin) -> String {
    let words = match spin {
        Spin::Idle => {
            "a thread never rests and the program sends nothing on any connection: consistent with \
             a dead loop, or with a computation that takes this long"
        }
        Spin::Polling => {
            "a thread never rests: consistent with an event loop that is told of the end again and \
             again, and does not act on it"
        }
        Spin::Busy => {
            "a thread never rests: consistent with more work than it can do, or with a loop that \
             does not end"
        }
    };
    format!("{seen}, while {words}.")
}

/// What the threads of a process took of the processors; `true` where one never rests.
pub(super) fn line(name: &str, evidence: &Evidence, cpu: &Cpu) -> (bool, String) {
    let Some(thread) = spinning(evidence) else {
        return (
            false,
            format!(
                "{name} used {:.0} % of a processor over {} ms",
                cpu.percent, cpu.sample_ms
            ),
        );
    };
    let wanted = cpu.busiest.map_or(0.0, |(_, percent)| percent);
    let ran = cpu.ran_percent.unwrap_or(wanted);
    let how = if wanted - ran > WAITED_PERCENT {
        format!(
            "was ready to run {wanted:.0} % of {} ms, and ran {ran:.0} %",
            cpu.sample_ms
        )
    } else {
        format!("ran {ran:.0} % of {} ms", cpu.sample_ms)
    };
    let others = match cpu.restless {
        0 | 1 => String::new(),
        threads => format!(", as {threads} of its threads in all"),
    };
    (
        true,
        format!("thread {thread} of {name} {how}: it never rests{others}"),
    )
}
