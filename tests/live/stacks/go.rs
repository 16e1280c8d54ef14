//! The goroutines of a Go program that `go build` makes: with its symbols and without.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::accuse::array;
use crate::lab::{Age, Lab, Lack, Program, left_out, run, until};

/// How many handlers wait for the database.
const HANDLERS: usize = 4;

/// Builds the server in a directory. `None` if Go is not installed.
fn build(dir: &Path, cgo: &str, flags: &str) -> Option<std::path::PathBuf> {
    let mut go = Command::new("go");
    go.env_clear();
    for name in ["PATH", "GOROOT"] {
        go.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    if go.arg("version").output().is_err() {
        left_out(Lack::Program("go"));
        return None;
    }
    let program = dir.join("shop");
    let mut go = Command::new("go");
    // It has no dependencies, so nothing is downloaded.
    for (name, value) in [
        ("GOFLAGS", "-mod=mod"),
        ("GOPROXY", "off"),
        ("GOTOOLCHAIN", "local"),
    ] {
        go.env(name, value);
    }
    for name in ["GOCACHE", "GOPATH"] {
        go.env(name, dir.join(name));
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/stacks/shop");
    go.current_dir(source).env("CGO_ENABLED", cgo);
    go.args(["build", "-buildvcs=false", "-ldflags", flags, "-o"]);
    let built = run(go.arg(&program).arg("."));
    assert_eq!(built.code, 0, "{}", built.stderr);
    Some(program)
}

/// The facts of the process in the findings, once they tell its stacks.
fn process(document: &Value, pid: u32) -> Option<Value> {
    let mut processes = array(document, "findings").flat_map(|finding| array(finding, "processes"));
    let process = processes.find(|process| process["pid"] == pid)?;
    Some(process.clone())
}

fn names(stack: &Value) -> Vec<&str> {
    let frames = array(stack, "frames");
    frames
        .map(|frame| frame["function"].as_str().unwrap_or("?"))
        .collect()
}

/// The group of stacks with a function.
fn with<'a>(process: &'a Value, function: &str) -> &'a Value {
    let mut stacks = array(process, "stacks");
    let found = stacks.find(|stack| names(stack).contains(&function));
    found.unwrap_or_else(|| panic!("no {function} in {process:#}"))
}

fn check(cgo: &str, flags: &str) {
    let dir = tempfile::tempdir().unwrap();
    let Some(program) = build(dir.path(), cgo, flags) else {
        return;
    };
    let lab = Lab::new();
    lab.enter();
    let database = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = database.local_addr().unwrap();
    let server = Program::start(Command::new(program).arg(address.to_string()));
    for _ in 0..HANDLERS {
        // Hangs up at once.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap());
    }
    lab.lingering(server.port(), HANDLERS, Age::Least);

    for _ in 0..3 {
        let found = until("a finding about the server", || {
            let document = lab.json(&[]);
            process(&document, server.pid()).ok_or_else(|| format!("{document:#}"))
        });
        let version = found["version"].as_str().unwrap();
        assert!(version.starts_with("go1."), "{found:#}");
        assert!(version.ends_with(", example.com/shop (devel)"), "{found:#}");
        let unread = &found["stacks_missing"]["unread"];
        assert_eq!(*unread, Value::Array(vec![]), "{found:#}");

        let handler = with(&found, "main.queryDB");
        assert_eq!(
            (&handler["of"], &handler["state"]),
            (&"goroutines".into(), &"IO wait".into())
        );
        assert_eq!(handler["count"], HANDLERS, "{handler:#}");
        assert_eq!(handler["complete"], true, "{handler:#}");
        let functions = names(handler);
        let of_main: Vec<_> = functions
            .iter()
            .filter(|name| name.starts_with("main."))
            .collect();
        let chain = ["main.queryDB", "main.loadUser", "main.handleCheckout"];
        assert_eq!(of_main.get(..3).unwrap(), chain.each_ref(), "{functions:?}");
        assert!(functions.contains(&"net.(*conn).Read"), "{functions:?}");
        let at = array(handler, "frames")
            .find(|frame| frame["function"] == "main.queryDB")
            .unwrap();
        assert!(
            at["file"].as_str().unwrap().ends_with("/shop/main.go"),
            "{at:#}"
        );
        assert_eq!((&at["line"], &at["module"]), (&27.into(), &"main".into()));
        let [target] = array(handler, "targets").collect::<Vec<_>>()[..] else {
            panic!("{handler:#}");
        };
        assert_eq!(target["count"], HANDLERS, "{target:#}");
        assert_eq!(target["remote"]["port"], address.port(), "{target:#}");

        for (function, count, states) in [
            (
                "main.waitForLock",
                3,
                &["sync.Mutex.Lock", "semacquire"][..],
            ),
            ("main.waitForReply", 2, &["chan receive"]),
            ("main.waitForTime", 1, &["sleep"]),
        ] {
            let group = with(&found, function);
            assert_eq!(group["count"], count, "{group:#}");
            assert!(
                states.contains(&group["state"].as_str().unwrap()),
                "{group:#}"
            );
        }
    }

    // The answer arrives as if nobody had looked.
    for _ in 0..HANDLERS {
        let (mut handler, _) = database.accept().unwrap();
        handler.write_all(b"1").unwrap();
    }
    assert_eq!(server.finish(), HANDLERS as u64);
}

#[test]
fn the_handlers_of_a_go_program_are_found_in_their_functions_and_with_their_remote() {
    check("1", "");
}

#[test]
fn the_handlers_of_a_stripped_go_program_are_found_all_the_same() {
    check("0", "-s -w");
}
