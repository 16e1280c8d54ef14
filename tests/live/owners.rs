//! The owners of sockets: every holder, the listener of unaccepted connections, and the kernel.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::lab::{Lab, Lack, Nobody, Program, is_root, left_out, sockets_of, until};

fn with_local<'a>(list: &'a Value, port: &Value) -> Vec<&'a Value> {
    let is_it = |socket: &&Value| socket["local"]["port"] == *port;
    sockets_of(list).filter(is_it).collect()
}

fn pids(socket: &Value) -> Vec<u64> {
    let owners = socket["owners"].as_array().unwrap();
    owners
        .iter()
        .map(|owner| owner["pid"].as_u64().unwrap())
        .collect()
}

fn list(lab: &Lab, states: &Program) -> Value {
    let all = lab.json(&["list", "-a"]);
    let mut all = all;
    if !lab.is_private() {
        let ports: Vec<&Value> = states.fact("ports").as_object().unwrap().values().collect();
        let sockets = all["sockets"].as_array_mut().unwrap();
        sockets.retain(|socket| {
            ports.contains(&&socket["remote"]["port"])
                || ports.contains(&&socket["local"]["port"]) && socket["state"] != "TIME_WAIT"
        });
    }
    all
}

#[test]
fn every_holder_of_a_shared_socket_is_named_with_its_descriptor() {
    let lab = Lab::new();
    let states = lab.start("states", &["name=first"]);
    let list = list(&lab, &states);
    let shared: Vec<&Value> = sockets_of(&list)
        .filter(|socket| socket["remote"]["port"] == *states.fact("shared_port"))
        .collect();
    let [shared] = shared[..] else {
        panic!("one socket is shared: {shared:?}");
    };
    let holders = shared["owners"].as_array().unwrap();
    let mut expected = vec![
        (states.number("pid"), "first"),
        (states.number("child_pid"), "sharer"),
    ];
    expected.sort_unstable();
    let found: Vec<(u64, &str)> = holders
        .iter()
        .map(|owner| {
            (
                owner["pid"].as_u64().unwrap(),
                owner["name"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, expected);
    let inode = shared["inode"].as_u64().unwrap();
    for owner in holders {
        let path = format!("/proc/{}/fd/{}", owner["pid"], owner["fd"]);
        let link = std::fs::read_link(path).unwrap();
        assert_eq!(link.to_str(), Some(format!("socket:[{inode}]").as_str()));
    }
}

#[test]
fn a_connection_that_was_not_accepted_is_its_listeners() {
    let lab = Lab::new();
    let states = lab.start("states", &[]);
    let list = list(&lab, &states);
    let queue = with_local(&list, &states.fact("ports")["queue"]);
    let waiting: Vec<&&Value> = queue.iter().filter(|s| s["state"] != "LISTEN").collect();
    assert_eq!(waiting.len(), 2);
    for socket in waiting {
        assert_eq!(socket["owner_kind"], "listener", "{socket}");
        assert_eq!(socket["accepted"], false, "{socket}");
        assert_eq!(socket["inode"], Value::Null, "{socket}");
        assert_eq!(pids(socket), [states.number("pid")], "{socket}");
    }
}

#[test]
fn sockets_in_no_processs_hands_are_the_kernels() {
    let lab = Lab::new();
    let states = lab.start("states", &[]);
    let list = list(&lab, &states);
    let mut seen = 0;
    for socket in sockets_of(&list) {
        if socket["state"] == "TIME_WAIT" || socket["state"] == "SYN_RECV" {
            seen += 1;
            assert_eq!(socket["owner_kind"], "kernel", "{socket}");
            assert_eq!(socket["owners"], json!([]), "{socket}");
            assert_eq!(socket["uid"], Value::Null, "nobody's, not root's: {socket}");
        }
    }
    // On a shared loopback, another program may have just used the port.
    assert!(seen == 4 || (seen > 4 && !lab.is_private()), "{seen}");
}

#[test]
fn everything_else_is_held_by_the_process_that_made_it() {
    let lab = Lab::new();
    let states = lab.start("states", &[]);
    let list = list(&lab, &states);
    for socket in sockets_of(&list) {
        if socket["inode"] != Value::Null {
            assert_eq!(socket["owner_kind"], "process", "{socket}");
            assert!(pids(socket).contains(&states.number("pid")), "{socket}");
        }
    }
    let pid = states.pid().to_string();
    let by_pid = lab.json(&["list", "-a", "--pid", &pid]);
    let mine = |list: &Value| {
        sockets_of(list)
            .filter(|socket| pids(socket).contains(&states.number("pid")))
            .count()
    };
    assert_eq!(sockets_of(&by_pid).count(), mine(&list));
}

#[test]
fn without_privilege_hidden_owners_are_counted_and_said() {
    let lab = Lab::new();
    if !is_root() {
        left_out(Lack::Root);
        return;
    }
    let states = lab.start("states", &[]);
    let nobody = Nobody::new();
    let run = nobody.closewait(&["list", "-a", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let seen: Value = serde_json::from_str(&run.stdout).unwrap();
    let all = list(&lab, &states);
    assert_eq!(crate::view::of_tool(&seen), crate::view::of_tool(&all));
    let held = |socket: &&Value| socket["inode"] != Value::Null;
    let hidden = sockets_of(&seen).filter(held).count();
    for socket in sockets_of(&seen).filter(held) {
        assert_eq!(socket["owner_kind"], "hidden", "{socket}");
    }
    assert_eq!(seen["complete"], false);
    let gap = |kind: &str| -> Value {
        let gaps = seen["gaps"].as_array().unwrap();
        let found = gaps.iter().find(|gap| gap["kind"] == kind);
        found
            .unwrap_or_else(|| panic!("no {kind} in {gaps:?}"))
            .clone()
    };
    let owners = gap("owners-hidden");
    assert_eq!(owners["count"], json!(hidden));
    assert!(
        owners["hint"].as_str().unwrap().contains("root"),
        "{owners}"
    );
    // Two in the queue, one at the full queue: the process of their listener is hidden too.
    assert_eq!(gap("listener-unknown")["count"], json!(3));
    let list = nobody.closewait(&["list", "-a"]);
    assert_eq!(list.code, 0);
    assert_eq!(list.stdout.matches("? (needs root)").count(), hidden);
    assert!(list.stderr.contains("needs root") || list.stderr.contains("run as root"));
    let strict = nobody.closewait(&["list", "-a", "--strict"]);
    assert_eq!(
        strict.code, 1,
        "a partial view is an error where that is asked for"
    );
}

#[test]
fn processes_that_end_while_they_are_read_are_no_error() {
    let lab = Lab::new();
    let held = lab.start("leak", &["connections=3"]);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                drop(lab.start("leak", &["connections=5"]));
            }
        });
        for _ in 0..10 {
            for args in [&["list", "-a", "--json"][..], &["--json", "--sample", "0"]] {
                let run = lab.closewait(args);
                assert_eq!(run.code, 0, "{}", run.stderr);
                assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
                let document: Value = serde_json::from_str(&run.stdout).unwrap();
                assert!(document["states"]["CLOSE_WAIT"].as_u64() >= Some(3));
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    until("the sockets that are left", || {
        let list = lab.json(&["list", "--pid", &held.pid().to_string()]);
        let count = sockets_of(&list).count();
        if count == 3 {
            Ok(())
        } else {
            Err(count.to_string())
        }
    });
}
