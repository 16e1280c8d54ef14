//! Programs that are started early: a connection counts only after some seconds, and waiting for all of them at
//! once takes no longer than for one.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver};
use std::sync::{LazyLock, Mutex};
use std::thread;

use crate::lab::{Lab, Program};

type Arriving = Receiver<(Lab, Program)>;

static STARTED: LazyLock<Mutex<HashMap<&str, Arriving>>> = LazyLock::new(|| {
    let started = ALL
        .iter()
        .map(|(name, role, settings)| (*name, start(role, settings)));
    Mutex::new(started.collect())
});

/// The programs to start, each in its own lab: name, role and settings.
const ALL: &[(&str, &str, &[&str])] = &[
    ("leak", "leak", &["connections=120", "dead=5"]),
    ("watched", "leak", &["connections=3", "epoll=watched"]),
    ("muted", "leak", &["connections=3", "epoll=muted"]),
    (
        "absent",
        "leak",
        &["connections=3", "epoll=absent", "well=2"],
    ),
    ("alone", "leak", &["connections=3", "epoll=absent"]),
    ("probed", "leak", &["connections=4", "keepalive=true"]),
    ("stopped", "leak", &["connections=5"]),
    ("files", "leak", &["connections=55", "files=64"]),
    ("slow", "slow", &["connections=20", "patience_ms=1500"]),
    (
        "downstream",
        "downstream",
        &["workers=32", "connections=30", "patience_ms=1500"],
    ),
    ("abandon", "abandon", &["connections=4"]),
    ("deaf", "deaf", &["connections=6", "bytes=700"]),
    ("queue", "queue", &["backlog=8", "late=3"]),
    ("pool", "pool", &["connections=7", "idle_ms=600"]),
    ("rest", "pool", &["connections=120", "idle_ms=600"]),
    (
        "goodbye",
        "pool",
        &["connections=7", "idle_ms=1500", "goodbye=116"],
    ),
    ("starved", "starved", &["connections=6", "callers=8"]),
    ("short", "deaf", &["connections=6", "bytes=24"]),
    ("shared", "inherit", &["connections=40", "parent=keeps"]),
    (
        "later",
        "inherit",
        &["connections=40", "parent=closes", "later_ms=3000"],
    ),
    ("inherit", "inherit", &["connections=40", "parent=closes"]),
    ("stream", "stream", &["connections=3"]),
    ("bulk", "stream", &["connections=3", "bulk=true"]),
    ("think", "think", &["connections=4"]),
    ("choke", "choke", &["connections=3"]),
    ("shrunk", "choke", &["connections=3", "shrunk=true"]),
    ("proxy", "proxy", &["connections=5"]),
    ("chain", "chain", &["connections=20", "patience_ms=1500"]),
    (
        "titles",
        "chain",
        &["connections=20", "patience_ms=1500", "titles=true"],
    ),
    ("filtered", "proxy", &["connections=5"]),
    ("passing", "proxy", &["connections=5", "passes_on=true"]),
];

/// Takes over a program, and moves the calling thread to its lab. The first call starts all of them.
pub fn prepared(name: &str) -> (Lab, Program) {
    let arriving = STARTED.lock().unwrap().remove(name).expect("a name, once");
    let (lab, program) = arriving.recv().expect("a program that got ready");
    lab.enter();
    (lab, program)
}

/// Starts a program from a thread that stays: a program ends with the thread that started it.
fn start(role: &'static str, settings: &'static [&'static str]) -> Arriving {
    let (ready, arriving) = mpsc::channel();
    thread::spawn(move || {
        let lab = Lab::new();
        let program = lab.start(role, settings);
        // If its test is filtered out, the program ends with the test process.
        let _ = ready.send((lab, program));
        loop {
            thread::park();
        }
    });
    arriving
}
