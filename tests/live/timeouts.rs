//! Timeouts of peers that equal the default of a known setting.

use serde_json::Value;

use crate::accuse::array;
use crate::lab::{Age, Lab, Program, until};

/// The finding about a port at either end, and the names of the settings that it says.
fn found(lab: &Lab, port: u64, sockets: usize) -> (Value, Vec<String>) {
    lab.lingering(u16::try_from(port).unwrap(), sockets, Age::Least);
    let document = lab.json(&["--port", &port.to_string()]);
    let finding = array(&document, "findings")
        .find(|finding| finding["local_port"] == port || finding["remote"]["port"] == port)
        .unwrap_or_else(|| panic!("{document:#}"))
        .clone();
    let equals = array(&finding["patience_ms"], "equals");
    let names = equals.map(|setting| setting["name"].as_str().unwrap().to_owned());
    let names = names.collect();
    (finding, names)
}

fn says(finding: &Value, words: &str) -> bool {
    let mut lines = array(finding, "evidence");
    lines.any(|line| line.as_str().is_some_and(|line| line.contains(words)))
}

/// Starts a program until its peers hang up in time, which they may not on a busy machine.
fn punctual(
    lab: &Lab,
    role: &str,
    settings: &[&str],
    port: &str,
    timeout_ms: u64,
) -> (Program, Value, Vec<String>) {
    until("peers that hang up in time", || {
        let program = lab.start(role, settings);
        let (finding, names) = found(lab, program.number(port), program.connections());
        match finding["patience_ms"]["p50"].as_u64() {
            Some(p50) if p50 <= timeout_ms + 100 => Ok((program, finding, names)),
            p50 => Err(format!("{p50:?} of {timeout_ms}")),
        }
    })
}

#[test]
fn clients_that_wait_as_long_as_by_default_are_said_to() {
    let lab = Lab::new();
    let settings = ["connections=4", "patience_ms=5000"];
    let (_slow, finding, names) = punctual(&lab, "slow", &settings, "port", 5_000);
    assert_eq!(names, ["httpx timeout"], "{finding:#}");
    let words = "consistent with a client timeout; 5 s equals the default of httpx timeout";
    assert!(says(&finding, words), "{finding:#}");
}

#[test]
fn a_server_that_closes_after_a_default_idle_time_is_said_to() {
    let lab = Lab::new();
    let settings = ["connections=6", "idle_ms=2000", "server_name=gunicorn"];
    let (_pool, finding, names) = punctual(&lab, "pool", &settings, "server_port", 2_000);
    assert_eq!(names, ["gunicorn keepalive"], "{finding:#}");
    let words = "consistent with its idle timeout; 2 s equals the default of gunicorn keepalive";
    assert!(says(&finding, words), "{finding:#}");
}

#[test]
fn a_server_on_this_host_whose_program_has_no_such_default_is_not_said_to() {
    let lab = Lab::new();
    let settings = ["connections=6", "idle_ms=2000", "server_name=closer"];
    let (_pool, finding, names) = punctual(&lab, "pool", &settings, "server_port", 2_000);
    assert_eq!(names, Vec::<String>::new(), "{finding:#}");
    assert!(!says(&finding, "equals"), "{finding:#}");
}

#[test]
fn a_timeout_that_is_no_default_is_only_a_timeout() {
    let lab = Lab::new();
    let slow = lab.start("slow", &["connections=20", "patience_ms=1500"]);
    let (finding, names) = found(&lab, slow.port().into(), slow.connections());
    assert_eq!(names, Vec::<String>::new(), "{finding:#}");
    assert!(says(&finding, "clustered at 1.5 s"), "{finding:#}");
    assert!(!says(&finding, "equals"), "{finding:#}");
}
