//! Young sockets in a comparison: the latest sockets of a leak are younger than the grace and still
//! belong to it. They get the cause of the older sockets of their program.

use rustc_hash::FxHashMap;

use super::change::Fate;
use super::key::Places;
use crate::classifier::report::Report;
use crate::classifier::row::Row;
use crate::classifier::service::Service;
use crate::classifier::tally::{Dimension, Sorter, ValueText};
use crate::model::Cause;

/// The sockets of one network namespace to one service with the same programs.
pub(super) type Pile = (usize, Service, usize);

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
    fn see(&mut self, cause: Option<Cause>, fate: Fate) {
        let Some(cause) = cause else { return };
        let gone = matches!(fate, Fate::Gone);
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
pub(super) struct Piles {
    programs: FxHashMap<Vec<ValueText>, usize>,
    histories: FxHashMap<Pile, History>,
}

impl Piles {
    /// The group of each of these rows.
    pub(super) fn of(
        &mut self,
        report: &Report<'_>,
        places: &mut Places,
        fates: &[(usize, Fate)],
    ) -> Vec<Pile> {
        let mut sorter = Sorter::new(report, &[Dimension::Program]);
        let mut piles: Vec<Pile> = Vec::with_capacity(fates.len());
        for (at, _) in fates {
            let row = report.row(*at);
            let place = places.at(report.snapshot, row.socket);
            piles.push((place, row.service(), sorter.line(&row)));
        }
        // The same programs get the same number in both readings.
        let programs: Vec<usize> = sorter
            .lines()
            .iter()
            .map(|values| {
                let values = values.iter().map(|value| value.text(report.snapshot));
                let known = self.programs.len();
                *self.programs.entry(values.collect()).or_insert(known)
            })
            .collect();
        for ((at, fate), (place, service, line)) in fates.iter().zip(&mut piles) {
            *line = programs.get(*line).copied().unwrap_or(usize::MAX);
            let history = self.histories.entry((*place, *service, *line)).or_default();
            history.see(report.row(*at).cause, *fate);
        }
        piles
    }

    /// A row with the cause that its group gives it.
    pub(super) fn aged<'a>(&self, row: Row<'a>, pile: &Pile) -> Row<'a> {
        let cause = match row.cause {
            Some(Cause::Transient) => self.histories.get(pile).and_then(History::of_the_young),
            _ => None,
        };
        Row {
            cause: cause.or(row.cause),
            ..row
        }
    }
}
