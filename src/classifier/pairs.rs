//! The two legs of a proxy: a CLOSE_WAIT and another connection of the same process over which
//! the same bytes went at the same times.

use std::collections::HashMap;

use super::Report;
use super::group::Service;
use crate::model::{Owner, Pid, Side, Socket, State};

/// A proxy passes a byte on within this; two idle connections rarely agree twice by chance.
const SAME_MS: u32 = 50;
/// A set is a proxy's when this many of its connections have a partner, in percent.
const PAIRED_PERCENT: usize = 80;

/// The most connections of a set for which a partner is looked for.
const LOOKED_AT: usize = 2_000;

/// The other legs that were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Legs {
    pub pairs: u64,
    /// The service end that most of the other legs share.
    pub other: Service,
    pub state: State,
}

/// Pairs the rows of a set with other connections of their process; `None` unless most of them
/// have a partner. Each connection is the partner of one.
pub fn legs(report: &Report<'_>, positions: &[u32]) -> Option<Legs> {
    let first = report.row(*positions.first()? as usize);
    let Owner::Process(holders) = first.owner else {
        return None;
    };
    let pid = holders.first()?.pid;
    let mut others = candidates(report, pid, first.side);
    let mut found: HashMap<(Service, State), u64> = HashMap::new();
    let mut pairs = 0usize;
    let looked_at = &positions[..positions.len().min(LOOKED_AT)];
    for at in looked_at {
        let row = report.row(*at as usize);
        let Some((received, sent)) = times(row.socket) else {
            continue;
        };
        // Ordered by the time of the last byte sent, which is when this leg's came in.
        let start = others.partition_point(|other| other.sent < received.saturating_sub(SAME_MS));
        let partner = others[start..]
            .iter()
            .take_while(|other| other.sent <= received.saturating_add(SAME_MS))
            .position(|other| !other.taken && other.received.abs_diff(sent) <= SAME_MS);
        if let Some(partner) = partner {
            let other = &mut others[start + partner];
            other.taken = true;
            *found.entry((other.service, other.state)).or_default() += 1;
            pairs += 1;
        }
    }
    if pairs == 0 || pairs * 100 < looked_at.len() * PAIRED_PERCENT {
        return None;
    }
    let ((other, state), _) = found
        .into_iter()
        .max_by_key(|((service, state), count)| (*count, *service, *state))?;
    Some(Legs {
        pairs: pairs as u64,
        other,
        state,
    })
}

struct Leg {
    received: u32,
    sent: u32,
    service: Service,
    state: State,
    /// It is the partner of another already.
    taken: bool,
}

/// The connections of a process on the other side, that are still open there.
fn candidates(report: &Report<'_>, pid: Pid, side: Side) -> Vec<Leg> {
    let mut legs: Vec<Leg> = report
        .rows()
        .filter(|row| {
            row.side != side
                && matches!(row.socket.state, State::Established | State::FinWait2)
                && row.owner.holders().iter().any(|holder| holder.pid == pid)
        })
        .filter_map(|row| {
            let (received, sent) = times(row.socket)?;
            Some(Leg {
                received,
                sent,
                service: Service::of(row.socket, row.side),
                state: row.socket.state,
                taken: false,
            })
        })
        .collect();
    legs.sort_unstable_by_key(|leg| leg.sent);
    legs
}

fn times(socket: &Socket) -> Option<(u32, u32)> {
    let tcp = socket.tcp?;
    Some((tcp.last_data_recv()?, tcp.last_data_sent()?))
}
