//! Compares two readings socket by socket: which remain, which are new, which are gone.

mod change;
mod key;
mod young;

use rustc_hash::FxHashMap;

pub use self::change::Change;
use self::change::Presence;
pub use self::key::Identity;
use self::key::{Key, NamespaceKey, Namespaces};
use self::young::{ServiceGroup, ServiceGroups};
use crate::classifier::report::Report;
use crate::classifier::tally::{Dimension, LineNumbers, ValueText};
use crate::model::{Namespace, Socket, State};

/// The change of the sockets with the same values. Remaining and new sockets have their values in
/// the later reading, gone ones those in the earlier.
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
    /// The time between the readings, in milliseconds; `None` if the clock stood still or went
    /// back.
    pub between_ms: Option<u64>,
    /// The number of network namespaces that only one of the readings covers. Their sockets are
    /// left out.
    pub one_sided: usize,
    /// Whether all counted sockets are in CLOSE_WAIT.
    pub of_close_wait: bool,
}

impl Diff {
    /// A change per minute.
    pub fn per_minute(&self, change: &Change) -> Option<f64> {
        let between = self.between_ms?;
        Some(change.growth() as f64 * 60_000.0 / between as f64)
    }
}

/// Compares the selected sockets of two readings of one host, in the network namespaces that both
/// cover. If both cover `all` network namespaces, a missing namespace is gone with its sockets.
pub fn diff(before: &Report<'_>, after: &Report<'_>, dimensions: &[Dimension], all: bool) -> Diff {
    let shared = |report: &Report<'_>, other: &Report<'_>| -> Vec<bool> {
        let namespaces = report.snapshot.namespaces.iter();
        let is_shared = |namespace: &Namespace| {
            let mut others = other.snapshot.namespaces.iter();
            all || others.any(|other| NamespaceKey::of(namespace) == NamespaceKey::of(other))
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
    let mut netns_numbers = Namespaces::default();
    // Listeners with SO_REUSEPORT have equal ends: each is counted.
    let mut earlier: FxHashMap<Key, Vec<usize>> = FxHashMap::default();
    for (at, row) in before.rows().enumerate() {
        if counts(&of_before, row.socket) {
            let key = netns_numbers.key(identity, before.snapshot, row.socket);
            earlier.entry(key).or_default().push(at);
        }
    }
    let mut there: Vec<(usize, Presence)> = Vec::new();
    for (at, row) in after.rows().enumerate() {
        if counts(&of_after, row.socket) {
            let key = netns_numbers.key(identity, after.snapshot, row.socket);
            let presence = match earlier.get_mut(&key).and_then(Vec::pop) {
                Some(_) => Presence::Still,
                None => Presence::New,
            };
            there.push((at, presence));
        }
    }
    let gone = earlier.into_values().flatten();
    let gone: Vec<(usize, Presence)> = gone.map(|at| (at, Presence::Gone)).collect();
    let mut groups = ServiceGroups::default();
    let groups_there = groups.of(after, &mut netns_numbers, &there);
    let groups_gone = groups.of(before, &mut netns_numbers, &gone);
    let mut changes = Changes::default();
    changes.count(after, dimensions, &there, &groups_there, &groups);
    changes.count(before, dimensions, &gone, &groups_gone, &groups);
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

/// Changes by values that are equal in both readings.
#[derive(Default)]
struct Changes {
    by_values: FxHashMap<Vec<ValueText>, Change>,
    total: Change,
}

impl Changes {
    /// Counts rows of a report, each with the cause of its group.
    fn count(
        &mut self,
        report: &Report<'_>,
        dimensions: &[Dimension],
        rows: &[(usize, Presence)],
        of: &[ServiceGroup],
        groups: &ServiceGroups,
    ) {
        let mut numbers = LineNumbers::new(report, dimensions);
        let mut changes: Vec<Change> = Vec::new();
        for ((at, presence), group) in rows.iter().zip(of) {
            let line = numbers.line(&groups.aged(report.row(*at), group));
            if changes.len() <= line {
                changes.resize(line + 1, Change::default());
            }
            if let Some(change) = changes.get_mut(line) {
                change.add(*presence);
            }
            self.total.add(*presence);
        }
        for (values, change) in numbers.lines().iter().zip(changes) {
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
