//! `closewait check`: one line for monitoring, and a status. Its options, what is judged by them,
//! and every rule across them.

use std::time::Duration;

use clap::Args;

mod run;

pub use self::run::run;
use super::UsageError;
use super::inspection::{Ask, Asked, Inspection, Wanted};
use crate::classifier::range::{Limits, NoRange, Range};
use crate::classifier::verdict::{CountBy, Criteria};
use crate::cli::judgement::{Grace, Severity};
use crate::cli::reading::{Evidence, Host, OF_THIS_HOST, Owners, Recorded, Report};
use crate::cli::selection::{Selection, Words};
use crate::env::Terminal;
use crate::filter::{Filter, Term, duration};
use crate::model::{State, StateSet};

/// As long as monitoring usually waits for a check.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Long enough for a leak of a dozen a minute to show, and short enough for the timeout.
const BETWEEN: Duration = Duration::from_secs(5);
/// What a reading and its judgement may take beside the watching.
pub const MARGIN: Duration = Duration::from_secs(1);

/// A check: a reading, what is judged of it, and by when.
#[derive(Debug, Clone)]
pub struct Check {
    pub inspection: Inspection,
    pub test: Criteria,
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

/// What `closewait check` judges. Its `-t`, `-w` and `-c` are those that every monitoring plugin has.
#[derive(Debug, Clone, Args)]
#[command(
    mut_arg("from", |from| from.conflicts_with_all(OF_THIS_HOST).conflicts_with_all(["sample", "growth"])),
    mut_arg("state", |arg| arg.help("Sockets in this state [default: CLOSE_WAIT]; any other needs -w or -c")),
    mut_arg("strict", |arg| arg.conflicts_with("allow_partial")
        .help("UNKNOWN if anything that was named has no socket")),
    after_help = "Exit codes: 0 OK · 1 WARNING · 2 CRITICAL · 3 UNKNOWN, and for a mistake in the \
                  arguments\nA RANGE alerts outside of it: 10 (0 to 10), 10: (10 and more), ~:10 (10 \
                  and less), 10:20; @10:20 alerts inside. LIMITS are WARNING,CRITICAL, a range each."
)]
pub struct Options {
    /// WARNING if the largest count is outside this range; -w and -c replace only the built-in
    /// thresholds of counts
    #[arg(
        short = 'w',
        long,
        value_name = "RANGE",
        allow_hyphen_values = true,
        help_heading = "Check"
    )]
    pub warning: Option<Range>,
    /// CRITICAL if the largest count is outside this range
    #[arg(
        short = 'c',
        long,
        value_name = "RANGE",
        allow_hyphen_values = true,
        help_heading = "Check"
    )]
    pub critical: Option<Range>,
    /// Also judge the open files of each process with selected sockets, in percent of its limit; the
    /// fullest counts: 70,90
    #[arg(
        long,
        value_name = "LIMITS",
        allow_hyphen_values = true,
        help_heading = "Check"
    )]
    pub fd_share: Option<Limits>,
    /// Also judge how full the fullest accept queue is, in percent: 50,90
    #[arg(
        long,
        value_name = "LIMITS",
        allow_hyphen_values = true,
        help_heading = "Check"
    )]
    pub queue: Option<Limits>,
    /// Also judge the growth per minute of the count that grows fastest, from two readings: 10/min
    /// or 10,100. A count that falls alerts only if the range reaches below 0
    #[arg(long, value_name = "LIMITS", allow_hyphen_values = true, value_parser = growth, help_heading = "Check")]
    pub growth: Option<Limits>,
    /// Time between the two readings of --growth [default: 5s]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, help_heading = "Check")]
    pub between: Option<Duration>,
    /// UNKNOWN if there is no verdict after this many seconds [default: 10]
    #[arg(short = 't', long, value_name = "SECONDS", value_parser = duration, help_heading = "Check")]
    pub timeout: Option<Duration>,
    /// Judge what was seen, and name what was not, instead of UNKNOWN
    #[arg(long, help_heading = "Check")]
    pub allow_partial: bool,
    /// What to count by; the largest count is judged: total, owner, port or listener [default: by
    /// owner and by listening port]
    #[arg(long, value_name = "WHAT", help_heading = "Check")]
    pub by: Option<String>,
    #[command(flatten)]
    pub selection: Selection,
    #[command(flatten)]
    pub host: Host,
    #[command(flatten)]
    pub recorded: Recorded,
    #[command(flatten)]
    pub owners: Owners,
    #[command(flatten)]
    pub evidence: Evidence,
    #[command(flatten)]
    pub grace: Grace,
    #[command(flatten)]
    pub severity: Severity,
    #[command(flatten)]
    pub report: Report,
    #[command(flatten)]
    pub words: Words,
}

/// Limits of a growth, of which each may end in `/min`.
fn growth(text: &str) -> Result<Limits, NoRange> {
    let limits: Vec<&str> = text
        .split(',')
        .map(|limit| limit.strip_suffix("/min").unwrap_or(limit))
        .collect();
    limits.join(",").parse()
}

impl Options {
    pub(super) fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(TIMEOUT)
    }

    pub(super) fn plan(self, terminal: Terminal) -> Result<Check, UsageError> {
        let timeout = self.timeout();
        let between = self.between(timeout)?;
        let Options {
            warning,
            critical,
            fd_share,
            queue,
            growth,
            allow_partial,
            by,
            selection,
            host,
            recorded,
            owners,
            evidence,
            grace,
            severity,
            report,
            words,
            between: _,
            timeout: _,
        } = self;
        let by = match by.as_deref() {
            None => CountBy::Either,
            Some("total") => CountBy::Total,
            Some("owner") => CountBy::Owner,
            Some("port") => CountBy::Port,
            Some("listener") => CountBy::Listener,
            Some(given) => {
                let given = given.to_owned();
                return Err(UsageError::CheckBy { given });
            }
        };
        let ask = Ask {
            selection,
            host,
            recorded,
            owners,
            evidence,
            grace,
            severity,
            report,
            words,
            ..Ask::default()
        };
        let mut asked = Asked::read(ask)?;
        let ask = &mut asked.ask;
        let test = Criteria {
            states: states(&ask.selection, &asked.words.filter),
            by,
            count: Limits { warning, critical },
            fd_share: fd_share.unwrap_or_default(),
            queue: queue.unwrap_or_default(),
            growth: growth.unwrap_or_default(),
            allow_partial,
            strict: ask.report.strict,
            owners: !ask.owners.no_owners,
            evidence: !ask.evidence.no_evidence && !ask.owners.no_owners,
        };
        possible(&test)?;
        // Findings speak of accept queues too, which are of other states.
        ask.selection.state = if test.looks_at_findings() {
            Vec::new()
        } else {
            vec![test.states]
        };
        let mut inspection = asked.inspection(Wanted::Check, terminal)?;
        inspection.request.limits = !test.fd_share.is_empty();
        if !test.count.is_empty() {
            // They say how many are too many, in place of the thresholds.
            let thresholds = &mut inspection.rules.thresholds;
            (thresholds.warning, thresholds.critical) = (u64::MAX, u64::MAX);
        }
        Ok(Check {
            inspection,
            test,
            timeout,
            spent: Duration::ZERO,
            between,
        })
    }

    /// How long lies between two readings, which must leave time for the answer.
    fn between(&self, timeout: Duration) -> Result<Option<Duration>, UsageError> {
        if timeout.is_zero() {
            return Err(UsageError::NoTimeAtAll);
        }
        let between = match (self.growth.unwrap_or_default().is_empty(), self.between) {
            (true, Some(_)) => return Err(UsageError::NeedsGrowth),
            (true, None) => return Ok(None),
            (false, between) => between.unwrap_or(BETWEEN),
        };
        if between.saturating_add(MARGIN) > timeout {
            return Err(UsageError::NoTime { between, timeout });
        }
        Ok(Some(between))
    }
}

/// The states that are counted.
fn states(selection: &Selection, words: &Filter) -> StateSet {
    let named = selection.state.iter().copied().reduce(StateSet::union);
    match named {
        Some(states) => states,
        None if words.mentions(|term| matches!(term, Term::State(_))) => {
            words.states().intersection(StateSet::ALL)
        }
        None => StateSet::of(State::CloseWait),
    }
}

/// Whether what is judged can be judged with what is read.
fn possible(test: &Criteria) -> Result<(), UsageError> {
    if test.states != StateSet::of(State::CloseWait) && test.is_by_severity() {
        let names: Vec<&str> = test.states.iter().map(State::name).collect();
        return Err(UsageError::NeedsLimits {
            states: names.join(","),
        });
    }
    if !test.owners && test.needs_owners() {
        let flag = "a check by owner";
        return Err(UsageError::NeedsOwners { flag });
    }
    if !test.evidence && test.owners && test.needs_evidence() {
        return Err(UsageError::NeedsEvidence);
    }
    Ok(())
}
