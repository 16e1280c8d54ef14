//! Threads that never sleep, and whether their program makes progress: a busy healthy server never
//! sleeps either.

use super::process::spinning;
use super::process::{none_serves, throttled};
use super::report::Report;
use super::socket_set::SocketSet;
use crate::model::{Cause, Evidence, Pid, Socket, State, TimerKind};

/// A program that has sent something within this time, in milliseconds, makes progress. One in an
/// endless loop sends nothing, and one that serves sends far more often.
const PROGRESS_MS: u64 = 1_000;
/// After this much CPU time, in milliseconds, anything that serves has sent something. With a quota
/// or competing processes that takes longer.
const WORK_MS: f64 = 200.0;
/// The same for a process with a quota: a single long request can use up any quota just as an
/// endless loop does.
const WORK_THROTTLED_MS: f64 = 1_000.0;

/// With less CPU than this, in percent, a thread has had no time to act on events.
const RAN_PERCENT: f64 = 1.0;

/// What a thread that never sleeps is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spin {
    /// Nothing for the connections of its program: nothing was sent on any of them.
    Idle,
    /// epoll_wait(2) reports the ends of these connections again and again.
    Polling,
    /// It may be working.
    Busy,
}

impl Spin {
    /// The thread of a process that never sleeps, if it can explain the sockets.
    pub(super) fn of(
        report: &Report<'_>,
        set: &SocketSet,
        evidence: &Evidence,
    ) -> Option<(Pid, Spin)> {
        let thread = spinning(evidence)?;
        let threads = evidence.threads?;
        let alone = none_serves(evidence, threads);
        let spin = match set.cause {
            Cause::NeverClosed if is_polled(set, evidence) => Spin::Polling,
            Cause::NeverClosed | Cause::StalePool if !alone => return None,
            Cause::Inherited | Cause::SendStuck => return None,
            cause => match (sends(report, evidence), alone) {
                (Some(false), _) => Spin::Idle,
                // It works, but not on these sockets.
                (Some(true), _) if matches!(cause, Cause::NeverClosed | Cause::StalePool) => {
                    return None;
                }
                (Some(true), false) => return None,
                (Some(true), true) | (None, _) => Spin::Busy,
            },
        };
        Some((thread, spin))
    }
}

/// Whether epoll_wait(2) returns at once whenever it is called, because most of the sockets are
/// watched.
fn is_polled(set: &SocketSet, evidence: &Evidence) -> bool {
    let held = set.holds(evidence.pid).len() as u64;
    // A thread that hardly runs has had no time to act.
    let ran = evidence.cpu.as_ref().and_then(|cpu| cpu.ran_percent);
    ran.is_some_and(|percent| percent >= RAN_PERCENT)
        && evidence.epoll.is_some_and(|epoll| {
            let level = epoll.watched.saturating_sub(epoll.edge);
            level.saturating_mul(2) > held
        })
}

/// How long a process must have sent nothing to count as making no progress, in milliseconds, by
/// the CPU time of its busiest thread.
fn patience_ms(evidence: &Evidence) -> Option<u64> {
    let percent = evidence.cpu.as_ref()?.ran_percent?;
    let work = match throttled(evidence) {
        Some(_) => WORK_THROTTLED_MS,
        None => WORK_MS,
    };
    let work = (percent > 0.0).then_some(work * 100.0 / percent)?;
    Some(PROGRESS_MS.max(work as u64))
}

/// Whether a process has recently sent anything on any of its connections; `None` if the kernel
/// reports no times, or the process hardly runs.
fn sends(report: &Report<'_>, evidence: &Evidence) -> Option<bool> {
    let (pid, patience) = (evidence.pid, patience_ms(evidence)?);
    // The kernel itself sends queued data and retransmits.
    let sends_by_itself = |socket: &Socket| {
        let kind = socket.timer.map(|timer| timer.kind);
        socket.send_q > 0 || matches!(kind, Some(TimerKind::Retransmit | TimerKind::Probe))
    };
    let is_open = |state| matches!(state, State::Established | State::CloseWait);
    let held = report.context.held(pid);
    let mut known = None;
    for socket in held.filter(|socket| is_open(socket.state)) {
        let Some(sent) = socket.tcp.as_ref().and_then(|tcp| tcp.last_data_sent()) else {
            continue;
        };
        if sent.is_within(patience) && !sends_by_itself(socket) {
            return Some(true);
        }
        known = Some(false);
    }
    known
}
