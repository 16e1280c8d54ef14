//! What becomes of what this side sends on a half-closed connection, and whether an answer may
//! still be due.

use super::facts::{Facts, PeerEnd};
use crate::model::{Ago, Side, Timer, TimerKind};

/// For how long the same data may be sent in vain before it is stuck. On a link that a hundred
/// downloads crowd, one gets nothing through for ten seconds and more, whether its packets are
/// lost on the way or by a full queue of this host.
const IN_VAIN_MS: u64 = 30_000;

/// How long a peer may keep its window shut while it answers probes. A reader opens it again once
/// there is room for a good part of its buffer: one of 3 kB/s every 45 s with the default buffer,
/// one of 500 B/s every four minutes. And where the word of it is lost, the next probe brings it,
/// up to two minutes later (`TCP_RTO_MAX`).
const SHUT_MS: u64 = 300_000;

/// How long a handler may work on an answer before the peers' FIN, which came with the request, is
/// held against it. Nothing shows how long it takes as a rule; a minute is what proxies wait for an
/// answer (nginx `proxy_read_timeout`, Apache `Timeout`).
const WORK_MS: u64 = 60_000;

/// A FIN that follows the last byte within this was sent along with it: hardly a timeout is shorter than
/// half a second, and on a busy host a process may lie some time between write(2) and shutdown(2).
const ALONG_MS: u64 = 400;

/// An answer in fewer pieces than this has no pace.
const PIECES_LEAST: u64 = 3;

/// How many times as long as one piece took so far an answer may pause until it is taken for
/// ended.
const PAUSE: u64 = 3;

/// A timer of the kernel's is late by up to an eighth of its time, and by half of that as a rule
/// (`kernel/time/timer.c`).
const LATE_SHARE: u64 = 16;

/// How long the acknowledgement of what was sent may take, the peer's delay included: before a
/// round trip was measured, data is sent again after this (RFC 6298).
const ACK_MS: u64 = 1_000;

/// What becomes of what this side sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendProgress {
    /// It goes out, and nothing shows that it is not taken.
    Taken,
    /// The peer has no room at the moment, and says so when it is asked: it reads slowly.
    ZeroWindow,
    /// It is not taken.
    Stuck,
    /// The peer has no room; since when is not known.
    Unknown,
}

impl SendProgress {
    /// `None` where nothing was sent lately, and nothing waits to be sent or acknowledged.
    ///
    /// The retransmission timer runs whenever data is in flight: nothing is wrong before it has run
    /// out, over and over. The probe timer runs while nothing is in flight
    /// (`net/ipv4/tcp_output.c`, `tcp_check_probe_timer`): all that went out was acknowledged, and
    /// there is more.
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

/// What shows of peers that may have closed one direction only, and how many of a set it shows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HalfClosed {
    /// This side has sent since the FIN came, or the peer's process is seen to wait.
    pub certain: u64,
    /// The peer's window is shut, and it answers probes.
    pub shut: u64,
    /// The longest time for which one has been, in milliseconds.
    pub shut_ms: u64,
    /// The FIN came along with the last byte, upon which nothing was sent.
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
    /// Data went out within the grace.
    fn has_sent(&self, grace_ms: u64) -> bool {
        let within = self.sent.is_some_and(|sent| sent.is_within(grace_ms));
        within && self.ever_sent != Some(false)
    }

    /// For how many milliseconds, at the least, the same data has been sent again and again. The
    /// timer is set anew at each attempt and doubled each time: all of them together took what the
    /// last took to run out, but for the first.
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

    /// Whether neither data nor probes have reached the peer for long. Its answers to probes renew the
    /// last acknowledgement. Where what is sent never leaves this host, each attempt renews the time
    /// of sending, which else is the last time that there was room: a probe is no data.
    fn is_probed_in_vain(&self, timer: Timer, acked: Ago) -> bool {
        let is_unanswered = timer.retransmits > 1 && acked.is_before(IN_VAIN_MS);
        let is_refused = |sent: Ago| {
            sent.is_after(acked, self.tick) == Some(true)
                && !sent.may_be_within(IN_VAIN_MS, acked, self.tick)
        };
        is_unanswered || self.sent.is_some_and(is_refused)
    }

    /// For how many milliseconds a peer has had no room that says so whenever it is asked.
    fn shut_for(&self) -> Option<u64> {
        let timer = self.timer.filter(|_| self.send_q > 0)?;
        let (sent, acked) = self.sent.zip(self.acked)?;
        let is_shut = timer.kind == TimerKind::Probe
            && !self.is_probed_in_vain(timer, acked)
            && sent.is_after(acked, self.tick) != Some(true);
        is_shut.then(|| sent.milliseconds())
    }

    /// Whether the last acknowledgement may be that of data which was sent within the grace, and so
    /// tells nothing of the FIN.
    pub(super) fn acknowledges_data(&self, grace_ms: u64) -> bool {
        self.has_sent(grace_ms) && self.may_have_sent_since()
    }

    /// Whether the FIN may have come before data was sent last.
    fn may_have_sent_since(&self) -> bool {
        let may_have = |(sent, acked): (Ago, Ago)| sent.may_be_within(ACK_MS, acked, self.tick);
        self.is_known_to_wait() || self.sent.zip(self.acked).is_some_and(may_have)
    }

    /// Whether an answer that goes out piece by piece may go on: it has paused for no longer than its
    /// pace so far explains, nor than a handler may work. (One that is whole, on a connection that
    /// was forgotten, looks the same for as long.)
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

    /// Whether everything that came in was read, but for end-of-file.
    fn was_read(&self) -> bool {
        self.counts_fin && !self.unmeasured && self.recv_q <= 1
    }

    /// Whether the peer is known to have closed one direction only: this side has sent since the FIN
    /// came, or a process holds the other end.
    fn is_known_to_wait(&self) -> bool {
        let after = |(sent, acked): (Ago, Ago)| sent.is_after(acked, self.tick) == Some(true);
        self.peer == Some(PeerEnd::Waiting) || self.sent.zip(self.acked).is_some_and(after)
    }

    /// Whether the FIN came along with the last byte, which is no impatience. The last acknowledgement
    /// is the FIN's, or answers a keepalive probe: these go out when nothing has come in for always the
    /// same time, and a peer that had waited before its FIN would be that much off their beat.
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

    /// Whether the peer has asked and been sent nothing, and closed one direction only: it holds its
    /// end, or its FIN came along with the last byte.
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

    /// Whether the handler that has read the request of such a peer is not late yet.
    pub(super) fn is_being_answered(&self) -> bool {
        let is_in_time = self.received.is_some_and(|at| at.is_within(WORK_MS));
        self.was_read() && is_in_time && self.waits_for_an_answer()
    }
}
