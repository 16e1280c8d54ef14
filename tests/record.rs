//! Recordings: the same results as the live run, and errors for damaged files.

#![cfg(target_endian = "little")]

use std::path::{Path, PathBuf};
use std::process::Command;

use closewait::recording::{Recording, RecordingError};
use serde_json::Value;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/recordings")
        .join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn closewait(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_closewait"))
        .env("LC_ALL", "C.UTF-8")
        .args(args)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_recording_of_another_host_says_what_was_wrong_there() {
    let file = path("leak.cw");
    let (code, stdout, stderr) = closewait(&["--from", file.to_str().unwrap(), "--json"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["source"], "recording");
    assert_eq!(document["taken_at"], "2026-11-25T04:33:50.856Z");
    let findings = document["findings"].as_array().unwrap();
    let told: Vec<(&str, u64, &str)> = findings
        .iter()
        .map(|finding| {
            (
                finding["cause"].as_str().unwrap(),
                finding["sockets"].as_u64().unwrap(),
                finding["severity"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("not-accepted", 5, "critical"),
            ("never-closed", 12, "info"),
            ("slow-handler", 6, "info"),
            ("never-closed", 5, "info"),
        ]
    );
    let epoll = &findings[1]["processes"][0]["epoll"];
    assert_eq!(epoll["absent"], 12, "{epoll}");
}

#[test]
fn what_is_selected_of_a_recording_is_told_of_that_alone() {
    let file = path("leak.cw");
    let file = file.to_str().unwrap();
    let count = |filter: &[&str]| {
        let args = [&["--from", file, "list", "--json"], filter].concat();
        let (code, stdout, stderr) = closewait(&args);
        assert_eq!(code, 0, "{filter:?}: {stderr}");
        let document: Value = serde_json::from_str(&stdout).unwrap();
        document["sockets"].as_array().unwrap().len()
    };
    assert_eq!(count(&[]), 56);
    assert_eq!(count(&["state", "close-wait"]), 28);
    assert_eq!(count(&["--cause", "slow-handler"]), 6);
    assert_eq!(
        count(&["program = program-1 and recvq > 1 and state close-wait"]),
        5
    );
    assert_eq!(count(&["user = user-1 and state close-wait"]), 23);
    assert_eq!(count(&["-6"]), 0);
    let (code, _, stderr) = closewait(&["--from", file, "dev = eth0"]);
    assert_eq!(code, 2);
    assert!(stderr.contains("eth0"), "{stderr}");
}

#[test]
fn whoever_asks_of_a_recording_what_only_a_host_has_is_told() {
    let file = path("leak.cw");
    let file = file.to_str().unwrap();
    for flags in [
        &["-A"][..],
        &["-N", "blue"],
        &["--proc", "/proc"],
        &["--source", "procfs"],
    ] {
        let (code, _, stderr) = closewait(&[&["--from", file], flags].concat());
        assert_eq!(code, 2, "{flags:?}");
        assert!(stderr.contains("cannot be used with"), "{stderr}");
    }
    let (code, stdout, _) = closewait(&["check", "--from", file, "--growth", "1"]);
    assert_eq!(code, 3, "{stdout}");
    assert!(stdout.starts_with("CLOSE_WAIT UNKNOWN - "), "{stdout}");
    let (code, _, stderr) = closewait(&["record", "/nowhere/x", "--from", file]);
    assert_eq!(code, 2);
    assert!(stderr.contains("--redact"), "{stderr}");
}

#[test]
fn an_empty_list_of_a_port_or_program_says_that_nothing_matches() {
    let file = path("leak.cw");
    let listed = |args: &[&str]| {
        let all = [&["list", "--from", file.to_str().unwrap()], args].concat();
        let (code, _, stderr) = closewait(&all);
        assert_eq!(code, 0, "{stderr}");
        stderr
    };
    let stderr = listed(&["--program", "porgram-1", "--csv"]);
    let said = "closewait: no socket matches program porgram-1; did you mean program-1?\n";
    assert_eq!(stderr, said);
    let said = "closewait: no socket matches port 9; use -a to include listeners\n";
    assert_eq!(listed(&["--port", "9"]), said);
    assert_eq!(
        listed(&["--port", "9", "-a"]),
        "closewait: no socket matches port 9\n"
    );
    assert_eq!(listed(&["dst", "192.0.2.9"]), "");
}

#[test]
fn what_is_read_and_written_again_is_the_same_file() {
    for name in ["leak.cw", "later.cw"] {
        let before = bytes(name);
        let mut after = Vec::new();
        Recording::read(&before).unwrap().write(&mut after).unwrap();
        assert!(before == after, "{name}");
    }
}

#[test]
fn a_file_that_is_cut_off_anywhere_says_so() {
    let whole = bytes("leak.cw");
    for length in 0..whole.len() {
        let error = Recording::read(&whole[..length]).unwrap_err();
        let expected = if length == 0 {
            matches!(error, RecordingError::Foreign)
        } else {
            matches!(error, RecordingError::Truncated)
        };
        assert!(expected, "{length}: {error}");
    }
}

#[test]
fn a_file_with_any_byte_changed_is_no_recording() {
    let whole = bytes("leak.cw");
    for at in 0..whole.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= bit;
            assert!(Recording::read(&changed).is_err(), "{at} {bit:#x}");
        }
    }
    let longer = [whole.as_slice(), b"\n"].concat();
    assert!(Recording::read(&longer).is_err());
}

#[test]
fn a_file_of_a_newer_closewait_is_told_from_one_that_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.cw");
    for (text, code, words) in [
        ("closewait recording 2\nwhatever", 1, "format 2"),
        ("closewait recording 4294967295\n", 1, "format 4294967295"),
        ("closewait recording 0\n", 1, "not a recording"),
        ("closewait recording -1\n", 1, "not a recording"),
        ("closewait recording 1", 1, "truncated"),
        ("closewait recording 1\n", 1, "truncated"),
        ("\x1f\u{8b}not this", 1, "not a recording"),
        ("", 1, "not a recording"),
    ] {
        std::fs::write(&file, text).unwrap();
        let name = file.to_str().unwrap();
        let (got, stdout, stderr) = closewait(&["--from", name]);
        assert_eq!((got, stdout.as_str()), (code, ""), "{text:?}");
        assert!(
            stderr.contains(words) && stderr.contains(name),
            "{text:?}: {stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert_eq!(closewait(&["-q", "--from", name]).0, 2, "{text:?}");
        assert_eq!(closewait(&["check", "--from", name]).0, 3, "{text:?}");
    }
    assert_eq!(closewait(&["--from", "/nowhere/x.cw"]).0, 1);
}

#[test]
fn a_file_that_is_there_is_not_replaced_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.cw");
    let name = file.to_str().unwrap();
    std::fs::write(&file, "precious").unwrap();
    let source = path("leak.cw");
    let again = [
        "record",
        name,
        "--redact",
        "--from",
        source.to_str().unwrap(),
    ];
    let (code, _, stderr) = closewait(&again);
    assert_eq!(code, 1);
    assert!(stderr.contains("--force"), "{stderr}");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let (code, _, stderr) = closewait(&[&again[..], &["--force"]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(Recording::open(&file).unwrap().facts.redacted);
}

#[test]
fn udp_is_replayed_from_messages_and_from_text() {
    let listed = |name: &str, letters: &str| -> Vec<(String, String, u64, u64)> {
        let file = path(name);
        let (code, stdout, stderr) =
            closewait(&["--from", file.to_str().unwrap(), "list", letters, "--json"]);
        assert_eq!(code, 0, "{stderr}");
        let document: Value = serde_json::from_str(&stdout).unwrap();
        let mut sockets: Vec<_> = document["sockets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|socket| {
                let text = |name: &str| socket[name].as_str().unwrap().to_owned();
                let port = socket["local"]["port"].as_u64().unwrap();
                let queue = socket["recv_q"].as_u64().unwrap();
                (text("protocol"), text("state"), queue, port)
            })
            .collect();
        sockets.sort();
        sockets
    };
    for letters in ["-u", "-ua", "-ul", "-tua", "-ta", "-ua4", "-ua6"] {
        let messages = listed("udp.cw", letters);
        assert_eq!(messages, listed("udp-procfs.cw", letters), "{letters}");
        assert!(!messages.is_empty(), "{letters}");
    }
    let all = listed("udp.cw", "-tua");
    assert_eq!(all.len(), 8, "{all:?}");
    assert!(all.contains(&("udp".into(), "UNCONN".into(), 832, 5353)));
    let connected = listed("udp.cw", "-u");
    assert_eq!(connected.len(), 3, "{connected:?}");
}

#[test]
fn which_worker_holds_most_is_counted_by_process() {
    let file = path("leak.cw");
    let words = [
        "--from",
        file.to_str().unwrap(),
        "--by",
        "pid",
        "--json",
        "state",
        "close-wait",
    ];
    let (code, stdout, stderr) = closewait(&words);
    assert_eq!(code, 0, "{stderr}");
    let document: Value = serde_json::from_str(&stdout).unwrap();
    let rows = document["by"]["rows"].as_array().unwrap().iter();
    let counts: Vec<(u64, u64)> = rows
        .map(|row| {
            (
                row["pid"].as_u64().unwrap(),
                row["sockets"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(counts, [(20228, 12), (20230, 6), (20232, 5), (20234, 5)]);
}
