//! What the evidence of one process shows by itself: whether it can run, how busy it is, and how many
//! descriptors it has left.

use crate::model::{
    Evidence, FdLimit, Periods, Pid, Quota, Runtime, Threads, Wait, WaitKind, WaitTarget,
};

/// A child that uses its parent's memory executes a program at once: one that has not for so long,
/// in milliseconds, will not by itself.
const VFORK_MS: u64 = 1_000;
/// Of so many periods the share of those in which a quota ran out tells something.
const PERIODS_LEAST: u64 = 10;
/// The share of a limit, in percent, from which on the limit is as good as reached.
const LIMIT_PERCENT: u64 = 90;
/// Who uses less than this share of one processor, in percent, waits: a tick may be counted that was
/// another's.
const RESTS_PERCENT: f64 = 1.0;
/// The share of one processor, in percent, from which on a thread is spinning: a sample is a few
/// ticks long, and one may be lost.
const SPINNING_PERCENT: f64 = 85.0;

/// What keeps a process from running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HaltReason {
    /// Its control group is frozen.
    Frozen,
    /// Its tracer has stopped it.
    Traced,
    /// A signal has.
    Stopped,
    /// The thread that serves waits for a child that uses its memory.
    Forking,
    /// Those of its threads that work sleep uninterruptibly.
    Stuck,
}

impl HaltReason {
    /// By what the process told; the first that has to be ended before it can run.
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
        let stuck: u32 = halt
            .stuck
            .iter()
            .map(|stuck| stuck.threads)
            .fold(0, u32::saturating_add);
        (stuck.saturating_mul(2) > working(evidence, threads)).then_some(HaltReason::Stuck)
    }

    /// Whether no code of the process runs that could serve.
    pub fn is_whole(self, evidence: &Evidence) -> bool {
        match self {
            HaltReason::Frozen | HaltReason::Traced | HaltReason::Stopped | HaltReason::Forking => {
                true
            }
            // Whoever accepts, or tells what came in, serves nobody if those whom it tells do not.
            HaltReason::Stuck => evidence.threads.is_some_and(|threads| {
                let stuck: u32 = evidence
                    .halt
                    .stuck
                    .iter()
                    .map(|stuck| stuck.threads)
                    .fold(0, u32::saturating_add);
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

/// The threads but those that a runtime parks.
fn working(evidence: &Evidence, threads: Threads) -> u32 {
    let waits = evidence.waits.iter().flatten();
    let parked = waits
        .filter(|wait| wait.kind == WaitKind::Lock && parks_threads(evidence.runtime))
        .map(|wait| wait.threads)
        .fold(0, u32::saturating_add);
    threads.total.saturating_sub(parked).max(1)
}

/// Whether no thread waits for connections or for data that comes over one. Unknown waits may be
/// anything.
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

/// The quota that holds a process back: it ran out in most of the periods of the sample; where none
/// ended in the sample, in most of all.
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
            // One that is longer than the sample, or none has been counted yet.
            _ => quota.total.all >= PERIODS_LEAST && mostly(quota.total),
        })
}

/// The thread of a process that never rests.
pub fn spinning(evidence: &Evidence) -> Option<Pid> {
    let (thread, percent) = evidence.cpu.as_ref()?.busiest?;
    (percent >= SPINNING_PERCENT).then_some(thread)
}

/// Whether no code of a process runs that could serve.
pub fn is_halted(evidence: &Evidence) -> bool {
    HaltReason::of(evidence).is_some_and(|reason| reason.is_whole(evidence))
}

/// How many file descriptors are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Descriptors {
    Enough,
    Short,
    Gone,
}

impl Descriptors {
    /// Of one process; `None` where it did not tell.
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

/// Whether a runtime has threads of its own that wait in futex(2) until there is work.
pub fn parks_threads(runtime: Runtime) -> bool {
    matches!(runtime, Runtime::Java | Runtime::Go | Runtime::Node)
}

/// Whether a process used next to nothing of a processor between two readings.
pub(super) fn rests(evidence: &Evidence) -> bool {
    let cpu = evidence.cpu.as_ref();
    cpu.is_some_and(|cpu| cpu.percent < RESTS_PERCENT)
}
