//! Carries out a check: within its timeout, and always with a status.

use std::io::{ErrorKind, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Check, MARGIN};
use crate::classifier::age::Sightings;
use crate::classifier::finding::Findings;
use crate::classifier::verdict::{self, Since, Status, Verdict};
use crate::classifier::{Report, Rules};
use crate::command::inspection::{Inspection, Reading, find};
use crate::filter::Term;
use crate::{classifier, exit::Outcome, progress, renderer};

/// Reads and judges in a separate thread, so that a read that hangs cannot delay the answer. A
/// closed pipe does not change the status; any other write error turns OK into UNKNOWN.
pub fn run(check: &Check, out: &mut impl Write, err: &mut impl Write) -> Outcome {
    let (answer, answers) = mpsc::channel();
    let of_thread = check.clone();
    // Not joined: if it hangs, the process ends without it.
    let judging = thread::Builder::new().spawn(move || answer.send(judge(&of_thread)));
    let judged = match judging {
        Ok(_) => answers.recv_timeout(check.timeout.saturating_sub(check.spent)),
        // If no thread can be started, there is no deadline.
        Err(_) => Ok(judge(check)),
    };
    let (status, text) = match judged {
        Ok(Ok(judged)) => judged,
        Ok(Err(error)) => unknown(check, &format!("{error:#}")),
        Err(RecvTimeoutError::Timeout) => {
            let seconds = check.timeout.as_secs_f64();
            let reason = format!("no verdict within {seconds} s; try a longer -t");
            unknown(check, &reason)
        }
        Err(RecvTimeoutError::Disconnected) => unknown(check, "a fault in closewait itself"),
    };
    let status = match out.write_all(&text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = writeln!(err, "closewait: could not write the output: {error}");
            // WARNING and CRITICAL stay.
            match status {
                Status::Ok => Status::Unknown,
                other => other,
            }
        }
        _ => status,
    };
    Outcome::Checked(status)
}

fn unknown(check: &Check, reason: &str) -> (Status, Vec<u8>) {
    let mut text = Vec::new();
    let _ = renderer::format::plugin::unknown(check.test.states, reason, &mut text);
    (Status::Unknown, text)
}

fn judge(check: &Check) -> anyhow::Result<(Status, Vec<u8>)> {
    let start = Instant::now();
    let first = match check.between {
        None => None,
        Some(between) => {
            let first = Look::new(check)?;
            progress::waiting(between.saturating_add(LONGER));
            Some(first)
        }
    };
    let reading = Look::new(check)?;
    let seen = match &first {
        Some(first) => first.sightings(check, reading.0.began),
        None => Sightings::default(),
    };
    let sample = check.inspection.sample;
    let judged = reading.judge(check, &seen, first.as_ref(), sample);
    if !reading.needs_another_look(check, &seen, first.as_ref(), &judged) {
        return print(check, judged);
    }
    let grace = check.grace();
    let unclear = verdict::maybe_young(&judged.0, &check.test).len();
    let why = if check.inspection.source.recording().is_some() {
        "a recording is a single reading; use `closewait diff` to compare two".to_owned()
    } else {
        let took = start.elapsed();
        let needed = (check.spent + took + took.max(MARGIN)).saturating_add(grace);
        if needed <= check.timeout {
            progress::waiting(grace.saturating_add(LONGER));
            let again = Look::new(check)?;
            let mut seen = reading.sightings(check, again.0.began);
            if let Some(first) = &first {
                seen = seen.and(first.sightings(check, again.0.began));
            }
            return print(check, again.judge(check, &seen, first.as_ref(), sample));
        }
        format!("a second look needs -t {:.0}", needed.as_secs_f64().ceil())
    };
    let (report, found, verdict) = judged;
    let reason = format!("keepalive hides whether {unclear} sockets linger; {why}");
    print(check, (report, found, verdict.without(reason)))
}

/// A reading, judged.
type Judged<'a> = (Report<'a>, Findings, Verdict);

fn print(check: &Check, (report, found, verdict): Judged<'_>) -> anyhow::Result<(Status, Vec<u8>)> {
    let verdict = without_sockets(check, &report, verdict);
    let mut text = Vec::new();
    let verbose = check.inspection.verbose;
    renderer::format::plugin::result(&report, &found, &verdict, &check.test, verbose, &mut text)?;
    Ok((verdict.status, text))
}

/// Adds which of the named ports, programs and processes have no socket.
fn without_sockets(check: &Check, report: &Report<'_>, mut verdict: Verdict) -> Verdict {
    let recorded = check.inspection.source.recording().is_some();
    for term in report.without_sockets() {
        let Some(name) = term.named() else { continue };
        if recorded && matches!(term, Term::Pid(_)) {
            // It may have had sockets that were not recorded, or may not have existed.
            verdict = verdict.without(format!("no socket of {name} is in the recording"));
            continue;
        }
        let what = format!("{name} has no socket");
        if check.test.strict {
            verdict = verdict.without(what);
        } else {
            verdict.notes.push(what);
        }
    }
    verdict
}

/// Added to a wait, because ages are whole milliseconds.
const LONGER: Duration = Duration::from_millis(2);

/// A reading that is judged.
struct Look(Reading);

impl Look {
    fn new(check: &Check) -> anyhow::Result<Look> {
        let Inspection {
            source, request, ..
        } = &check.inspection;
        Ok(Look(Reading::new(source, request)?))
    }

    fn classify(&self, check: &Check, seen: Sightings) -> Report<'_> {
        let rules = Rules {
            seen,
            ..check.inspection.rules.clone()
        };
        classifier::classify(&self.0.snapshot, &rules)
    }

    /// The sockets whose age does not show whether they linger, for a reading that began `then`.
    fn sightings(&self, check: &Check, then: Instant) -> Sightings {
        let report = self.classify(check, Sightings::default());
        self.0
            .sightings(verdict::maybe_young(&report, &check.test), then)
    }

    /// Whether the status would change if all sockets of unknown age lingered, and a later reading
    /// could decide. After two readings far enough apart, sockets that only the later one has are young.
    fn needs_another_look(
        &self,
        check: &Check,
        seen: &Sightings,
        first: Option<&Look>,
        (report, _, verdict): &Judged<'_>,
    ) -> bool {
        let watched = first.map(|first| first.0.pause(&self.0));
        let maybe_young = verdict::maybe_young(report, &check.test);
        if maybe_young.is_empty() || watched > Some(check.grace()) {
            return false;
        }
        let older = check.inspection.rules.grace_ms.saturating_add(1);
        let all = Sightings::of(&self.0.snapshot, maybe_young, older).and(seen.clone());
        // CPU use does not change the status.
        let (_, _, other) = self.judge(check, &all, first, Duration::ZERO);
        other.status != verdict.status
    }

    fn judge(
        &self,
        check: &Check,
        seen: &Sightings,
        first: Option<&Look>,
        sample: Duration,
    ) -> Judged<'_> {
        let mut report = self.classify(check, seen.clone());
        let plan = Inspection {
            sample,
            ..check.inspection.clone()
        };
        let (found, _) = find(&plan, &self.0.snapshot, &mut report);
        let before = first.map(|first| first.classify(check, Sightings::default()));
        let since = first.zip(before.as_ref()).map(|(first, before)| Since {
            before,
            between_ms: first.0.until_ms(&self.0),
            all: check.inspection.request.is_of_all_namespaces(),
        });
        let verdict = verdict::verdict(&report, &found, since, &check.test);
        (report, found, verdict)
    }
}
