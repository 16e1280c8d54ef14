//! Output to terminals and pipes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::lab::{Lab, Lack, closewait, left_out, sockets_of};

const STATES: [&str; 11] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
];

#[test]
fn a_listing_in_a_pipe_is_plain_lines_with_the_state_in_the_sixth_column() {
    let lab = Lab::new();
    let _states = lab.start("states", &[]);
    for args in [
        &["list", "-an"][..],
        &["-atunlp"],
        &["list", "-aneo"],
        &["list", "-aH"],
    ] {
        let run = lab.closewait(args);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(
            !run.stdout.contains('\x1b'),
            "colour in a pipe with {args:?}"
        );
        let headless = args.contains(&"-aH");
        let lines: Vec<&str> = run.stdout.lines().collect();
        assert_eq!(
            lines[0].starts_with("Proto Recv-Q Send-Q Local Address"),
            !headless
        );
        for line in &lines[usize::from(!headless)..] {
            assert_eq!(*line, line.trim_end(), "trailing blanks");
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            assert!(STATES.contains(&fields[5]), "{line:?} with {args:?}");
            assert!(fields[0] == "tcp" || fields[0] == "tcp6", "{line:?}");
        }
    }
}

#[test]
fn the_letters_and_lists_own_default_leave_out_what_netstat_leaves_out() {
    let lab = Lab::new();
    let _states = lab.start("states", &[]);
    let states = |args: &[&str]| -> Vec<String> {
        let run = lab.closewait(args);
        let sixth = |line: &str| line.split_ascii_whitespace().nth(5).unwrap().to_owned();
        run.stdout.lines().skip(1).map(sixth).collect()
    };
    assert!(!states(&["list"]).contains(&"LISTEN".to_owned()));
    assert!(states(&["-an"]).contains(&"LISTEN".to_owned()));
    assert!(states(&["-atunlp"]).contains(&"ESTABLISHED".to_owned()));
    assert!(states(&["-tln"]).iter().all(|state| state == "LISTEN"));
}

#[test]
fn every_form_has_every_socket() {
    let lab = Lab::new();
    let states = lab.start("states", &[]);
    let port = states.fact("ports")["v4"].to_string();
    let list = |form: &str| {
        let run = lab.closewait(&["list", "-a", "--port", &port, form]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        run.stdout
    };
    let document: Value = serde_json::from_str(&list("--json")).unwrap();
    let expected = sockets_of(&document).count();
    assert!(expected > 10);
    let lines = list("--jsonl");
    let parsed = lines.lines().map(serde_json::from_str::<Value>);
    assert_eq!(parsed.map(Result::unwrap).count(), expected);
    let mut csv = csv::Reader::from_reader(list("--csv").as_bytes().to_vec().leak() as &[u8]);
    assert_eq!(csv.records().map(Result::unwrap).count(), expected);
    assert_eq!(list("--no-header").lines().count(), expected);
}

#[test]
fn a_hostile_name_reaches_no_terminal_and_breaks_no_line() {
    let lab = Lab::new();
    let name = "a\x1b[31mX\nY\x1b]0;";
    let held = lab.start("leak", &["connections=2", &format!("name={name}")]);
    let pid = held.pid().to_string();
    let comm = std::fs::read(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(
        comm,
        format!("{name}\n").into_bytes(),
        "the kernel took the name as it is"
    );

    let list = lab.closewait(&["list", "--pid", &pid, "--no-header", "--color", "never"]);
    assert!(!list.stdout.contains('\x1b'));
    assert_eq!(list.stdout.lines().count(), 2, "{}", list.stdout);
    for line in list.stdout.lines() {
        assert!(
            line.ends_with(&format!("a\\x1b[31mX\\nY\\x1b]0;[{pid}]")),
            "{line}"
        );
    }
    for args in [&["--pid", &pid][..], &["list", "--pid", &pid]] {
        for color in ["never", "always"] {
            let run = lab.closewait(&[args, &["--color", color]].concat());
            assert_eq!(run.code, 0, "{}", run.stderr);
            assert!(!run.stdout.contains("\x1b[31mX"), "{}", run.stdout);
            assert!(!run.stdout.contains("\x1b]"), "{}", run.stdout);
            assert!(
                !run.stdout.lines().any(|line| line.starts_with("Y")),
                "{}",
                run.stdout
            );
            assert_eq!(color == "always", run.stdout.contains('\x1b'));
        }
    }
    let document = lab.json(&["list", "--pid", &pid]);
    for socket in sockets_of(&document) {
        assert_eq!(socket["owners"][0]["name"], name);
    }
    let document = lab.json(&["--pid", &pid]);
    assert_eq!(document["groups"][0]["owners"][0]["name"], name);
    let by_name = lab.json(&["list", "--program", name]);
    assert_eq!(sockets_of(&by_name).count(), 2);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let lab = Lab::new();
    let _held = lab.start("leak", &["connections=400"]);
    for args in [&["list"][..], &["list", "--json"], &["list", "--csv"], &[]] {
        // There is no reader.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(closewait())
            .args(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    }
    // A reader takes only the first line, like head.
    let mut child = Command::new(closewait())
        .args(["list", "-a"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    drop(reader);
    assert!(first.starts_with("Proto"), "{first:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn no_close_wait_is_said_in_so_many_words() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let run = lab.closewait(&[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.contains("CLOSE_WAIT"), "{}", run.stdout);
    let words = run.stdout.to_lowercase();
    assert!(
        words.contains("no close_wait") || words.contains("no socket"),
        "{}",
        run.stdout
    );
}
