//! The threads of a process: their states, their processor time, and which of them neither slept
//! nor ran between two readings.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use procfs::process::{Schedstat, Stat};

use crate::collector::file;
use crate::collector::processes::TICK_MS;
use crate::collector::procfs::numbers_in;
use crate::model::{Cpu, Pid, Threads};

/// More threads than this are not read one by one.
const THREADS_MAX: usize = 4_096;

/// A thread that waits for a processor this many times as long as it runs wants little of it,
/// unless it is known not to have slept: it is the host that is busy.
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
    pub(super) state: Doing,
    time: Time,
    /// Not read of one that sleeps.
    switches: Option<Switches>,
}

/// What a thread does (proc_pid_stat(5), field 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Runs, or waits for a processor.
    Ready,
    Sleeps,
    /// Sleeps without being open to signals.
    Deep,
    Stopped,
    /// Stopped by whoever traces it.
    Traced,
    Dead,
}

impl Doing {
    fn of(state: char) -> Doing {
        match state {
            'R' => Doing::Ready,
            'D' => Doing::Deep,
            'T' => Doing::Stopped,
            't' => Doing::Traced,
            'Z' | 'X' => Doing::Dead,
            _ => Doing::Sleeps,
        }
    }
}

/// How often a thread has left a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Switches {
    /// To sleep, or to stop.
    voluntary: u64,
    forced: u64,
}

/// How long a thread has run, and has been ready to run while others did, in nanoseconds.
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

    /// How long it would have run on a host with processors to spare.
    fn wanted(self) -> u64 {
        if self.waited > self.ran.saturating_mul(STARVED) {
            self.ran
        } else {
            self.ran.saturating_add(self.waited)
        }
    }
}

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
        // A thread that ended meanwhile waits for nothing.
        let path = format!("task/{thread}/stat");
        let Some(stat) = file::parsed_at::<Stat>(process, &path) else {
            continue;
        };
        // A kernel without CONFIG_SCHED_INFO has the ticks alone.
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
        let state = Doing::of(stat.state);
        count(&mut ticks.threads, state);
        let switches = match state {
            Doing::Sleeps | Doing::Dead => None,
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
    /// The threads in a state, ordered.
    pub(super) fn all(&self, state: Doing) -> Vec<Pid> {
        let mut threads: Vec<Pid> = (self.by_thread.iter())
            .filter(|(_, thread)| thread.state == state)
            .map(|(thread, _)| *thread)
            .collect();
        threads.sort_unstable();
        threads
    }
}

fn count(threads: &mut Threads, state: Doing) {
    threads.total += 1;
    *match state {
        Doing::Ready => &mut threads.running,
        Doing::Sleeps => &mut threads.sleeping,
        Doing::Deep => &mut threads.disk,
        Doing::Stopped | Doing::Traced => &mut threads.stopped,
        Doing::Dead => &mut threads.zombie,
    } += 1;
}

/// The directory of a thread of a process with this one.
pub(super) fn directory(root: &Path, thread: Pid) -> PathBuf {
    root.join("task").join(thread.to_string())
}

fn switches(task: &Path) -> Option<Switches> {
    let text = status(task)?;
    let number = |name| field(&text, name)?.parse().ok();
    Some(Switches {
        voluntary: number("voluntary_ctxt_switches:")?,
        forced: number("nonvoluntary_ctxt_switches:")?,
    })
}

/// The text of proc_pid_status(5), as far as it is wanted.
pub(super) fn status(root: &Path) -> Option<String> {
    file::text(&root.join("status")).ok()
}

/// What stands behind a name at the beginning of a line.
pub(super) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name))?;
    Some(value.trim())
}

/// Whether a thread did the same throughout. One that is ready never slept; any other never ran.
fn throughout(before: &Thread, after: &Thread) -> bool {
    let (Some(then), Some(now)) = (before.switches, after.switches) else {
        return false;
    };
    before.state == after.state
        && then.voluntary == now.voluntary
        && (before.state == Doing::Ready || then.forced == now.forced)
}

/// The threads that were in a state throughout, ordered.
pub(super) fn constant(before: &Ticks, after: &Ticks, state: Doing) -> Vec<Pid> {
    let is_constant = |(thread, now): (&Pid, &Thread)| {
        let then = before.by_thread.get(thread)?;
        (now.state == state && throughout(then, now)).then_some(*thread)
    };
    let mut threads: Vec<Pid> = after.by_thread.iter().filter_map(is_constant).collect();
    threads.sort_unstable();
    threads
}

/// The threads by state, where one that stopped, or slept without being open to signals, for a part
/// of the time only counts as one that sleeps.
pub(super) fn lasting(before: &Ticks, after: &Ticks) -> Threads {
    let mut threads = Threads::default();
    for (thread, then) in &before.by_thread {
        let now = after.by_thread.get(thread);
        let lasts = now.is_some_and(|now| throughout(then, now));
        let state = match then.state {
            Doing::Deep | Doing::Stopped | Doing::Traced if !lasts => Doing::Sleeps,
            state => state,
        };
        count(&mut threads, state);
    }
    threads
}

/// Processor use of the threads that both readings saw. The busiest is one that was ready
/// throughout, else the one that would have run longest, had no other kept it from a processor.
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
    let restless = constant(before, after, Doing::Ready);
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
