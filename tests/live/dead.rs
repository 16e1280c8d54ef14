//! Open descriptors whose connections are gone: they are in no table.

use serde_json::Value;

use crate::lab::{Lab, Lack, is_root, left_out};

/// The severity, the count and the share of the limit of each finding of dead descriptors.
fn dead(triage: &Value) -> Vec<(&str, u64, Option<u64>)> {
    let findings = triage["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["cause"] == "dead-descriptors")
        .map(|finding| {
            (
                finding["severity"].as_str().unwrap(),
                finding["sockets"].as_u64().unwrap(),
                finding["fd_percent"].as_u64(),
            )
        })
        .collect()
}

#[test]
fn connections_that_were_reset_and_not_closed_are_a_finding_by_both_scans() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let _reset = lab.start(
        "leak",
        &["connections=0", "dead=120", "files=400", "name=holder"],
    );
    let mut scans = vec!["procfs"];
    if lab.closewait(&["list", "-a", "--scan", "bpf"]).code == 0 {
        scans.push("bpf");
    } else {
        left_out(Lack::Kernel("no BPF iterator"));
    }
    for scan in scans {
        let triage = lab.json(&["--scan", scan]);
        assert_eq!(dead(&triage), [("warning", 120, Some(30))], "{scan}");
        let check = lab.closewait(&["check", "--scan", scan]);
        assert_eq!(check.code, 1, "{}", check.stdout);
        let said = "120 TCP descriptors of holder[";
        assert!(check.stdout.contains(said), "{}", check.stdout);
    }
    // They have no port and no state, so a filter cannot select them.
    for filter in [
        ["port", "=", "1"].as_slice(),
        &["state", "close-wait"],
        &["program", "=", "x"],
    ] {
        let check = lab.closewait(&[&["check"], filter].concat());
        assert_eq!(check.code, 0, "{}", check.stdout);
    }
    let check = lab.closewait(&["check", "program", "=", "holder"]);
    assert_eq!(check.code, 1, "{}", check.stdout);
}

#[test]
fn dead_descriptors_are_told_by_a_recording_too() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let _reset = lab.start(
        "leak",
        &["connections=0", "dead=60", "files=100", "name=holder"],
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recording");
    let file = file.to_str().unwrap();
    let recorded = lab.closewait(&["record", file]);
    assert_eq!(recorded.code, 0, "{}", recorded.stderr);
    let triage = lab.json(&["--from", file]);
    assert_eq!(dead(&triage), [("critical", 60, Some(60))]);
}

#[test]
fn live_sockets_that_are_in_no_tcp_table_here_are_not_dead() {
    let lab = Lab::new();
    let elsewhere = Lab::new();
    lab.enter();
    let Some(holder) = elsewhere.holder_pid().filter(|_| is_root()) else {
        left_out(Lack::Namespace);
        return;
    };
    let crowd_in = format!("crowd_in=/proc/{holder}/ns/net");
    let _crowd = lab.start(
        "leak",
        &["connections=0", "crowd=150", &crowd_in, "files=500"],
    );
    for args in [[].as_slice(), &["-A"]] {
        let triage = lab.json(args);
        let found = dead(&triage);
        // Ignores the descriptors of other tests.
        assert!(
            !found.iter().any(|(_, sockets, _)| *sockets >= 150),
            "{found:?}"
        );
    }
    let check = lab.closewait(&["check"]);
    assert_eq!(check.code, 0, "{}", check.stdout);
}
