//! The legs of a proxy, and what FIN_WAIT2 sockets wait for.

use serde::Serialize;

use crate::classifier::finding::Finding;
use crate::classifier::pairs::LegState;

/// What happened to the close on the other legs.
#[derive(Serialize)]
pub(super) struct LegsJson {
    passing: &'static str,
    by: &'static str,
    pairs: Option<u64>,
    looked_at: Option<u64>,
    fin_wait2: u64,
    dead_descriptors: u64,
}

/// What FIN_WAIT2 sockets that a process holds wait for.
#[derive(Serialize)]
pub(super) struct WaitingJson {
    unanswered: Option<u64>,
    asking: u64,
    unread: u64,
    on_this_host: u64,
}

pub(super) fn legs(finding: &Finding) -> Option<LegsJson> {
    let set = &finding.set;
    let (fin_wait2, dead_descriptors) = (set.fin_wait2(), finding.dead);
    let by_closes = LegsJson {
        passing: LegState::PassedOn.name(),
        by: "closes",
        pairs: None,
        looked_at: None,
        fin_wait2,
        dead_descriptors,
    };
    match &set.legs {
        Some(legs) => Some(LegsJson {
            passing: legs.leg_state.name(),
            by: "bytes",
            pairs: Some(legs.pairs),
            looked_at: Some(legs.looked_at),
            ..by_closes
        }),
        None if set.relayed_to.is_some() => Some(by_closes),
        None if dead_descriptors > 0 => Some(LegsJson {
            by: "number",
            ..by_closes
        }),
        None => None,
    }
}

pub(super) fn waiting(finding: &Finding) -> Option<WaitingJson> {
    let waiting = finding.set.waiting.as_ref()?;
    Some(WaitingJson {
        unanswered: waiting.unanswered,
        asking: waiting.asking,
        unread: waiting.unread,
        on_this_host: finding.set.peers.waiting,
    })
}
