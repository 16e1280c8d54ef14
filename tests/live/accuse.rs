//! What a test expects the tool to report about a program, and checks of the reports.

use std::fmt::Debug;

use serde_json::Value;

use crate::lab::{Age, sockets_of};

/// The expected result for one program.
#[derive(Debug)]
pub struct Expected<'a> {
    pub cause: &'a str,
    pub sockets: usize,
    pub severity: &'a str,
    /// `server` with the local port, or `client` with the remote one.
    pub end: (&'a str, u64),
    pub owner_kind: &'a str,
    /// In ascending order.
    pub pids: Vec<u64>,
    pub age: Age,
}

/// Checks each socket in a listing: its cause, its side and all of its holders.
pub fn check_list(list: &Value, expected: &Expected<'_>) {
    assert_eq!(sockets_of(list).count(), expected.sockets);
    for socket in sockets_of(list) {
        assert_eq!(socket["cause"], expected.cause, "{socket}");
        assert_eq!(socket["side"], expected.end.0, "{socket}");
        assert_eq!(socket["owner_kind"], expected.owner_kind, "{socket}");
        assert_eq!(pids_of(socket), expected.pids, "{socket}");
    }
}

/// Checks that a triage document has one group and one finding about a program, and nothing else. Returns the
/// finding.
pub fn check_triage<'a>(document: &'a Value, expected: &Expected<'_>) -> &'a Value {
    let about = |entry: &&Value| {
        entry["state"] != "LISTEN" && at(entry, expected.end) && entry["sockets"] != 0
    };
    let groups: Vec<&Value> = array(document, "groups")
        .filter(about)
        .filter(|group| group["state"] == "CLOSE_WAIT")
        .collect();
    let group = only(&groups, expected);
    assert_eq!(group["owner_kind"], expected.owner_kind, "{group:#}");
    assert_eq!(pids_of(group), expected.pids, "{group:#}");
    let causes = group["causes"].as_object().unwrap();
    let found: Vec<(&str, Option<u64>)> = causes
        .iter()
        .map(|(cause, count)| (cause.as_str(), count.as_u64()))
        .collect();
    assert_eq!(
        found,
        [(expected.cause, Some(expected.sockets as u64))],
        "{group:#}"
    );

    let findings: Vec<&Value> = array(document, "findings").filter(about).collect();
    let finding = only(&findings, expected);
    assert_eq!(finding["cause"], expected.cause, "{finding:#}");
    assert_eq!(finding["sockets"], expected.sockets, "{finding:#}");
    assert_eq!(finding["owner_kind"], expected.owner_kind, "{finding:#}");
    assert_eq!(pids_of(finding), expected.pids, "{finding:#}");
    assert_eq!(finding["severity"], expected.severity, "{finding:#}");
    finding
}

/// Checks that one line of the evidence contains all of these words.
pub fn check_evidence(finding: &Value, words: &[&str]) {
    let said = array(finding, "evidence").any(|line| {
        let line = line.as_str().unwrap();
        words.iter().all(|word| line.contains(word))
    });
    assert!(said, "no evidence with {words:?} in {finding:#}");
}

/// Checks that no line of the evidence contains this word.
pub fn check_no_evidence(finding: &Value, word: &str) {
    let said = array(finding, "evidence").any(|line| line.as_str().unwrap().contains(word));
    assert!(!said, "evidence with {word:?} in {finding:#}");
}

pub fn array<'a>(of: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    of[name]
        .as_array()
        .unwrap_or_else(|| panic!("no {name:?} in {of:#}"))
        .iter()
}

/// The processes of an entry, without duplicates, in ascending order.
pub fn pids_of(entry: &Value) -> Vec<u64> {
    let pid = |owner: &Value| owner["pid"].as_u64().unwrap();
    let mut pids: Vec<u64> = array(entry, "owners").map(pid).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn at(entry: &Value, (side, port): (&str, u64)) -> bool {
    let of_entry = match side {
        "server" => &entry["local_port"],
        _ => &entry["remote"]["port"],
    };
    entry["side"] == side && of_entry.as_u64() == Some(port)
}

fn only<'a>(entries: &[&'a Value], expected: impl Debug) -> &'a Value {
    match entries {
        [entry] => entry,
        _ => panic!(
            "not one but {}: {entries:#?} for {expected:?}",
            entries.len()
        ),
    }
}
