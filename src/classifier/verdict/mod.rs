//! Verdict: the status of `closewait check`, and what led to it. Pure.
//!
//! An incomplete view proves no absence. Its status is UNKNOWN, unless the visible sockets alert
//! and more sockets would alert too.

mod counts;
mod criteria;
mod files;
mod growth;
mod key;
mod measure;
mod view;

use self::counts::Counts;
pub use self::counts::{Worst, maybe_young};
pub use self::criteria::{CountBy, Criteria};
use self::files::Files;
pub use self::growth::Since;
use self::growth::growth;
pub use self::key::Key;
pub use self::measure::{Measure, Status};
use self::measure::{fullest, most_waiting};
use self::view::View;
use crate::classifier::finding::Findings;
use crate::classifier::report::Report;
use crate::classifier::severity::Severity;
use crate::model::{Pid, State};

/// The status and what led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub status: Status,
    /// The number of sockets is unknown: the source shows none of the states.
    pub count_unknown: bool,
    /// All sockets in the states, of any age.
    pub all: u64,
    /// Those that count: without transient CLOSE_WAIT sockets and half-closes in use.
    pub counted: u64,
    pub worst: Option<Worst>,
    pub oldest_ms: Option<u64>,
    /// The worst count, with its limits.
    pub count: Measure,
    /// The largest share of open files that a process with selected sockets has used of its limit.
    pub fd_share: Measure,
    /// The process with that share.
    pub fullest: Option<Pid>,
    pub queue: Measure,
    pub growth: Measure,
    /// The finding with the most FIN_WAIT2 sockets that wait for one remote end: its position, and
    /// the number, to which the limits of the count also apply.
    pub waiting: Option<(usize, Measure)>,
    /// The highest severity of a finding.
    pub severity: Option<Severity>,
    /// Other remarks.
    pub notes: Vec<String>,
    /// Why the view does not suffice, in words, and what to try.
    pub unseen: Vec<String>,
    /// What was not judged, but is no reason for UNKNOWN.
    pub unjudged: Vec<String>,
    /// Ages are unknown, so everything counts.
    pub no_ages: bool,
    /// CLOSE_WAIT sockets that may be older than the grace, and would count then.
    pub maybe_young: u64,
}

/// Judges a report, with its growth if there was an earlier reading.
pub fn verdict(
    report: &Report<'_>,
    found: &Findings,
    since: Option<Since<'_>>,
    test: &Criteria,
) -> Verdict {
    let counts = Counts::of(report, test);
    let mut view = View::of(report, test, counts.hidden);
    let files = Files::of(report, test);
    view.add_files(&files, counts.hidden, test);
    let looks = test.looks_at_findings() && report.asks_for(State::CloseWait);
    if !looks && !test.queue.is_empty() {
        let what = "accept queues, which the filter's states leave out (use --state)";
        view.add(what.to_owned(), test);
    }
    if let Some(Since { before, .. }) = since {
        let hidden = Counts::of(before, test).hidden;
        view.add_earlier(&View::of(before, test, hidden).unseen);
    }
    let growth = since.and_then(|since| growth(report, since, test));
    let severity = test
        .judges_findings()
        .then(|| found.findings.iter().map(|finding| finding.severity).max())
        .flatten();
    let worst = counts.worst();
    let largest = worst.as_ref().map_or(0, |worst| worst.sockets);
    let partial = !view.unseen.is_empty();
    let mut count = counts.measure(test.count, partial, largest);
    // No count is known for states that the source does not show.
    let count_unknown = counts.all == 0 && test.states.iter().all(|state| report.hides(state));
    if count_unknown {
        count.value = None;
    }
    let fd_share = Measure::of(files.most.map(|(share, _)| share), test.fd_share, partial);
    let fullest = looks.then(|| fullest(report, found)).flatten();
    let queue = Measure::of(fullest, test.queue, partial);
    let growth = Measure::of_growth(growth, test.growth, partial);
    let by_severity = match severity {
        Some(Severity::Critical) => Status::Critical,
        Some(Severity::Warning) => Status::Warning,
        Some(Severity::Info) | None => Status::Ok,
    };
    let seen = if partial { Status::Unknown } else { Status::Ok };
    let waiting = test.judges_findings().then(|| most_waiting(found, test));
    let waiting = waiting.flatten();
    let by_waiting = waiting.map_or(Status::Ok, |(_, measure)| measure.status);
    let by_severity = by_severity.max(by_waiting);
    let parts = [count, fd_share, queue, growth].map(|part| part.status);
    let status = parts.into_iter().fold(by_severity.max(seen), Status::max);
    Verdict {
        status,
        count_unknown,
        all: counts.all,
        counted: counts.counted,
        oldest_ms: counts.oldest_ms,
        worst,
        count,
        fd_share,
        fullest: files.most.and_then(|(_, pid)| pid),
        queue,
        growth,
        waiting,
        severity,
        notes: Vec::new(),
        unseen: view.unseen,
        unjudged: view.unjudged,
        no_ages: counts.no_ages,
        maybe_young: counts.maybe_young,
    }
}

impl Verdict {
    /// Adds a reason why the result is not OK.
    pub fn without(mut self, reason: String) -> Verdict {
        self.status = self.status.max(Status::Unknown);
        self.unseen.push(reason);
        self
    }
}
