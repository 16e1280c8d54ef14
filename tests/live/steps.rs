//! Next steps: each is advice, or a command that a shell can run as printed.

use std::process::Command;

use serde_json::Value;

use crate::accuse::array;
use crate::lab::{Age, Lab, Lack, Program, Run, closewait, left_out, run};

/// The first words of advice; everything else is a command.
const ADVICE: [&str; 6] = [
    "look at ",
    "make accept() faster",
    "run ",
    "the notes below ",
    "set request_slowlog_timeout",
    "end it ",
];
/// The commands that are run here: they change nothing and need no input.
const HARMLESS: [&str; 5] = ["cat", "ls", "lsof", "ps", "tail"];

#[test]
fn every_step_runs_as_printed_in_its_namespace_and_from_outside() {
    if !has("bash") {
        return left_out(Lack::Program("bash"));
    }
    let lab = Lab::new();
    let programs = [
        ("leak", lab.start("leak", &["connections=6"])),
        (
            "leak",
            lab.start("leak", &["connections=3", "epoll=absent"]),
        ),
        ("leak", lab.start("leak", &["connections=5", "dead=120"])),
        ("slow", lab.start("slow", &["connections=4"])),
        ("pool", lab.start("pool", &["connections=7"])),
        (
            "inherit",
            lab.start("inherit", &["connections=8", "parent=keeps"]),
        ),
        (
            "prefork",
            lab.start("prefork", &["connections=12", "name=backend"]),
        ),
        (
            "few",
            lab.start("prefork", &["connections=2", "name=backend"]),
        ),
        ("queue", lab.start("queue", &["backlog=8"])),
    ];
    for (role, program) in &programs {
        let port = match *role {
            "pool" => u16::try_from(program.number("server_port")).unwrap(),
            _ => program.port(),
        };
        lab.lingering(port, program.connections(), Age::Least);
    }
    let inside = lab.json(&[]);
    let ports: Vec<u64> = programs.iter().map(|(_, program)| port(program)).collect();
    assert!(check(&inside, &ports) >= programs.len(), "{inside:#}");
    let Some(holder) = lab.holder_pid() else {
        return;
    };
    let elsewhere = Lab::new();
    let outside = elsewhere.json(&["-N", &holder.to_string()]);
    assert!(check(&outside, &ports) >= programs.len(), "{outside:#}");
}

fn port(program: &Program) -> u64 {
    let facts = ["server_port", "port"].map(|name| &program.facts[name]);
    facts.into_iter().find_map(Value::as_u64).unwrap()
}

/// Checks the steps of the findings at these ports, and of those without a port. Returns the number of those
/// findings.
fn check(document: &Value, ports: &[u64]) -> usize {
    let about = |finding: &&Value| {
        let ends = [&finding["local_port"], &finding["remote"]["port"]];
        ends.iter().all(|end| end.is_null())
            || ends
                .iter()
                .any(|end| end.as_u64().is_some_and(|port| ports.contains(&port)))
    };
    let findings = array(document, "findings").filter(about);
    let checked = findings.map(|finding| {
        for step in array(finding, "next_steps") {
            check_step(step.as_str().unwrap(), finding);
        }
    });
    checked.count()
}

fn check_step(step: &str, finding: &Value) {
    if ADVICE.iter().any(|start| step.starts_with(start)) {
        return;
    }
    let checked = bash(&["-n", "-c", step]);
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{step}");
    let (command, remark) = step.split_once("  # ").unwrap_or((step, ""));
    let tool = tool(command);
    assert!(
        has(tool) || remark.starts_with("first"),
        "{step}: no {tool}"
    );
    assert!(
        !has(tool) || !remark.contains("first"),
        "{step}: {tool} is here"
    );
    let this = closewait().to_str().unwrap();
    if command.starts_with(&format!("{this} list --state")) {
        let listed = bash(&["-c", &format!("{command} --json")]);
        assert_eq!(listed.code, 0, "{step}: {}", listed.stderr);
        let list: Value = serde_json::from_str(&listed.stdout).unwrap();
        let sockets = array(&list, "sockets").count();
        let parts = array(finding, "parts").map(|part| part["sockets"].as_u64().unwrap());
        let all = finding["sockets"].as_u64().unwrap() + parts.sum::<u64>();
        assert_eq!(all, sockets as u64, "{step}");
    } else if tool == this || (HARMLESS.contains(&tool) && has(tool)) {
        let ran = bash(&["-c", step]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{step}");
        assert!(!ran.stdout.is_empty(), "{step}");
    }
}

/// The program that a command runs, after those that enter namespaces.
fn tool(command: &str) -> &str {
    let mut words = command.split(' ').peekable();
    while let Some(word) = words.next() {
        match word {
            "nsenter" | "setpriv" | "timeout" => {
                assert!(has(word), "{command}");
                // Options, and their numbers.
                while let Some(option) = words.peek() {
                    let is_option = option.starts_with('-');
                    let is_number = option.bytes().all(|byte| byte.is_ascii_digit());
                    if !(is_option || is_number) {
                        break;
                    }
                    words.next();
                }
            }
            word => return word,
        }
    }
    panic!("no program in {command}")
}

/// Whether a shell finds a program.
fn has(program: &str) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", "command -v \"$0\"", program]);
    run(&mut shell).code == 0
}

fn bash(args: &[&str]) -> Run {
    run(Command::new("bash").args(args))
}
