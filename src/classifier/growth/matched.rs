//! Finds each socket of one reading in the other.

use rustc_hash::FxHashMap;

use super::key::{Identity, Key, Namespaces};
use crate::classifier::change::{Change, Presence};
use crate::classifier::report::Report;

/// Two readings of one host, matched socket by socket.
#[derive(Debug)]
pub(in crate::classifier) struct Matched {
    pub(in crate::classifier) identity: Identity,
    namespaces: Namespaces,
    /// For each selected socket of the later reading.
    pub(super) there: Vec<Found>,
    /// For each selected socket of the earlier reading.
    pub(super) earlier: Vec<Left>,
    one_sided: usize,
}

/// What the earlier reading has of a socket of the later one: its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Same(u32),
    InAnotherState(u32),
    Nothing,
    /// Its namespace was not read.
    NotRead,
}

/// What the later reading has of a socket of the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Something,
    Nothing,
    NotRead,
}

/// Which sockets of both readings leave one number for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::classifier) enum Moves {
    /// Those that are in another state now. An owner or a cause that was recognized only later is no
    /// change.
    WithItsState,
    /// All that have another number now.
    Always,
}

/// A counted socket: in which reading, where, under which number, and whether it is in both.
pub(super) struct Counted {
    pub(super) is_later: bool,
    pub(super) at: usize,
    pub(super) number: u32,
    pub(super) presence: Presence,
}

/// The end of a chain.
const END: u32 = u32::MAX;

impl Matched {
    /// Matches the selected sockets, in the network namespaces that both readings cover. If both
    /// cover `all` network namespaces, a missing namespace is gone with its sockets.
    pub(in crate::classifier) fn of(before: &Report<'_>, after: &Report<'_>, all: bool) -> Matched {
        let namespaces = Namespaces::of(before.snapshot, after.snapshot);
        let is_read = |netns| all || namespaces.are_both(netns);
        let has_cookies =
            |report: &Report<'_>| report.rows().all(|row| row.socket.cookie.is_some());
        let identity = if has_cookies(before) && has_cookies(after) {
            Identity::Cookie
        } else {
            Identity::Ends
        };
        // Listeners with SO_REUSEPORT have equal ends, so that a key may have several sockets. They
        // form a chain: the last one by its key, each with the one before it.
        let mut last: FxHashMap<Key, u32> = FxHashMap::default();
        let mut previous: Vec<u32> = vec![END; before.len()];
        let mut earlier = vec![Left::NotRead; before.len()];
        for (at, row) in (0u32..).zip(before.rows()) {
            let netns = namespaces.of_earlier(row.socket.netns);
            if !is_read(netns) {
                continue;
            }
            let key = Key::of(identity, netns, row.socket);
            let index = at as usize;
            if let (Some(link), Some(left)) = (previous.get_mut(index), earlier.get_mut(index)) {
                *link = last.insert(key, at).unwrap_or(END);
                *left = Left::Nothing;
            }
        }
        let mut there = Vec::with_capacity(after.len());
        for row in after.rows() {
            if !is_read(row.socket.netns) {
                there.push(Found::NotRead);
                continue;
            }
            let key = Key::of(identity, row.socket.netns, row.socket);
            let chain = last.get_mut(&key).filter(|at| **at != END);
            there.push(match chain {
                None => Found::Nothing,
                Some(at) => {
                    let found = *at;
                    let index = found as usize;
                    *at = previous.get(index).copied().unwrap_or(END);
                    if let Some(left) = earlier.get_mut(index) {
                        *left = Left::Something;
                    }
                    match before.row(index).socket.state == row.socket.state {
                        true => Found::Same(found),
                        false => Found::InAnotherState(found),
                    }
                }
            });
        }
        Matched {
            identity,
            one_sided: if all { 0 } else { namespaces.one_sided() },
            namespaces,
            there,
            earlier,
        }
    }

    /// Counts the sockets by numbers, one for each socket of both readings; a socket without a number
    /// does not count. One that has another number in the later reading is gone from the first and
    /// new under the second, if it `moves`; otherwise it stays, under the second.
    pub(super) fn each(
        &self,
        before: &[Option<u32>],
        after: &[Option<u32>],
        moves: Moves,
        mut see: impl FnMut(Counted),
    ) {
        let number = |numbers: &[Option<u32>], at: usize| numbers.get(at).copied().flatten();
        let mut later = |at, number, presence| {
            let is_later = presence != Presence::Gone;
            see(Counted {
                is_later,
                at,
                number,
                presence,
            });
        };
        for (at, found) in self.there.iter().enumerate() {
            let now = number(after, at);
            let (earlier_at, is_same) = match found {
                Found::NotRead => continue,
                Found::Nothing => {
                    now.into_iter()
                        .for_each(|now| later(at, now, Presence::New));
                    continue;
                }
                Found::Same(earlier_at) => (*earlier_at as usize, true),
                Found::InAnotherState(earlier_at) => (*earlier_at as usize, false),
            };
            match (number(before, earlier_at), now) {
                (Some(then), Some(now))
                    if then == now || (is_same && moves == Moves::WithItsState) =>
                {
                    later(at, now, Presence::Still);
                }
                (then, now) => {
                    then.into_iter()
                        .for_each(|then| later(earlier_at, then, Presence::Gone));
                    now.into_iter()
                        .for_each(|now| later(at, now, Presence::New));
                }
            }
        }
        for (at, left) in self.earlier.iter().enumerate() {
            if let (Left::Nothing, Some(then)) = (left, number(before, at)) {
                later(at, then, Presence::Gone);
            }
        }
    }

    /// The change of each number.
    pub(in crate::classifier) fn changes(
        &self,
        before: &[Option<u32>],
        after: &[Option<u32>],
        moves: Moves,
    ) -> Vec<Change> {
        let mut changes: Vec<Change> = Vec::new();
        self.each(before, after, moves, |counted| {
            let number = counted.number as usize;
            if changes.len() <= number {
                changes.resize(number + 1, Change::default());
            }
            if let Some(change) = changes.get_mut(number) {
                change.add(counted.presence);
            }
        });
        changes
    }

    /// The change of all sockets, whatever their states.
    pub(in crate::classifier) fn total(&self) -> Change {
        let (then, now) = (
            vec![Some(0); self.earlier.len()],
            vec![Some(0); self.there.len()],
        );
        self.changes(&then, &now, Moves::WithItsState)
            .first()
            .copied()
            .unwrap_or_default()
    }

    /// The number of network namespaces that only one of the readings covers. Their sockets are
    /// left out.
    pub(in crate::classifier) fn one_sided(&self) -> usize {
        self.one_sided
    }

    /// Whether a socket of the later reading is in both.
    pub(in crate::classifier) fn has_later(&self, at: usize) -> bool {
        let found = self.there.get(at);
        matches!(found, Some(Found::Same(_) | Found::InAnotherState(_)))
    }

    /// Whether a socket of the earlier reading is in both.
    pub(in crate::classifier) fn has_earlier(&self, at: usize) -> bool {
        self.earlier.get(at) == Some(&Left::Something)
    }

    /// The number that a namespace of the earlier reading has in the later one.
    pub(in crate::classifier) fn netns_before(&self, netns: u16) -> u16 {
        self.namespaces.of_earlier(netns)
    }

    /// Whether a socket of the later reading is in both; `None` if its namespace was not read.
    pub(super) fn presence(&self, at: usize) -> Option<Presence> {
        match self.there.get(at)? {
            Found::Same(_) => Some(Presence::Still),
            Found::InAnotherState(_) => Some(Presence::Moved),
            Found::Nothing => Some(Presence::New),
            Found::NotRead => None,
        }
    }

    /// The positions of the sockets that only the earlier reading has.
    pub(super) fn gone(&self) -> impl Iterator<Item = u32> {
        let earlier = (0u32..).zip(&self.earlier);
        earlier
            .filter(|(_, left)| **left == Left::Nothing)
            .map(|(at, _)| at)
    }
}
