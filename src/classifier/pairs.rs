//! The two legs of a proxy: a CLOSE_WAIT and another connection of the same process and namespace over which
//! the same bytes went at the same times.

use rustc_hash::FxHashMap;

use super::group::Service;
use super::{Report, Row};
use crate::model::{Ago, Owner, Pid, State, Tick};

/// A proxy passes a byte on within this; two idle connections rarely agree twice by chance.
const SAME_MS: u64 = 50;
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
    let tick = report.snapshot.host.tick;
    let mut others = candidates(report, pid, &first);
    let mut found: FxHashMap<(Service, State), u64> = FxHashMap::default();
    let mut pairs = 0usize;
    let looked_at = &positions[..positions.len().min(LOOKED_AT)];
    for at in looked_at {
        let row = report.row(*at as usize);
        let Some(leg) = leg(&row) else {
            continue;
        };
        // Ordered by the time of the last byte sent, which is when this leg's came in.
        let near = |other: &Leg| leg.received.may_be_within(SAME_MS, other.sent, tick);
        let start = others.partition_point(|other| {
            !near(other) && other.sent.is_after(leg.received, tick) == Some(true)
        });
        let partner = others[start..]
            .iter()
            .take_while(|other| near(other))
            .position(|other| !other.taken && leg.is_passed_on_by(other, tick));
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
    /// When the last byte came in and went out.
    received: Ago,
    sent: Ago,
    /// Whether bytes ever did.
    has_received: bool,
    has_sent: bool,
    service: Service,
    state: State,
    /// It is the partner of another already.
    taken: bool,
}

/// The connections of a process on the other side, that are still open there.
fn candidates(report: &Report<'_>, pid: Pid, first: &Row<'_>) -> Vec<Leg> {
    let mut legs: Vec<Leg> = report
        .rows()
        .filter(|row| {
            row.side() != first.side()
                && row.socket.netns == first.socket.netns
                && matches!(row.socket.state, State::Established | State::FinWait2)
                && row.owner.holders().iter().any(|holder| holder.pid == pid)
        })
        .filter_map(|row| leg(&row))
        .collect();
    legs.sort_unstable_by(|a, b| a.sent.order(&b.sent));
    legs
}

impl Leg {
    /// Whether what came in here went out there at the same time, and the other way round; a
    /// connection over which nothing went is no leg of anything.
    fn is_passed_on_by(&self, other: &Leg, tick: Tick) -> bool {
        let same = |here: Ago, there| here.may_be_within(SAME_MS, there, tick);
        let to = self.has_received == other.has_sent
            && (!self.has_received || same(self.received, other.sent));
        let fro = self.has_sent == other.has_received
            && (!self.has_sent || same(self.sent, other.received));
        self.has_received && to && fro
    }
}

/// `None` where the kernel does not tell enough.
fn leg(row: &Row<'_>) -> Option<Leg> {
    let tcp = row.socket.tcp?;
    // A FIN counts as a byte received.
    let fin = u64::from(row.socket.state == State::CloseWait);
    Some(Leg {
        received: tcp.last_data_recv()?,
        sent: tcp.last_data_sent()?,
        has_received: tcp.bytes_received()? > fin,
        has_sent: tcp.data_segs_out()? > 0,
        service: row.service(),
        state: row.socket.state,
        taken: false,
    })
}
