//! Sockets in FIN_WAIT2 that a process holds while the remote end does not close: who must act, seen from the
//! waiting host.

use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::accuse::{array, check_evidence, pids_of};
use crate::lab::{GRACE_MS, Lab, Lack, Program, left_out, run, sockets_of, until};

/// The waiting host, and the program that waits for another host.
struct Two {
    here: Lab,
    relay: Program,
    _there: Lab,
    _hoard: Program,
}

const HERE: &str = "10.231.7.1";
const THERE: &str = "10.231.7.2";

fn ip(words: &str) {
    let done = run(Command::new("ip").args(words.split(' ')));
    assert_eq!(done.code, 0, "ip {words}: {}", done.stderr);
}

impl Two {
    /// Starts a relay to a service on another host, and waits until both ends have waited for longer than the
    /// grace period. `None` if namespaces cannot be made.
    fn new(settings: &[&str]) -> Option<Two> {
        Two::with("answers=false", settings)
    }

    fn with(answers: &str, settings: &[&str]) -> Option<Two> {
        let there = Lab::new();
        let hoard = there.start("hoard", &[answers]);
        let here = Lab::new();
        let Some(pid) = there.holder_pid().filter(|_| here.is_private()) else {
            left_out(Lack::Namespace);
            return None;
        };
        ip(&format!(
            "link add near type veth peer name far netns {pid}"
        ));
        ip(&format!("address add {HERE}/24 dev near"));
        ip("link set near up");
        there.enter();
        ip(&format!("address add {THERE}/24 dev far"));
        ip("link set far up");
        here.enter();
        let backend = format!("backend={THERE}:{}", hoard.port());
        let relay = here.start("relay", &[&[backend.as_str()], settings].concat());
        let two = Two {
            here,
            relay,
            _there: there,
            _hoard: hoard,
        };
        two.wait();
        Some(two)
    }

    fn backend(&self) -> String {
        self.relay.number("backend_port").to_string()
    }

    /// Waits until all have been in FIN_WAIT2 for longer than the grace period, which the kernel shows by the
    /// time without any data.
    fn wait(&self) {
        let connections = self.relay.connections();
        let backend = self.backend();
        until("connections that have waited", || {
            let words = ["list", "--state", "fin-wait-2", "--port", &backend];
            let list = self.here.json(&words);
            let ages = sockets_of(&list).map(|socket| socket["idle_ms"]["at_most"].as_u64());
            let ages: Vec<u64> = ages.flatten().collect();
            let youngest = ages.iter().min().copied().unwrap_or(0);
            // The close came some time after the last byte.
            if ages.len() == connections && youngest > GRACE_MS + PATIENCE_MS {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(200));
            Err(format!("{ages:?}"))
        });
    }

    /// The findings about the relay.
    fn found(&self, words: &[&str]) -> Vec<Value> {
        let document = self.here.json(words);
        array(&document, "findings").cloned().collect()
    }

    fn check(&self, words: &[&str]) -> (i32, String) {
        let run = self.here.closewait(&[&["check"], words].concat());
        (run.code, run.stdout)
    }
}

/// How long the clients of the relay wait: more than enough to close everything.
const PATIENCE_MS: u64 = 2_500;

#[test]
fn what_the_remote_end_does_not_close_is_its_fault_and_counted() {
    let Some(two) = Two::new(&["connections=6", "closes=true"]) else {
        return;
    };
    let pid = two.relay.number("pid");
    let (port, number) = (two.backend(), pid.to_string());
    for words in [
        &[][..],
        &["--port", &port],
        &["--pid", &number],
        &["--state", "fin-wait-2"],
        &["dst", THERE],
    ] {
        let found = two.found(words);
        let [finding] = found.as_slice() else {
            panic!("{words:?}: {found:#?}");
        };
        assert_eq!(finding["cause"], "peer-not-closed", "{finding:#}");
        assert_eq!(finding["sockets"], 6, "{finding:#}");
        assert_eq!(finding["severity"], "info", "{finding:#}");
        assert_eq!(finding["remote"]["addr"], THERE, "{finding:#}");
        assert_eq!(pids_of(finding), [pid], "{finding:#}");
        assert_eq!(finding["culprit"]["kind"], "far-end", "{finding:#}");
        check_evidence(finding, &["6 of 6 have had no answer"]);
        assert!(!finding.to_string().contains("leak"), "{finding:#}");
    }
    for (words, code) in [
        (&[][..], 0),
        (&["--threshold", "warning=6"], 1),
        (&["--threshold", "critical=6"], 2),
        (&["-w", "5"], 1),
        (&["-w", "1", "-c", "5"], 2),
        (&["-w", "6"], 0),
        (&["-w", "5", "--port", &port], 1),
        (&["-w", "5", "--pid", &number], 1),
        (&["-w", "5", "--port", "1"], 0),
        (&["-w", "5", "state", "close-wait"], 0),
    ] {
        let (found, line) = two.check(words);
        assert_eq!(found, code, "{words:?}: {line}");
        let reported = format!("6 FIN_WAIT2 sockets of misbehave[{pid}] to {THERE}:{port}");
        assert_eq!(line.contains(&reported), code > 0, "{words:?}: {line}");
    }
}

#[test]
fn a_relay_that_has_passed_the_close_on_is_one_finding_with_both_of_its_legs() {
    for settings in [
        &["connections=6"][..],
        &["connections=6", "children=true", "name=relay"],
    ] {
        let Some(two) = Two::new(settings) else {
            return;
        };
        let found = two.found(&[]);
        let [finding] = found.as_slice() else {
            panic!("{settings:?}: {found:#?}");
        };
        assert_eq!(finding["cause"], "never-closed", "{finding:#}");
        assert_eq!(finding["local_port"], two.relay.port(), "{finding:#}");
        let behind = format!("to {THERE}:{}", two.backend());
        let summary = finding["summary"].as_str().unwrap();
        let both = format!("and 6 FIN_WAIT2 {behind}");
        assert!(summary.contains(&both), "{summary}");
        check_evidence(finding, &["6 of 6 pair with", "FIN_WAIT2", &behind]);
        assert_eq!(finding["culprit"]["remote"]["addr"], THERE, "{finding:#}");
        assert!(!finding.to_string().contains("leak"), "{finding:#}");
        // The other connection alone leads to the same result.
        let [other] = &two.found(&["--port", &two.backend()])[..] else {
            panic!("not one: {settings:?}");
        };
        assert_eq!(other["cause"], "peer-not-closed", "{other:#}");
        assert_eq!(other["culprit"], finding["culprit"], "{other:#}");
    }
}

#[test]
fn a_relay_that_changes_the_bytes_is_known_by_its_closes() {
    let Some(two) = Two::new(&["connections=6", "head=12"]) else {
        return;
    };
    let found = two.found(&[]);
    let [finding] = found.as_slice() else {
        panic!("{found:#?}");
    };
    assert_eq!(finding["cause"], "never-closed", "{finding:#}");
    assert_eq!(finding["legs"]["by"], "closes", "{finding:#}");
    assert_eq!(finding["legs"]["fin_wait2"], 6, "{finding:#}");
    assert_eq!(finding["culprit"]["remote"]["addr"], THERE, "{finding:#}");
    check_evidence(
        finding,
        &["FIN_WAIT2", "were closed at the same times as these"],
    );
}

#[test]
fn a_remote_end_in_a_namespace_that_is_read_too_has_the_only_finding() {
    let Some(two) = Two::new(&["connections=6", "closes=true"]) else {
        return;
    };
    let pid = two.relay.number("pid");
    let document = two.here.json(&["-A", "--port", &two.backend()]);
    let about: Vec<&Value> = array(&document, "findings")
        .filter(|finding| finding["sockets"] == 6)
        .collect();
    let [finding] = about.as_slice() else {
        panic!("{document:#}");
    };
    assert_eq!(finding["cause"], "never-closed", "{finding:#}");
    assert_ne!(pids_of(finding), [pid], "{finding:#}");
}

#[test]
fn a_check_looks_twice_where_keepalive_hides_how_long_a_remote_end_is_silent() {
    let settings = ["connections=6", "closes=true", "keepalive=true"];
    let answered = [&settings[..], &["answered=true"]].concat();
    let Some(two) = Two::with("answers=true", &answered) else {
        return;
    };
    let found = two.found(&[]);
    let [finding] = found.as_slice() else {
        panic!("{found:#?}");
    };
    assert_eq!(finding["severity"], "info", "{finding:#}");
    let summary = finding["summary"].as_str().unwrap();
    assert!(summary.contains("age unknown (keepalive)"), "{summary}");
    let (code, line) = two.check(&["-w", "5", "-t", "60"]);
    assert_eq!(code, 1, "{line}");
    let (code, line) = two.check(&["-w", "6", "-t", "60"]);
    assert_eq!(code, 0, "{line}");
    // Without enough time, it does not report that all is well.
    let (code, line) = two.check(&["-w", "5", "-t", "2"]);
    assert_eq!(code, 3, "{line}");
    assert!(line.contains("keepalive hides whether 6 sockets"), "{line}");
}

#[test]
fn requests_that_may_be_worked_on_are_not_counted_for_a_minute() {
    for settings in [
        &["connections=6", "closes=true", "patience_ms=0"][..],
        &["connections=6", "closes=true", "keepalive=true"],
    ] {
        let Some(two) = Two::new(settings) else {
            return;
        };
        let (code, line) = two.check(&["-w", "5", "-t", "60"]);
        assert_eq!(code, 0, "{line}");
        let found = two.found(&[]);
        assert!(
            found.iter().all(|finding| finding["culprit"].is_null()),
            "{found:#?}"
        );
    }
}
