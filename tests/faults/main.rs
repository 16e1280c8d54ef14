//! Makes every system call fail, in every command, on a host with a leak: each run must end with a
//! documented exit code and a message, and none may report that all is well.
//!
//! The rows of `table.rs` always run; the complete set, some thousands of runs, on demand:
//! `cargo test --test faults -- --ignored --nocapture`.

#[path = "../live/lab.rs"]
#[allow(dead_code)]
mod lab;

mod calls;
mod inject;
mod judge;
mod place;
mod table;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use crate::calls::CALLS;
use crate::inject::{Fault, When};
use crate::place::{COMMANDS, Place};
use crate::table::ROWS;

/// The fault of a row, from the names of its call and error.
fn fault(call: &str, errno: &str, when: When) -> Fault {
    let call = CALLS.iter().find(|known| known.name == call);
    let call = call.expect("a call of the table");
    let errno = call.errnos.iter().find(|(name, _)| *name == errno);
    let (_, errno) = *errno.expect("an error of the call");
    let call = call.number;
    Fault { call, errno, when }
}

#[test]
fn no_fault_makes_a_leak_an_all_clear() {
    let Some(place) = Place::new() else { return };
    let mut cleans = BTreeMap::new();
    let mut wrong = Vec::new();
    for (name, call, errno, when, outcome) in ROWS {
        let command = COMMANDS.iter().find(|known| known.name == *name);
        let command = command.expect("a command of the table");
        let (clean, _) = cleans.entry(name).or_insert_with(|| place.clean(command));
        let (failed, verdict) = place.judged(command, clean, fault(call, errno, *when));
        if failed == 0 || verdict != Ok(*outcome) {
            wrong.push(format!(
                "{name}: {call} {errno} {when:?}, {failed} failed: {verdict:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        ROWS.len(),
        wrong.join("\n")
    );
}

/// Every fault in every command, or in the commands that the variable `FAULTS_OF` lists.
#[test]
#[ignore = "thousands of runs"]
fn the_whole_sweep() {
    let Some(place) = Place::new() else { return };
    let only = std::env::var("FAULTS_OF").ok();
    let workers: usize =
        std::env::var("FAULTS_AT_ONCE").map_or(4, |at_once| at_once.parse().unwrap());
    let mut violations = 0;
    for command in COMMANDS {
        if only
            .as_ref()
            .is_some_and(|only| !only.split(';').any(|name| name == command.name))
        {
            continue;
        }
        let (clean, calls) = place.clean(command);
        let mut faults = Vec::new();
        for call in CALLS {
            let Some(&count) = calls.get(&call.number) else {
                continue;
            };
            let mut nth = vec![1, 2, count.div_ceil(2), count.saturating_sub(1), count];
            nth.retain(|number| (1..=count).contains(number));
            nth.sort_unstable();
            nth.dedup();
            for &(name, errno) in call.errnos {
                // A program may retry an interrupted call for ever.
                let all = (errno != libc::EINTR).then_some(When::All);
                for when in nth.iter().map(|number| When::Nth(*number)).chain(all) {
                    faults.push((
                        call,
                        name,
                        Fault {
                            call: call.number,
                            errno,
                            when,
                        },
                    ));
                }
            }
        }
        let (next, reported) = (
            AtomicUsize::new(0),
            Mutex::new(BTreeMap::<String, Vec<String>>::new()),
        );
        let hit = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some((call, name, fault)) = faults.get(next.fetch_add(1, Relaxed)) {
                        let (failed, mut verdict) = place.judged(command, &clean, *fault);
                        // Concurrent runs briefly duplicate sockets, to find their namespaces.
                        if verdict.is_err() {
                            (_, verdict) = place.judged(command, &clean, *fault);
                        }
                        hit.fetch_add(usize::from(failed > 0), Relaxed);
                        if let Err(reason) = verdict {
                            let fault = format!("{} {name} {:?}", call.name, fault.when);
                            reported
                                .lock()
                                .unwrap()
                                .entry(reason)
                                .or_default()
                                .push(fault);
                        }
                    }
                });
            }
        });
        let reported = reported.into_inner().unwrap();
        let wrong: usize = reported.values().map(Vec::len).sum();
        violations += wrong;
        println!(
            "{}: {} faults, {} hit, {wrong} violations",
            command.name,
            faults.len(),
            hit.into_inner()
        );
        for (reason, faults) in reported {
            println!("    {reason}");
            for fault in faults {
                println!("        {fault}");
            }
        }
    }
    assert_eq!(violations, 0);
}
