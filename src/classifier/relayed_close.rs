//! Relayed closes: a program closed its direction of as many connections as peers closed, right
//! after them. A proxy that relays closes does this, also if the byte counts of its two legs
//! differ, as with TLS or added headers.
//!
//! Times prove less than equal byte counts, so both directions are tested: nearly every close of a
//! peer must be followed by one, and nearly every close of the program must have one before it.

use super::cause::GRACE_MS;
use super::report::Report;
use super::row::Row;
use crate::model::TimerKind;

/// At least this share of each side must match, in percent.
const IN_STEP_PERCENT: usize = 80;
/// Fewer matching closes than this may be chance.
const LEAST: usize = 5;
/// The most that two times may differ because of the kernel's clock, in milliseconds: the longest
/// tick.
const TICK_MS: u64 = 10;

/// Whether the closes of the program's own rows follow those of the peers' rows.
pub(super) fn closes_are_relayed(report: &Report<'_>, peers: &[u32], own: &[u32]) -> bool {
    let Some(apart) = report.snapshot.reading_ms else {
        return false;
    };
    let closes = |rows: &[u32]| {
        let rows = rows.iter().map(|at| report.row(*at as usize));
        let mut closes: Vec<u64> = rows.filter_map(|row| closed(report, &row)).collect();
        closes.sort_unstable();
        closes
    };
    let pairs = pairs(&closes(peers), &closes(own), apart.saturating_add(TICK_MS));
    let nearly = |all: usize| pairs * 100 >= all * IN_STEP_PERCENT;
    pairs >= LEAST && nearly(peers.len()) && nearly(own.len())
}

/// How long ago the FIN of the end that closed first was acknowledged, in milliseconds; `None` if
/// something may have reset that time.
fn closed(report: &Report<'_>, row: &Row<'_>) -> Option<u64> {
    let timer = row.socket.timer.map(|timer| timer.kind);
    if timer == Some(TimerKind::Keepalive) {
        return None;
    }
    let silence = match row.cause {
        Some(_) => row.idle,
        None => report.wait(row).map(|wait| wait.silence),
    };
    Some(silence?.at_least_ms)
}

/// The number of own closes that follow a different close of a peer each, by at most the grace.
/// Both lists are ordered, the latest first, with a precision of `slack` milliseconds.
fn pairs(peers: &[u64], own: &[u64], slack: u64) -> usize {
    let mut peers = peers.iter().copied().peekable();
    let mut has_peer = |close: &u64| {
        let latest = close.saturating_add(GRACE_MS).saturating_add(slack);
        while peers
            .next_if(|peer| peer.saturating_add(slack) < *close)
            .is_some()
        {}
        peers.next_if(|peer| *peer <= latest).is_some()
    };
    own.iter().filter(|close| has_peer(close)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_close_follows_one_of_a_peer_within_the_grace() {
        for (peers, own, found) in [
            (&[][..], &[1_000][..], 0),
            (&[1_000], &[1_000], 1),
            (&[1_000], &[990, 1_000], 1),
            // The program closed first.
            (&[1_000], &[1_011], 0),
            (&[1_000, 2_000, 3_000], &[900, 1_900, 2_900], 3),
            (&[1_000, 2_000, 3_000], &[900, 910, 920], 3),
            (&[7_000], &[1_000], 0),
            (&[u64::MAX], &[u64::MAX], 1),
        ] {
            assert_eq!(pairs(peers, own, 10), found, "{peers:?} {own:?}");
        }
    }
}
