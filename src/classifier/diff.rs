//! Two readings compared socket by socket: what is still there, what is new, what is gone.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::Report;
use super::tally::{Dimension, Sorter, ValueText};
use super::young::{Pile, Piles};
use crate::model::{Endpoint, Name, Namespace, Protocol, Snapshot, Socket, State};

/// By what a socket of one reading is found in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The kernel's number for a socket's whole life.
    Cookie,
    /// Both ends: one of the readings has no cookies.
    Ends,
}

/// How many sockets became what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// Selected in both readings.
    pub still: u64,
    /// In the later one alone.
    pub new: u64,
    /// In the earlier one alone.
    pub gone: u64,
}

impl Change {
    pub fn before(&self) -> u64 {
        self.still + self.gone
    }

    pub fn after(&self) -> u64 {
        self.still + self.new
    }

    /// How many more there are in the later reading.
    pub fn growth(&self) -> i64 {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        signed(self.new) - signed(self.gone)
    }

    fn add(&mut self, fate: Fate) {
        match fate {
            Fate::Still => self.still += 1,
            Fate::New => self.new += 1,
            Fate::Gone => self.gone += 1,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    Still,
    New,
    Gone,
}

/// The change of the sockets that have the same values: those that are there in the later reading
/// by its values, those that are gone by the earlier one's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub values: Vec<ValueText>,
    pub change: Change,
}

/// How two readings differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    pub identity: Identity,
    /// The most grown first.
    pub lines: Vec<Line>,
    pub total: Change,
    /// What lies between the readings, in milliseconds; `None` where the clock says nothing: it
    /// stood still, or went back.
    pub between_ms: Option<u64>,
    /// Network namespaces that one of the readings did not look into: their sockets are left out.
    pub one_sided: usize,
    /// Every socket that is counted is in CLOSE_WAIT.
    pub of_close_wait: bool,
}

impl Diff {
    /// How much a change comes to in a minute.
    pub fn per_minute(&self, change: &Change) -> Option<f64> {
        let between = self.between_ms?;
        Some(change.growth() as f64 * 60_000.0 / between as f64)
    }
}

/// Compares the selected sockets of two readings of one host. Unless both were of `all` network
/// namespaces, so that one which is missing is gone, those that both have are compared.
pub fn diff(before: &Report<'_>, after: &Report<'_>, dimensions: &[Dimension], all: bool) -> Diff {
    let shared = |report: &Report<'_>, other: &Report<'_>| -> Vec<bool> {
        let namespaces = report.snapshot.namespaces.iter();
        let is_shared = |namespace: &Namespace| {
            let mut others = other.snapshot.namespaces.iter();
            all || others.any(|other| Place::of(namespace) == Place::of(other))
        };
        namespaces.map(is_shared).collect()
    };
    let of_before = shared(before, after);
    let of_after = shared(after, before);
    let counts = |shared: &[bool], socket: &Socket| {
        shared
            .get(usize::from(socket.netns))
            .is_none_or(|shared| *shared)
    };
    let has_cookies = |report: &Report<'_>| report.rows().all(|row| row.socket.cookie.is_some());
    let identity = if has_cookies(before) && has_cookies(after) {
        Identity::Cookie
    } else {
        Identity::Ends
    };
    let mut places = Places::default();
    // Where sockets are told by their ends, several listeners may be one: each is counted.
    let mut earlier: FxHashMap<Key, Vec<usize>> = FxHashMap::default();
    for (at, row) in before.rows().enumerate() {
        if counts(&of_before, row.socket) {
            let key = places.key(identity, before.snapshot, row.socket);
            earlier.entry(key).or_default().push(at);
        }
    }
    let mut there: Vec<(usize, Fate)> = Vec::new();
    for (at, row) in after.rows().enumerate() {
        if counts(&of_after, row.socket) {
            let key = places.key(identity, after.snapshot, row.socket);
            let fate = match earlier.get_mut(&key).and_then(Vec::pop) {
                Some(_) => Fate::Still,
                None => Fate::New,
            };
            there.push((at, fate));
        }
    }
    let gone = earlier.into_values().flatten();
    let gone: Vec<(usize, Fate)> = gone.map(|at| (at, Fate::Gone)).collect();
    let mut piles = Piles::default();
    let piles_there = piles.of(after, &mut places, &there);
    let piles_gone = piles.of(before, &mut places, &gone);
    let mut changes = Changes::default();
    changes.count(after, dimensions, &there, &piles_there, &piles);
    changes.count(before, dimensions, &gone, &piles_gone, &piles);
    let taken = |report: &Report<'_>| report.snapshot.taken_at_ns;
    let between_ns = taken(after) - taken(before);
    let only_waits = |report: &Report<'_>| {
        report
            .rows()
            .all(|row| row.socket.state == State::CloseWait)
    };
    Diff {
        identity,
        lines: changes.lines(),
        total: changes.total,
        one_sided: of_before
            .iter()
            .chain(&of_after)
            .filter(|shared| !**shared)
            .count(),
        between_ms: u64::try_from(between_ns / 1_000_000)
            .ok()
            .filter(|between| *between > 0),
        of_close_wait: only_waits(before) && only_waits(after),
    }
}

/// What tells a socket from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Cookie(usize, u64),
    Ends(usize, Protocol, End, End),
}

type End = (IpAddr, u16);

/// The network namespaces of both readings, by what they are in either.
#[derive(Default)]
pub(super) struct Places(Vec<Place>);

#[derive(PartialEq, Eq)]
enum Place {
    Inode(u64),
    Label(Option<Name>),
}

impl Place {
    fn of(namespace: &Namespace) -> Place {
        match namespace.inode {
            Some(inode) => Place::Inode(inode),
            None => Place::Label(namespace.label.clone()),
        }
    }
}

impl Places {
    fn key(&mut self, identity: Identity, snapshot: &Snapshot, socket: &Socket) -> Key {
        let at = self.at(snapshot, socket);
        match (identity, socket.cookie) {
            (Identity::Cookie, Some(cookie)) => Key::Cookie(at, cookie.get()),
            _ => Key::Ends(at, socket.protocol, end(socket.local), end(socket.remote)),
        }
    }

    pub(super) fn at(&mut self, snapshot: &Snapshot, socket: &Socket) -> usize {
        let namespace = snapshot.namespace(socket);
        let is_this = |place: &Place| match place {
            Place::Inode(inode) => namespace.inode == Some(*inode),
            Place::Label(label) => namespace.inode.is_none() && *label == namespace.label,
        };
        if let Some(at) = self.0.iter().position(is_this) {
            return at;
        }
        self.0.push(Place::of(namespace));
        self.0.len() - 1
    }
}

fn end(end: Endpoint) -> End {
    (end.addr, end.port)
}

/// The changes of lines that are called the same in both readings.
#[derive(Default)]
struct Changes {
    by_values: FxHashMap<Vec<ValueText>, Change>,
    total: Change,
}

impl Changes {
    /// Counts rows of a report, each under what it is by its pile.
    fn count(
        &mut self,
        report: &Report<'_>,
        dimensions: &[Dimension],
        fates: &[(usize, Fate)],
        of: &[Pile],
        piles: &Piles,
    ) {
        let mut sorter = Sorter::new(report, dimensions);
        let mut changes: Vec<Change> = Vec::new();
        for ((at, fate), pile) in fates.iter().zip(of) {
            let line = sorter.line(&piles.aged(report.row(*at), pile));
            if changes.len() <= line {
                changes.resize(line + 1, Change::default());
            }
            if let Some(change) = changes.get_mut(line) {
                change.add(*fate);
            }
            self.total.add(*fate);
        }
        for (values, change) in sorter.lines().iter().zip(changes) {
            let values = values
                .iter()
                .map(|value| value.text(report.snapshot))
                .collect();
            let all = self.by_values.entry(values).or_default();
            all.still += change.still;
            all.new += change.new;
            all.gone += change.gone;
        }
    }

    fn lines(&mut self) -> Vec<Line> {
        let mut lines: Vec<Line> = std::mem::take(&mut self.by_values)
            .into_iter()
            .map(|(values, change)| Line { values, change })
            .collect();
        lines.sort_unstable_by(|a, b| {
            let rank = |line: &Line| (line.change.growth(), line.change.still);
            rank(b).cmp(&rank(a)).then_with(|| a.values.cmp(&b.values))
        });
        lines
    }
}
