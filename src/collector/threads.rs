//! Threads of a process: their states, and their processor time between two readings.

use std::collections::HashMap;
use std::time::Duration;

use procfs::process::Process;

use super::process::TICK_MS;
use crate::model::{Cpu, Pid, Threads};

/// More threads than this are not read one by one.
const THREADS_MAX: usize = 4_096;

/// Processor time in ticks, by thread, and the states of the threads.
#[derive(Debug, Default)]
pub(super) struct Ticks {
    pub(super) by_thread: HashMap<Pid, u64>,
    pub(super) threads: Threads,
    pub(super) complete: bool,
}

pub(super) fn ticks(process: Option<&Process>) -> Ticks {
    let mut ticks = Ticks::default();
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
        let Ok(stat) = task.and_then(|task| task.stat()) else {
            continue;
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
        ticks
            .by_thread
            .insert(Pid(stat.pid.cast_unsigned()), stat.utime + stat.stime);
    }
    ticks
}

/// Processor use of the threads that both readings saw.
pub(super) fn cpu(before: &Ticks, after: &Ticks, elapsed: Duration) -> Option<Cpu> {
    if before.by_thread.is_empty() || after.by_thread.is_empty() {
        return None;
    }
    let elapsed_ms = elapsed.as_secs_f64() * 1000.0;
    let percent = |ticks: u64| (ticks * TICK_MS) as f64 * 100.0 / elapsed_ms;
    let used: Vec<(Pid, u64)> = after
        .by_thread
        .iter()
        .filter_map(|(thread, now)| {
            let then = before.by_thread.get(thread)?;
            Some((*thread, now.saturating_sub(*then)))
        })
        .collect();
    Some(Cpu {
        sample_ms: elapsed_ms as u64,
        percent: percent(used.iter().map(|(_, ticks)| ticks).sum()),
        busiest: used
            .into_iter()
            .filter(|(_, ticks)| *ticks > 0)
            .max_by_key(|(thread, ticks)| (*ticks, std::cmp::Reverse(*thread)))
            .map(|(thread, ticks)| (thread, percent(ticks))),
    })
}
