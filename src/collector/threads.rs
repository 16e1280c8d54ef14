//! Threads of a process: their states, and their processor time between two readings.

use std::collections::HashMap;
use std::time::Instant;

use procfs::process::Process;

use super::process::TICK_MS;
use crate::model::{Cpu, Pid, Threads};

/// More threads than this are not read one by one.
const THREADS_MAX: usize = 4_096;

/// A thread that waits for a processor this many times as long as it runs wants little of it: it
/// is the host that is busy.
const STARVED: u64 = 8;

/// Processor time of the threads, and their states.
#[derive(Debug)]
pub(super) struct Ticks {
    at: Instant,
    pub(super) by_thread: HashMap<Pid, Time>,
    pub(super) threads: Threads,
    pub(super) complete: bool,
}

/// How long a thread has run, and has been ready to run while others did, in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Time {
    ran: u64,
    waited: u64,
}

impl Time {
    fn since(self, then: Time) -> Time {
        Time {
            ran: self.ran.saturating_sub(then.ran),
            waited: self.waited.saturating_sub(then.waited),
        }
    }

    /// How long it would have run on a host with processors to spare.
    fn wanted(self) -> u64 {
        if self.waited > self.ran.saturating_mul(STARVED) {
            self.ran
        } else {
            self.ran.saturating_add(self.waited)
        }
    }
}

pub(super) fn ticks(process: Option<&Process>) -> Ticks {
    let mut ticks = Ticks {
        at: Instant::now(),
        by_thread: HashMap::new(),
        threads: Threads::default(),
        complete: false,
    };
    let Some(Ok(tasks)) = process.map(Process::tasks) else {
        return ticks;
    };
    ticks.complete = true;
    for task in tasks {
        if ticks.by_thread.len() >= THREADS_MAX {
            ticks.complete = false;
            break;
        }
        // A thread that ended meanwhile waits for nothing.
        let Ok((task, stat)) = task.and_then(|task| task.stat().map(|stat| (task, stat))) else {
            continue;
        };
        // A kernel without CONFIG_SCHED_INFO has the ticks alone.
        let time = match task.schedstat() {
            Ok(time) if time.sum_exec_runtime > 0 => Time {
                ran: time.sum_exec_runtime,
                waited: time.run_delay,
            },
            _ => Time {
                ran: (stat.utime + stat.stime) * TICK_MS * 1_000_000,
                waited: 0,
            },
        };
        ticks.threads.total += 1;
        let count = match stat.state {
            'R' => &mut ticks.threads.running,
            'D' => &mut ticks.threads.disk,
            'T' | 't' => &mut ticks.threads.stopped,
            'Z' | 'X' => &mut ticks.threads.zombie,
            _ => &mut ticks.threads.sleeping,
        };
        *count += 1;
        let thread = Pid(stat.pid.cast_unsigned());
        ticks.by_thread.insert(thread, time);
    }
    ticks
}

/// Processor use of the threads that both readings saw. The busiest is the one that would have run
/// longest, had no other kept it from a processor.
pub(super) fn cpu(before: &Ticks, after: &Ticks) -> Option<Cpu> {
    if before.by_thread.is_empty() || after.by_thread.is_empty() {
        return None;
    }
    let elapsed = after.at.saturating_duration_since(before.at);
    let elapsed_ns = elapsed.as_secs_f64() * 1e9;
    let percent = |ns: u64| (ns as f64 * 100.0 / elapsed_ns).min(100.0);
    let used: Vec<(Pid, Time)> = after
        .by_thread
        .iter()
        .filter_map(|(thread, now)| Some((*thread, now.since(*before.by_thread.get(thread)?))))
        .collect();
    Some(Cpu {
        sample_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        percent: used.iter().map(|(_, time)| percent(time.ran)).sum(),
        busiest: used
            .into_iter()
            .map(|(thread, time)| (thread, time.wanted()))
            .filter(|(_, wanted)| *wanted > 0)
            .max_by_key(|(thread, wanted)| (*wanted, std::cmp::Reverse(*thread)))
            .map(|(thread, wanted)| (thread, percent(wanted))),
    })
}
