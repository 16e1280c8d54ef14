//! Why a socket is in CLOSE_WAIT: one pure function, to be read from top to bottom.

use super::facts::{Facts, PeerEnd};
use super::send_progress::SendProgress;
use crate::model::{Ago, Cause, Causes, Missing, Side, TimerKind};

/// How long a CLOSE_WAIT may last before it counts, in milliseconds. A process that is scheduled
/// reads end-of-file and closes within milliseconds; five seconds allow for swapping, garbage
/// collection and the end of a response.
pub const GRACE_MS: u64 = 5_000;

/// The most bytes of a closing message, such as a line with the reason. Responses are longer,
/// because of their headers.
const CLOSING_MESSAGE_MAX: u32 = 512;
/// Data that arrives later than this after this side last sent is no response to it.
const UNPROMPTED_MS: u64 = 1_000;

/// The default of `net.ipv4.tcp_keepalive_intvl`.
const PROBE_INTERVAL_MS: u32 = 75_000;

/// A cause, and what is uncertain about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    pub cause: Cause,
    /// Why the cause is unclear.
    pub missing: Option<Missing>,
    /// Causes that the socket may have instead.
    pub alternatives: Causes,
}

impl Judged {
    fn sure(cause: Cause) -> Judged {
        Judged {
            cause,
            missing: None,
            alternatives: Causes::NONE,
        }
    }

    /// Unclear: an unknown fact decides between these causes.
    fn unclear<const N: usize>(missing: Missing, between: [Cause; N]) -> Judged {
        Judged {
            cause: Cause::Unclear,
            missing: Some(missing),
            alternatives: Causes::of(between),
        }
    }

    /// All causes that the socket may have.
    fn possible(self) -> Causes {
        match self.cause {
            Cause::Unclear => self.alternatives,
            cause => self.alternatives.with(cause),
        }
    }
}

/// The first rule that applies decides. If an unknown fact could make another rule apply, the cause
/// is unclear.
pub fn cause(facts: &Facts, grace_ms: u64) -> Judged {
    if is_transient(facts, grace_ms) {
        return Judged::sure(Cause::Transient);
    }
    if !facts.accepted {
        return Judged::sure(Cause::NotAccepted);
    }
    match SendProgress::of(facts, grace_ms) {
        Some(SendProgress::Taken | SendProgress::ZeroWindow) => {
            return Judged::sure(Cause::HalfClose);
        }
        Some(SendProgress::Stuck) => return Judged::sure(Cause::SendStuck),
        Some(SendProgress::Unknown) => {
            return Judged::unclear(Missing::Times, [Cause::HalfClose, Cause::SendStuck]);
        }
        None if facts.is_being_answered() => return Judged::sure(Cause::HalfClose),
        None => {}
    }
    let settled = by_owner(facts);
    if facts.age_uncertainty(grace_ms).is_none() {
        return settled;
    }
    Judged {
        cause: Cause::Unclear,
        missing: Some(Missing::Age(settled.cause)),
        alternatives: settled.possible().with(Cause::Transient),
    }
}

/// The cause of a socket that is older than the grace.
fn by_owner(facts: &Facts) -> Judged {
    if facts.inherited == Some(true) {
        return Judged::sure(Cause::Inherited);
    }
    let judged = by_queue(facts);
    if facts.inherited == Some(false) {
        return judged;
    }
    let alternatives = judged.possible().with(Cause::Inherited);
    match judged.cause {
        // Whoever holds it, end-of-file was read and the socket is not closed.
        Cause::NeverClosed => Judged {
            alternatives,
            ..judged
        },
        cause => Judged {
            cause: Cause::Unclear,
            missing: judged.missing.or(Some(Missing::Owner(cause))),
            alternatives,
        },
    }
}

/// The cause by unread data and by what was answered.
fn by_queue(facts: &Facts) -> Judged {
    let has_times = facts.idle.is_some();
    if facts.unmeasured {
        return Judged::unclear(
            Missing::Queues,
            [
                Cause::HalfClose,
                Cause::SendStuck,
                Cause::NeverClosed,
                Cause::StalePool,
                Cause::SlowHandler,
                Cause::Abandoned,
                Cause::NotReading,
            ],
        );
    }
    if !facts.counts_fin && facts.recv_q == 0 {
        let between = [
            Cause::HalfClose,
            Cause::NeverClosed,
            Cause::StalePool,
            Cause::SlowHandler,
            Cause::Abandoned,
        ];
        return Judged::unclear(Missing::Eof, between);
    }
    let answered = facts.answered_after_last_byte();
    let known = match (facts.recv_q, facts.side) {
        _ if !facts.counts_fin => Some(Cause::NotReading),
        (0, _) => Some(Cause::NeverClosed),
        (1, Some(Side::Client)) => Some(Cause::StalePool),
        (_, Some(Side::Client)) if facts.is_closing_message() => Some(Cause::StalePool),
        // It may be of a pool or of a handler.
        (1, None) => {
            let between = [Cause::StalePool, Cause::SlowHandler, Cause::Abandoned];
            return Judged::unclear(Missing::Side, between);
        }
        (1, Some(Side::Server)) => match answered {
            Some(false) => Some(Cause::SlowHandler),
            Some(true) => Some(Cause::Abandoned),
            None => None,
        },
        _ => Some(Cause::NotReading),
    };
    match known {
        // The peer may have closed one direction only; without times it is unknown whether data
        // still flows.
        Some(cause) if !has_times && facts.peer == Some(PeerEnd::Waiting) => {
            Judged::unclear(Missing::Times, [Cause::HalfClose, cause])
        }
        Some(cause) => Judged::sure(cause),
        None if has_times => {
            Judged::unclear(Missing::Order, [Cause::SlowHandler, Cause::Abandoned])
        }
        None => Judged::unclear(
            Missing::Times,
            [Cause::HalfClose, Cause::SlowHandler, Cause::Abandoned],
        ),
    }
}

/// Whether the FIN came within the grace, and no other acknowledgement explains the time.
fn is_transient(facts: &Facts, grace_ms: u64) -> bool {
    let Some(idle) = facts.idle else {
        return false;
    };
    match idle.is_within(grace_ms) {
        Some(within) => within,
        None => facts.ack_source(grace_ms).is_none(),
    }
}

/// What causes acknowledgements other than that of the FIN, so that the last one does not show the
/// age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AckSource {
    /// Answers to keepalive probes.
    Keepalive,
    /// Answers to probes of a closed window.
    Probe,
    /// Data that is still being sent.
    Data,
    /// Anything that is received on a subflow of MPTCP; the connection shows no timer.
    Subflows,
}

impl Facts {
    /// Why it is unknown whether the FIN came within the grace: the grace is between the bounds of
    /// the age. `None` if the age decides, or no time is known.
    pub fn age_uncertainty(&self, grace_ms: u64) -> Option<AckSource> {
        match self.idle?.is_within(grace_ms) {
            Some(_) => None,
            None => self.ack_source(grace_ms),
        }
    }

    /// Whether the last acknowledgement may answer a keepalive probe. The first probe is sent after
    /// nothing was received for the keepalive time, and the timer never runs longer than that;
    /// between probes it runs for the interval (`net/ipv4/tcp_timer.c`, `tcp_keepalive_timer`). So
    /// a timer that runs longer than the default interval, and longer than nothing was received
    /// before the acknowledgement, has sent no probe.
    fn may_be_probed(&self) -> bool {
        let Some(expires_ms) = self.timer.map(|timer| timer.expires_ms) else {
            return false;
        };
        let waits = expires_ms > PROBE_INTERVAL_MS;
        let quiet_for_less = |(received, acked): (Ago, Ago)| {
            received.may_be_within(expires_ms.into(), acked, self.tick)
        };
        !(waits && self.received.zip(self.acked).is_some_and(quiet_for_less))
    }

    /// What may have caused an acknowledgement after that of the FIN.
    pub(super) fn ack_source(&self, grace_ms: u64) -> Option<AckSource> {
        match self.timer.map(|timer| timer.kind) {
            Some(TimerKind::Keepalive) if self.may_be_probed() => Some(AckSource::Keepalive),
            Some(TimerKind::Probe) => Some(AckSource::Probe),
            Some(TimerKind::Retransmit) if self.send_q > 0 => Some(AckSource::Data),
            _ if !self.counts_fin => Some(AckSource::Subflows),
            _ => self.acknowledges_data(grace_ms).then_some(AckSource::Data),
        }
    }

    /// Whether the peer sent a short message when it closed an idle connection: it came with the
    /// FIN, this side had sent nothing for a while, and everything before it was read.
    fn is_closing_message(&self) -> bool {
        let unprompted = |(sent, received): (Ago, Ago)| {
            sent.is_after(received, self.tick) == Some(false)
                && !sent.may_be_within(UNPROMPTED_MS, received, self.tick)
        };
        self.counts_fin
            && (2..=CLOSING_MESSAGE_MAX).contains(&self.recv_q)
            && self.read_before == Some(true)
            && self.ever_sent == Some(true)
            && self.ends_with_data()
            && self.sent.zip(self.received).is_some_and(unprompted)
    }
}
