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

/// The FIN came within the grace, and no other acknowledgement explains that.
fn is_transient(facts: &Facts, grace_ms: u64) -> bool {
    let Some(idle) = facts.idle else {
        return false;
    };
    let certainly = idle.at_most_ms.is_some_and(|most| most <= grace_ms);
    // Answers to probes, of keepalive or of a closed window, are acknowledgements too.
    let probed = matches!(
        facts.timer,
        Some(Timer {
            kind: TimerKind::Keepalive | TimerKind::Probe,
            ..
        })
    );
    let renewed = probed || is_half_close(facts, grace_ms);
    certainly || (idle.at_least_ms <= grace_ms && !renewed)
}

/// This side still sends, and the peer is there to take it.
///
/// Either data went out after the last acknowledgement came in, and so after the FIN; or it went
/// out within the grace to a peer on this host whose socket is open.
fn is_half_close(facts: &Facts, grace_ms: u64) -> bool {
    let (Some(sent), Some(idle)) = (facts.last_data_sent_ms, facts.idle) else {
        return false;
    };
    let sends = sent <= grace_ms && facts.ever_sent != Some(false);
    let after_fin = sent < idle.at_least_ms;
    sends && !is_send_stuck(facts) && (after_fin || facts.peer == Some(PeerEnd::Waiting))
}

fn is_send_stuck(facts: &Facts) -> bool {
    let pushing = matches!(
        facts.timer,
        Some(Timer {
            kind: TimerKind::Retransmit | TimerKind::Probe,
            ..
        })
    );
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
