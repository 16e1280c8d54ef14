//! One fault, one finding: FIN_WAIT2 sets are told with the CLOSE_WAIT sets whose other legs they are. A
//! proxy that has passed the close on has one fault behind it, at whichever of its legs one looks.

use std::collections::BTreeMap;

use super::pairs;
use super::pairs::LegState;
use super::program::Program;
use super::relayed_close;
use super::report::Report;
use super::service::ServiceEnd;
use super::socket_set::SocketSet;
use crate::model::Cause;

/// A set, and the positions of its rows.
type Gathered = (SocketSet, Vec<u32>);

/// Puts FIN_WAIT2 sets behind CLOSE_WAIT sets: by equal bytes, or else, where all was read, by closes
/// in step.
pub(super) fn attach_fin_wait2(report: &Report<'_>, sets: Vec<Gathered>) -> Vec<SocketSet> {
    let (mut waiting, mut sets): (Vec<Gathered>, Vec<Gathered>) =
        sets.into_iter().partition(|(set, _)| set.waiting.is_some());
    if !waiting.is_empty() {
        waiting = by_bytes(report, waiting, &mut sets);
        waiting = by_closes(report, waiting, &mut sets);
    }
    let all = sets.into_iter().chain(waiting);
    all.map(|(set, _)| set).collect()
}

/// Whose a set is.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    netns: u16,
    programs: Vec<Program>,
}

impl Owner {
    fn of(report: &Report<'_>, set: &SocketSet) -> Owner {
        Owner {
            netns: set.netns,
            programs: Program::all(report.holders(), &set.owner.pids),
        }
    }

    /// Whether it holds some of these too: one that passes a close on holds both legs, or starts those
    /// who do.
    fn has(&self, other: &Owner) -> bool {
        let mut programs = other.programs.iter();
        self.netns == other.netns && programs.any(|program| self.programs.contains(program))
    }
}

/// Returns those that are nobody's other legs.
fn by_bytes(report: &Report<'_>, waiting: Vec<Gathered>, sets: &mut [Gathered]) -> Vec<Gathered> {
    let mut rest = Vec::new();
    for (set, positions) in waiting {
        let owner = Owner::of(report, &set);
        let services = positions
            .iter()
            .map(|at| report.row(*at as usize).service());
        let leads_there = |legs: &pairs::Legs| {
            let mut services = services.clone();
            legs.leg_state == LegState::PassedOn
                && services.all(|service| legs.services.binary_search(&service).is_ok())
        };
        let mut others = sets.iter_mut().map(|(other, _)| other);
        let other = others.find(|other| {
            other.legs.as_ref().is_some_and(leads_there) && Owner::of(report, other).has(&owner)
        });
        match other {
            Some(other) => other.fin_wait2_sets.push(set),
            None => rest.push((set, positions)),
        }
    }
    rest
}

/// The same, of all that one program waits for together.
fn by_closes(report: &Report<'_>, waiting: Vec<Gathered>, sets: &mut [Gathered]) -> Vec<Gathered> {
    let mut owners: BTreeMap<Owner, Vec<&mut Gathered>> = BTreeMap::new();
    for gathered in sets {
        let set = &gathered.0;
        if may_pass_on(set.cause) && set.is_suspicious() && set.legs.is_none() {
            let owner = Owner::of(report, set);
            owners.entry(owner).or_default().push(gathered);
        }
    }
    let mut rest = waiting;
    for (owner, mut peers) in owners {
        let is_own = |(set, _): &Gathered| owner.has(&Owner::of(report, set));
        let (own, others): (Vec<Gathered>, Vec<Gathered>) = rest.into_iter().partition(is_own);
        rest = others;
        let of_peers: Vec<u32> = peers.iter().flat_map(|(_, at)| at).copied().collect();
        let of_own: Vec<u32> = own.iter().flat_map(|(_, at)| at).copied().collect();
        if !relayed_close::closes_are_relayed(report, &of_peers, &of_own) {
            rest.extend(own);
            continue;
        }
        let end = together(&own);
        let mut own: Vec<SocketSet> = own.into_iter().map(|(set, _)| set).collect();
        for (set, _) in &mut peers {
            set.relayed_to = Some(end);
            // The largest comes first, and stands for all of them.
            set.fin_wait2_sets.append(&mut own);
        }
    }
    rest
}

/// Whether all data was read. A relay of TLS knows the close by its alert, and need not read
/// end-of-file.
fn may_pass_on(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::NeverClosed | Cause::SlowHandler | Cause::Abandoned
    )
}

/// The ends of several sets as one.
fn together(sets: &[Gathered]) -> ServiceEnd {
    let mut ends: Vec<ServiceEnd> = sets.iter().map(|(set, _)| set.end).collect();
    ends.sort_unstable();
    ends.dedup();
    match ends.as_slice() {
        [one] => *one,
        several => ServiceEnd::Several(several.first().and_then(|end| end.side()), count(several)),
    }
}

/// How many service ends there are.
fn count(ends: &[ServiceEnd]) -> u32 {
    let each = ends.iter().map(|end| match end {
        ServiceEnd::One(_) => 1,
        ServiceEnd::Several(_, ends) => *ends,
    });
    each.fold(0, u32::saturating_add)
}
