//! What a reading is of: the host, through the collector, or a recording in its place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::collector::holders::Progress;
use crate::collector::peek::{self, Peeks};
use crate::collector::processes::{ProcessFacts, Suspect};
use crate::collector::request::Request;
use crate::collector::{self, evidence};
use crate::model::{Evidence, Pid, Snapshot, Step, Unread};
use crate::recording::Recording;

/// The host that closewait runs on, or a recording.
#[derive(Debug, Clone)]
pub enum Source {
    Host,
    Recording(Arc<Recording>),
}

impl Source {
    /// The recording, if it is one.
    pub fn recording(&self) -> Option<&Recording> {
        match self {
            Source::Host => None,
            Source::Recording(recording) => Some(recording),
        }
    }

    /// Everything that the request asks for.
    ///
    /// # Errors
    /// When no socket could be read.
    pub fn collect(&self, request: &Request, progress: &Progress) -> anyhow::Result<Snapshot> {
        Ok(match self {
            Source::Host => collector::collect(request, progress)?.0,
            Source::Recording(recording) => recording
                .collect(request)
                .context("the recording cannot be used")?,
        })
    }

    /// The evidence of suspects about the sockets stuck in them, in no order. A recording may have
    /// nothing about some of them.
    pub(super) fn examine(
        &self,
        request: &Request,
        snapshot: &Snapshot,
        suspects: &[Suspect],
        sample: Duration,
    ) -> (Vec<Evidence>, Step) {
        match self {
            Source::Host => {
                let (facts, step) = evidence::of_suspects(request, snapshot, suspects, sample);
                let of_each = facts.iter().zip(suspects);
                let evidence = of_each.map(|(facts, suspect)| facts.about(&suspect.stuck));
                (evidence.collect(), step)
            }
            Source::Recording(recording) => {
                let start = Instant::now();
                let evidence = recording.examine(request, suspects);
                let step = Step {
                    what: format!("recorded evidence of {} processes", evidence.len()).into(),
                    took: start.elapsed(),
                };
                (evidence, step)
            }
        }
    }

    /// What the unread bytes of these sockets begin with. A recording has that in its evidence.
    pub(super) fn peek(&self, request: &Request, sockets: &[Unread]) -> Peeks {
        match self {
            Source::Host => peek::peek(&request.proc_root, sockets),
            Source::Recording(_) => Peeks::default(),
        }
    }

    /// The evidence of processes that suspects wait for, except for what needs a second reading:
    /// processor use and dead sockets. Nothing of processes that have ended or were not recorded.
    pub(super) fn follow(
        &self,
        request: &Request,
        snapshot: &Snapshot,
        pids: &[Pid],
    ) -> Vec<Evidence> {
        let facts = match self {
            Source::Host => evidence::of_processes(request, snapshot, pids),
            Source::Recording(recording) => recording.facts_of(pids),
        };
        let first_reading = |facts: &ProcessFacts| Evidence {
            cpu: None,
            dead_sockets: None,
            stacks: None,
            ..facts.about(&[])
        };
        facts.iter().map(first_reading).collect()
    }

    /// See [`evidence::with_dead_sockets`].
    pub(super) fn with_dead_sockets(
        &self,
        request: &Request,
        snapshot: &Snapshot,
        is_meant: impl Fn(Pid) -> bool,
    ) -> (Vec<Pid>, u64) {
        match self {
            Source::Host => evidence::with_dead_sockets(request, snapshot, is_meant),
            Source::Recording(recording) => {
                let mut recorded = recording.with_dead_sockets(request);
                recorded.retain(|pid| is_meant(*pid));
                (recorded, 0)
            }
        }
    }
}
