//! Patience: how long peers waited before they hung up, and whether that shows a timeout.

use crate::classifier::Row;
use crate::model::{Cause, Tick, TimerKind};

/// Fewer values than this do not show a timeout.
const CLUSTER_LEAST: usize = 3;
/// Peers with the same timeout hang up within this time of each other, or within a 20th of the
/// timeout: timers are late on a busy peer, and the network adds a delay.
const CLUSTER_MS: u32 = 100;
const CLUSTER_SHARE: u32 = 20;
/// Below this, in milliseconds, a cluster shows the latency of the network rather than a timeout.
const TIMEOUT_LEAST_MS: u32 = 200;

/// How long peers waited before they hung up, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The number of sockets for which it is known.
    pub sockets: u64,
    pub p10_ms: u32,
    pub p50_ms: u32,
    pub p90_ms: u32,
    /// The timeout that most of them share, if there is one.
    pub cluster_ms: Option<u32>,
}

impl Patience {
    /// From values in any order; `None` if there are none.
    pub fn of(values: &mut [u32]) -> Option<Patience> {
        values.sort_unstable();
        let rank =
            |percent: usize| values.get((values.len() * percent).div_ceil(100).checked_sub(1)?);
        let (p10, p50, p90) = (*rank(10)?, *rank(50)?, *rank(90)?);
        let width = CLUSTER_MS.max(p50 / CLUSTER_SHARE);
        let clustered =
            values.len() >= CLUSTER_LEAST && p50 >= TIMEOUT_LEAST_MS && p90 - p10 <= width;
        Some(Patience {
            sockets: values.len() as u64,
            p10_ms: p10,
            p50_ms: p50,
            p90_ms: p90,
            cluster_ms: clustered.then_some(p50),
        })
    }
}

/// How long the peer of a CLOSE_WAIT socket waited between the last byte, either way, and its FIN.
///
/// Known only if the last acknowledgement is that of the FIN: not with keepalive or window probes,
/// retransmissions, or data sent since. Data sent just before may be what was acknowledged last,
/// and the FIN may be older.
pub fn of_row(row: &Row<'_>, tick: Tick) -> Option<u32> {
    // The peer may have answered probes after its FIN.
    let renewed = row.socket.timer.is_some_and(|timer| {
        matches!(
            timer.kind,
            TimerKind::Keepalive | TimerKind::Probe | TimerKind::Retransmit
        )
    });
    if row.cause == Some(Cause::HalfClose) {
        return None;
    }
    let tcp = row.socket.tcp?;
    let (sent, received) = (tcp.last_data_sent()?, tcp.last_data_recv()?);
    // The closing message of a server ended its wait, which began when it answered the last
    // request.
    if row.cause == Some(Cause::StalePool) && row.socket.recv_q > 1 {
        let (sent, received) = (sent.idle().at_least_ms, received.idle().at_least_ms);
        return u32::try_from(sent.checked_sub(received)?).ok();
    }
    if renewed {
        return None;
    }
    let acked = tcp.last_ack_recv()?;
    // If nothing was ever sent, the time is that of the connection, before any byte.
    let never_sent = tcp.data_segs_out() == Some(0);
    let silent = never_sent || sent.is_after(received, tick) == Some(false);
    if sent.is_after(acked, tick) == Some(true) {
        return None;
    }
    let last = if silent {
        received
    } else {
        received.latest(sent)
    };
    let idle = acked.idle_since(last);
    let waited = u32::try_from(idle.at_most_ms? - idle.at_least_ms).ok()?;
    Some(waited).filter(|waited| silent || *waited >= TIMEOUT_LEAST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_timeout_shows_as_a_cluster() {
        let mut values = [5_004, 5_000, 5_001, 5_020, 4_999, 5_002];
        let patience = Patience::of(&mut values).unwrap();
        assert_eq!((patience.p50_ms, patience.p90_ms), (5_001, 5_020));
        assert_eq!(patience.cluster_ms, Some(5_001));
    }

    #[test]
    fn people_who_give_up_are_no_cluster() {
        let mut values = [1_000, 4_000, 9_000, 30_000, 31_000];
        assert_eq!(Patience::of(&mut values).unwrap().cluster_ms, None);
    }

    #[test]
    fn two_values_are_no_distribution_and_no_value_is_none() {
        assert_eq!(Patience::of(&mut [5_000, 5_000]).unwrap().cluster_ms, None);
        assert_eq!(Patience::of(&mut []), None);
    }

    #[test]
    fn a_hang_up_at_once_is_no_timeout() {
        let mut values = [0, 0, 1, 1, 2];
        let patience = Patience::of(&mut values).unwrap();
        assert_eq!(patience.cluster_ms, None);
    }
}
