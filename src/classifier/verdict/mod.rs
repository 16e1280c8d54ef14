//! The verdict of `closewait check`: one status, and what led to it. Pure.
//!
//! A view that hides something proves no absence: it is UNKNOWN unless what was seen alerts
//! already, and more of it would alert as well.

mod counts;
mod criteria;
mod earlier;
mod files;
mod key;
mod measure;
mod view;

use self::counts::Counts;
pub use self::counts::{Worst, counted, maybe_young};
pub use self::criteria::{CountBy, Criteria};
pub use self::earlier::Earlier;
use self::files::Files;
pub use self::key::Key;
pub use self::measure::{Measure, Status};
use self::measure::{fullest, judge, most_waiting};
use self::view::View;
use crate::classifier::finding::Findings;
use crate::classifier::range::{Limits, Range};
use crate::classifier::report::Report;
use crate::classifier::severity::Severity;
use crate::model::{Pid, State};

/// The status and what led to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub status: Status,
    /// How many there are is not known: the source shows none of the states.
    pub count_unknown: bool,
    /// All sockets in the states, whatever their age.
    pub all: u64,
    /// Those that count: of CLOSE_WAIT neither transient nor a half-close in use.
    pub counted: u64,
    pub worst: Option<Worst>,
    pub oldest_ms: Option<u64>,
    /// The worst count against its limits.
    pub count: Measure,
    /// The largest share of its limit of open files that a process with selected sockets has open.
    pub fd_share: Measure,
    /// Which process that is.
    pub fullest: Option<Pid>,
    pub queue: Measure,
    pub growth: Measure,
    /// Where the most FIN_WAIT2 sockets wait for one remote end: the position of the finding, and how
    /// many. The limits of the count are of these too.
    pub waiting: Option<(usize, Measure)>,
    /// Of the gravest finding.
    pub severity: Option<Severity>,
    /// What else is worth a word.
    pub notes: Vec<String>,
    /// Why the view does not suffice, in words, with what to try.
    pub unseen: Vec<String>,
    /// What was not judged, and is no reason for UNKNOWN.
    pub unjudged: Vec<String>,
    /// Ages are not known: everything counts.
    pub no_ages: bool,
    /// Of CLOSE_WAIT, those that would count if they were older than the grace, which they may be.
    pub maybe_young: u64,
}

/// Growth since an earlier reading.
#[derive(Debug, Clone, Copy)]
pub struct Growth<'a> {
    pub earlier: &'a Earlier,
    /// The same without the sockets that linger now and may have lingered then.
    pub at_least: &'a Earlier,
    pub minutes: f64,
}

/// Judges a report; growth where it was measured.
pub fn verdict(
    report: &Report<'_>,
    found: &Findings,
    growth: Option<Growth<'_>>,
    test: &Criteria,
) -> Verdict {
    let counts = Counts::of(report, test);
    let mut view = View::of(report, test, counts.hidden);
    let files = Files::of(report, test);
    if files.unknown > 0 {
        let plural = if files.unknown == 1 { "" } else { "es" };
        let what = format!("the file limit of {} process{plural}", files.unknown);
        view.add(what, test);
    }
    if files.hidden > counts.hidden {
        let plural = if files.hidden == 1 { "" } else { "s" };
        let what = format!(
            "the open files of the holders of {} socket{plural}",
            files.hidden
        );
        view.add(what, test);
    }
    let looks = test.looks_at_findings() && report.asks_for(State::CloseWait);
    if !looks && !test.queue.is_empty() {
        let what = "accept queues, which the filter's states leave out (use --state)";
        view.add(what.to_owned(), test);
    }
    for reason in growth.iter().flat_map(|growth| &growth.earlier.unseen) {
        if !view.unseen.contains(reason) {
            view.unseen.push(reason.clone());
        }
    }
    let since = |earlier: &Earlier, minutes: f64| counts.growth(report, earlier) as f64 / minutes;
    let most = growth.map(|growth| since(growth.at_least, growth.minutes));
    let growth = growth.map(|growth| since(growth.earlier, growth.minutes));
    let severity = test
        .judges_findings()
        .then(|| found.findings.iter().map(|finding| finding.severity).max())
        .flatten();
    let worst = counts.worst();
    let largest = worst.as_ref().map_or(0, |worst| worst.sockets);
    let partial = !view.unseen.is_empty();
    let mut count = counts.measure(test.count, partial, largest);
    // None was seen of what the source does not show.
    let count_unknown = counts.all == 0 && test.states.iter().all(|state| report.hides(state));
    if count_unknown {
        count.value = None;
    }
    let fd_share = Measure {
        value: files.most.map(|(share, _)| share),
        limits: test.fd_share,
        status: judge(files.most.map(|(share, _)| share), test.fd_share, partial),
    };
    let fullest = looks.then(|| fullest(report, found)).flatten();
    let queue = Measure {
        value: fullest,
        limits: test.queue,
        status: judge(fullest, test.queue, partial),
    };
    // A count that falls is no growth, whatever the limit of a growth is.
    let of_increase = Limits {
        warning: test.growth.warning.map(Range::of_increase),
        critical: test.growth.critical.map(Range::of_increase),
    };
    let mut growth = Measure {
        value: growth,
        limits: test.growth,
        status: judge(growth, of_increase, partial),
    };
    if judge(most, of_increase, partial) != growth.status {
        growth.status = growth.status.max(Status::Unknown);
        view.unseen.push(
            "keepalive hides whether some of the sockets lingered at the first reading too"
                .to_owned(),
        );
    }
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
    /// The same, with a reason for which it is no all-clear.
    pub fn without(mut self, reason: String) -> Verdict {
        self.status = self.status.max(Status::Unknown);
        self.unseen.push(reason);
        self
    }
}

impl Earlier {
    pub fn of(report: &Report<'_>, test: &Criteria) -> Earlier {
        let counts = Counts::of(report, test);
        Earlier {
            unseen: View::of(report, test, counts.hidden).unseen,
            counted: counts.counted,
            counts: counts.by_place(report),
        }
    }
}
