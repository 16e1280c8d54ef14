//! `closewait check`: one line and an exit status for monitoring. This file has its options and the
//! rules about their combinations.

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

/// The usual timeout of monitoring systems.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Long enough to show a leak of a dozen sockets a minute, and short enough for the timeout.
const BETWEEN: Duration = Duration::from_secs(5);
/// Time allowed for reading and judging, besides the wait between two readings.
pub const MARGIN: Duration = Duration::from_secs(1);

/// The end of the help, also part of the manual page.
pub const HELP_END: &str = "\
Exit status:
  0  OK
  1  WARNING
  2  CRITICAL
  3  UNKNOWN, also for a usage error
RANGE alerts outside these values:
  10      0 to 10
  10:     10 or more
  ~:10    10 or less
  10:20   10 to 20
  @10:20  inverted: alerts inside 10 to 20
W,C is a RANGE for WARNING and one for CRITICAL; either may be empty";

/// A check: what is read, what is judged, and the time limit.
#[derive(Debug, Clone)]
pub struct Check {
    pub inspection: Inspection,
    pub test: Criteria,
    pub timeout: Duration,
    /// How much of the timeout is already spent.
    pub spent: Duration,
    /// The time between two readings; `None` for one reading.
    pub between: Option<Duration>,
}

impl Check {
    /// The age from which a CLOSE_WAIT socket counts.
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.inspection.rules.grace_ms)
    }
}

/// The options of `closewait check`. `-t`, `-w` and `-c` mean the same in every monitoring plugin.
#[derive(Debug, Clone, Args)]
#[command(
    mut_arg("from", |from| from.conflicts_with_all(OF_THIS_HOST).conflicts_with_all(["sample", "growth"])),
    mut_arg("state", |arg| arg.help("Count sockets in this state [default: CLOSE_WAIT]")
        .long_help("Count sockets in this state [default: CLOSE_WAIT]\n\nStates other than CLOSE_WAIT \
                    need -w or -c, and no findings are judged.")),
    mut_arg("verbose", |arg| arg.help("Print the findings below the status line")),
    mut_arg("strict", |arg| arg.conflicts_with("allow_partial")
        .help("UNKNOWN if anything could not be read")
        .long_help("UNKNOWN if anything could not be read\n\nAlso UNKNOWN if a port, program or PID \
                    that was named has no socket, or if other network namespaces were not read.")),
    after_help = HELP_END
)]
pub struct Options {
    /// WARNING if the largest count is outside this range
    ///
    /// -w and -c replace only the built-in limits on counts. Findings are still judged by shares of
    /// open files, accept queues and stopped processes.
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
    /// Also judge open files, percent of the limit: 70,90
    ///
    /// Looks at every process that holds selected sockets; the one nearest to its limit decides.
    #[arg(
        long,
        value_name = "W,C",
        allow_hyphen_values = true,
        help_heading = "Check"
    )]
    pub fd_share: Option<Limits>,
    /// Also judge the fullest accept queue, percent: 50,90
    #[arg(
        long,
        value_name = "W,C",
        allow_hyphen_values = true,
        help_heading = "Check"
    )]
    pub queue: Option<Limits>,
    /// Also judge growth per minute of the fastest group
    ///
    /// Takes two readings. Write 10/min, or 10,100 for WARNING,CRITICAL. A falling count alerts only
    /// if the range allows values below 0, as in -10: .
    #[arg(long, value_name = "W,C", allow_hyphen_values = true, value_parser = growth, help_heading = "Check")]
    pub growth: Option<Limits>,
    /// Time between the readings of --growth [default: 5s]
    #[arg(long = "for", value_name = "TIME", value_parser = duration, help_heading = "Check")]
    pub between: Option<Duration>,
    /// UNKNOWN if there is no result by then [default: 10]
    #[arg(short = 't', long, value_name = "SECONDS", value_parser = duration, help_heading = "Check")]
    pub timeout: Option<Duration>,
    /// Judge what could be read instead of reporting UNKNOWN
    ///
    /// The output line still names what could not be read.
    #[arg(long, help_heading = "Check")]
    pub allow_partial: bool,
    /// Count per total, owner, port or listener
    ///
    /// The largest count is judged. An owner is a program with all its processes. By default, sockets
    /// are counted per owner and per listening port.
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

/// Limits of growth; each may end in `/min`.
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
        // Findings are also about accept queues, whose sockets are in other states.
        ask.selection.state = if test.looks_at_findings() {
            Vec::new()
        } else {
            vec![test.states]
        };
        let mut inspection = asked.inspection(Wanted::Check, terminal)?;
        inspection.request.limits = !test.fd_share.is_empty();
        if !test.count.is_empty() {
            // -w and -c replace the thresholds for counts.
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

    /// The time between two readings, checked against the timeout.
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

/// Checks that the options read enough for what they judge.
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
