//! Output that cannot be written, and running out of memory: an exit code and one line report it.

#![cfg(target_endian = "little")]

use std::path::Path;
use std::process::{Command, Output};

const CLOSEWAIT: &str = env!("CARGO_BIN_EXE_closewait");

fn recording() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings/leak.cw");
    path.to_str().unwrap().to_owned()
}

/// Runs the command as a shell does that was told something else of its streams or limits first.
fn shell(words: &str, args: &[&str]) -> Output {
    let script = format!(r#"exec "$0" "$@" {words}"#);
    let mut command = Command::new("sh");
    command.args(["-c", &script, CLOSEWAIT]).args(args);
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Every kind of output, and the code by which it says that it went nowhere.
fn outputs(recording: &str) -> Vec<(Vec<&str>, i32)> {
    let from = ["--from", recording];
    let with = |words: &[&'static str]| [words, &from].concat();
    vec![
        (vec!["--help"], 1),
        (vec!["list", "-h"], 1),
        (vec!["--version"], 1),
        (vec!["man"], 1),
        (vec!["completions", "bash"], 1),
        (vec!["explain", "CLOSE_WAIT"], 1),
        (vec!["list", "--columns", "help"], 1),
        (with(&[]), 1),
        (with(&["--json"]), 1),
        (with(&["--prometheus"]), 1),
        (with(&["--by", "port"]), 1),
        (with(&["explain"]), 1),
        (with(&["list"]), 1),
        (with(&["list", "--csv"]), 1),
        // Nothing is printed, and nobody would know.
        (with(&["list", "--jsonl", "--port", "1"]), 1),
        (with(&["record", "-", "--redact"]), 1),
        (vec!["record", "-"], 1),
        (vec!["diff", recording, recording], 1),
        (vec!["check", "--help"], 3),
        // No alarm is lost, and nothing is called OK.
        (with(&["check", "--state", "listen", "-c", "100"]), 3),
        (
            with(&["check", "--state", "listen", "-w", "0", "-c", "100"]),
            1,
        ),
        (with(&["check", "--state", "listen", "-c", "0"]), 2),
        (vec!["check", "--from", "/nonexistent"], 3),
        (vec!["check", "--port", "70000"], 3),
    ]
}

#[test]
fn nothing_ends_well_whose_output_went_nowhere() {
    let recording = recording();
    for (args, code) in outputs(&recording) {
        // Closed; open for reading only; a disk that is full.
        for stream in [">&-", "1</dev/null", ">/dev/full"] {
            if stream != ">&-" && args.contains(&"1") && args.contains(&"--jsonl") {
                // Nothing was written, so nothing was lost.
                continue;
            }
            let output = shell(stream, &args);
            let said = stderr(&output);
            assert_eq!(
                output.status.code(),
                Some(code),
                "{args:?} {stream}: {said}"
            );
            // A mistake comes with the usage.
            let lines = said
                .lines()
                .filter(|line| line.starts_with("closewait: ") && !line.contains("not seen"));
            assert_eq!(lines.count(), 1, "{args:?} {stream}: {said}");
        }
    }
}

#[test]
fn a_stdout_that_is_closed_is_called_so() {
    let output = shell(">&-", &["list", "--from", &recording()]);
    let told = "closewait: could not write the output: stdout is closed\n";
    assert_eq!(stderr(&output), told);
    let output = shell(">&-", &["record", "-", "--from", &recording(), "--redact"]);
    let told = "closewait: could not write the recording: stdout is closed\n";
    assert_eq!(stderr(&output), told);
}

#[test]
fn what_does_not_go_to_stdout_needs_none() {
    let dir = tempfile::tempdir().unwrap();
    let (table, recorded) = (dir.path().join("table"), dir.path().join("x.cw"));
    let recording = recording();
    let from = ["--from", recording.as_str()];
    for (args, code) in [
        (vec!["--output", table.to_str().unwrap()], 0),
        (vec!["record", recorded.to_str().unwrap(), "--redact"], 0),
        (vec!["-q"], 0),
        (vec!["-q", "--port", "1"], 1),
    ] {
        let output = shell(">&-", &[&args[..], &from].concat());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    }
    assert!(std::fs::metadata(table).unwrap().len() > 100);
    assert!(std::fs::metadata(recorded).unwrap().len() > 100);
}

#[test]
fn a_dev_null_of_whoever_started_it_is_as_good_as_any() {
    for stream in [">/dev/null", "<>/dev/null 1<&0"] {
        let output = shell(stream, &["list", "--from", &recording()]);
        assert_eq!(output.status.code(), Some(0), "{stream}: {output:?}");
        assert_eq!(stderr(&output), "", "{stream}");
    }
    // Not even stderr is there.
    let output = shell(">/dev/null 2>&-", &["list", "--from", &recording()]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_reader_that_has_gone_changes_no_verdict_and_spoils_no_listing() {
    let recording = recording();
    for (args, code) in [
        (vec!["list", "--from", &recording], 0),
        (
            vec![
                "check", "--state", "listen", "-c", "100", "--from", &recording,
            ],
            0,
        ),
        (
            vec![
                "check", "--state", "listen", "-c", "0", "--from", &recording,
            ],
            2,
        ),
        // Half a recording is none.
        (vec!["record", "-", "--redact", "--from", &recording], 1),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(CLOSEWAIT);
        let output = command.args(&args).stdout(writer).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert_eq!(said.is_empty(), code != 1, "{args:?}: {said}");
    }
}

#[test]
fn without_memory_a_check_is_unknown_and_everything_else_an_error() {
    let within = |kilobytes: u32, args: &[&str]| {
        let script = format!(r#"ulimit -v {kilobytes}; exec "$0" "$@""#);
        let mut command = Command::new("sh");
        command.args(["-c", &script, CLOSEWAIT]).args(args);
        command.output().unwrap()
    };
    // Below, the loader has no room for the program itself.
    let starts = (8..400)
        .map(|step| step * 250)
        .find(|limit| matches!(within(*limit, &["--version"]).status.code(), Some(0 | 1)))
        .expect("a limit within which it starts");
    let mut refused = 0;
    for limit in (0..40).map(|step| starts + step * 250) {
        let output = within(limit, &["check", "-w", "1000000", "-c", "1000000"]);
        let line = String::from_utf8_lossy(&output.stdout).into_owned();
        let code = output.status.code();
        assert!(matches!(code, Some(0..=3)), "{limit}: {output:?}");
        assert_eq!(line.lines().count(), 1, "{limit}: {output:?}");
        assert_eq!(
            code == Some(3),
            line.contains("UNKNOWN - "),
            "{limit}: {line}"
        );
        refused += u32::from(line.contains("UNKNOWN - not enough memory"));
        let output = within(limit, &["list", "--json"]);
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{limit}: {output:?}"
        );
    }
    assert!(refused > 0, "no limit was too low");
}

#[test]
fn a_small_stack_ends_no_run() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/recordings/leak.cw");
    for kilobytes in [64, 128, 512, 1024] {
        for args in [
            &[][..],
            &["list", "-a"],
            &["check", "--from", recording],
            &["--json"],
        ] {
            let script = format!(r#"ulimit -s {kilobytes}; exec "$0" "$@""#);
            let mut command = Command::new("sh");
            command.args(["-c", &script, CLOSEWAIT]).args(args);
            let output = command.output().unwrap();
            assert!(
                matches!(output.status.code(), Some(0..=3)) && !output.stdout.is_empty(),
                "{kilobytes} {args:?}: {output:?}"
            );
        }
    }
}
