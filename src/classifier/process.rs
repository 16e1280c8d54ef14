//! What the evidence of one process shows on its own: whether it can run, how busy it is, and how
//! many descriptors it has left.

use crate::model::{
    Evidence, FdLimit, Periods, Pid, Quota, Runtime, Threads, Wait, WaitKind, WaitTarget,
};

/// After vfork(2) a child calls execve(2) at once. If it has not after this time, in milliseconds,
/// something holds it up.
const VFORK_MS: u64 = 1_000;
/// With fewer quota periods than this, the share of throttled ones means nothing.
const PERIODS_LEAST: u64 = 10;
/// From this share of a limit on, in percent, the limit counts as nearly reached.
const LIMIT_PERCENT: u64 = 90;
/// Below this CPU use, in percent of one CPU, a process counts as waiting: a tick may be counted
/// that was another's.
const RESTS_PERCENT: f64 = 1.0;
/// From this CPU use on, in percent of one CPU, a thread counts as spinning: a sample has few
/// ticks, and one may be missed.
const SPINNING_PERCENT: f64 = 85.0;

/// Why a process cannot run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaltReason {
    /// Its control group is frozen.
    Frozen,
    /// Its tracer stopped it.
    Traced,
    /// A signal stopped it.
    Stopped,
    /// The thread that serves waits for its child in vfork(2).
    Forking,
    /// Most of its working threads are in uninterruptible sleep.
    Stuck,
}

impl HaltReason {
    /// The first reason that must be removed before the process can run.
    pub fn of(evidence: &Evidence) -> Option<HaltReason> {
        let halt = &evidence.halt;
        if halt.freezer.is_some() {
            return Some(HaltReason::Frozen);
        }
        let threads = evidence.threads?;
        if threads.total > 0 && threads.stopped == threads.total {
            return Some(match halt.tracer {
                Some(_) => HaltReason::Traced,
                None => HaltReason::Stopped,
            });
        }
        let waits_long = |age: Option<u64>| age.is_some_and(|age| age >= VFORK_MS);
        if let Some(vfork) = &halt.vfork
            && waits_long(vfork.age_ms)
            && none_serves(evidence, threads)
        {
            return Some(HaltReason::Forking);
        }
        let stuck = halt.stuck_threads();
        (stuck.saturating_mul(2) > working(evidence, threads)).then_some(HaltReason::Stuck)
    }

    /// Whether no code of the process that could serve can run.
    pub fn is_whole(self, evidence: &Evidence) -> bool {
        match self {
            HaltReason::Frozen | HaltReason::Traced | HaltReason::Stopped | HaltReason::Forking => {
                true
            }
            // Threads that accept or wait for events serve nobody if all the threads they pass work
            // to are stuck.
            HaltReason::Stuck => evidence.threads.is_some_and(|threads| {
                let stuck = evidence.halt.stuck_threads();
                let tells = |wait: &&Wait| {
                    let is_listener = matches!(wait.target, Some(WaitTarget::Listener(_)));
                    wait.kind == WaitKind::Events || is_listener
                };
                let waits = evidence.waits.iter().flatten().filter(tells);
                let tell: u32 = waits.map(|wait| wait.threads).fold(0, u32::saturating_add);
                stuck.saturating_add(tell) >= working(evidence, threads)
            }),
        }
    }

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            HaltReason::Frozen => "frozen",
            HaltReason::Traced => "traced",
            HaltReason::Stopped => "stopped",
            HaltReason::Forking => "vfork",
            HaltReason::Stuck => "stuck",
        }
    }
}

/// The number of threads without those that a runtime has parked.
fn working(evidence: &Evidence, threads: Threads) -> u32 {
    let waits = evidence.waits.iter().flatten();
    let parked = waits
        .filter(|wait| wait.kind == WaitKind::Lock && parks_threads(evidence.runtime))
        .map(|wait| wait.threads)
        .fold(0, u32::saturating_add);
    threads.total.saturating_sub(parked).max(1)
}

/// Whether no thread waits for a connection or for data of one. If the waits are unknown, one may.
pub(super) fn none_serves(evidence: &Evidence, threads: Threads) -> bool {
    if threads.total == 1 {
        return true;
    }
    let forks = |wait: &Wait| matches!(wait.call.bytes(), b"vfork" | b"clone" | b"clone3");
    let serves = |wait: &Wait| match (wait.kind, &wait.target) {
        (WaitKind::Descriptor, Some(WaitTarget::File(file))) => file.bytes().starts_with(b"socket"),
        (WaitKind::Descriptor | WaitKind::Events, _) => true,
        (WaitKind::Lock | WaitKind::Sleep | WaitKind::Child, _) => false,
        (WaitKind::Other, _) => !forks(wait),
    };
    let waits = evidence.waits.as_ref();
    waits.is_some_and(|waits| !waits.iter().any(serves))
}

/// The CPU quota that slows the process down: it was used up in most periods of the sample, or, if
/// no period ended in the sample, in most of all periods.
pub fn throttled(evidence: &Evidence) -> Option<&Quota> {
    let mostly = |periods: Periods| {
        periods.throttled > 0 && periods.throttled.saturating_mul(2) >= periods.all
    };
    evidence
        .halt
        .quota
        .as_ref()
        .filter(|quota| match quota.sample {
            Some(sample) if sample.all > 0 => mostly(sample),
            // A period longer than the sample, or none counted yet.
            _ => quota.total.all >= PERIODS_LEAST && mostly(quota.total),
        })
}

/// The thread of the process that never sleeps.
pub fn spinning(evidence: &Evidence) -> Option<Pid> {
    let (thread, percent) = evidence.cpu.as_ref()?.busiest?;
    (percent >= SPINNING_PERCENT).then_some(thread)
}

/// Whether no code of the process that could serve can run.
pub fn is_halted(evidence: &Evidence) -> bool {
    HaltReason::of(evidence).is_some_and(|reason| reason.is_whole(evidence))
}

/// How many file descriptors a process has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Descriptors {
    Enough,
    Short,
    Gone,
}

impl Descriptors {
    /// Of one process; `None` if unknown.
    pub fn of(evidence: &Evidence) -> Option<Descriptors> {
        let open = evidence.open_fds?;
        let limit = evidence.fd_limit.and_then(FdLimit::files)?;
        let percent = open.saturating_mul(100);
        Some(if open >= limit {
            Descriptors::Gone
        } else if percent >= limit.saturating_mul(LIMIT_PERCENT) {
            Descriptors::Short
        } else {
            Descriptors::Enough
        })
    }
}

/// Of the process that has the fewest left.
pub fn descriptors(evidence: &[Evidence]) -> Descriptors {
    let all = evidence.iter().filter_map(Descriptors::of);
    all.max().unwrap_or(Descriptors::Enough)
}

/// Whether the runtime keeps idle threads in futex(2) until there is work.
pub fn parks_threads(runtime: Runtime) -> bool {
    matches!(runtime, Runtime::Java | Runtime::Go | Runtime::Node)
}

/// Whether a process used almost no CPU between two readings.
pub(super) fn rests(evidence: &Evidence) -> bool {
    let cpu = evidence.cpu.as_ref();
    cpu.is_some_and(|cpu| cpu.percent < RESTS_PERCENT)
}
