//! Attaches FIN_WAIT2 sets to the CLOSE_WAIT sets whose other legs they are: a proxy that relayed
//! the close has one fault, on whichever leg one looks.

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

/// Attaches FIN_WAIT2 sets to CLOSE_WAIT sets by equal byte counts, else, if all data was read, by
/// the times of the closes.
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

/// The owner of a set.
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

    /// Whether it also holds some of these: a program that relays a close holds both legs, or is
    /// the parent of those that do.
    fn has(&self, other: &Owner) -> bool {
        let mut programs = other.programs.iter();
        self.netns == other.netns && programs.any(|program| self.programs.contains(program))
    }
}

/// Returns the sets that are nobody's other legs.
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

/// Attaches all sets that one program waits for, by the times of the closes.
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
            // The largest set comes first and gets all of them.
            set.fin_wait2_sets.append(&mut own);
        }
    }
    rest
}

/// Whether all data was read. A relay of TLS learns of the close from an alert and need not read
/// end-of-file.
fn may_pass_on(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::NeverClosed | Cause::SlowHandler | Cause::Abandoned
    )
}

/// The services of several sets as one.
fn together(sets: &[Gathered]) -> ServiceEnd {
    let mut ends: Vec<ServiceEnd> = sets.iter().map(|(set, _)| set.end).collect();
    ends.sort_unstable();
    ends.dedup();
    match ends.as_slice() {
        [one] => *one,
        several => ServiceEnd::Several(several.first().and_then(|end| end.side()), count(several)),
    }
}

/// The number of services.
fn count(ends: &[ServiceEnd]) -> u32 {
    let each = ends.iter().map(|end| match end {
        ServiceEnd::One(_) => 1,
        ServiceEnd::Several(_, ends) => *ends,
    });
    each.fold(0, u32::saturating_add)
}
