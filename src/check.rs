//! Carrying out a check: within its time, and to a status whatever happens.

use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use crate::classifier::verdict::{self, Earlier, Growth, Status, Verdict};
use crate::collector::owners::Progress;
use crate::model::Snapshot;
use crate::plan::{Check, Inspection};
use crate::{classifier, collector, exit::Outcome, find, renderer};

/// Reads and judges in a thread of its own, so that a read that hangs cannot keep the answer
/// back. A reader of `out` that is gone changes nothing.
pub fn run(check: &Check, out: &mut impl Write) -> Outcome {
    let (answer, answers) = mpsc::channel();
    let of_thread = check.clone();
    // Not joined: where it hangs, the process ends without it.
    thread::spawn(move || answer.send(judge(&of_thread)));
    let (status, text) = match answers.recv_timeout(check.timeout.saturating_sub(check.spent)) {
        Ok(Ok(judged)) => judged,
        Ok(Err(error)) => unknown(check, &format!("{error:#}")),
        Err(RecvTimeoutError::Timeout) => {
            let seconds = check.timeout.as_secs_f64();
            let reason = format!("no verdict within {seconds} s; try a longer -t");
            unknown(check, &reason)
        }
        Err(RecvTimeoutError::Disconnected) => unknown(check, "a fault in closewait itself"),
    };
    // The verdict stands, whether anybody hears it or not.
    let _ = out.write_all(&text).and_then(|()| out.flush());
    Outcome::Checked(status)
}

fn unknown(check: &Check, reason: &str) -> (Status, Vec<u8>) {
    let mut text = Vec::new();
    let _ = renderer::check::unknown(check.test.states, reason, &mut text);
    (Status::Unknown, text)
}

fn judge(check: &Check) -> anyhow::Result<(Status, Vec<u8>)> {
    let plan = &check.inspection;
    let growth = match check.between {
        None => None,
        Some(between) => {
            let start = Instant::now();
            let before = earlier(plan, check)?;
            thread::sleep(between);
            Some((start, before))
        }
    };
    let read = Instant::now();
    let snapshot = read_all(plan)?;
    let mut report = classifier::classify(&snapshot, &plan.rules);
    let (found, _) = find(plan, &snapshot, &mut report);
    let growth = growth.as_ref().map(|(start, earlier)| Growth {
        earlier,
        minutes: (read - *start).as_secs_f64() / 60.0,
    });
    let verdict: Verdict = verdict::verdict(&report, &found, growth, &check.test);
    let mut text = Vec::new();
    renderer::check::result(
        &report,
        &found,
        &verdict,
        &check.test,
        plan.verbose,
        &mut text,
    )?;
    Ok((verdict.status, text))
}

fn earlier(plan: &Inspection, check: &Check) -> anyhow::Result<Earlier> {
    let snapshot = read_all(plan)?;
    let report = classifier::classify(&snapshot, &plan.rules);
    Ok(Earlier::of(&report, &check.test))
}

fn read_all(plan: &Inspection) -> anyhow::Result<Snapshot> {
    Ok(collector::collect(&plan.request, &Progress::default())?)
}
