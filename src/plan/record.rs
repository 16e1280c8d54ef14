//! What is recorded, and every rule across the flags of that.

use std::time::Duration;

use super::asked::{Place, scan};
use super::{SAMPLE, UsageError, given};
use crate::args::{Selection, Target};
use crate::classifier::Rules;
use crate::classifier::age::Sightings;
use crate::classifier::cause::GRACE_MS;
use crate::classifier::severity::Thresholds;
use crate::collector::sock_diag::wire::Families;
use crate::collector::{Request, SourceChoice};
use crate::filter::{Filter, Term};
use crate::model::{DetailSet, Protocols, State, StateSet};

/// A recording to be made.
#[derive(Debug, Clone)]
pub struct Record {
    /// Everything, of this host; or of an older recording.
    pub request: Request,
    /// By which it is said what could not be seen.
    pub rules: Rules,
    pub target: Target,
    /// Ask processes for evidence.
    pub evidence: bool,
    /// How long lies between two readings of processor use.
    pub sample: Duration,
    pub strict: bool,
    pub verbose: bool,
}

impl Record {
    pub(super) fn new(target: Target, said: Selection) -> Result<Record, UsageError> {
        let Selection { options, filter } = said;
        let options = &options;
        if !filter.is_empty() {
            return Err(UsageError::RecordsAll);
        }
        let allowed: &[&str] = match options.from {
            Some(_) => &["--from", "-v", "--strict", "--color"],
            None => &[
                "-N",
                "-A",
                "--proc",
                "--source",
                "--scan",
                "--sample",
                "--no-evidence",
                "-v",
                "--strict",
                "--color",
            ],
        };
        given::allow(
            options,
            allowed,
            "`closewait record`, which records everything",
        )?;
        let Place {
            proc_root,
            netns,
            recording: from,
            is_told: _,
        } = Place::of(options)?;
        if from.is_some() && !target.redact {
            return Err(UsageError::NothingToRecord);
        }
        let everything = StateSet::ALL.union(StateSet::of(State::BoundInactive));
        let filter = Filter::Term(Term::State(everything));
        Ok(Record {
            rules: Rules {
                filter: filter.clone(),
                protocols: Protocols::Both,
                grace_ms: GRACE_MS,
                thresholds: Thresholds::default(),
                seen: Sightings::default(),
            },
            request: Request {
                source: options.source.unwrap_or(SourceChoice::Auto),
                scan: scan(options)?,
                proc_root,
                netns,
                families: Families::Both,
                filter,
                owners: true,
                cgroups: true,
                protocols: Protocols::Both,
                tcp_info: true,
                findings: false,
                details: DetailSet::ALL,
                limits: true,
                taped: true,
                others: true,
                from,
            },
            target,
            evidence: !options.no_evidence,
            sample: options.sample.unwrap_or(SAMPLE),
            strict: options.strict,
            verbose: options.verbose > 0,
        })
    }
}
