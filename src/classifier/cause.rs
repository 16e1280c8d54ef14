//! Why a socket is in CLOSE_WAIT: one pure function, read from top to bottom.

use crate::model::{Cause, Idle, Side, Timer, TimerKind};

/// How long a CLOSE_WAIT may last before it counts: a process that is scheduled at all reads
/// end-of-file and closes within milliseconds; five seconds leave room for one that is swapping,
/// collecting garbage or finishing a response.
pub const GRACE_MS: u64 = 5_000;

/// What is known of one CLOSE_WAIT socket. `None` is unknown, and never taken for a no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub side: Side,
    /// It has an inode: accept(2) or connect(2) has given it to a process.
    pub accepted: bool,
    pub recv_q: u32,
    pub send_q: u32,
    pub timer: Option<Timer>,
    /// How often that timer has been doubled.
    pub backoff: Option<u8>,
    pub idle: Option<Idle>,
    /// Milliseconds since this side last sent data.
    pub last_data_sent_ms: Option<u64>,
    /// Milliseconds since data last came in.
    pub last_data_recv_ms: Option<u64>,
    /// Whether this side has ever sent data.
    pub ever_sent: Option<bool>,
    /// The near end of the same connection, where it is on this host.
    pub peer: Option<PeerEnd>,
    /// Whether more processes hold it than the one that serves it, or only a later one.
    pub inherited: Option<bool>,
}

/// What became of the end that sent the FIN, where both ends are on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerEnd {
    /// FIN_WAIT1 or FIN_WAIT2 with an inode: a process still holds it, so it closed one direction
    /// only (shutdown(2)) and waits.
    Waiting,
    /// FIN_WAIT1 or FIN_WAIT2 without one: closed for good, kept by the kernel for a while.
    Orphaned,
}

/// The first row that fits decides.
pub fn cause(facts: &Facts, grace_ms: u64) -> Cause {
    if is_transient(facts, grace_ms) {
        return Cause::Transient;
    }
    if !facts.accepted {
        return Cause::NotAccepted;
    }
    if is_half_close(facts, grace_ms) {
        return Cause::HalfClose;
    }
    if is_send_stuck(facts) {
        return Cause::SendStuck;
    }
    if facts.inherited == Some(true) {
        return Cause::Inherited;
    }
    if facts.idle.is_none() && facts.peer == Some(PeerEnd::Waiting) {
        // The peer closed one direction only; whether bytes still flow is what is not known.
        return Cause::Unclear;
    }
    match (facts.recv_q, facts.side) {
        (0, _) => Cause::NeverClosed,
        (1, Side::Client) => Cause::StalePool,
        (1, Side::Server) => match facts.answered_after_last_byte() {
            Some(false) => Cause::SlowHandler,
            Some(true) => Cause::Abandoned,
            None => Cause::Unclear,
        },
        _ => Cause::NotReading,
    }
}

/// The causes that a socket may have in place of the one that it was given, where the facts that
/// would tell are missing: the times, or who holds it. Without times nothing is taken for
/// transient.
pub fn doubts(cause: Cause, owner_is_hidden: bool) -> &'static [Cause] {
    match (cause, owner_is_hidden) {
        (Cause::Unclear, false) => &[Cause::HalfClose, Cause::SlowHandler, Cause::Abandoned],
        (Cause::Unclear, true) => &[
            Cause::HalfClose,
            Cause::SlowHandler,
            Cause::Abandoned,
            Cause::Inherited,
        ],
        // These are told before anybody asks who holds it.
        (Cause::Transient | Cause::NotAccepted | Cause::HalfClose | Cause::SendStuck, _)
        | (_, false) => &[],
        (_, true) => &[Cause::Inherited],
    }
}

/// The FIN came within the grace, and no other acknowledgement explains that.
fn is_transient(facts: &Facts, grace_ms: u64) -> bool {
    let Some(idle) = facts.idle else {
        return false;
    };
    let certainly = idle.at_most_ms.is_some_and(|most| most <= grace_ms);
    certainly || (idle.at_least_ms <= grace_ms && !is_renewed(facts, grace_ms))
}

/// Whether acknowledgements come in that are not the FIN's: answers to probes, of keepalive or of
/// a closed window, or to data that is still being sent.
fn is_renewed(facts: &Facts, grace_ms: u64) -> bool {
    match facts.timer.map(|timer| timer.kind) {
        Some(TimerKind::Keepalive | TimerKind::Probe) => true,
        Some(TimerKind::Retransmit) if facts.send_q > 0 => true,
        _ => {
            let to_the_peer = facts.peer == Some(PeerEnd::Waiting) || sent_after_fin(facts);
            to_the_peer && sends(facts, grace_ms)
        }
    }
}

/// This side still sends, and it is being taken.
fn is_half_close(facts: &Facts, grace_ms: u64) -> bool {
    sends(facts, grace_ms)
}

/// Data went out within the grace, for the first time: a retransmission renews the time too.
fn sends(facts: &Facts, grace_ms: u64) -> bool {
    let within = facts.last_data_sent_ms.is_some_and(|sent| sent <= grace_ms);
    within && facts.ever_sent != Some(false) && !is_retransmitting(facts)
}

/// Data went out after the last acknowledgement came in, and so after the FIN.
fn sent_after_fin(facts: &Facts) -> bool {
    facts
        .last_data_sent_ms
        .zip(facts.idle)
        .is_some_and(|(sent, idle)| sent < idle.at_least_ms)
}

/// The retransmission timer runs whenever data is in flight; it is a sign of trouble once it has
/// run out and been doubled.
fn is_retransmitting(facts: &Facts) -> bool {
    facts.timer.is_some_and(|timer| {
        timer.kind == TimerKind::Retransmit
            && (timer.retransmits > 0 || facts.backoff.is_some_and(|times| times > 0))
    })
}

fn is_send_stuck(facts: &Facts) -> bool {
    let pushing = facts
        .timer
        .is_some_and(|timer| matches!(timer.kind, TimerKind::Retransmit | TimerKind::Probe));
    facts.send_q > 0 && pushing
}

impl Facts {
    /// Whether anything was sent since the last byte came in. Equal times mean that the answer
    /// left within the same millisecond.
    pub fn answered_after_last_byte(&self) -> Option<bool> {
        if self.ever_sent == Some(false) {
            return Some(false);
        }
        let sent = self.last_data_sent_ms?;
        let received = self.last_data_recv_ms?;
        match self.ever_sent {
            // An older kernel does not count segments; a socket that never sent shows the time of
            // its connection, which may be the same millisecond as that of the first byte.
            None if sent == received => None,
            _ => Some(sent <= received),
        }
    }
}
