//! The side-by-side benchmark: `cargo bench --bench compare -- --help`.
//!
//! It builds a workload of TCP sockets, then runs, in turn and on that same workload, the *floor*
//! (the least any tool must ask of the kernel), `closewait`, and `ss`; and reports each as a ratio
//! to the floor run of the same round. Times differ from machine to machine and from minute to
//! minute; a ratio of neighbours is what can be compared, so nothing here judges absolute times.
//!
//! Everything is this one program, started again in a role: `hold` owns sockets, `floor` is the
//! bare scan, `time` measures one command. Processes of a role end when the one that started them
//! does, however it ends.

// Not forbid: one system call that only libc offers needs an exception; see measure.rs.
#![deny(unsafe_code)]

mod floor;
mod measure;
mod namespace;
mod options;
mod report;
mod workload;

use anyhow::{Context, Result};
use clap::Parser;
use measure::{Contender, Sample};
use namespace::Isolation;
use options::{Options, Role};
use std::time::Instant;
use workload::Workload;

/// Above this many sockets `ss -tanp` takes seconds to minutes a run, so it gets one run only.
const SS_ONCE_ABOVE: u32 = 20_000;

fn main() -> Result<()> {
    let options = Options::parse();
    match &options.role {
        Some(Role::Hold(share)) => workload::hold(share),
        Some(Role::Floor { order }) => floor::run(*order),
        Some(Role::Time(timing)) => measure::time(timing),
        None if !options.bench => {
            // `cargo test --all-targets` runs bench targets too, without the flag that
            // `cargo bench` adds. Nobody who runs the tests asked for 200,000 sockets.
            println!("compare: run it with `cargo bench --bench compare`");
            Ok(())
        }
        None => compare(&options),
    }
}

fn compare(options: &Options) -> Result<()> {
    let isolation = namespace::enter(options.inside)?;
    let plan = workload::plan(options)?;

    report::host(&isolation);
    let _held = if options.quiet_host {
        None
    } else {
        let start = Instant::now();
        let held = Workload::start(&plan).context("could not build the workload")?;
        report::workload(&plan, start.elapsed());
        Some(held)
    };

    let contenders = contenders(options)?;
    check(options, &contenders, plan.expected(), &isolation)?;

    let mut samples: Vec<Vec<Sample>> = contenders.iter().map(|_| Vec::new()).collect();
    let rounds = options.rounds();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for (contender, taken) in contenders.iter().zip(&mut samples) {
            if round < contender.rounds {
                taken.push(measure::sample(&contender.argv, options.time_limit, false)?);
            }
        }
    }
    report::table(options, &contenders, &samples);
    Ok(())
}

/// Who takes part, in the order in which each round runs them. The floor is always first.
fn contenders(options: &Options) -> Result<Vec<Contender>> {
    let rounds = options.rounds();
    let closewait = options.bin.display().to_string();
    let words = |args: &[&str]| args.iter().map(ToString::to_string).collect::<Vec<_>>();

    let floor = floor::command(options.floor())?;
    let mut all = vec![Contender::new("floor", floor, rounds)];
    if options.selective {
        for more in [
            &[][..],
            &["--no-owners"],
            &["--columns", "local,remote,recvq"],
        ] {
            let said = [&["list", "state", "close-wait"], more].concat();
            let argv = words(&[&[closewait.as_str()], &said[..]].concat());
            all.push(Contender::new(&said.join(" "), argv, rounds));
        }
        let argv = words(&["ss", "-tn", "state", "close-wait"]);
        if measure::available("ss") && !options.no_ss {
            all.push(Contender::new("ss -tn state close-wait", argv, rounds));
        }
        return Ok(all);
    }
    all.push(Contender::new(
        "closewait list",
        words(&[&closewait, "list"]),
        rounds,
    ));
    if !options.quiet_host {
        let triage = Contender::new("closewait", words(&[&closewait]), rounds);
        all.push(triage);
    }
    for also in &options.also {
        let argv = also.split_whitespace().map(String::from).collect();
        all.push(Contender::new(also, argv, rounds));
    }
    if options.no_ss {
        report::note("ss", "left out, as asked");
    } else if measure::available("ss") {
        let slow = !options.quiet_host && options.sockets > SS_ONCE_ABOVE;
        let rounds = if slow { 1 } else { rounds };
        all.push(Contender::new("ss -tanp", words(&["ss", "-tanp"]), rounds));
    } else {
        report::note("ss", "not installed here (package iproute2): left out");
    }
    Ok(all)
}

/// One untimed run of each, which warms the caches and shows that all of them saw the same
/// sockets: a command that fails or prints nothing is fast too.
fn check(
    options: &Options,
    contenders: &[Contender],
    expected: workload::Expected,
    isolation: &Isolation,
) -> Result<()> {
    let seen = floor::tally(options.floor())?;
    report::floor(&seen);
    if !options.quiet_host {
        let exact = matches!(isolation, Isolation::Own);
        let agrees = if exact {
            let all = if options.selective {
                expected.close_wait
            } else {
                expected.sockets
            };
            seen.sockets == all && seen.close_wait == expected.close_wait
        } else {
            seen.sockets >= expected.sockets && seen.close_wait >= expected.close_wait
        };
        anyhow::ensure!(
            agrees,
            "the kernel shows {} sockets, {} in CLOSE_WAIT, where the workload should be {} and {}",
            seen.sockets,
            seen.close_wait,
            expected.sockets,
            expected.close_wait
        );
    }
    for contender in &contenders[1..] {
        // `ss -tanp` is too slow to run twice on a full host; without -p it prints the same lines.
        let argv = if contender.name == "ss -tanp" {
            ["ss", "-tan"].map(String::from).to_vec()
        } else {
            contender.argv.clone()
        };
        let warm = measure::sample(&argv, options.time_limit, true)?;
        report::warm_up(contender, &argv, &warm);
    }
    Ok(())
}
