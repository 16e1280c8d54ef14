//! Servers of several processes: what all workers wait for together, without counting their master.

use serde_json::Value;

use crate::accuse::{array, check_evidence};
use crate::lab::{Lab, Program, until};

/// The clients have not hung up; the unaccepted ones fill half of the accept queue.
fn server(wait: &str) -> (Lab, Program) {
    let lab = Lab::new();
    lab.enter();
    let settings = [
        "name=app",
        "workers=4",
        "connections=70",
        "patience_ms=0",
        wait,
    ];
    let program = lab.start("workers", &settings);
    (lab, program)
}

/// The finding about the accept queue, once its connections have waited.
fn queue_of(lab: &Lab, program: &Program) -> Value {
    until("a finding about the accept queue", || {
        let document = lab.json(&[]);
        let is_it = |finding: &&Value| {
            finding["cause"] == "not-accepted" && finding["local_port"] == *program.fact("port")
        };
        let found = array(&document, "findings").find(is_it).cloned();
        found.ok_or_else(|| format!("{:#}", document["findings"]))
    })
}

fn check_counts(finding: &Value) {
    let workers = &finding["workers"];
    assert_eq!(workers["total"], 4, "{finding:#}");
    assert_eq!(workers["asked"], 4, "{finding:#}");
    assert_eq!(workers["serving"], 4, "{finding:#}");
    let wait = &workers["waits"][0];
    assert_eq!((&wait["workers"], &wait["threads"]), (&4.into(), &4.into()));
}

#[test]
fn prefork_workers_that_wait_for_one_database_are_summed_and_it_is_named() {
    let (lab, program) = server("wait=database");
    let finding = queue_of(&lab, &program);
    let database = format!("127.0.0.1:{}", program.fact("database_port"));
    check_counts(&finding);
    assert_eq!(finding["culprit"]["kind"], "behind", "{finding:#}");
    assert_eq!(
        finding["culprit"]["remote"]["port"],
        *program.fact("database_port"),
        "{finding:#}"
    );
    check_evidence(
        &finding,
        &["4 of 4 workers of app wait in recvfrom", &database],
    );
    let meaning = finding["meaning"].as_str().unwrap();
    assert!(meaning.contains("all 4 workers wait"), "{meaning}");
    // The step is about a worker, not the master.
    let first = finding["processes"][0]["pid"].clone();
    let mut workers = program.fact("worker_pids").as_array().unwrap().iter();
    assert!(workers.any(|pid| *pid == first), "{finding:#}");
}

#[test]
fn prefork_workers_that_wait_for_a_lock_on_a_file_are_summed() {
    let (lab, program) = server("wait=lock");
    let finding = queue_of(&lab, &program);
    check_counts(&finding);
    assert_eq!(finding["culprit"]["kind"], "file-lock", "{finding:#}");
    check_evidence(&finding, &["4 of 4 workers of app wait in flock"]);
    let holder = format!("app[{}]", program.number("pid"));
    check_evidence(&finding, &["file lock held by", &holder]);
}

#[test]
fn prefork_workers_that_wait_for_connections_are_not_accused() {
    let (lab, program) = server("wait=idle");
    let document = lab.json(&[]);
    let about = |finding: &&Value| finding["local_port"] == *program.fact("port");
    let found: Vec<&Value> = array(&document, "findings").filter(about).collect();
    assert!(found.is_empty(), "{found:#?}");
}
