//! Where in its code a process waits: real programs of each runtime, blocked in a named function.
//!
//! Every program has the same job. It gets the port of a remote service as its last argument, listens on
//! a port of its own and prints `{"port": N}` as its first line. A request that arrives is handled by a
//! thread (or goroutine, or task) that connects to the remote service and waits for an answer that
//! never comes, so the client hangs up and its connection stays in CLOSE_WAIT. It ends with its stdin.

mod go;
mod java;
mod native;
mod python;

use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::accuse::array;
use crate::lab::{Age, Lab, Lack, Program, left_out, run};

/// Findings are critical from the first socket on.
pub const CRITICAL: [&str; 2] = ["--threshold", "critical=1"];

/// A source file beside this one.
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/live/stacks")
        .join(name)
}

/// Runs a compiler. `None` if it is not installed.
pub fn compile(compiler: &mut Command, name: &str) -> Option<()> {
    if compiler.get_program() == name && is_missing(name) {
        left_out(Lack::Program(name));
        return None;
    }
    let done = run(compiler);
    assert_eq!(done.code, 0, "{compiler:?}: {}", done.stderr);
    Some(())
}

/// Whether a program cannot be started.
pub fn is_missing(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_err()
}

/// A service on loopback that takes connections and requests, and never answers.
pub struct Remote {
    port: u16,
}

impl Remote {
    /// Starts it in the namespace of the calling thread.
    pub fn start() -> Remote {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let mut taken = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                taken.push(stream);
            }
        });
        Remote { port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

/// A program with handlers that wait for a remote service.
pub struct Blocked {
    pub program: Program,
    pub remote: Remote,
    handlers: usize,
}

impl Blocked {
    /// Starts a program in the lab, and waits until this many of its handlers wait, and their clients have
    /// been gone for longer than a normal teardown takes.
    pub fn start(lab: &Lab, command: &mut Command, handlers: usize) -> Blocked {
        let blocked = Blocked::fresh(command, handlers);
        lab.lingering(blocked.program.port(), handlers, Age::Least);
        blocked
    }

    /// The same, without waiting until its sockets have lingered.
    pub fn fresh(command: &mut Command, handlers: usize) -> Blocked {
        let remote = Remote::start();
        let program = Program::start(command.arg(remote.port().to_string()));
        for _ in 0..handlers {
            ask_and_hang_up(program.port());
        }
        Blocked {
            program,
            remote,
            handlers,
        }
    }

    /// What triage says about the program, in the finding about its CLOSE_WAIT sockets.
    pub fn finding(&self, document: &Value) -> Value {
        let is_it = |finding: &&Value| finding["local_port"] == self.program.port();
        let found: Vec<&Value> = array(document, "findings").filter(is_it).collect();
        let [finding] = found[..] else {
            panic!("one finding: {document:#}");
        };
        // A request that came without the FIN may be a finding of its own.
        let sockets = finding["sockets"].as_u64();
        let all = 1..=self.handlers as u64;
        assert!(
            sockets.is_some_and(|some| all.contains(&some)),
            "{finding:#}"
        );
        finding.clone()
    }

    /// What was read of the program's process.
    pub fn evidence(&self, document: &Value) -> Value {
        evidence(&self.finding(document), self.program.pid())
    }

    /// The groups of equal stacks of the program, as triage finds them.
    pub fn stacks(&self, lab: &Lab) -> Vec<Value> {
        let evidence = self.evidence(&lab.json(&CRITICAL));
        let stacks = evidence["stacks"].as_array();
        stacks.unwrap_or_else(|| panic!("{evidence:#}")).clone()
    }

    /// Checks that a group waits for the remote service, and all of its members do.
    pub fn check_remote(&self, group: &Value) {
        let targets = group["targets"].as_array().unwrap();
        let [target] = &targets[..] else {
            panic!("one target: {group:#}");
        };
        assert_eq!(target["count"], group["count"], "{group:#}");
        assert_eq!(target["remote"]["addr"], "127.0.0.1", "{group:#}");
        assert_eq!(target["remote"]["port"], self.remote.port(), "{group:#}");
    }
}

/// Sends a request to a port of loopback, and hangs up.
pub fn ask_and_hang_up(port: u16) {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    client.shutdown(Shutdown::Both).unwrap();
}

/// What was read of one of the processes of a finding.
pub fn evidence(finding: &Value, pid: u32) -> Value {
    let mut processes = array(finding, "processes");
    let found = processes.find(|process| process["pid"] == pid);
    found.unwrap_or_else(|| panic!("{finding:#}")).clone()
}

/// The functions of a group, the innermost first; `?` where one is unknown.
pub fn functions(group: &Value) -> Vec<String> {
    let frames = array(group, "frames");
    let function = |frame: &Value| frame["function"].as_str().unwrap_or("?").to_owned();
    frames.map(function).collect()
}

/// The groups in whose stack a function is.
pub fn within<'a>(stacks: &'a [Value], function: &str) -> Vec<&'a Value> {
    let is_within = |group: &&Value| functions(group).iter().any(|name| name == function);
    stacks.iter().filter(is_within).collect()
}

/// The only group in whose stack a function is.
pub fn only_within<'a>(stacks: &'a [Value], function: &str) -> &'a Value {
    let found = within(stacks, function);
    let [group] = found[..] else {
        panic!("one group within {function}: {stacks:#?}");
    };
    group
}

/// Checks that these functions called each other, the innermost first, with none in between.
pub fn check_chain(group: &Value, chain: &[&str]) {
    let functions = functions(group);
    let found = functions.windows(chain.len()).any(|part| part == chain);
    assert!(found, "{chain:?} in {functions:?}: {group:#}");
}
