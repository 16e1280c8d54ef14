//! `closewait check`: its output, compared with the guidelines of monitoring plugins, and its exit codes, also
//! after failures.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::lab::{Age, Lab, Lack, Run, closewait, is_root, left_out, misbehave, run, until};

/// What in a plugin's output violates the Monitoring Plugins Development Guidelines.
fn faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let Some((line, below)) = text.split_once('\n') else {
        return vec!["no line".to_owned()];
    };
    if below.contains('|') {
        faults.push("a bar below the first line".to_owned());
    }
    let mut parts = line.split('|');
    let words: Vec<&str> = parts.next().unwrap_or_default().split(' ').collect();
    let statuses = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];
    if words.len() < 4 || !statuses.contains(&words[1]) || words[2] != "-" {
        faults.push("not SERVICE STATUS - text".to_owned());
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        faults.push("a control character".to_owned());
    }
    if !text.is_ascii() {
        faults.push("more than ASCII".to_owned());
    }
    if let Some(data) = parts.next() {
        faults.extend(data_faults(data));
    }
    if parts.next().is_some() {
        faults.push("a second bar".to_owned());
    }
    faults
}

/// What is wrong with performance data: `'label'=value[unit];[warn];[crit];[min];[max]`, separated by blanks.
fn data_faults(data: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut rest = data.trim_start();
    if rest.is_empty() {
        faults.push("a bar without data".to_owned());
    }
    while !rest.is_empty() {
        let label;
        (label, rest) = match rest.strip_prefix('\'') {
            Some(quoted) => {
                let mut end = 0;
                let bytes = quoted.as_bytes();
                while end < bytes.len() {
                    if bytes[end] == b'\'' {
                        if bytes.get(end + 1) != Some(&b'\'') {
                            break;
                        }
                        end += 1;
                    }
                    end += 1;
                }
                let tail = quoted.get(end + 1..).unwrap_or_default();
                (&quoted[..end.min(quoted.len())], tail)
            }
            None => rest.split_at(rest.find('=').unwrap_or(rest.len())),
        };
        if label.is_empty() || label.contains('=') {
            faults.push(format!("label {label:?}"));
        }
        if label.contains(' ') && !data.contains(&format!("'{label}'")) {
            faults.push(format!("label {label:?} with a blank and no quotes"));
        }
        let Some(figures) = rest.strip_prefix('=') else {
            faults.push(format!("no value of {label:?}"));
            return faults;
        };
        let (figure, tail) = figures.split_once(' ').unwrap_or((figures, ""));
        rest = tail.trim_start();
        let fields: Vec<&str> = figure.split(';').collect();
        if fields.len() > 5 {
            faults.push(format!("{label}: too many fields"));
        }
        let unit = fields[0].trim_start_matches(|c: char| c.is_ascii_digit() || "-.".contains(c));
        let number = &fields[0][..fields[0].len() - unit.len()];
        let unknown = fields[0] == "U";
        let units = ["", "s", "us", "ms", "%", "B", "KB", "MB", "TB", "c"];
        if !unknown && (number.parse::<f64>().is_err() || !units.contains(&unit)) {
            faults.push(format!("{label}: value {:?}", fields[0]));
        }
        for range in fields
            .iter()
            .skip(1)
            .take(2)
            .filter(|range| !range.is_empty())
        {
            if range
                .parse::<closewait::classifier::range::Range>()
                .is_err()
            {
                faults.push(format!("{label}: range {range:?}"));
            }
        }
        for bound in fields.iter().skip(3).filter(|bound| !bound.is_empty()) {
            if bound.parse::<f64>().is_err() {
                faults.push(format!("{label}: bound {bound:?}"));
            }
        }
    }
    faults
}

#[test]
fn the_validator_finds_what_is_broken() {
    let fine =
        "CLOSE_WAIT OK - none | close_wait=0;10;@5:20;0 'a b'=1.5s 'it''s'=U;;;0;100\nmore\n";
    assert_eq!(faults(fine), Vec::<String>::new());
    for broken in [
        "",
        "CLOSE_WAIT\n",
        "CLOSE_WAIT FINE - none\n",
        "CLOSE_WAIT OK none at all\n",
        "CLOSE_WAIT OK - none | \n",
        "CLOSE_WAIT OK - none | a\n",
        "CLOSE_WAIT OK - none | =1\n",
        "CLOSE_WAIT OK - none | a=\n",
        "CLOSE_WAIT OK - none | a=x\n",
        "CLOSE_WAIT OK - none | a=1km\n",
        "CLOSE_WAIT OK - none | a=1;20:10\n",
        "CLOSE_WAIT OK - none | a=1;;x\n",
        "CLOSE_WAIT OK - none | a=1;;;y\n",
        "CLOSE_WAIT OK - none | a=1;;;0;1;2\n",
        "CLOSE_WAIT OK - none | a b=1\n",
        "CLOSE_WAIT OK - none | a=1 | b=2\n",
        "CLOSE_WAIT OK - none | a=1\nx | y\n",
        "CLOSE_WAIT OK - n\x1b[0m | a=1\n",
        "CLOSE_WAIT OK - \u{b5}s | a=1\n",
    ] {
        assert!(!faults(broken).is_empty(), "{broken:?}");
    }
}

/// Runs a check in the lab, and compares its output with the guidelines.
fn check(lab: &Lab, args: &[&str]) -> Run {
    let found = lab.closewait(&[&["check"], args].concat());
    assert_eq!(
        faults(&found.stdout),
        Vec::<String>::new(),
        "{}",
        found.stdout
    );
    let status = found.stdout.split(' ').nth(1);
    let code = ["OK", "WARNING", "CRITICAL", "UNKNOWN"]
        .iter()
        .position(|name| Some(*name) == status);
    assert_eq!(code, usize::try_from(found.code).ok(), "{}", found.stdout);
    assert_eq!(labels(&found.stdout)[1..], LABELS, "{}", found.stdout);
    found
}

/// What every line of performance data has after the counts of the states.
const LABELS: [&str; 6] = ["counted", "worst", "oldest", "fd_share", "queue", "growth"];

fn labels(text: &str) -> Vec<&str> {
    let line = text.lines().next().unwrap_or_default();
    let data = line.split_once('|').map_or("", |(_, data)| data);
    let figures = data.split_whitespace();
    figures
        .filter_map(|figure| figure.split_once('='))
        .map(|(label, _)| label)
        .collect()
}

/// The value of a figure in the performance data.
fn figure(text: &str, label: &str) -> f64 {
    let start = format!(" {label}=");
    let data = text.split(" | ").nth(1).unwrap();
    let data = format!(" {data}");
    let value = data.split(&start).nth(1).unwrap().split([';', ' ']).next();
    let value = value.unwrap().trim_end_matches(['s', '%']);
    value
        .parse()
        .unwrap_or_else(|_| panic!("{label} in {text}"))
}

/// Stops a check that sleeps after its first reading, so that the second reading sees everything that happens
/// until it continues.
fn stopped_between_readings(checking: &Child) -> Pid {
    stopped_asleep(checking, |_| true)
}

/// Stops a program while one of these threads sleeps.
pub fn stopped_asleep(checking: &Child, is_one: impl Fn(&str) -> bool) -> Pid {
    let pid = Pid::from_child(checking);
    let sleeps = [
        libc::SYS_nanosleep,
        libc::SYS_clock_nanosleep,
        libc::SYS_restart_syscall,
    ]
    .map(|call| call.to_string());
    until("the first reading", || {
        kill_process(pid, Signal::STOP).unwrap();
        let threads = std::fs::read_dir(format!("/proc/{}/task", checking.id())).unwrap();
        let calls: Vec<String> = threads
            .flatten()
            .filter(|thread| is_one(&thread.file_name().to_string_lossy()))
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("syscall")).ok())
            .collect();
        let sleeps = |call: &String| {
            sleeps
                .iter()
                .any(|sleep| call.split(' ').next() == Some(sleep))
        };
        if calls.iter().any(sleeps) {
            return Ok(pid);
        }
        kill_process(pid, Signal::CONT).unwrap();
        Err(format!("{calls:?}"))
    })
}

#[test]
fn a_count_that_falls_is_no_growth() {
    let lab = Lab::new();
    let lost = lab.start("leak", &["connections=20"]);
    let checking = |limits: &str| {
        lab.enter();
        Command::new(closewait())
            .args(["check", "--grace", "0", "--growth", limits, "--for", "3s"])
            .args(["--by", "total", "-t", "600"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let (mut plain, mut below) = (checking("10/min,100/min"), checking("-1:"));
    let stopped = [&plain, &below].map(stopped_between_readings);
    drop(lost);
    for checking in stopped {
        kill_process(checking, Signal::CONT).unwrap();
    }
    // A range below 0 is an error.
    for (checking, code) in [(&mut plain, 0), (&mut below, 1)] {
        let mut text = String::new();
        let mut out = checking.stdout.take().unwrap();
        out.read_to_string(&mut text).unwrap();
        assert_eq!(checking.wait().unwrap().code(), Some(code), "{text}");
        assert!(figure(&text, "growth") < 0.0, "{text}");
    }
}

#[test]
fn no_limit_switches_another_judgement_off() {
    let lab = Lab::new();
    let full = lab.start("queue", &["backlog=4"]);
    let port = full.port().to_string();
    until("a queue that is full for longer than an instant", || {
        let found = check(&lab, &["--port", &port]);
        (found.code == 2).then_some(()).ok_or(found.stdout)
    });
    for args in [
        &["-w", "1000"][..],
        &["-c", "1000", "--by", "total"],
        &["-w", "1000", "--by", "listener"],
        &["-w", "1000", "--by", "port", "--no-owners"],
        &["--fd-share", "90"],
        &["--queue", "1000"],
        &["--growth", "100000", "--for", "100ms"],
        &["-w", "1000", "--queue", "1000", "--fd-share", "90"],
        &["-w", "1000", "--no-evidence"],
        &["-w", "1000", "--state", "all"],
    ] {
        let found = check(&lab, &[&["--port", &port], args].concat());
        assert_eq!(found.code, 2, "{args:?}: {}", found.stdout);
        assert!(
            found.stdout.contains("accept queue 5 of 4"),
            "{}",
            found.stdout
        );
    }
    // What is not read is reported.
    for (args, words) in [
        (
            &["-w", "1000", "--by", "port", "--no-owners"][..],
            "; not checked: owners (--no-owners)",
        ),
        (
            &["-w", "1000", "--no-evidence"],
            "; not checked: dead descriptors, shares of file limits and stopped processes (--no-evidence)",
        ),
        (
            &["--state", "established", "-w", "1000"],
            "; not checked: CLOSE_WAIT and accept queues",
        ),
    ] {
        let found = check(&lab, &[&["--port", &port], args].concat());
        assert!(found.stdout.contains(words), "{args:?}: {}", found.stdout);
    }
    let stopped = lab.start("leak", &["connections=2"]);
    lab.lingering(stopped.port(), 2, Age::Least);
    let port = stopped.port().to_string();
    assert_eq!(check(&lab, &["--port", &port, "-w", "1000"]).code, 0);
    stopped.stop();
    until("a process that is stopped", || {
        let found = check(&lab, &["--port", &port, "-w", "1000"]);
        let reported = found.code == 2 && found.stdout.contains("stopped");
        reported.then_some(()).ok_or(found.stdout)
    });
    // The unit of the count does not affect files and stopped processes.
    for by in ["owner", "total", "port", "listener"] {
        let found = check(&lab, &["--port", &port, "-w", "1000", "--by", by]);
        assert_eq!(found.code, 2, "{}", found.stdout);
        assert!(found.stdout.contains("stopped"), "{}", found.stdout);
    }
}

#[test]
fn a_figure_that_was_not_looked_at_is_unknown_and_not_0() {
    let lab = Lab::new();
    let full = lab.start("queue", &["backlog=4"]);
    let port = full.port().to_string();
    until("a queue that is full for longer than an instant", || {
        let found = check(&lab, &["--port", &port]);
        (found.code == 2).then_some(()).ok_or(found.stdout)
    });
    let established = ["--port", &port, "--state", "established"];
    for (args, code, words) in [
        (&["-w", "1000"][..], 0, " queue=U"),
        (&["-w", "1000", "--queue", "50"], 1, "queue=125%;50"),
        (
            &["-w", "1000", "--queue", "50"],
            1,
            "; not checked: CLOSE_WAIT",
        ),
    ] {
        let found = check(&lab, &[&established[..], args].concat());
        assert_eq!(found.code, code, "{args:?}: {}", found.stdout);
        assert!(found.stdout.contains(words), "{args:?}: {}", found.stdout);
    }
    // This filter leaves only the count to judge.
    let filter = ["--queue", "50", "state", "established", "port", "=", &port];
    let found = check(&lab, &filter);
    assert_eq!(found.code, 3, "{}", found.stdout);
    let bound = ["--state", "bound-inactive", "-w", "1"];
    let found = check(&lab, &[&bound[..], &["--source", "procfs"]].concat());
    let words = "| bound_inactive=U;;;0 counted=U;;;0 worst=U;1;;0 oldest=U";
    assert_eq!(found.code, 3, "{}", found.stdout);
    assert!(found.stdout.contains(words), "{}", found.stdout);
}

#[test]
fn the_workers_of_a_service_are_counted_together() {
    let lab = Lab::new();
    let server = lab.start("prefork", &["connections=12", "name=backend"]);
    let port = server.port().to_string();
    lab.lingering(server.port(), 12, Age::Least);
    for (args, code) in [
        (&["-w", "12"][..], 0),
        (&["-w", "11"], 1),
        (&["-w", "11", "--by", "owner"], 1),
        (&["-w", "11", "--by", "port"], 1),
        (&["--threshold", "warning=12"], 1),
    ] {
        let found = check(&lab, &[&["--port", &port, "--sample", "0"], args].concat());
        assert_eq!(found.code, code, "{args:?}: {}", found.stdout);
        assert_eq!(figure(&found.stdout, "worst"), 12.0, "{}", found.stdout);
        assert!(found.stdout.contains("] +11"), "{}", found.stdout);
    }
    let document = lab.json(&["--port", &port, "--state", "close-wait"]);
    let groups = document["groups"].as_array().unwrap();
    let owners: Vec<_> = groups
        .iter()
        .map(|group| group["owners"].as_array().unwrap().len())
        .collect();
    assert_eq!(owners, [12], "one row, and all owners in it: {groups:#?}");
}

#[test]
fn a_check_looks_twice_if_keepalive_hides_what_decides() {
    let lab = Lab::new();
    // The answer to a probe renews the last acknowledgement every second.
    let held = lab.start("leak", &["connections=12", "keepalive=true"]);
    let port = held.port().to_string();
    lab.lingering(held.port(), 12, Age::Most);
    let of = |args: &[&str]| check(&lab, &[&["--port", &port, "--sample", "0"], args].concat());
    // There is no time for a second reading; if 12 are not too many, none is needed.
    let short = ["-t", "5", "-w"];
    let found = of(&[&short[..], &["12"]].concat());
    assert_eq!(found.code, 0, "{}", found.stdout);
    assert!(
        found.stdout.contains("12 of unknown age"),
        "{}",
        found.stdout
    );
    let found = of(&[&short[..], &["11"]].concat());
    assert_eq!(found.code, 3, "{}", found.stdout);
    assert!(
        found.stdout.contains("a second look needs -t "),
        "{}",
        found.stdout
    );
    let found = of(&["-t", "60", "-w", "11"]);
    assert_eq!(found.code, 1, "{}", found.stdout);
    assert_eq!(figure(&found.stdout, "worst"), 12.0, "{}", found.stdout);
    let found = of(&["-t", "60", "--threshold", "warning=12"]);
    assert_eq!(found.code, 1, "{}", found.stdout);
    // The cause and age that a filter needs are known at the second reading too.
    let of_cause = ["--cause", "never-closed", "-w", "11"];
    let found = of(&[&["-t", "5"], &of_cause[..]].concat());
    assert_eq!(found.code, 3, "{}", found.stdout);
    for args in [&of_cause[..], &["--older-than", "3s", "-w", "11"]] {
        let found = of(&[&["-t", "60"], args].concat());
        assert_eq!(found.code, 1, "{}", found.stdout);
        assert_eq!(figure(&found.stdout, "worst"), 12.0, "{}", found.stdout);
    }
    // They existed at the first reading too.
    let growing = ["-t", "60", "--growth", "1", "--for", "5100ms"];
    let found = of(&growing);
    assert_ne!(found.code, 1, "{}", found.stdout);
    assert_eq!(figure(&found.stdout, "growth"), 0.0, "{}", found.stdout);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keepalive.cw");
    let file = file.to_str().unwrap();
    assert_eq!(lab.closewait(&["record", file]).code, 0);
    for (limit, code) in [("12", 0), ("11", 3)] {
        let found = check(&lab, &["--from", file, "--port", &port, "-w", limit]);
        assert_eq!(found.code, code, "{}", found.stdout);
    }
}

#[test]
fn no_socket_that_matches_is_not_an_all_clear() {
    let lab = Lab::new();
    let idle = lab.start("silent", &[]);
    let port = idle.port().to_string();
    let (pid, own) = (idle.pid().to_string(), std::process::id().to_string());
    // This thread is not the main thread.
    let tid = std::thread::spawn(|| rustix::thread::gettid().as_raw_nonzero().to_string());
    let tid = tid.join().unwrap();
    let threads = std::fs::read_dir(format!("/proc/{own}/task")).unwrap();
    let thread = threads
        .flatten()
        .map(|task| task.file_name().into_string().unwrap())
        .find(|task| *task != own)
        .unwrap_or(tid.clone());
    for (args, code, words) in [
        (&["--port", &port][..], 0, "OK - none, 1 socket matches"),
        (
            &["state", "close-wait", "port", "=", &port],
            0,
            "OK - none, 1 socket matches",
        ),
        (
            &["--port", "1"],
            0,
            "OK - no socket matches, port 1 has no socket",
        ),
        (&["--port", &port, "--port", "1"], 0, "port 1 has no socket"),
        (&["--port", "1", "--strict"], 3, "port 1 has no socket"),
        (
            &["--program", "nosuchprog", "-w", "0"],
            0,
            "program nosuchprog has no socket",
        ),
        (
            &["--program", "nosuchprog", "--strict"],
            3,
            "program nosuchprog has no socket",
        ),
        (&["--pid", &pid], 0, "OK - none, 1 socket matches"),
        (&["--pid", "4194305", "-w", "0"], 3, "no process 4194305"),
        (&["pid", "=", "4194305"], 3, "no process 4194305"),
        (
            &["not", "pid", "=", "4194305"],
            0,
            "OK - none, 1 socket matches",
        ),
    ] {
        let found = check(&lab, args);
        assert_eq!(found.code, code, "{args:?}: {}", found.stdout);
        // A shared loopback may have more.
        if lab.is_private() {
            assert!(found.stdout.contains(words), "{args:?}: {}", found.stdout);
        }
    }
    let found = check(&lab, &["--pid", &thread, "-w", "0"]);
    assert_eq!(found.code, 3, "{}", found.stdout);
    let words = format!("{thread} is a thread of process {own}: use --pid {own}");
    assert!(found.stdout.contains(&words), "{}", found.stdout);
}

#[test]
fn a_selection_does_not_change_what_a_finding_counts() {
    let lab = Lab::new();
    // Some clients have hung up, others wait in the queue.
    let full = lab.start("queue", &["backlog=6"]);
    let port = full.port().to_string();
    lab.enter();
    let summary = |args: &[&str]| {
        let document = lab.json(args);
        let findings = document["findings"].as_array().unwrap().clone();
        let queue = findings
            .iter()
            .find(|finding| finding["cause"] == "not-accepted");
        queue.map(|finding| {
            let text = finding["summary"].as_str().unwrap();
            text.split("; the oldest").next().unwrap().to_owned()
        })
    };
    let whole = until("a queue that is full for longer than an instant", || {
        summary(&[]).ok_or("no finding".to_owned())
    });
    for args in [
        &["--state", "close-wait"][..],
        &["state", "close-wait"],
        &["--port", &port],
        &["sport", "=", &port],
        &["--cause", "not-accepted"],
        &["--older-than", "1ms"],
        &["--peer", "127.0.0.0/8"],
        &["-4"],
    ] {
        assert_eq!(summary(args).as_ref(), Some(&whole), "{args:?}");
    }
    for args in [
        &["--cause", "stale-pool"][..],
        &["--older-than", "1h"],
        &["--port", "1"],
        &["--peer", "10.0.0.0/8"],
    ] {
        assert_eq!(summary(args), None, "{args:?}");
        let found = check(&lab, args);
        assert_eq!(found.code, 0, "{args:?}: {}", found.stdout);
    }
}

#[test]
fn the_worst_is_one_number_wherever_it_stands() {
    let lab = Lab::new();
    let (leak, abandon) = (
        lab.start("leak", &["connections=4"]),
        lab.start("abandon", &["connections=3"]),
    );
    lab.lingering(leak.port(), 4, Age::Least);
    lab.lingering(abandon.port(), 3, Age::Least);
    let found = check(&lab, &["--by", "total", "-w", "6"]);
    assert_eq!(found.code, 1, "{}", found.stdout);
    assert!(
        found.stdout.contains(" 7 (never-closed 4)"),
        "{}",
        found.stdout
    );
    assert_eq!(figure(&found.stdout, "worst"), 7.0, "{}", found.stdout);
}

#[test]
fn a_line_is_ascii_whatever_a_program_calls_itself() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=2", "name=j\u{e4}va\u{b5}|"]);
    lab.lingering(held.port(), 2, Age::Least);
    let found = check(&lab, &["--program", "j\u{e4}va\u{b5}|", "-w", "1", "-v"]);
    assert_eq!(found.code, 1, "{}", found.stdout);
    assert!(
        found.stdout.contains("j\\u{e4}va\\u{b5}\\x7c["),
        "{}",
        found.stdout
    );
}

#[test]
fn a_leak_goes_from_ok_to_critical_by_its_limits() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=12"]);
    let port = held.port().to_string();
    lab.lingering(held.port(), 12, Age::Least);
    let of = |args: &[&str]| {
        let always = ["--port", &port, "--grace", "0", "--sample", "0"];
        check(&lab, &[&always, args].concat())
    };
    for (args, code) in [
        (&[][..], 0),
        (&["-w", "12"], 0),
        (&["-w", "11"], 1),
        (&["-w", "5", "-c", "11"], 2),
        (&["-c", "12"], 0),
        (&["-w", "13:"], 1),
        (&["-c", "@12:12"], 2),
        (&["-w", "~:12"], 0),
        (&["-w", "11", "--by", "total"], 1),
        (&["-w", "11", "--by", "port"], 1),
        (&["-w", "11", "--by", "listener"], 1),
        (&["-w", "11", "--by", "owner"], 1),
        (&["--threshold", "warning=12"], 1),
        (&["--threshold", "critical=12"], 2),
        (&["--state", "listen", "-w", "0"], 1),
        (&["--state", "time-wait", "-w", "1000000"], 0),
        (&["--growth", "10/min", "--for", "200ms"], 0),
        (&["--growth", "~:-1,~:-0.5", "--for", "200ms"], 2),
        (&["--queue", "50,90"], 0),
        (&["-w", "0", "-v"], 1),
        (&["-t", "30", "-w", "0"], 1),
        // An age without an operator is a minimum, since no age is exact.
        (&["-w", "0", "idle", "1ms"], 1),
        (&["-w", "0", "idle", "1h"], 0),
    ] {
        let found = of(args);
        assert_eq!(
            found.code, code,
            "{args:?}: {}{}",
            found.stdout, found.stderr
        );
    }
    let worst = of(&["-w", "11"]).stdout;
    let expected = format!(
        "12 lingering, worst misbehave[{}] :{port} never-closed 12",
        held.pid()
    );
    assert!(worst.contains(&expected), "{worst}");
    assert!(worst.contains("worst=12;11;;0"), "{worst}");
    let verbose = of(&["-w", "0", "-v"]).stdout;
    assert!(
        verbose.lines().count() > 3 && verbose.contains("never-closed"),
        "{verbose}"
    );
    // What was not asked for does not count.
    assert_eq!(of(&["-w", "0", "sport", "=", ":1"]).code, 0);
}

#[test]
fn a_transient_never_counts() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=5"]);
    let port = held.port().to_string();
    lab.lingering(held.port(), 5, Age::Least);
    let found = check(
        &lab,
        &["--port", &port, "-c", "0", "--grace", "1h", "--by", "total"],
    );
    assert_eq!(found.code, 0, "{}", found.stdout);
    assert!(
        found.stdout.contains("none lingering of 5"),
        "{}",
        found.stdout
    );
}

#[test]
fn all_open_files_of_a_process_with_sockets_count_against_its_limit() {
    let lab = Lab::new();
    let full = lab.start(
        "leak",
        &["connections=0", "crowd=70", "files=200", "name=full"],
    );
    let port = full.port().to_string();
    let name = format!("files of full[{}]", full.pid());
    for (limits, code) in [("70,99", 1), ("70,70", 2), ("99", 0)] {
        let found = check(&lab, &["--port", &port, "--fd-share", limits]);
        assert_eq!(found.code, code, "{}", found.stdout);
        assert!(found.stdout.contains(&name), "{}", found.stdout);
        assert!(figure(&found.stdout, "fd_share") >= 70.0);
    }
    let found = check(&lab, &["--port", &port]);
    assert!(found.stdout.contains(" fd_share=U;"), "{}", found.stdout);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recording");
    let file = file.to_str().unwrap();
    assert_eq!(lab.closewait(&["record", file]).code, 0);
    let found = check(&lab, &["--port", &port, "--fd-share", "70", "--from", file]);
    assert_eq!(found.code, 1, "{}", found.stdout);
    assert!(found.stdout.contains(&name), "{}", found.stdout);
}

#[test]
fn a_mistake_is_unknown_and_says_so_on_stdout() {
    for args in [
        &["-w", "20:10"][..],
        &["-w", "x"],
        &["--nonsense"],
        &["--by", "nonsense"],
        &["--by", "total,port"],
        &["--state", "nonsense"],
        &["--state", "established"],
        &["sprot = :9"],
        &["--json"],
        &["-q"],
        &["--for", "5s"],
        &["--growth", "1", "--for", "1h"],
        &["--no-owners"],
        &["-t", "x"],
        &["-N", "no-such-namespace"],
        &["--strict", "--allow-partial"],
        &["--no-owners", "--fd-share", "5"],
    ] {
        let found = run(Command::new(closewait()).arg("check").args(args));
        assert_eq!(found.code, 3, "{args:?}: {}{}", found.stdout, found.stderr);
        assert!(
            found.stdout.contains(" UNKNOWN - "),
            "{args:?}: {}",
            found.stdout
        );
        assert_eq!(
            faults(&found.stdout),
            Vec::<String>::new(),
            "{}",
            found.stdout
        );
    }
    for (args, code) in [
        (&["check", "--help"][..], 0),
        (&["check", "-V"], 0),
        (&["check", "--version"], 0),
        (&["--nonsense", "check"], 3),
        (&["list", "--nonsense", "check"], 2),
        (&["list", "--nonsense", "program", "=", "check"], 2),
    ] {
        let found = run(Command::new(closewait()).args(args));
        assert_eq!(found.code, code, "{args:?}: {}", found.stderr);
    }
}

#[test]
fn a_verdict_that_nobody_hears_stands() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=3"]);
    let port = held.port().to_string();
    lab.lingering(held.port(), 3, Age::Least);
    lab.enter();
    let args = ["check", "--port", &port, "--grace", "0", "-c", "1"];
    let closed = Command::new("sh")
        .args(["-c", "exec \"$@\" >&-", "sh"])
        .arg(closewait())
        .args(args)
        .status()
        .unwrap();
    assert_eq!(closed.code(), Some(2));
    let mut piped = Command::new(closewait())
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(piped.stdout.take());
    assert_eq!(piped.wait().unwrap().code(), Some(2));
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let full = Command::new(closewait()).args(args).stdout(full).status();
    assert_eq!(full.unwrap().code(), Some(2));
}

#[test]
fn a_pipe_in_place_of_a_table_is_unknown_and_not_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let net = root.path().join("net");
    std::fs::create_dir(&net).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        net.join("tcp"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let start = Instant::now();
    let found = run(Command::new(closewait())
        .args(["check", "--source", "procfs", "--proc"])
        .arg(root.path()));
    assert_eq!(found.code, 3, "{}", found.stdout);
    assert!(
        found.stdout.contains("it is not a regular file"),
        "{}",
        found.stdout
    );
    // It ended; how long that took does not matter.
    assert!(start.elapsed().as_secs() < 60);
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let root = tempfile::tempdir().unwrap();
    let nothing = run(Command::new(closewait())
        .args(["check", "--source", "procfs", "--proc"])
        .arg(root.path()));
    assert_eq!(nothing.code, 3, "{}", nothing.stdout);
    // An unreadable line may be a socket that counts.
    let net = root.path().join("net");
    std::fs::create_dir(&net).unwrap();
    let heading = "  sl  local_address rem_address   st tx_queue\n";
    std::fs::write(net.join("tcp"), format!("{heading}nonsense\n")).unwrap();
    let broken = |more: &[&str]| {
        run(Command::new(closewait())
            .args(["check", "--source", "procfs", "--by", "total", "-c", "5"])
            .args(more)
            .arg("--proc")
            .arg(root.path()))
    };
    let found = broken(&[]);
    assert_eq!(found.code, 3, "{}", found.stdout);
    assert!(
        found.stdout.contains("could not be parsed"),
        "{}",
        found.stdout
    );
    assert_eq!(broken(&["--allow-partial"]).code, 0);
}

#[test]
fn a_refused_sock_diag_is_unknown_where_it_must_be_the_source() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=4"]);
    let port = held.port().to_string();
    lab.lingering(held.port(), 4, Age::Least);
    let check = |args: &[&str]| {
        lab.enter();
        let mut command = Command::new(misbehave());
        command.arg("confined").arg(closewait());
        run(command.args(["check", "--port", &port]).args(args))
    };
    let refused = check(&["--source", "netlink", "-c", "1"]);
    assert_eq!(refused.code, 3, "{}", refused.stdout);
    assert!(refused.stdout.contains("sock_diag"), "{}", refused.stdout);
    // /proc shows the sockets without ages: all of them count, and this is reported.
    for (args, code) in [(["-c", "3"], 2), (["-c", "4"], 0)] {
        let found = check(&args);
        assert_eq!(found.code, code, "{}", found.stdout);
        assert!(
            found.stdout.contains("ages unknown: all are counted"),
            "{}",
            found.stdout
        );
    }
    // /proc does not show full accept queues.
    assert_eq!(check(&["--queue", "50"]).code, 3);
}

#[test]
fn hidden_owners_are_unknown_where_owners_are_judged() {
    if !is_root() {
        left_out(Lack::Root);
        return;
    }
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=6"]);
    let port = held.port().to_string();
    lab.lingering(held.port(), 6, Age::Least);
    let nobody = |args: &[&str]| {
        lab.enter();
        let all = ["--reuid", "65534", "--clear-groups"];
        let mut command = Command::new("setpriv");
        command.args(all).arg(closewait());
        command
            .args(["check", "--port", &port, "--grace", "0"])
            .args(args);
        let found = run(&mut command);
        assert_eq!(
            faults(&found.stdout),
            Vec::<String>::new(),
            "{}",
            found.stdout
        );
        found
    };
    // Known problems count; unknown facts never give OK.
    for (args, code) in [
        (&[][..], 3),
        (&["-w", "100"], 3),
        // Six sockets may have six owners, but belong to one service.
        (&["-w", "5", "--by", "owner"], 3),
        (&["-w", "5"], 1),
        (&["-w", "100", "--by", "total"], 0),
        (&["-w", "5", "--by", "total"], 1),
        (&["-c", "5", "--by", "port"], 2),
        (&["-w", "100", "--allow-partial"], 0),
        (&["-w", "5", "--allow-partial"], 1),
    ] {
        let found = nobody(args);
        assert_eq!(found.code, code, "{args:?}: {}", found.stdout);
    }
    assert!(nobody(&[]).stdout.contains("run as root"));
}

#[test]
fn growth_is_counted_between_two_readings() {
    let lab = Lab::new();
    lab.enter();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut checking = Command::new(closewait())
        .args(["check", "--growth", "1", "--for", "3s", "--grace", "0"])
        .args(["--port", &port.to_string(), "--sample", "0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Some more between the readings, not all of which the first can have seen.
    let mut kept = Vec::new();
    until("more connections", || {
        lab.enter();
        let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        drop(client);
        kept.push(accepted);
        match checking.try_wait().unwrap() {
            Some(_) => Ok(()),
            None => Err("it is still watching".to_owned()),
        }
    });
    let mut text = String::new();
    checking
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(checking.wait().unwrap().code(), Some(1), "{text}");
    assert!(text.contains(" WARNING - "), "{text}");
    assert!(text.contains("growth="), "{text}");
}

#[test]
fn what_one_service_loses_does_not_hide_what_another_gains() {
    let lab = Lab::new();
    let lost = lab.start("leak", &["connections=60"]);
    let mut checking = Command::new(closewait())
        .args(["check", "--growth", "1", "--for", "2s", "--grace", "0"])
        .args(["--sample", "0", "-t", "600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stopped = stopped_between_readings(&checking);
    let gained = lab.start("leak", &["connections=20"]);
    drop(lost);
    kill_process(stopped, Signal::CONT).unwrap();
    let mut text = String::new();
    let mut out = checking.stdout.take().unwrap();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(checking.wait().unwrap().code(), Some(1), "{text}");
    // 20 in 2 s are 600 per minute; the machine may have taken longer.
    assert!((1.0..=600.0).contains(&figure(&text, "growth")), "{text}");
    drop(gained);
}

#[test]
fn a_slash_min_is_the_end_of_a_limit_and_nothing_else() {
    for (limits, code) in [
        ("10/min", 0),
        ("10/min,20/min", 0),
        ("10/min/min", 3),
        ("1/min0", 3),
        ("/min", 3),
    ] {
        let args = [
            "check",
            "--growth",
            limits,
            "--for",
            "1ms",
            "state",
            "close-wait",
        ];
        let run = run(Command::new(closewait()).args(args));
        let is_mistake = run.stdout.contains("invalid value");
        assert_eq!(is_mistake, code == 3, "{limits}: {}", run.stdout);
    }
}

#[test]
fn what_the_source_cannot_tell_is_no_all_clear() {
    let lab = Lab::new();
    let slow = lab.start("slow", &["connections=3", "patience_ms=300"]);
    let port = slow.port().to_string();
    lab.lingering(slow.port(), 3, Age::Least);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("no-evidence.cw");
    let file = file.to_str().unwrap();
    let recorded = lab.closewait(&["record", "--no-evidence", file]);
    assert_eq!(recorded.code, 0, "{}", recorded.stderr);
    let procfs = ["--source", "procfs", "--port", &port];
    for (args, code) in [
        // Without times, a slow handler cannot be recognized.
        (&["check", "--cause", "slow-handler", "-w", "0"][..], 3),
        (&["-q", "--cause", "slow-handler"], 2),
        (&["check", "--state", "bound-inactive", "-w", "0"], 3),
        (&["-q", "state", "bound-inactive"], 2),
    ] {
        let words = [args, &procfs[..2]].concat();
        let found = lab.closewait(&words);
        assert_eq!(found.code, code, "{words:?}: {}", found.stdout);
    }
    let reported = lab.closewait(&["check", "--cause", "slow-handler", "-w", "0"]);
    assert_eq!(reported.code, 1, "{}", reported.stdout);
    for (args, code) in [
        (&["check", "--from", file][..], 3),
        (&["check", "--from", file, "-w", "10"], 0),
        (&["check", "--no-evidence"], 3),
    ] {
        let found = lab.closewait(args);
        assert_eq!(found.code, code, "{args:?}: {}", found.stdout);
    }
}
