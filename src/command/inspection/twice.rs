//! Two readings of one host, for `--for` and for growth in a check.

use std::time::{Duration, Instant};

use super::{Ask, Inspection, Source};
use crate::classifier::age::Sightings;
use crate::classifier::change::Change;
use crate::classifier::finding::Findings;
use crate::classifier::growth::{self, Growth};
use crate::classifier::{Report, Rules, classify};
use crate::collector::holders::Progress;
use crate::collector::request::Request;
use crate::command::UsageError;
use crate::command::usage::shown;
use crate::model::{Snapshot, Socket};
use crate::progress;
use crate::renderer::Format;

/// In a shorter time hardly anything grows.
const BETWEEN_LEAST: Duration = Duration::from_secs(1);
/// Nobody waits longer at a prompt.
const BETWEEN_MOST: Duration = Duration::from_secs(60 * 60);

/// Checks that `--for` suits the other options.
pub(super) fn check(ask: &Ask, format: Format) -> Result<(), UsageError> {
    let Some(between) = ask.twice.between else {
        return Ok(());
    };
    if let Some(from) = &ask.recorded.from {
        let from = shown(from);
        return Err(UsageError::OneReading { from });
    }
    let flag = match format {
        _ if ask.quiet.quiet => Some("-q"),
        Format::Prometheus { .. } => Some("--prometheus"),
        _ => None,
    };
    if let Some(flag) = flag {
        return Err(UsageError::NoGrowth { flag });
    }
    if !(BETWEEN_LEAST..=BETWEEN_MOST).contains(&between) {
        return Err(UsageError::Between { between });
    }
    Ok(())
}

/// A snapshot, and when reading it began and ended.
pub(in crate::command) struct Reading {
    pub(in crate::command) snapshot: Snapshot,
    pub(in crate::command) began: Instant,
    ended: Instant,
}

impl Reading {
    /// Reads, and shows the progress on a terminal.
    ///
    /// # Errors
    /// When no socket could be read.
    pub(in crate::command) fn new(source: &Source, request: &Request) -> anyhow::Result<Reading> {
        let progress = Progress::default();
        let began = Instant::now();
        let snapshot = progress::shown(&progress, || source.collect(request, &progress))?;
        Ok(Reading {
            snapshot,
            began,
            ended: Instant::now(),
        })
    }

    /// What it shows of the ages of these of its sockets, for a reading that began `then`.
    pub(in crate::command) fn sightings<'a>(
        &self,
        sockets: impl IntoIterator<Item = &'a Socket>,
        then: Instant,
    ) -> Sightings {
        let ago = then.saturating_duration_since(self.ended).as_millis();
        let ago = u64::try_from(ago).unwrap_or(u64::MAX);
        Sightings::of(&self.snapshot, sockets, ago)
    }

    /// The time from its start to that of a later one, in milliseconds.
    pub(in crate::command) fn until_ms(&self, later: &Reading) -> u64 {
        let time = later.began.saturating_duration_since(self.began);
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }

    /// The time from its end to the start of a later one.
    pub(in crate::command) fn pause(&self, later: &Reading) -> Duration {
        later.began.saturating_duration_since(self.ended)
    }
}

/// One reading, or two.
pub(super) struct Readings {
    first: Option<Reading>,
    pub(super) last: Reading,
}

impl Readings {
    /// Reads as often as the plan asks for.
    ///
    /// # Errors
    /// When no socket could be read.
    pub(super) fn new(plan: &Inspection) -> anyhow::Result<Readings> {
        let read = || Reading::new(&plan.source, &plan.request);
        let Some(between) = plan.between else {
            let (first, last) = (None, read()?);
            return Ok(Readings { first, last });
        };
        let first = read()?;
        progress::waiting(between.saturating_sub(first.began.elapsed()));
        Ok(Readings {
            first: Some(first),
            last: read()?,
        })
    }

    /// The last reading, judged. The first one shows how old some sockets are at least.
    pub(super) fn classify(&self, plan: &Inspection) -> Report<'_> {
        let seen = self
            .first
            .as_ref()
            .map_or_else(Sightings::default, |first| {
                first.sightings(&first.snapshot.sockets, self.last.began)
            });
        let rules = plan.rules.clone();
        classify(&self.last.snapshot, &Rules { seen, ..rules })
    }

    /// The first of two readings, judged.
    pub(super) fn classify_first(&self, plan: &Inspection) -> Option<Report<'_>> {
        let first = self.first.as_ref()?;
        Some(classify(&first.snapshot, &plan.rules))
    }

    /// What grew between two readings, which are marked with it.
    pub(super) fn growth(
        &self,
        plan: &Inspection,
        before: &mut Report<'_>,
        report: &mut Report<'_>,
    ) -> Option<Growth> {
        let between_ms = self.first.as_ref()?.until_ms(&self.last);
        let all = plan.request.is_of_all_namespaces();
        let growth = growth::between(before, report, between_ms, all);
        growth.mark(before, report);
        Some(growth)
    }
}

/// Adds its growth to each finding. Descriptors whose connections are in no table have none, and so
/// do young sockets that count with those of a leak, or may be closed in a moment.
pub(in crate::command) fn add_growth(growth: &Growth, found: &mut Findings) {
    for finding in &mut found.findings {
        let of_set = growth.of_set(&finding.set);
        finding.growth = (of_set.change != Change::default()).then_some(of_set);
    }
}
