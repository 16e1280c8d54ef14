//! Decides whether unanswered requests explain the sockets of waiting clients.

use super::Role;
use super::ask::{Ask, Asked, VICTIMS_MAX};
use crate::classifier::client_wait::{self, ClientWait};
use crate::model::{Ago, Tick};

/// The least share of the connections to a service that must wait for the service to have stopped
/// answering, in percent: some may be in use for something else.
const ALL_PERCENT: usize = 80;

/// How soon after a client asked a single request must have been sent, in milliseconds.
const PROMPT_MS: u64 = 1_000;

/// The most requests of one owner that are compared with all clients.
const SAMPLE: usize = 100;

/// How requests, ordered from the latest to the earliest, relate to the clients that hung up.
pub(super) fn role(asked: &Asked, ask: &Ask<'_>, inbound: &[&[ClientWait]], tick: Tick) -> Role {
    let sent = asked.sent.as_slice();
    let half = |some: usize, all: usize| some.saturating_mul(2) >= all;
    // Most must have been sent for a client: others wait for events at any time, such as jobs.
    let is_for_a_peer = |sent: &&Ago| {
        let mut programs = inbound.iter();
        programs.any(|spans| client_wait::may_cover(spans, **sent, tick))
    };
    let sample = &sent[..sent.len().min(SAMPLE)];
    let caused = sample.iter().filter(is_for_a_peer).count();
    if caused == 0 || !half(caused, sample.len()) {
        return Role::Beside;
    }
    // A single one proves nothing if nothing was ever received, and may be chance if no client
    // asked then.
    if let [only] = sent {
        let mut spans = inbound.iter().copied().flatten();
        let is_prompt = spans.any(|span| span.asked.may_be_within(PROMPT_MS, *only, tick));
        if !asked.heard || !is_prompt {
            return Role::Beside;
        }
    }
    // A request that was sent between the two times may be for this client.
    let has_request = |span: &&ClientWait| {
        let from = sent.partition_point(|sent| !span.may_outlast(*sent, tick));
        let first = sent.get(from);
        first.is_some_and(|sent| span.may_have_caused(*sent, tick))
    };
    let served = ask.victims.iter().filter(has_request).count();
    if served > 0 && half(served, ask.sockets) {
        return Role::Explains;
    }
    // All connections of a pool wait, while other clients wait for one of them.
    let all_wait = sent.len().saturating_mul(100) >= asked.connections.saturating_mul(ALL_PERCENT);
    let hung_up_since = ask.victims.iter().filter(|span| {
        let oldest = sent.last();
        oldest.is_some_and(|oldest| span.may_outlast(*oldest, tick))
    });
    if all_wait && half(hung_up_since.count(), ask.sockets) {
        Role::Explains
    } else {
        Role::Beside
    }
}

/// Whether a request is the only one, and the first for the waiting clients.
pub(super) fn is_first(
    asked: &Asked,
    ask: &Ask<'_>,
    inbound: &[&[ClientWait]],
    tick: Tick,
) -> bool {
    let [only] = asked.sent.as_slice() else {
        return false;
    };
    let mut spans = inbound.iter().copied().flatten();
    let is_prompt = |span: &ClientWait| span.asked.may_be_within(PROMPT_MS, *only, tick);
    let is_since =
        |span: &ClientWait| span.asked.is_after(*only, tick) == Some(true) || is_prompt(span);
    asked.connections == 1
        && !asked.heard
        && ask.victims.len() > 1
        && ask.victims.len() == ask.sockets.min(VICTIMS_MAX)
        && spans.clone().any(is_prompt)
        && spans.all(is_since)
}
