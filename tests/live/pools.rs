//! Connections that a server has closed: an idle pool, one that got a farewell, a leak.

use serde_json::Value;

use crate::accuse::{Expected, array, check_evidence, check_list, check_triage};
use crate::lab::{Age, Lab, Program, until};
use crate::prepared::prepared;

/// The finding about the connections of a pool, once all of them count.
fn found(lab: &Lab, pool: &Program) -> Value {
    let expected = Expected {
        cause: "stale-pool",
        sockets: pool.connections(),
        severity: "info",
        end: ("client", pool.number("server_port")),
        owner_kind: "process",
        pids: vec![pool.number("pid")],
        age: Age::Least,
    };
    let port = u16::try_from(expected.end.1).unwrap();
    check_list(
        &lab.lingering(port, expected.sockets, expected.age),
        &expected,
    );
    check_triage(&lab.json(&[]), &expected).clone()
}

fn check_meaning(finding: &Value, words: &str, never: &[&str]) {
    let meaning = finding["meaning"].as_str().unwrap();
    assert!(meaning.contains(words), "{finding:#}");
    for word in never {
        assert!(!meaning.contains(word), "{word:?} in {finding:#}");
    }
}

#[test]
fn a_hundred_and_twenty_that_were_closed_together_are_a_pool_at_rest() {
    let (lab, pool) = prepared("rest");
    let finding = found(&lab, &pool);
    check_meaning(
        &finding,
        "consistent with a pool at rest",
        &["leak", "bod", "bounded"],
    );
    assert_eq!(finding["pool"]["shape"], "burst", "{finding:#}");
    assert_eq!(finding["pool"]["established"], 0, "{finding:#}");
    // They are no fault, but a count includes them.
    let port = pool.number("server_port").to_string();
    let check = lab.closewait(&["check", "--port", &port]);
    assert!(check.stdout.contains("120 in a pool at rest"), "{check:?}");
    assert_eq!(check.code, 0, "{check:?}");
    let check = lab.closewait(&["check", "--port", &port, "-w", "100"]);
    assert!(check.stdout.contains("120 in a pool at rest"), "{check:?}");
    assert_eq!(check.code, 1, "{check:?}");
}

#[test]
fn what_a_server_says_as_it_closes_is_no_response_body() {
    let (lab, pool) = prepared("goodbye");
    let finding = found(&lab, &pool);
    check_meaning(
        &finding,
        "consistent with a message",
        &["bod", "close_notify"],
    );
    check_evidence(&finding, &["116 bytes that came with the FIN"]);
    assert_eq!(finding["pool"]["story"], "at-rest", "{finding:#}");
    check_evidence(&finding, &["1.5 s", "idle timeout"]);
}

#[test]
fn connections_that_are_forgotten_one_after_the_other_are_a_leak() {
    // Started now, since it must still run when it is read.
    let lab = Lab::new();
    let leak = lab.start("drip", &["every_ms=150"]);
    let port = leak.number("server_port");
    let finding = until("a leak", || {
        let document = lab.json(&[]);
        let is_its = |finding: &&Value| {
            finding["cause"] == "stale-pool" && finding["remote"]["port"] == port
        };
        match array(&document, "findings").find(is_its) {
            Some(finding) if finding["pool"]["story"] == "leak" => Ok(finding.clone()),
            finding => Err(format!("{:?}", finding.map(|finding| &finding["pool"]))),
        }
    });
    check_meaning(&finding, "consistent with a leak", &["harmless", "at rest"]);
    check_evidence(&finding, &["one after the other", "a minute for the last"]);
    assert_eq!(finding["pool"]["shape"], "spread", "{finding:#}");
    assert!(
        finding["pool"]["per_minute"].as_f64() > Some(1.0),
        "{finding:#}"
    );
}

#[test]
fn those_who_wait_for_an_exhausted_pool_are_told_whatever_is_selected() {
    let (lab, server) = prepared("starved");
    let (port, pool) = (server.port(), server.number("server_port"));
    lab.lingering(port, server.number("callers") as usize, Age::Least);
    lab.lingering(
        u16::try_from(pool).unwrap(),
        server.connections(),
        Age::Least,
    );
    let document = lab.json(&[]);
    let mut findings = array(&document, "findings");
    let finding = findings
        .find(|finding| finding["remote"]["port"] == pool)
        .unwrap();
    check_meaning(finding, "consistent with an exhausted pool", &["at rest"]);
    assert_eq!(finding["severity"], "warning", "{finding:#}");
    assert_eq!(
        finding["pool"]["callers"],
        server.number("callers"),
        "{finding:#}"
    );
    for selection in [&[][..], &["--port", &port.to_string()]] {
        let document = lab.json(selection);
        let mut findings = array(&document, "findings");
        let finding = findings
            .find(|finding| finding["local_port"] == port)
            .unwrap();
        assert_eq!(finding["cause"], "slow-handler", "{finding:#}");
        assert_eq!(finding["culprit"]["kind"], "exhausted", "{finding:#}");
        assert_eq!(finding["culprit"]["remote"]["port"], pool, "{finding:#}");
    }
}

#[test]
fn requests_as_long_as_a_close_notify_are_not_said_to_be_one() {
    let (lab, deaf) = prepared("short");
    let port = deaf.port();
    lab.lingering(port, deaf.connections(), Age::Least);
    let document = lab.json(&["--port", &port.to_string()]);
    let finding = array(&document, "findings").next().unwrap();
    assert_eq!(finding["cause"], "not-reading", "{finding:#}");
    check_meaning(finding, "Data lies unread", &["close_notify"]);
}
