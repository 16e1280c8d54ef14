//! A Java program: its threads by name, what they wait for, and what the virtual machine says of itself.
//! Nothing attaches to it, so it prints no thread dump and none of its waits ends.

use std::fs::{self, File};
use std::process::Command;

use serde_json::Value;

use super::{Blocked, CRITICAL, source};
use crate::accuse::array;
use crate::lab::{Lab, Lack, left_out, until};

/// The groups with threads of this name, if they have this many in all.
fn groups<'a>(evidence: &'a Value, name: &str, threads: u64) -> Option<Vec<&'a Value>> {
    let named = |group: &Value| {
        let mut names = array(group, "thread_names");
        let found = names.find(|named| named["name"] == name)?;
        found["threads"].as_u64()
    };
    let found: Vec<(&Value, u64)> = array(evidence, "stacks")
        .filter_map(|group| Some((group, named(group)?)))
        .collect();
    let all: u64 = found.iter().map(|(_, threads)| threads).sum();
    (all == threads).then(|| found.into_iter().map(|(group, _)| group).collect())
}

#[test]
fn the_threads_of_a_java_program_are_told_apart_by_name_and_it_notices_nothing() {
    if Command::new("javac").arg("-version").output().is_err() {
        return left_out(Lack::Program("javac"));
    }
    let lab = Lab::new();
    let dir = tempfile::tempdir().unwrap();
    let errors = dir.path().join("errors");
    let mut java = Command::new("java");
    // Little memory and few threads of its own.
    java.args(["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg(source("Shop.java"))
        .arg("--password=SECRET")
        .stderr(File::create(&errors).unwrap())
        .env_remove("JAVA_TOOL_OPTIONS")
        .env_remove("JDK_JAVA_OPTIONS");
    let blocked = Blocked::start(&lab, &mut java, 12);

    let evidence = until("the stacks of all threads", || {
        let document = lab.json(&CRITICAL);
        assert!(!document.to_string().contains("SECRET"), "{document:#}");
        let evidence = blocked.evidence(&document);
        let is_there = |name, threads| groups(&evidence, name, threads).is_some();
        match is_there("http-nio-8080-e", 12) && is_there("stock-", 7) {
            true => Ok(evidence),
            false => Err(format!("{evidence:#}")),
        }
    });
    assert_eq!(evidence["runtime"], "java", "{evidence:#}");
    let version = evidence["version"].as_str().unwrap();
    assert!(version.ends_with(", Shop.java"), "{version}");
    assert!(version.contains(|c: char| c.is_ascii_digit()), "{version}");
    let handlers = groups(&evidence, "http-nio-8080-e", 12).unwrap();
    let [handlers] = handlers[..] else {
        panic!("one group: {evidence:#}");
    };
    blocked.check_remote(handlers);
    // The first thread that waits for a monitor wakes up now and then to look.
    let waiters = groups(&evidence, "stock-", 7).unwrap();
    assert!(waiters.len() <= 2, "{waiters:#?}");
    for group in waiters {
        assert_eq!(group["state"], "futex", "{group:#}");
    }

    assert_eq!(blocked.program.finish(), 0, "no wait has ended");
    assert_eq!(fs::read_to_string(errors).unwrap(), "");
}
