//! What happens to data that this side sends on a half-closed connection, and whether an answer may
//! still follow.

use super::facts::{Facts, PeerEnd};
use crate::model::{Ago, Side, Timer, TimerKind};

/// How long the same data may be retransmitted before it counts as stuck. On a link with a hundred
/// competing downloads, a single one may get nothing through for more than ten seconds, whether
/// packets are lost on the path or in a full queue of this host.
const IN_VAIN_MS: u64 = 30_000;

/// How long a peer may keep a zero window while it answers probes. A reader opens its window again
/// once a good part of its buffer is free: every 45 s at 3 kB/s with the default buffer, every four
/// minutes at 500 B/s. If that window update is lost, the next probe gets it, up to two minutes
/// later (`TCP_RTO_MAX`).
const SHUT_MS: u64 = 300_000;

/// How long a handler may work on an answer after a FIN that came with the request. Nothing shows
/// its usual time; proxies wait a minute for an answer (nginx `proxy_read_timeout`, Apache
/// `Timeout`).
const WORK_MS: u64 = 60_000;

/// A FIN within this time after the last byte was sent with it. Timeouts are hardly ever shorter
/// than half a second, and on a busy host a process may be delayed between write(2) and
/// shutdown(2).
const ALONG_MS: u64 = 400;

/// An answer in fewer segments than this has no measurable pace.
const PIECES_LEAST: u64 = 3;

/// An answer may pause this many times as long as a segment took on average before it counts as
/// ended.
const PAUSE: u64 = 3;

/// A kernel timer is late by up to an eighth of its time, usually by half of that
/// (`kernel/time/timer.c`).
const LATE_SHARE: u64 = 16;

/// How long an acknowledgement may take, with the delay of the peer: the initial retransmission
/// timeout (RFC 6298).
const ACK_MS: u64 = 1_000;

/// What happens to the data that this side sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendProgress {
    /// It is sent, and nothing shows that the peer does not take it.
    Taken,
    /// The peer has a zero window and answers probes: it reads slowly.
    ZeroWindow,
    /// The peer does not take it.
    Stuck,
    /// The peer has a zero window, and it is unknown since when.
    Unknown,
}

impl SendProgress {
    /// `None` if nothing was sent recently and nothing waits to be sent or acknowledged.
    ///
    /// The retransmission timer runs whenever data is in flight, so it means a fault only after it
    /// has expired several times. The probe timer runs while nothing is in flight and data waits
    /// (`net/ipv4/tcp_output.c`, `tcp_check_probe_timer`): everything sent so far was acknowledged.
    pub fn of(facts: &Facts, grace_ms: u64) -> Option<SendProgress> {
        let timer = facts.timer.filter(|_| facts.send_q > 0);
        match timer.map(|timer| (timer.kind, timer)) {
            Some((TimerKind::Retransmit, timer)) => Some(match facts.retried_for(timer) {
                ..=IN_VAIN_MS => SendProgress::Taken,
                _ => SendProgress::Stuck,
            }),
            Some((TimerKind::Probe, timer)) => Some(match (facts.sent, facts.acked) {
                (Some(_), Some(acked)) if facts.is_probed_in_vain(timer, acked) => {
                    SendProgress::Stuck
                }
                (Some(sent), Some(_)) if sent.is_before(SHUT_MS) => SendProgress::Stuck,
                (Some(_), Some(_)) => SendProgress::ZeroWindow,
                _ => SendProgress::Unknown,
            }),
            _ => (facts.has_sent(grace_ms) || facts.is_between_pieces())
                .then_some(SendProgress::Taken),
        }
    }
}

/// Signs that peers of a set have closed one direction only, and for how many sockets each holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HalfClosed {
    /// This side has sent data since the FIN, or a process is seen to hold the other end.
    pub certain: u64,
    /// The peer has a zero window and answers probes.
    pub shut: u64,
    /// The longest time that one of them has had a zero window, in milliseconds.
    pub shut_ms: u64,
    /// The FIN came with the last byte, and nothing was sent since.
    pub unanswered: u64,
}

impl HalfClosed {
    pub(super) fn add(&mut self, facts: &Facts) {
        self.certain += u64::from(facts.is_known_to_wait());
        if let Some(shut_ms) = facts.shut_for() {
            self.shut += 1;
            self.shut_ms = self.shut_ms.max(shut_ms);
        }
        self.unanswered += u64::from(facts.waits_for_an_answer());
    }
}

impl Facts {
    /// Whether data was sent within the grace.
    fn has_sent(&self, grace_ms: u64) -> bool {
        let within = self.sent.is_some_and(|sent| sent.is_within(grace_ms));
        within && self.ever_sent != Some(false)
    }

    /// The least time that the same data has been retransmitted, in milliseconds. Each attempt
    /// doubles the timer, so all timeouts together took as long as the last one, minus the first.
    fn retried_for(&self, timer: Timer) -> u64 {
        let attempts = self.backoff.unwrap_or(0).max(timer.retransmits);
        if attempts == 0 {
            return 0;
        }
        let since_the_last = self.sent.map_or(0, Ago::milliseconds);
        let timeout = since_the_last.saturating_add(timer.expires_ms.into());
        let first = timeout.checked_shr(attempts.into()).unwrap_or(0);
        since_the_last.saturating_add(timeout - first)
    }

    /// Whether neither data nor probes have reached the peer for long. Its answers to probes update
    /// the last acknowledgement. If packets never leave this host, each attempt updates the time of
    /// sending; otherwise that is the last time that the window was open, because a probe carries
    /// no data.
    fn is_probed_in_vain(&self, timer: Timer, acked: Ago) -> bool {
        let is_unanswered = timer.retransmits > 1 && acked.is_before(IN_VAIN_MS);
        let is_refused = |sent: Ago| {
            sent.is_after(acked, self.tick) == Some(true)
                && !sent.may_be_within(IN_VAIN_MS, acked, self.tick)
        };
        is_unanswered || self.sent.is_some_and(is_refused)
    }

    /// How long a peer that answers probes has had a zero window, in milliseconds.
    fn shut_for(&self) -> Option<u64> {
        let timer = self.timer.filter(|_| self.send_q > 0)?;
        let (sent, acked) = self.sent.zip(self.acked)?;
        let is_shut = timer.kind == TimerKind::Probe
            && !self.is_probed_in_vain(timer, acked)
            && sent.is_after(acked, self.tick) != Some(true);
        is_shut.then(|| sent.milliseconds())
    }

    /// Whether the last acknowledgement may be of data sent within the grace, and so does not show
    /// the time of the FIN.
    pub(super) fn acknowledges_data(&self, grace_ms: u64) -> bool {
        self.has_sent(grace_ms) && self.may_have_sent_since()
    }

    /// Whether the FIN may have come before data was last sent.
    fn may_have_sent_since(&self) -> bool {
        let may_have = |(sent, acked): (Ago, Ago)| sent.may_be_within(ACK_MS, acked, self.tick);
        self.is_known_to_wait() || self.sent.zip(self.acked).is_some_and(may_have)
    }

    /// Whether an answer that is sent in several segments may continue: its pause is no longer than
    /// its pace so far explains, and than a handler may work. (A complete answer on a forgotten
    /// connection looks the same for that time.)
    fn is_between_pieces(&self) -> bool {
        let (Some(sent), Some(received), Some(pieces)) = (self.sent, self.received, self.pieces)
        else {
            return false;
        };
        let went_on_ms = received.milliseconds().saturating_sub(sent.milliseconds());
        let pieces = u64::from(pieces);
        pieces >= PIECES_LEAST
            && sent.milliseconds() <= WORK_MS.min(went_on_ms.saturating_mul(PAUSE) / pieces)
            && self.side == Some(Side::Server)
            && self.was_read()
            && self.may_have_sent_since()
    }

    /// Whether everything except end-of-file was read.
    fn was_read(&self) -> bool {
        self.counts_fin && !self.unmeasured && self.recv_q <= 1
    }

    /// Whether the peer is known to have closed one direction only: this side has sent since the
    /// FIN, or a process holds the other end.
    fn is_known_to_wait(&self) -> bool {
        let after = |(sent, acked): (Ago, Ago)| sent.is_after(acked, self.tick) == Some(true);
        self.peer == Some(PeerEnd::Waiting) || self.sent.zip(self.acked).is_some_and(after)
    }

    /// Whether the FIN came with the last byte, so that the peer did not lose patience. The last
    /// acknowledgement is that of the FIN or answers a keepalive probe. Probes are sent at fixed
    /// intervals since data was last received; if the peer had sent its FIN later, they would be
    /// off that schedule.
    fn hung_up_at_once(&self) -> bool {
        let Some((received, acked)) = self.received.zip(self.acked) else {
            return false;
        };
        if received.may_be_within(ALONG_MS, acked, self.tick) {
            return true;
        }
        let keepalive = self
            .timer
            .filter(|timer| timer.kind == TimerKind::Keepalive);
        keepalive.is_some_and(|timer| {
            let beat = acked.milliseconds().saturating_add(timer.expires_ms.into());
            let late = beat / LATE_SHARE;
            let since = received.milliseconds().saturating_sub(acked.milliseconds());
            let probes = since.saturating_add(late).checked_div(beat).unwrap_or(0);
            probes > 0 && since.abs_diff(probes.saturating_mul(beat)) <= probes.saturating_mul(late)
        })
    }

    /// Whether the peer sent a request, got nothing, and closed one direction only: a process holds
    /// its end, or the FIN came with the last byte.
    fn waits_for_an_answer(&self) -> bool {
        let has_asked = self.side == Some(Side::Server)
            && self.ever_received == Some(true)
            && self.answered_after_last_byte() == Some(false);
        has_asked
            && match self.peer {
                Some(PeerEnd::Waiting) => true,
                Some(PeerEnd::Orphaned) => false,
                None => self.hung_up_at_once(),
            }
    }

    /// Whether a handler that has read the request of such a peer is still within its time.
    pub(super) fn is_being_answered(&self) -> bool {
        let is_in_time = self.received.is_some_and(|at| at.is_within(WORK_MS));
        self.was_read() && is_in_time && self.waits_for_an_answer()
    }
}
