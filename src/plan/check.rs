//! What a check judges, and every rule across its flags.

use std::time::Duration;

use super::{Inspection, UsageError, given};
use crate::args::{self, Options};
use crate::classifier::range::Limits;
use crate::classifier::verdict::{By, Test};
use crate::filter::{Filter, Term};
use crate::model::{State, StateSet};

/// Long enough for a leak of a dozen a minute to show, and short enough for the timeout.
const BETWEEN: Duration = Duration::from_secs(5);
/// What a reading and its judgement may take beside the watching.
pub const MARGIN: Duration = Duration::from_secs(1);

/// A check: a reading, what is judged of it, and by when.
#[derive(Debug, Clone)]
pub struct Check {
    pub inspection: Inspection,
    pub test: Test,
    pub timeout: Duration,
    /// How much of that is gone already.
    pub spent: Duration,
    /// How long lies between two readings; `None` for one reading.
    pub between: Option<Duration>,
}

impl Check {
    /// How long a CLOSE_WAIT may last before it counts.
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.inspection.rules.grace_ms)
    }
}

/// The flags that are check's own.
pub(super) struct Said {
    count: Limits,
    fd_share: Limits,
    queue: Limits,
    growth: Limits,
    between: Option<Duration>,
    timeout: Duration,
    allow_partial: bool,
}

/// What a check knows of its reading before that is planned.
pub(super) struct Planned {
    test: Test,
    timeout: Duration,
    between: Option<Duration>,
}

/// Refuses flags that would be ignored.
pub(super) fn restrict(options: &Options) -> Result<(), UsageError> {
    const REFUSED: [&str; 13] = [
        "--json",
        "--jsonl",
        "--csv",
        "--prometheus",
        "--output",
        "-q",
        "-u",
        "-a",
        "-l",
        "--columns",
        "--sort",
        "--limit",
        "-r",
    ];
    given::refuse(options, &REFUSED, "a check")
}

impl Said {
    pub(super) fn of(said: &args::Check) -> Said {
        Said {
            count: Limits {
                warning: said.warning,
                critical: said.critical,
            },
            fd_share: said.fd_share.unwrap_or_default(),
            queue: said.queue.unwrap_or_default(),
            growth: said.growth.unwrap_or_default(),
            between: said.between,
            timeout: said.timeout.unwrap_or(args::TIMEOUT),
            allow_partial: said.allow_partial,
        }
    }

    /// What is judged. The states are taken out of the options where more than them must be read.
    pub(super) fn test(
        &self,
        options: &mut Options,
        words: &Filter,
    ) -> Result<Planned, UsageError> {
        let close_wait = StateSet::of(State::CloseWait);
        let named = options.state.iter().copied().reduce(StateSet::union);
        let states = match named {
            Some(states) => states,
            None if words.mentions(|term| matches!(term, Term::State(_))) => {
                words.states().intersection(StateSet::ALL)
            }
            None => close_wait,
        };
        // Given before the command and after it, it is the same.
        options.by.dedup();
        let by = match options.by.as_slice() {
            [] => By::Either,
            [one] => match one.as_str() {
                "total" => By::Total,
                "owner" => By::Owner,
                "port" => By::Port,
                "listener" => By::Listener,
                _ => return Err(UsageError::CheckBy { given: one.clone() }),
            },
            several => {
                let given = several.join(",");
                return Err(UsageError::CheckBy { given });
            }
        };
        let test = Test {
            states,
            by,
            count: self.count,
            fd_share: self.fd_share,
            queue: self.queue,
            growth: self.growth,
            allow_partial: self.allow_partial,
            strict: options.strict,
            owners: !options.no_owners,
            evidence: !options.no_evidence && !options.no_owners,
        };
        if self.timeout.is_zero() {
            return Err(UsageError::NoTimeAtAll);
        }
        if self.allow_partial && options.strict {
            return Err(UsageError::PartialAndStrict);
        }
        if states != close_wait && test.is_by_severity() {
            let names: Vec<&str> = states.iter().map(State::name).collect();
            return Err(UsageError::NeedsLimits {
                states: names.join(","),
            });
        }
        if options.no_owners && test.needs_owners() {
            let flag = "a check by owner";
            return Err(UsageError::NeedsOwners { flag });
        }
        if options.no_evidence && test.needs_evidence() {
            return Err(UsageError::NeedsEvidence);
        }
        // Findings speak of accept queues too, which are of other states.
        options.state = if test.looks_at_findings() {
            Vec::new()
        } else {
            vec![states]
        };
        if !self.growth.is_empty() && options.from.is_some() {
            return Err(UsageError::NoPlace {
                flag: "--growth",
                place: "a look at a recording",
            });
        }
        let between = match (self.growth.is_empty(), self.between) {
            (true, Some(_)) => return Err(UsageError::NeedsGrowth),
            (true, None) => None,
            (false, between) => Some(between.unwrap_or(BETWEEN)),
        };
        if let Some(between) = between
            && between.saturating_add(MARGIN) > self.timeout
        {
            return Err(UsageError::NoTime {
                between,
                timeout: self.timeout,
            });
        }
        Ok(Planned {
            test,
            timeout: self.timeout,
            between,
        })
    }
}

impl Planned {
    /// The check, with the reading that it needs.
    pub(super) fn with(self, mut inspection: Inspection) -> Check {
        inspection.request.limits = !self.test.fd_share.is_empty();
        if !self.test.count.is_empty() {
            // They say how many are too many, in place of the thresholds.
            let thresholds = &mut inspection.rules.thresholds;
            (thresholds.warning, thresholds.critical) = (u64::MAX, u64::MAX);
        }
        Check {
            inspection,
            test: self.test,
            timeout: self.timeout,
            spent: Duration::ZERO,
            between: self.between,
        }
    }
}
