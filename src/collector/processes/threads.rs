//! The threads of a process: their states, their processor time, and which of them kept one state
//! between two readings.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use procfs::process::{Schedstat, Stat};

use crate::collector::file;
use crate::collector::procfs::{TICK_MS, numbers_in, status_field};
use crate::model::{Cpu, Pid, Threads};

/// The most threads that are read one by one.
const THREADS_MAX: usize = 4_096;

/// A thread that waits for a processor more than this many times as long as it runs shows a busy
/// host rather than a busy thread, unless it is known not to have slept.
const STARVED: u64 = 8;

/// The threads at one moment.
#[derive(Debug)]
pub(super) struct Ticks {
    at: Instant,
    pub(super) by_thread: HashMap<Pid, Thread>,
    pub(super) threads: Threads,
    pub(super) complete: bool,
}

/// A thread at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thread {
    pub(super) state: ThreadState,
    time: Time,
    /// Not read for a sleeping thread.
    switches: Option<Switches>,
}

/// The state of a thread (proc_pid_stat(5), field 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ThreadState {
    /// Running, or waiting for a processor.
    Runnable,
    Sleeping,
    /// In uninterruptible sleep.
    Uninterruptible,
    Stopped,
    /// Stopped by a tracer.
    Traced,
    Dead,
}

impl ThreadState {
    fn of(state: char) -> ThreadState {
        match state {
            'R' => ThreadState::Runnable,
            'D' => ThreadState::Uninterruptible,
            'T' => ThreadState::Stopped,
            't' => ThreadState::Traced,
            'Z' | 'X' => ThreadState::Dead,
            _ => ThreadState::Sleeping,
        }
    }
}

/// How often a thread has left a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Switches {
    /// In order to sleep or stop.
    voluntary: u64,
    /// Preempted.
    forced: u64,
}

/// How long a thread has run, and how long it was runnable without a processor, in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Time {
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

    /// How long it would have run on an idle host.
    fn wanted(self) -> u64 {
        if self.waited > self.ran.saturating_mul(STARVED) {
            self.ran
        } else {
            self.ran.saturating_add(self.waited)
        }
    }
}

/// Reads the threads of a process, by its open directory in /proc and the path of that.
pub(super) fn ticks(process: Option<&OwnedFd>, root: &Path) -> Ticks {
    let mut ticks = Ticks {
        at: Instant::now(),
        by_thread: HashMap::new(),
        threads: Threads::default(),
        complete: false,
    };
    let Some(process) = process else {
        return ticks;
    };
    let (tasks, error) = numbers_in(process, Path::new("task"));
    ticks.complete = error.is_none();
    for thread in tasks {
        if ticks.by_thread.len() >= THREADS_MAX {
            ticks.complete = false;
            break;
        }
        // A thread that has ended meanwhile is left out.
        let path = format!("task/{thread}/stat");
        let Some(stat) = file::parsed_at::<Stat>(process, &path) else {
            continue;
        };
        // A kernel without CONFIG_SCHED_INFO has only ticks.
        let path = format!("task/{thread}/schedstat");
        let time = match file::parsed_at::<Schedstat>(process, &path) {
            Some(time) if time.sum_exec_runtime > 0 => Time {
                ran: time.sum_exec_runtime,
                waited: time.run_delay,
            },
            _ => Time {
                ran: (stat.utime.saturating_add(stat.stime)).saturating_mul(TICK_MS * 1_000_000),
                waited: 0,
            },
        };
        let thread = Pid(thread);
        let state = ThreadState::of(stat.state);
        count(&mut ticks.threads, state);
        let switches = match state {
            ThreadState::Sleeping | ThreadState::Dead => None,
            _ => switches(&directory(root, thread)),
        };
        let thread_now = Thread {
            state,
            time,
            switches,
        };
        ticks.by_thread.insert(thread, thread_now);
    }
    ticks
}

impl Ticks {
    /// The threads in a state, in ascending order.
    pub(super) fn all(&self, state: ThreadState) -> Vec<Pid> {
        let mut threads: Vec<Pid> = (self.by_thread.iter())
            .filter(|(_, thread)| thread.state == state)
            .map(|(thread, _)| *thread)
            .collect();
        threads.sort_unstable();
        threads
    }
}

fn count(threads: &mut Threads, state: ThreadState) {
    threads.total += 1;
    *match state {
        ThreadState::Runnable => &mut threads.running,
        ThreadState::Sleeping => &mut threads.sleeping,
        ThreadState::Uninterruptible => &mut threads.disk,
        ThreadState::Stopped | ThreadState::Traced => &mut threads.stopped,
        ThreadState::Dead => &mut threads.zombie,
    } += 1;
}

/// The directory of a thread, from the directory of its process.
pub(super) fn directory(root: &Path, thread: Pid) -> PathBuf {
    root.join("task").join(thread.to_string())
}

fn switches(task: &Path) -> Option<Switches> {
    let text = status(task)?;
    let number = |name| status_field(&text, name)?.parse().ok();
    Some(Switches {
        voluntary: number("voluntary_ctxt_switches:")?,
        forced: number("nonvoluntary_ctxt_switches:")?,
    })
}

/// The text of proc_pid_status(5).
pub(super) fn status(root: &Path) -> Option<String> {
    file::text(&root.join("status")).ok()
}

/// Whether a thread kept its state between two readings: a runnable one never slept, any other never
/// ran.
fn kept_state(before: &Thread, after: &Thread) -> bool {
    let (Some(then), Some(now)) = (before.switches, after.switches) else {
        return false;
    };
    before.state == after.state
        && then.voluntary == now.voluntary
        && (before.state == ThreadState::Runnable || then.forced == now.forced)
}

/// The threads that kept a state between two readings, in ascending order.
pub(super) fn in_state_throughout(before: &Ticks, after: &Ticks, state: ThreadState) -> Vec<Pid> {
    let is_constant = |(thread, now): (&Pid, &Thread)| {
        let then = before.by_thread.get(thread)?;
        (now.state == state && kept_state(then, now)).then_some(*thread)
    };
    let mut threads: Vec<Pid> = after.by_thread.iter().filter_map(is_constant).collect();
    threads.sort_unstable();
    threads
}

/// Counts the threads by state. One that was stopped or in uninterruptible sleep only part of the
/// time counts as sleeping.
pub(super) fn lasting(before: &Ticks, after: &Ticks) -> Threads {
    let mut threads = Threads::default();
    for (thread, then) in &before.by_thread {
        let now = after.by_thread.get(thread);
        let lasts = now.is_some_and(|now| kept_state(then, now));
        let state = match then.state {
            ThreadState::Uninterruptible | ThreadState::Stopped | ThreadState::Traced if !lasts => {
                ThreadState::Sleeping
            }
            state => state,
        };
        count(&mut threads, state);
    }
    threads
}

/// Processor use of the threads in both readings. The busiest is one that was runnable throughout,
/// or else the one that would have run longest on an idle host.
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
        .filter_map(|(thread, now)| {
            let then = before.by_thread.get(thread)?;
            Some((*thread, now.time.since(then.time)))
        })
        .collect();
    let restless = in_state_throughout(before, after, ThreadState::Runnable);
    let is_restless = |thread: Pid| restless.binary_search(&thread).is_ok();
    let busiest = used
        .iter()
        .filter(|(thread, time)| is_restless(*thread) || time.wanted() > 0)
        .max_by_key(|(thread, time)| {
            let ran = if is_restless(*thread) {
                time.ran
            } else {
                time.wanted()
            };
            (is_restless(*thread), ran, std::cmp::Reverse(*thread))
        });
    Some(Cpu {
        sample_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        percent: used.iter().map(|(_, time)| percent(time.ran)).sum(),
        busiest: busiest.map(|(thread, time)| {
            let wanted = match is_restless(*thread) {
                true => 100.0,
                false => percent(time.wanted()),
            };
            (*thread, wanted)
        }),
        ran_percent: busiest.map(|(_, time)| percent(time.ran)),
        restless: u32::try_from(restless.len()).unwrap_or(u32::MAX),
    })
}
