//! Failures give one line, the right exit code, and no panic.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::lab::{Lab, Lack, Nobody, Run, closewait, left_out, misbehave, run};

fn says(run: &Run, code: i32, words: &[&str]) {
    assert_eq!(run.code, code, "{run:?}");
    assert!(run.stdout.is_empty(), "{run:?}");
    assert!(!run.stderr.contains("panicked"), "{run:?}");
    for word in words {
        assert!(
            run.stderr.contains(word),
            "{word:?} is not in {:?}",
            run.stderr
        );
    }
}

#[test]
fn an_unknown_state_is_a_usage_error_that_names_it() {
    let lab = Lab::new();
    says(
        &lab.closewait(&["list", "--state", "closed-wait"]),
        2,
        &["closed-wait"],
    );
}

#[test]
fn a_port_beyond_65535_is_a_usage_error() {
    let lab = Lab::new();
    says(&lab.closewait(&["list", "--port", "70000"]), 2, &["70000"]);
}

#[test]
fn a_namespace_that_does_not_exist_is_named_in_the_error() {
    let lab = Lab::new();
    // The number in brackets is that of a namespace, not of process 1.
    for name in ["nowhere", "/run/netns/nowhere", "4194305", "net:[1]"] {
        says(&lab.closewait(&["-N", name]), 1, &["closewait:", name]);
        says(&lab.closewait(&["list", "-N", name, "--json"]), 1, &[name]);
        says(&lab.closewait(&["-q", "-N", name]), 2, &[name]);
    }
}

#[test]
fn a_file_that_is_no_namespace_is_an_error() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    says(
        &lab.closewait(&["-N", "/proc/self/status"]),
        1,
        &["/proc/self/status"],
    );
}

#[test]
fn a_proc_that_cannot_be_read_is_an_error_where_sockets_come_from_it() {
    let lab = Lab::new();
    let run = lab.closewait(&["--source", "procfs", "--proc", "/nonexistent"]);
    says(&run, 1, &["closewait:", "/nonexistent"]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o000)).unwrap();
    let path = dir.path().to_str().unwrap();
    let nobody = Nobody::new();
    let run = nobody.closewait(&["--source", "procfs", "--proc", path]);
    says(&run, 1, &["closewait:", path]);
}

#[test]
fn without_a_proc_sockets_are_still_shown_and_the_owners_are_a_gap() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=2"]);
    let port = held.port().to_string();
    let document = lab.json(&["--proc", "/nonexistent", "--port", &port]);
    assert_eq!(document["states"]["CLOSE_WAIT"], 2);
    assert_eq!(document["complete"], false);
    let gaps = document["gaps"].as_array().unwrap();
    let kinds: Vec<&str> = gaps.iter().filter_map(|gap| gap["kind"].as_str()).collect();
    assert!(kinds.contains(&"processes-unlisted"), "{gaps:?}");
    let strict = lab.closewait(&["--proc", "/nonexistent", "--strict"]);
    assert_eq!(strict.code, 1);
}

#[test]
fn quiet_answers_with_the_exit_code_alone() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=1"]);
    let port = held.port().to_string();
    let quiet = |args: &[&str]| {
        let run = lab.closewait(&[args, &["-q"]].concat());
        assert_eq!(run.stdout, "", "{args:?}");
        run.code
    };
    assert_eq!(quiet(&["--state", "close-wait", "--port", &port]), 0);
    assert_eq!(quiet(&["--state", "last-ack", "--port", &port]), 1);
    assert_eq!(quiet(&["--pid", &held.pid().to_string()]), 0);
    assert_eq!(quiet(&["--pid", "4194305", "--port", &port]), 1);
    assert_eq!(quiet(&["--state", "nonsense"]), 2);
    assert_eq!(quiet(&["--source", "procfs", "--proc", "/nonexistent"]), 2);
}

#[test]
fn quiet_does_not_say_none_when_owners_are_hidden() {
    let lab = Lab::new();
    if !crate::lab::is_root() {
        left_out(Lack::Root);
        return;
    }
    let held = lab.start("leak", &["connections=1"]);
    let run = Nobody::new().closewait(&["-q", "--pid", &held.pid().to_string()]);
    assert_eq!(run.code, 2, "{run:?}");
}

#[test]
fn where_neither_sock_diag_nor_proc_can_be_read_the_error_tells_of_both() {
    for of_protocol in ["-t", "-u"] {
        let mut confined = Command::new(misbehave());
        confined.arg("confined").arg(closewait());
        let reported = run(confined.args([of_protocol, "--proc", "/nonexistent"]));
        let words = ["sock_diag", "not permitted", "/nonexistent/net"];
        says(&reported, 1, &words);
        assert_eq!(reported.stderr.lines().count(), 1, "{reported:?}");
    }
}

#[test]
fn a_dump_that_never_ends_is_broken_off() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=2"]);
    let port = held.port().to_string();
    let mut empty = Command::new("timeout");
    empty.arg("60").arg(misbehave()).arg("empty");
    let reported = run(empty.arg(closewait()).args(["--json", "--port", &port]));
    assert_eq!(reported.code, 0, "{reported:?}");
    let document: serde_json::Value = serde_json::from_str(&reported.stdout).unwrap();
    assert_eq!(document["states"]["CLOSE_WAIT"], 2);
    assert_eq!(document["source"], "procfs");
    assert!(
        reported.stdout.contains("did not end"),
        "{}",
        reported.stdout
    );
}

#[test]
fn without_a_thread_everything_is_done_by_the_one_that_is_there() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=700"]);
    let port = held.port().to_string();
    let alone = |args: &[&str]| {
        let mut alone = Command::new(misbehave());
        let reported = run(alone.arg("alone").arg(closewait()).args(args));
        assert!(
            !reported.stderr.contains("panicked"),
            "{args:?}: {reported:?}"
        );
        reported
    };
    let list = ["list", "--state", "close-wait", "--port", &port];
    let names = [&list[..], &["--columns", "local,remote,owner"]].concat();
    let (with, without) = (lab.closewait(&names), alone(&names));
    assert_eq!(without.code, 0, "{without:?}");
    assert_eq!(with.stdout, without.stdout);
    assert!(without.stdout.lines().count() > 700);
    for (args, codes) in [
        (&["--port", &port][..], &[0][..]),
        (&["--json"], &[0]),
        (&["-q", "--port", &port], &[0]),
        (&["--scan", "procfs"], &[0]),
        (
            &["check", "-w", "1", "-c", "9999", "--port", &port],
            &[0, 1, 2],
        ),
        // Another namespace is entered in a separate thread.
        (&["-A"], &[0, 1]),
        (&["-N", "net:[1]"], &[1]),
        (&["--scan", "bpf", "--port", &port], &[1]),
    ] {
        let reported = alone(args);
        assert!(codes.contains(&reported.code), "{args:?}: {reported:?}");
    }
}

#[test]
fn where_descriptors_run_out_the_limit_is_named_and_no_capability() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let pid = lab.holder_pid().unwrap().to_string();
    let _another = Lab::new();
    let mut named = 0;
    for files in 3..16 {
        for args in [&["-A", "--json", "--no-evidence"][..], &["-N", &pid]] {
            let script = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
            let mut limited = Command::new("sh");
            let reported = run(limited.args(["-c", &script]).arg(closewait()).args(args));
            let all = [reported.stdout.as_str(), &reported.stderr].concat();
            // The loader did not find the shared libraries of the program.
            if reported.code == 127 && reported.stderr.contains("shared librar") {
                continue;
            }
            assert!(
                [0, 1].contains(&reported.code),
                "{files} {args:?}: {reported:?}"
            );
            assert!(!all.contains("panicked"), "{files} {args:?}: {reported:?}");
            if all.contains("(os error 24)") && !all.contains("CLOSE_WAIT") {
                assert!(all.contains("ulimit -n"), "{files} {args:?}: {reported:?}");
            }
            if args.contains(&"--json") && reported.code == 0 {
                let document: serde_json::Value = serde_json::from_str(&reported.stdout).unwrap();
                let gaps = document["gaps"].as_array().unwrap().iter();
                for gap in gaps.filter(|gap| gap["detail"].to_string().contains("os error 24")) {
                    let hint = gap["hint"].to_string();
                    assert!(!hint.contains("CAP_"), "{files}: {gap}");
                    named += u32::from(hint.contains("ulimit -n"));
                }
            }
        }
    }
    assert!(named > 0);
}
