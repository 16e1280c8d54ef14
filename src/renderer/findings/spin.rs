//! A thread that never sleeps.

use crate::classifier::process::spinning;
use crate::classifier::spin::Spin;
use crate::model::{Cpu, Evidence};
use crate::renderer::findings::stacks;

/// The difference between runnable and running time that is worth a remark, in percent.
const WAITED_PERCENT: f64 = 5.0;

/// What it means, after the facts about the sockets.
pub(super) fn meaning(facts: &str, spin: Spin) -> String {
    let words = match spin {
        Spin::Idle => {
            "a thread never sleeps and the program sends nothing on any connection: consistent \
             with an infinite loop, or with a computation that takes this long"
        }
        Spin::Polling => {
            "a thread never sleeps: consistent with an event loop that is notified of end-of-file \
             again and again, and does not act on it"
        }
        Spin::Busy => {
            "a thread never sleeps: consistent with more work than it can do, or with a loop that \
             does not end"
        }
    };
    format!("{facts}, while {words}.")
}

/// The CPU use of a process; `true` if one of its threads never sleeps.
pub(super) fn line(name: &str, evidence: &Evidence, cpu: &Cpu) -> (bool, String) {
    let Some(thread) = spinning(evidence) else {
        return (
            false,
            format!(
                "{name} used {:.0} % of a CPU over {} ms",
                cpu.percent, cpu.sample_ms
            ),
        );
    };
    let wanted = cpu.busiest.map_or(0.0, |(_, percent)| percent);
    let ran = cpu.ran_percent.unwrap_or(wanted);
    let how = if wanted - ran > WAITED_PERCENT {
        format!(
            "was runnable for {wanted:.0} % of {} ms, and ran for {ran:.0} %",
            cpu.sample_ms
        )
    } else {
        format!("ran for {ran:.0} % of {} ms", cpu.sample_ms)
    };
    let others = match cpu.restless {
        0 | 1 => String::new(),
        threads => format!(", one of {threads} such threads"),
    };
    let code = match stacks::of_thread(evidence, thread) {
        Some(code) => format!("; it was met in {code}"),
        None => String::new(),
    };
    (
        true,
        format!("thread {thread} of {name} {how}: it never sleeps{others}{code}"),
    )
}
