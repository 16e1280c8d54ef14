//! Threads that never rest, and whether the program gets anywhere meanwhile: a busy server in good
//! health never rests either.

pub use super::process::spinning;
use super::process::{none_serves, throttled};
use super::report::Report;
use super::socket_set::SocketSet;
use crate::model::{Cause, Evidence, Pid, Socket, State, TimerKind};

/// A program that has sent something within so long, in milliseconds, gets somewhere: one in a dead
/// loop sends nothing, and one that serves sends much more often.
const PROGRESS_MS: u64 = 1_000;
/// Processor time, in milliseconds, with which anything that serves sends something. One that others
/// or a quota keep from running takes longer for that.
const WORK_MS: f64 = 200.0;
/// The same of one that a quota keeps from running: little by little, one long request uses any quota
/// up as a dead loop does.
const WORK_THROTTLED_MS: f64 = 1_000.0;

/// What a thread has to run to have acted on what it was told, in percent of a processor.
const RAN_PERCENT: f64 = 1.0;

/// What a thread that never rests is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spin {
    /// Nothing for the connections of its program: none was sent anything meanwhile.
    Idle,
    /// It is told of the ends of these connections again and again.
    Polling,
    /// It may be at work.
    Busy,
}

impl Spin {
    /// The thread of a process that never rests, where that can explain the sockets.
    pub(super) fn of(
        report: &Report<'_>,
        set: &SocketSet,
        evidence: &Evidence,
    ) -> Option<(Pid, Spin)> {
        let thread = spinning(evidence)?;
        let threads = evidence.threads?;
        let alone = none_serves(evidence, threads);
        let spin = match set.cause {
            Cause::NeverClosed if is_told(set, evidence) => Spin::Polling,
            Cause::NeverClosed | Cause::StalePool if !alone => return None,
            Cause::Inherited | Cause::SendStuck => return None,
            cause => match (sends(report, evidence), alone) {
                (Some(false), _) => Spin::Idle,
                // It works, though not on these.
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

/// Whether most of the sockets are watched so that epoll_wait(2) returns at once, whenever it is
/// called.
fn is_told(set: &SocketSet, evidence: &Evidence) -> bool {
    let held = set.holds(evidence.pid).len() as u64;
    // One that hardly runs has had no time to act.
    let ran = evidence.cpu.as_ref().and_then(|cpu| cpu.ran_percent);
    ran.is_some_and(|percent| percent >= RAN_PERCENT)
        && evidence.epoll.is_some_and(|epoll| {
            let level = epoll.watched.saturating_sub(epoll.edge);
            level.saturating_mul(2) > held
        })
}

/// How long, in milliseconds, a process has to send nothing to get nowhere, by what its busiest
/// thread runs.
fn patience_ms(evidence: &Evidence) -> Option<u64> {
    let percent = evidence.cpu.as_ref()?.ran_percent?;
    let work = match throttled(evidence) {
        Some(_) => WORK_THROTTLED_MS,
        None => WORK_MS,
    };
    let work = (percent > 0.0).then_some(work * 100.0 / percent)?;
    Some(PROGRESS_MS.max(work as u64))
}

/// Whether a process has sent anything of late, on any of its connections; `None` where the kernel
/// tells no times of them, or where it hardly runs.
fn sends(report: &Report<'_>, evidence: &Evidence) -> Option<bool> {
    let (pid, patience) = (evidence.pid, patience_ms(evidence)?);
    // The kernel sends by itself what waits to be sent, and sends again.
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
