//! Gathers the selected sockets of a report into sets.

use rustc_hash::FxHashMap;

use super::SocketSet;
use super::build::gather;
use super::key::Key;
use crate::classifier::other_legs;
use crate::classifier::owner::GroupOwner;
use crate::classifier::pairs;
use crate::classifier::pool;
use crate::classifier::program::{OwnerKey, Program};
use crate::classifier::report::Report;
use crate::classifier::requests::{Ask, requests};
use crate::classifier::row::Row;
use crate::classifier::service::ServiceEnd;
use crate::classifier::waiting::Others;
use crate::model::{Cause, Pid};

/// Other connections of the owners are searched for at most this many sets.
const BESIDE_MAX: usize = 8;

/// With more services than this, the sets of one owner and cause become one set.
const ENDS_MAX: u32 = 8;

/// The cause that a finding about a socket would have, and whether its age is unknown for that.
pub(in crate::classifier) fn subject(report: &Report<'_>, row: &Row<'_>) -> Option<(Cause, bool)> {
    match row.cause {
        Some(cause) => Some((cause, row.lingers().is_none())),
        None => report
            .wait(row)
            .map(|wait| (Cause::PeerNotClosed, wait.hidden)),
    }
}

/// Gathers the CLOSE_WAIT sockets of a report into sets, the largest first; and the FIN_WAIT2
/// sockets that wait for a remote end without a known CLOSE_WAIT.
pub fn sets(report: &Report<'_>) -> Vec<SocketSet> {
    let waits = (0u32..).zip(report.rows());
    let waits = waits.filter(|(_, row)| row.cause.is_none() && report.wait(row).is_some());
    let waits: Vec<u32> = waits.map(|(at, _)| at).collect();
    let others = Others::of(report, &waits);
    let mut sets: Vec<(SocketSet, Vec<u32>)> = rolled_up(report, by_key(report, &others))
        .into_iter()
        .map(|(key, positions)| (gather(report, &key, &positions, &others), positions))
        .collect();
    sets.sort_by(|(a, _), (b, _)| {
        (b.sockets.cmp(&a.sockets))
            .then_with(|| {
                let key = |set: &SocketSet| {
                    (
                        set.cause,
                        set.is_age_missing(),
                        set.end,
                        set.listener,
                        set.netns,
                    )
                };
                key(a).cmp(&key(b))
            })
            .then_with(|| a.owner.pids.cmp(&b.owner.pids))
    });
    pool::fill(report, &mut sets);
    add_legs_and_requests(report, &mut sets);
    other_legs::attach_fin_wait2(report, sets)
}

/// The program that holds the first of these sockets, by its first ancestor of the same name.
fn first_ancestor(report: &Report<'_>, positions: &[u32]) -> Option<Pid> {
    let row = report.row(*positions.first()? as usize);
    let holder = row.owner.holders().first()?;
    Some(Program::of(report.holders(), holder.pid)?.first)
}

/// The positions of the rows of each set.
fn by_key(report: &Report<'_>, others: &Others<'_>) -> FxHashMap<Key, Vec<u32>> {
    let mut positions: FxHashMap<Key, Vec<u32>> = FxHashMap::default();
    let mut last: Option<(Key, GroupOwner)> = None;
    for (at, row) in (0u32..).zip(report.rows()) {
        let Some((cause, is_age_missing)) = subject(report, &row) else {
            continue;
        };
        if others.have_finding(report, row.socket) {
            continue;
        }
        // Sockets of one set are often adjacent, so most rows reuse the last key.
        let same = last.as_ref().is_some_and(|(key, owner)| {
            key.is_of(report, &row, row.socket.netns, cause, is_age_missing) && owner.is(&row.owner)
        });
        if !same {
            let key = Key::of(report, &row, row.socket.netns, cause, is_age_missing);
            last = Some((key, GroupOwner::of(&row.owner)));
        }
        if let Some((key, _)) = &last {
            match positions.get_mut(key) {
                Some(positions) => positions.push(at),
                None => {
                    positions.insert(key.clone(), vec![at]);
                }
            }
        }
    }
    positions
}

/// Adds the other legs and the requests of the largest suspicious sets.
fn add_legs_and_requests(report: &Report<'_>, sets: &mut [(SocketSet, Vec<u32>)]) {
    let suspicious = sets
        .iter_mut()
        .filter(|(set, _)| set.is_suspicious() && set.waiting.is_none());
    let (mut looked_at, positions): (Vec<&mut SocketSet>, Vec<&[u32]>) = suspicious
        .take(BESIDE_MAX)
        .map(|(set, positions)| (set, positions.as_slice()))
        .unzip();
    let legs = pairs::legs(report, &positions);
    let asks: Vec<Ask<'_>> = looked_at
        .iter()
        .zip(&positions)
        .map(|(set, positions)| {
            let sockets = positions.iter().map(|at| report.row(*at as usize).socket);
            Ask::of(report, set.netns, &set.owner.pids, sockets)
        })
        .collect();
    let requests = requests(report, &asks);
    for ((set, legs), requests) in looked_at.iter_mut().zip(legs).zip(requests) {
        set.legs = legs;
        set.requests = requests;
    }
}

/// Merges the sets of one owner, cause and side if they have many services: a crawler that leaks
/// one connection to each of a thousand hosts has one large fault. Servers on different ports are
/// one owner only by a common ancestor: twelve programs may be called python3.
fn rolled_up(report: &Report<'_>, positions: FxHashMap<Key, Vec<u32>>) -> FxHashMap<Key, Vec<u32>> {
    let several = |key: &Key, ends| Key {
        end: ServiceEnd::Several(key.end.side(), ends),
        ..key.clone()
    };
    let whose = |key: &Key, at: &[u32]| match key.owner {
        OwnerKey::Program(_, None) => first_ancestor(report, at),
        OwnerKey::Program(_, Some(_)) | OwnerKey::Processes(_) => None,
    };
    let mut ends: FxHashMap<(Key, Option<Pid>), u32> = FxHashMap::default();
    for (key, at) in positions.iter().filter(|(key, _)| key.listener.is_none()) {
        *ends.entry((several(key, 0), whose(key, at))).or_default() += 1;
    }
    let mut rolled: FxHashMap<Key, Vec<u32>> = FxHashMap::default();
    for (key, at) in positions {
        let key = match ends.get(&(several(&key, 0), whose(&key, &at))) {
            Some(ends) if *ends > ENDS_MAX && key.listener.is_none() => several(&key, *ends),
            _ => key,
        };
        rolled.entry(key).or_default().extend(at);
    }
    for at in rolled.values_mut() {
        at.sort_unstable();
    }
    rolled
}
