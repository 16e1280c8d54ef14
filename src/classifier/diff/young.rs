//! Young sockets in a comparison: the latest sockets of a leak are younger than the grace and still
//! belong to it. They get the cause of the older sockets of their program.

use rustc_hash::FxHashMap;

use super::change::Presence;
use super::key::Namespaces;
use crate::classifier::report::Report;
use crate::classifier::row::Row;
use crate::classifier::service::Service;
use crate::classifier::tally::{Dimension, LineNumbers, ValueText};
use crate::model::Cause;

/// The sockets of one network namespace to one service with the same programs.
pub(super) type ServiceGroup = (usize, Service, usize);

/// What both readings show of such a group.
#[derive(Debug, Default)]
struct History {
    settled: Settled,
    /// A young socket has gone, so the program may close them properly.
    young_gone: bool,
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
    fn see(&mut self, cause: Option<Cause>, presence: Presence) {
        let Some(cause) = cause else { return };
        let gone = matches!(presence, Presence::Gone);
        self.is_there |= !gone;
        self.settled = match (self.settled, cause) {
            (settled, Cause::Transient) => {
                self.young_gone |= gone;
                settled
            }
            (Settled::Nothing, cause) if cause != Cause::Unclear => Settled::One(cause),
            (Settled::One(known), cause) if known == cause => Settled::One(cause),
            _ => Settled::Several,
        };
    }

    /// The cause that the young sockets share with the others. If all have ended, either none was
    /// closed properly, or all were.
    fn of_the_young(&self) -> Option<Cause> {
        match self.settled {
            Settled::One(cause) if !self.young_gone || !self.is_there => Some(cause),
            _ => None,
        }
    }
}

/// The groups of both readings.
#[derive(Default)]
pub(super) struct ServiceGroups {
    programs: FxHashMap<Vec<ValueText>, usize>,
    histories: FxHashMap<ServiceGroup, History>,
}

impl ServiceGroups {
    /// The group of each of these rows.
    pub(super) fn of(
        &mut self,
        report: &Report<'_>,
        namespaces: &mut Namespaces,
        rows: &[(usize, Presence)],
    ) -> Vec<ServiceGroup> {
        let mut numbers = LineNumbers::new(report, &[Dimension::Program]);
        let mut groups: Vec<ServiceGroup> = Vec::with_capacity(rows.len());
        for (at, _) in rows {
            let row = report.row(*at);
            let netns = namespaces.at(report.snapshot, row.socket);
            groups.push((netns, row.service(), numbers.line(&row)));
        }
        // The same programs get the same number in both readings.
        let programs: Vec<usize> = numbers
            .lines()
            .iter()
            .map(|values| {
                let values = values.iter().map(|value| value.text(report.snapshot));
                let known = self.programs.len();
                *self.programs.entry(values.collect()).or_insert(known)
            })
            .collect();
        for ((at, presence), (netns, service, line)) in rows.iter().zip(&mut groups) {
            *line = programs.get(*line).copied().unwrap_or(usize::MAX);
            let history = self.histories.entry((*netns, *service, *line)).or_default();
            history.see(report.row(*at).cause, *presence);
        }
        groups
    }

    /// A row with the cause that its group gives it.
    pub(super) fn aged<'a>(&self, row: Row<'a>, group: &ServiceGroup) -> Row<'a> {
        let cause = match row.cause {
            Some(Cause::Transient) => self.histories.get(group).and_then(History::of_the_young),
            _ => None,
        };
        Row {
            cause: cause.or(row.cause),
            ..row
        }
    }
}
