//! The threads and the asyncio tasks of a Python program.

use std::process::Command;

use serde_json::Value;

use super::{Blocked, CRITICAL, check_chain, functions, is_missing, only_within, source};
use crate::accuse::array;
use crate::lab::{Lab, Lack, is_root, left_out};

/// The interpreter of the distribution.
const PYTHON: &str = "/usr/bin/python3";
/// How many handlers wait for the database.
const HANDLERS: usize = 4;

/// Starts the shop. `None` if there is no Python.
fn shop(lab: &Lab, options: &[&str]) -> Option<Blocked> {
    shop_by(lab, Command::new(PYTHON), options)
}

/// Starts the shop by a command that gets the program and its options.
fn shop_by(lab: &Lab, mut command: Command, options: &[&str]) -> Option<Blocked> {
    if is_missing(PYTHON) {
        left_out(Lack::Program(PYTHON));
        return None;
    }
    command.arg(source("shop.py")).args(options);
    Some(Blocked::start(lab, &mut command, HANDLERS))
}

/// Checks the handlers that are threads.
fn check_handlers(shop: &Blocked, process: &Value) {
    let stacks = process["stacks"].as_array();
    let stacks = stacks.unwrap_or_else(|| panic!("{process:#}"));
    let handlers = only_within(stacks, "handle_checkout");
    check_chain(handlers, &["query_db", "load_user", "handle_checkout"]);
    check_place(handlers, "query_db", line("# waits"));
    assert_eq!(functions(handlers)[0], "query_db", "{handlers:#}");
    assert_eq!(handlers["of"], "threads", "{handlers:#}");
    assert_eq!(handlers["state"], "recvfrom", "{handlers:#}");
    assert_eq!(handlers["count"], HANDLERS, "{handlers:#}");
    assert_eq!(handlers["complete"], true, "{handlers:#}");
    shop.check_remote(handlers);
}

/// The line of the shop that ends with a comment.
fn line(comment: &str) -> usize {
    let text = std::fs::read_to_string(source("shop.py")).unwrap();
    let found = text.lines().position(|line| line.ends_with(comment));
    found.unwrap() + 1
}

/// Checks the file and the line of a function of a group.
fn check_place(group: &Value, function: &str, line: usize) {
    let frame = array(group, "frames").find(|frame| frame["function"] == function);
    let frame = frame.unwrap_or_else(|| panic!("{function}: {group:#}"));
    assert_eq!(
        frame["file"],
        source("shop.py").to_str().unwrap(),
        "{frame:#}"
    );
    assert_eq!(frame["line"], line, "{frame:#}");
}

/// How often each thread of a process has waited or been interrupted, and what traces it.
fn interruptions(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let status = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let lines = text.lines().filter(|line| {
            let names = ["Pid:", "TracerPid:", "voluntary_ctxt_switches:"];
            names.iter().any(|name| line.starts_with(name))
        });
        lines.collect::<Vec<_>>().join(" ")
    };
    tasks.map(status).collect()
}

#[test]
fn threads_of_python_tell_their_functions_and_lines_and_never_notice() {
    let lab = Lab::new();
    lab.enter();
    let Some(shop) = shop(&lab, &[]) else { return };
    let before = interruptions(shop.program.pid());
    let document = lab.json(&CRITICAL);
    let process = shop.evidence(&document);
    // All of them slept on.
    assert_eq!(interruptions(shop.program.pid()), before);

    let version = process["version"].as_str().unwrap();
    assert!(version.starts_with("CPython 3."), "{process:#}");
    let missing = &process["stacks_missing"];
    assert_eq!(missing["moved"], 0, "{process:#}");
    assert_eq!(missing["unread"], Value::Array(Vec::new()), "{process:#}");
    check_handlers(&shop, &process);
    let stacks = process["stacks"].as_array().unwrap();
    let waiters = only_within(stacks, "reserve_stock");
    check_place(waiters, "reserve_stock", line("# waits for the lock"));
    assert_eq!(waiters["count"], 3, "{waiters:#}");
    assert!(waiters["lock"].is_string(), "{waiters:#}");
    assert_eq!(only_within(stacks, "serve")["count"], 1);
}

#[test]
fn tasks_of_asyncio_tell_what_they_await_and_from_whom() {
    let lab = Lab::new();
    lab.enter();
    let Some(shop) = shop(&lab, &["--tasks"]) else {
        return;
    };
    let stacks = shop.stacks(&lab);
    let handlers = only_within(&stacks, "query_db_task");
    let handler = "serve_tasks.<locals>.handle_checkout_task";
    check_chain(handlers, &["query_db_task", "load_user_task", handler]);
    check_place(handlers, "query_db_task", line("# awaits"));
    assert_eq!(handlers["of"], "tasks", "{handlers:#}");
    assert_eq!(handlers["state"], "waiting", "{handlers:#}");
    assert_eq!(handlers["count"], HANDLERS, "{handlers:#}");
    shop.check_remote(handlers);
    let asleep = only_within(&stacks, "sleep_task");
    assert_eq!(functions(asleep), ["sleep", "sleep_task"], "{asleep:#}");
    assert_eq!(asleep["targets"], Value::Array(Vec::new()), "{asleep:#}");
}

#[test]
fn threads_of_a_forked_worker_and_of_a_container_are_told_apart() {
    let lab = Lab::new();
    lab.enter();
    if !is_root() {
        left_out(Lack::Root);
        return;
    }
    let mut container = Command::new("unshare");
    container.args(["--pid", "--fork", "--kill-child", "--", PYTHON]);
    for (command, options) in [
        (Command::new(PYTHON), &["--fork"][..]),
        // Its threads have other numbers inside.
        (container, &[]),
    ] {
        let Some(shop) = shop_by(&lab, command, options) else {
            return;
        };
        let finding = shop.finding(&lab.json(&CRITICAL));
        let process = &finding["processes"][0];
        assert_ne!(process["pid"], shop.program.pid(), "{finding:#}");
        check_handlers(&shop, process);
    }
}
