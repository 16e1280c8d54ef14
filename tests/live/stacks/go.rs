//! The goroutines of a Go program that `go build` makes: with its symbols and without.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::CRITICAL;
use crate::accuse::array;
use crate::lab::{Age, Lab, Lack, Program, left_out, run, until};

/// How many handlers wait for the database.
const HANDLERS: usize = 4;

/// Builds the server in a directory, with `go` or what GO names. `None` if it is not installed.
fn build(dir: &Path, cgo: &str, flags: &str) -> Option<PathBuf> {
    let name = std::env::var_os("GO").unwrap_or_else(|| "go".into());
    let mut go = Command::new(&name);
    if go.arg("version").output().is_err() {
        left_out(Lack::Program("go"));
        return None;
    }
    let program = dir.join("shop");
    let mut go = Command::new(&name);
    // It has no dependencies, so nothing is downloaded.
    for (name, value) in [
        ("GOFLAGS", "-mod=mod"),
        ("GOPROXY", "off"),
        ("GOTOOLCHAIN", "local"),
    ] {
        go.env(name, value);
    }
    // Other tests compile the same packages.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go");
    for name in ["GOCACHE", "GOPATH"] {
        go.env(name, cache.join(name));
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

/// A server whose handlers wait, and the database that they wait for.
struct Shop {
    lab: Lab,
    database: TcpListener,
    server: Program,
    /// What it writes to stderr.
    said: PathBuf,
    _dir: TempDir,
}

impl Shop {
    /// `None` if Go is not installed.
    fn open(cgo: &str, flags: &str) -> Option<Shop> {
        let dir = tempfile::tempdir().unwrap();
        let program = build(dir.path(), cgo, flags)?;
        let lab = Lab::new();
        lab.enter();
        let database = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let said = dir.path().join("said");
        let mut server = Command::new(program);
        server.arg(database.local_addr().unwrap().to_string());
        server.env("GOTRACEBACK", "system");
        server.stderr(File::create(&said).unwrap());
        let server = Program::start(&mut server);
        for _ in 0..HANDLERS {
            // Hangs up at once.
            drop(TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).unwrap());
        }
        lab.lingering(server.port(), HANDLERS, Age::Least);
        Some(Shop {
            lab,
            database,
            server,
            said,
            _dir: dir,
        })
    }

    /// The facts of the server in the findings. Beside a busy machine's other work the time for reading
    /// stacks may not be enough.
    fn facts(&self) -> Value {
        until("a finding with the stacks of the server", || {
            let document = self.lab.json(&CRITICAL);
            let found = process(&document, self.server.pid());
            let found = found.ok_or_else(|| format!("{document:#}"))?;
            let missing = &found["stacks_missing"];
            let is_whole = missing["unread"] == Value::Array(vec![]) && missing["left_out"] == 0;
            if is_whole {
                Ok(found)
            } else {
                Err(missing.to_string())
            }
        })
    }
}

fn check(cgo: &str, flags: &str) {
    let Some(shop) = Shop::open(cgo, flags) else {
        return;
    };
    let address = shop.database.local_addr().unwrap();
    for _ in 0..3 {
        let found = shop.facts();
        let version = found["version"].as_str().unwrap();
        assert!(version.starts_with("go1."), "{found:#}");
        assert!(version.ends_with(", example.com/shop (devel)"), "{found:#}");

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
        let (mut handler, _) = shop.database.accept().unwrap();
        handler.write_all(b"1").unwrap();
    }
    assert_eq!(shop.server.finish(), HANDLERS as u64);
}

#[test]
fn the_handlers_of_a_go_program_are_found_in_their_functions_and_with_their_remote() {
    check("1", "");
}

#[test]
fn the_handlers_of_a_stripped_go_program_are_found_all_the_same() {
    check("0", "-s -w");
}

/// The functions of each goroutine with their lines, as the runtime writes them when it ends a program.
fn traces(said: &str) -> BTreeMap<u64, Vec<String>> {
    let mut traces = BTreeMap::new();
    for block in said.split("\n\n") {
        let mut lines = block.trim_start().lines();
        let head = lines
            .next()
            .and_then(|line| line.strip_prefix("goroutine "));
        let number = head.and_then(|head| head.split(' ').next()?.parse::<u64>().ok());
        let Some(number) = number else {
            continue;
        };
        let mut functions = Vec::new();
        while let (Some(function), Some(place)) = (lines.next(), lines.next()) {
            // The compiler makes functions that only call others.
            let is_made = place.contains("<autogenerated>");
            if function.starts_with("created by ") || is_made {
                continue;
            }
            let name = function.rsplit_once('(').map_or(function, |(name, _)| name);
            let line = place
                .split(' ')
                .next()
                .and_then(|place| place.rsplit_once(':'));
            functions.push(format!("{name}:{}", line.map_or("?", |(_, line)| line)));
        }
        functions.retain(|function| !function.starts_with("runtime.goexit:"));
        traces.insert(number, functions);
    }
    traces
}

#[test]
fn goroutines_have_the_functions_and_lines_that_the_runtime_writes_itself() {
    let Some(shop) = Shop::open("0", "") else {
        return;
    };
    let found = shop.facts();
    let pid = i32::try_from(shop.server.pid()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::QUIT).unwrap();
    let theirs = until("the end of the program", || {
        let said = std::fs::read_to_string(&shop.said).unwrap();
        let ends = said.contains("\nrax ");
        ends.then(|| traces(&said)).ok_or(said)
    });
    let mut compared = 0;
    for stack in array(&found, "stacks") {
        let frames = array(stack, "frames");
        let ours: Vec<String> = frames
            .map(|frame| format!("{}:{}", frame["function"].as_str().unwrap(), frame["line"]))
            .collect();
        for id in array(stack, "ids") {
            assert_eq!(theirs.get(&id.as_u64().unwrap()), Some(&ours), "{stack:#}");
            compared += 1;
        }
    }
    // Handlers, the others, the one that accepts, and the main one.
    assert_eq!(compared, HANDLERS + 3 + 2 + 1 + 1 + 1, "{found:#}");
}
