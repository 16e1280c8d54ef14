//! What becomes of what this side sends on a half-closed connection, and whether an answer may
//! still be due.

use super::cause::{Facts, PeerEnd};
use crate::model::{Ago, Side, Timer, TimerKind};

/// How long a peer may keep its window shut while it answers probes. A reader opens it again once
/// there is room for a good part of its buffer: one of 3 kB/s every 45 s with the default buffer,
/// one of 500 B/s every four minutes. And where the word of it is lost, the next probe brings it,
/// up to two minutes later (`TCP_RTO_MAX`).
const SHUT_MS: u64 = 300_000;

/// How long a handler may work on an answer before the peers' FIN, which came with the request, is
/// held against it. Nothing shows how long it takes as a rule; a minute is what proxies wait for an
/// answer (nginx `proxy_read_timeout`, Apache `Timeout`).
const WORK_MS: u64 = 60_000;

/// A FIN that follows the last byte within this was sent along with it: no timeout is that short.
/// Two packets that are sent one after the other may be a busy processor's while apart.
const ALONG_MS: u64 = 200;

/// How long the acknowledgement of what was sent may take, the peer's delay included: before a
/// round trip was measured, data is sent again after this (RFC 6298).
const ACK_MS: u64 = 1_000;

/// What becomes of what this side sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outflow {
    /// It goes out, and nothing shows that it is not taken.
    Taken,
    /// The peer has no room at the moment, and says so when it is asked: it reads slowly.
    Shut,
    /// It is not taken.
    Stuck,
    /// The peer has no room; since when is not known.
    Untold,
}

impl Outflow {
    /// `None` where nothing was sent lately, and nothing waits to be sent or acknowledged.
    ///
    /// The retransmission timer runs whenever data is in flight: nothing is wrong before it has run
    /// out, over and over. The probe timer runs while nothing is in flight
    /// (`net/ipv4/tcp_output.c`, `tcp_check_probe_timer`): all that went out was acknowledged, and
    /// there is more.
    pub fn of(facts: &Facts, grace_ms: u64) -> Option<Outflow> {
        let timer = facts.timer.filter(|_| facts.send_q > 0);
        match timer.map(|timer| (timer.kind, timer)) {
            Some((TimerKind::Retransmit, timer)) => Some(if facts.retried_for(timer) > grace_ms {
                Outflow::Stuck
            } else {
                Outflow::Taken
            }),
            Some((TimerKind::Probe, _)) => Some(match facts.shut_for(grace_ms) {
                Some(..=SHUT_MS) => Outflow::Shut,
                None if facts.sent.zip(facts.acked).is_none() => Outflow::Untold,
                Some(_) | None => Outflow::Stuck,
            }),
            _ => facts.has_sent(grace_ms).then_some(Outflow::Taken),
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
    pub(super) fn add(&mut self, facts: &Facts, grace_ms: u64) {
        self.certain += u64::from(facts.is_known_to_wait());
        if let Some(shut_ms) = facts.shut_for(grace_ms) {
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

    /// For how many milliseconds a peer has had no room that says so whenever it is asked; `None`
    /// where the probe timer does not run, or something else keeps what is sent from it. Its answers
    /// to probes renew the last acknowledgement; the time of sending is that of data only, and so of
    /// the last time that there was room. Where what is sent never leaves this host, each attempt
    /// renews that time.
    fn shut_for(&self, grace_ms: u64) -> Option<u64> {
        let timer = self.timer.filter(|_| self.send_q > 0)?;
        let (sent, acked) = self.sent.zip(self.acked)?;
        let is_unanswered = timer.retransmits > 1 && acked.is_before(grace_ms);
        let is_refused = sent.is_after(acked, self.tick) == Some(true)
            && !sent.may_be_within(grace_ms, acked, self.tick);
        let is_shut = timer.kind == TimerKind::Probe && !is_unanswered && !is_refused;
        is_shut.then(|| sent.milliseconds())
    }

    /// Whether the last acknowledgement may be that of data which was sent within the grace, and so
    /// tells nothing of the FIN.
    pub(super) fn acknowledges_data(&self, grace_ms: u64) -> bool {
        let may_be = |(sent, acked): (Ago, Ago)| {
            sent.is_after(acked, self.tick) == Some(true)
                || sent.may_be_within(ACK_MS, acked, self.tick)
        };
        let may_be = self.sent.zip(self.acked).is_some_and(may_be);
        self.has_sent(grace_ms) && (may_be || self.peer == Some(PeerEnd::Waiting))
    }

    /// Whether the peer is known to have closed one direction only: this side has sent since the FIN
    /// came, or a process holds the other end.
    fn is_known_to_wait(&self) -> bool {
        let after = |(sent, acked): (Ago, Ago)| sent.is_after(acked, self.tick) == Some(true);
        self.peer == Some(PeerEnd::Waiting) || self.sent.zip(self.acked).is_some_and(after)
    }

    /// Whether the peer has asked and been sent nothing, and closed one direction only: it holds its
    /// end, or its FIN came along with the last byte, which is no impatience. The last
    /// acknowledgement is the FIN's, or came later.
    fn waits_for_an_answer(&self) -> bool {
        let has_asked = self.side == Some(Side::Server)
            && self.ever_received == Some(true)
            && self.answered_after_last_byte() == Some(false);
        let along =
            |(received, acked): (Ago, Ago)| received.may_be_within(ALONG_MS, acked, self.tick);
        has_asked
            && match self.peer {
                Some(PeerEnd::Waiting) => true,
                Some(PeerEnd::Orphaned) => false,
                None => self.received.zip(self.acked).is_some_and(along),
            }
    }

    /// Whether the handler that has read the request of such a peer is not late yet.
    pub(super) fn is_being_answered(&self) -> bool {
        let was_read = self.counts_fin && !self.unmeasured && self.recv_q <= 1;
        let is_in_time = self.received.is_some_and(|at| at.is_within(WORK_MS));
        was_read && is_in_time && self.waits_for_an_answer()
    }
}
