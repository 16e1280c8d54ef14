//! Young sockets: the latest sockets of a leak are younger than the grace and still belong to it.
//! They get the cause of the older sockets of their program.

use rustc_hash::FxHashMap;

use super::matched::{Found, Left, Matched};
use crate::classifier::change::Presence;
use crate::classifier::report::Report;
use crate::classifier::row::Row;
use crate::classifier::service::Service;
use crate::classifier::tally::{Dimension, LineNumbers, ValueText};
use crate::model::Cause;

/// A CLOSE_WAIT socket younger than this, in milliseconds, may be one that a healthy program closes
/// in a moment: its end is no sign that the program closes those that are older.
const MOMENT_MS: u64 = 1_000;

/// What counts as a moment between readings this far apart, in milliseconds. Where all that is new
/// would be of a moment, nothing is.
fn moment_ms(between_ms: u64) -> u64 {
    match between_ms {
        1..=2_000 => 0,
        _ => MOMENT_MS,
    }
}

/// The sockets of one network namespace to one service with the same programs.
type ServiceGroup = (u16, Service, usize);

/// What both readings show of such a group.
#[derive(Debug, Default)]
struct History {
    /// See [`moment_ms`].
    moment_ms: u64,
    settled: Settled,
    /// A young socket has gone, so the program may close them properly.
    young_gone: bool,
    /// One has gone that was there for a moment.
    momentary_gone: bool,
    /// One has come that stays for longer than a moment.
    stays: bool,
    /// The later reading still has some in CLOSE_WAIT.
    is_there: bool,
}

/// The cause of the older sockets.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Settled {
    #[default]
    Nothing,
    One(Cause),
    /// It is unknown which of these the young ones will have.
    Several,
}

impl History {
    fn see(&mut self, row: &Row<'_>, presence: Presence) {
        let Some(cause) = row.cause else { return };
        let gone = presence == Presence::Gone;
        self.is_there |= !gone;
        self.stays |= presence == Presence::New && !self.is_momentary(row);
        self.settled = match (self.settled, cause) {
            (settled, Cause::Transient) => {
                let is_momentary = self.is_momentary(row);
                self.young_gone |= gone && !is_momentary;
                self.momentary_gone |= gone && is_momentary;
                settled
            }
            (Settled::Nothing, cause) if cause != Cause::Unclear => Settled::One(cause),
            (Settled::One(known), cause) if known == cause => Settled::One(cause),
            _ => Settled::Several,
        };
    }

    /// Whether a young socket counts with the older ones: none has gone. If all sockets have ended,
    /// either none was closed properly, or all were. One that has just come may be closed in a
    /// moment, unless others came before it and stay.
    fn keeps(&self, row: &Row<'_>, is_new: bool) -> bool {
        let is_momentary = self.is_momentary(row);
        let some_gone = self.young_gone || (is_momentary && self.momentary_gone);
        let may_be_closed = is_momentary && is_new && !self.stays;
        !(may_be_closed || (some_gone && self.is_there))
    }

    /// Whether a socket has been in CLOSE_WAIT for a moment only.
    fn is_momentary(&self, row: &Row<'_>) -> bool {
        let is_short = |at_least_ms| at_least_ms < self.moment_ms;
        row.cause == Some(Cause::Transient)
            && row.idle.is_some_and(|idle| is_short(idle.at_least_ms))
    }
}

/// The groups of both readings, and those of each socket in CLOSE_WAIT.
pub(in crate::classifier) struct Young {
    groups: Vec<History>,
    before: Vec<u32>,
    after: Vec<u32>,
    /// For each socket of the later reading, whether only that one has it.
    is_new: Vec<bool>,
}

/// The group of a socket in another state.
const NO_GROUP: u32 = u32::MAX;

impl Young {
    pub(in crate::classifier) fn of(
        before: &Report<'_>,
        after: &Report<'_>,
        matched: &Matched,
    ) -> Young {
        let mut numbers = Numbers::default();
        let later = numbers.of(after, |row| row.socket.netns);
        let earlier = numbers.of(before, |row| matched.netns_before(row.socket.netns));
        let mut groups: Vec<History> = Vec::new();
        let between_ns = after.snapshot.taken_at_ns - before.snapshot.taken_at_ns;
        let between_ms = u64::try_from(between_ns / 1_000_000).unwrap_or(0);
        groups.resize_with(numbers.groups.len(), || History {
            moment_ms: moment_ms(between_ms),
            ..History::default()
        });
        let mut see = |group: u32, row: &Row<'_>, presence| {
            if let Some(history) = groups.get_mut(group as usize) {
                history.see(row, presence);
            }
        };
        for ((row, group), found) in after.rows().zip(&later).zip(&matched.there) {
            match found {
                Found::NotRead => {}
                Found::Nothing => see(*group, &row, Presence::New),
                Found::Same(_) | Found::InAnotherState(_) => see(*group, &row, Presence::Still),
            }
        }
        for ((row, group), left) in before.rows().zip(&earlier).zip(&matched.earlier) {
            if *left == Left::Nothing {
                see(*group, &row, Presence::Gone);
            }
        }
        Young {
            groups,
            before: earlier,
            after: later,
            is_new: (0..after.len()).map(|at| !matched.has_later(at)).collect(),
        }
    }

    /// A row of the later reading with the cause that its group gives it, and whether it counts: not
    /// if it is young and its program is likely to close it.
    pub(in crate::classifier) fn later<'a>(
        &self,
        after: &'a Report<'_>,
        at: usize,
    ) -> (Row<'a>, bool) {
        let is_new = self.is_new.get(at).copied().unwrap_or(true);
        self.aged(after.row(at), self.after.get(at), is_new)
    }

    /// A row of the earlier reading, in the same way.
    pub(in crate::classifier) fn earlier<'a>(
        &self,
        before: &'a Report<'_>,
        at: usize,
    ) -> (Row<'a>, bool) {
        self.aged(before.row(at), self.before.get(at), false)
    }

    fn aged<'a>(&self, row: Row<'a>, group: Option<&u32>, is_new: bool) -> (Row<'a>, bool) {
        if row.cause != Some(Cause::Transient) {
            return (row, true);
        }
        let history = group.and_then(|group| self.groups.get(*group as usize));
        match history.filter(|history| history.keeps(&row, is_new)) {
            None => (row, false),
            Some(history) => {
                let cause = match history.settled {
                    Settled::One(cause) => Some(cause),
                    Settled::Nothing | Settled::Several => row.cause,
                };
                (Row { cause, ..row }, true)
            }
        }
    }
}

/// Numbers for the groups of both readings.
#[derive(Default)]
struct Numbers {
    programs: FxHashMap<Vec<ValueText>, usize>,
    groups: FxHashMap<ServiceGroup, u32>,
}

impl Numbers {
    /// The group of each row.
    fn of(&mut self, report: &Report<'_>, netns: impl Fn(&Row<'_>) -> u16) -> Vec<u32> {
        let mut lines = LineNumbers::new(report, &[Dimension::Program]);
        let waits = |row: &Row<'_>| row.cause.is_some();
        let of_rows: Vec<usize> = report
            .rows()
            .map(|row| if waits(&row) { lines.line(&row) } else { 0 })
            .collect();
        // The same programs get the same number in both readings.
        let programs: Vec<usize> = lines
            .lines()
            .iter()
            .map(|values| {
                let values = values.iter().map(|value| value.text(report.snapshot));
                let known = self.programs.len();
                *self.programs.entry(values.collect()).or_insert(known)
            })
            .collect();
        let rows = report.rows().zip(of_rows);
        rows.map(|(row, line)| {
            if !waits(&row) {
                return NO_GROUP;
            }
            let program = programs.get(line).copied().unwrap_or(usize::MAX);
            let next = u32::try_from(self.groups.len()).unwrap_or(NO_GROUP);
            let group = (netns(&row), row.service(), program);
            *self.groups.entry(group).or_insert(next)
        })
        .collect()
    }
}
