//! Event loops that wait for another service, and the processes of that service on this host.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::accuse::{array, check_evidence, check_no_evidence};
use crate::lab::{Age, Lab, Lack, Program, left_out, until};
use crate::prepared::prepared;
use crate::replay::means_the_same_replayed;

/// The only finding about the first loop.
fn finding(lab: &Lab, front: &Program, args: &[&str]) -> Value {
    let document = lab.json(args);
    let port = front.number("port");
    let mut findings = array(&document, "findings").filter(|of| of["local_port"] == port);
    let finding = findings.next().expect("a finding").clone();
    assert_eq!(findings.next(), None, "{document:#}");
    finding
}

fn check_culprit(finding: &Value, front: &Program) {
    let connections = front.number("connections");
    assert_eq!(finding["cause"], "slow-handler", "{finding:#}");
    assert_eq!(finding["sockets"], connections, "{finding:#}");
    assert_eq!(finding["culprit"]["kind"], "behind", "{finding:#}");
    let middle = json!({ "addr": "127.0.0.1", "port": front.number("middle_port") });
    assert_eq!(finding["culprit"]["remote"], middle, "{finding:#}");
    let requests = &finding["requests"][0];
    assert_eq!(requests["remote"], middle, "{finding:#}");
    for count in ["connections", "unanswered"] {
        assert_eq!(requests[count], connections, "{finding:#}");
    }
    assert_eq!(requests["explains"], true, "{finding:#}");
    assert_eq!(requests["awaited"], true, "{finding:#}");
    check_evidence(
        finding,
        &[&format!("{connections} requests of "), "unanswered for"],
    );
    check_no_evidence(finding, "nothing to do");
}

#[test]
fn a_loop_waits_for_a_service_and_that_for_another_one() {
    let (lab, front) = prepared("chain");
    lab.lingering(front.port(), front.connections(), Age::Least);
    let found = finding(&lab, &front, &[]);
    check_culprit(&found, &front);
    let chain: Vec<&Value> = array(&found, "chain").collect();
    let [middle, last] = chain.as_slice() else {
        panic!("{found:#}");
    };
    for (hop, pid, port) in [
        (middle, "middle_pid", "middle_port"),
        (last, "last_pid", "last_port"),
    ] {
        assert_eq!(hop["owners"][0]["pid"], *front.fact(pid), "{found:#}");
        assert_eq!(hop["remote"]["port"], *front.fact(port), "{found:#}");
        assert_eq!(hop["connections"], front.number("connections"), "{found:#}");
    }
    let asked = &middle["requests"][0];
    assert_eq!(
        asked["remote"]["port"],
        *front.fact("last_port"),
        "{found:#}"
    );
    assert_eq!(
        asked["unanswered"],
        front.number("connections"),
        "{found:#}"
    );
    // Whatever the filter selects.
    let port = front.port().to_string();
    let selected = finding(&lab, &front, &["--port", &port, "--state", "close-wait"]);
    check_culprit(&selected, &front);
    assert_eq!(array(&selected, "chain").count(), 2, "{selected:#}");
    means_the_same_replayed(&lab);
    // The last service is stopped.
    let last = i32::try_from(front.number("last_pid")).unwrap();
    kill_process(Pid::from_raw(last).unwrap(), Signal::STOP).unwrap();
    until("the last one is said to be stopped", || {
        let found = finding(&lab, &front, &[]);
        let says = array(&found, "evidence").any(|line| {
            let line = line.as_str().unwrap();
            line.contains("is stopped") && line.contains(&front.number("last_port").to_string())
        });
        let steps = |step: &Value| {
            step.as_str()
                .unwrap()
                .contains(&format!("kill -CONT {last}"))
        };
        let leads = array(&found, "next_steps").any(steps);
        (says && leads).then_some(()).ok_or(found.to_string())
    });
}

#[test]
fn a_sibling_of_the_backend_that_waits_keeps_the_lock() {
    let (lab, front) = prepared("titles");
    lab.lingering(front.port(), front.connections(), Age::Least);
    let found = finding(&lab, &front, &[]);
    check_culprit(&found, &front);
    let last = &found["chain"][1];
    assert_eq!(
        last["owners"][0]["pid"],
        *front.fact("last_pid"),
        "{found:#}"
    );
    let says = |says: &str| {
        let mut titles = array(last, "titles");
        titles
            .find(|title| title["says"] == says)
            .map(|title| title["pids"].clone())
    };
    let pids = |name: &str| Some(json!([front.number(name)]));
    assert_eq!(says("UPDATE waiting"), pids("last_pid"), "{found:#}");
    let children = format!("/proc/{}/task/{0}/children", front.pid());
    if std::fs::read_to_string(children).is_err() {
        left_out(Lack::Kernel("/proc/PID/task/TID/children"));
        return;
    }
    assert_eq!(says("idle in transaction"), pids("keeper_pid"), "{found:#}");
    assert_eq!(
        last["keepers"][0]["pid"],
        *front.fact("keeper_pid"),
        "{found:#}"
    );
    let meaning = found["meaning"].as_str().unwrap();
    let held_by = format!("ends at postgres[{}]", front.number("keeper_pid"));
    assert!(meaning.contains(&held_by), "{meaning}");
}

#[test]
fn a_service_that_answers_nothing_is_told_where_no_client_hung_up() {
    let lab = Lab::new();
    let service = lab.start("silent", &[]);
    let port = service.port().to_string();
    let callers = lab.start(
        "callers",
        &["name=callers", &format!("port={port}"), "connections=120"],
    );
    until("requests that have waited for long", || {
        let document = lab.json(&["--port", &port]);
        let reported = &document["unanswered"][0];
        let is_reported = reported["owner"]["pid"] == callers.number("pid")
            && reported["remote"]["port"] == service.port()
            && reported["unanswered"] == 120
            && reported["connections"] == 120;
        let screen = lab.closewait(&["--port", &port]).stdout;
        let words = format!("120 requests of callers to 127.0.0.1:{port} unanswered for");
        (is_reported && screen.contains(&words))
            .then_some(())
            .ok_or(screen)
    });
}
