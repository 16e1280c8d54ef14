//! Programs of machine code: C in several builds, C++ and Rust.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::accuse::array;
use crate::lab::{Age, Lab, Lack, Nobody, is_root, left_out};
use crate::stacks::{
    Blocked, CRITICAL, check_chain, compile, functions, only_within, source, within,
};

/// How a handler of the C program got to where it waits.
const CHAIN: [&str; 5] = ["recv", "query_db", "load_user", "handle_checkout", "worker"];

/// A program in a directory of its own, which everyone may read.
struct Built {
    dir: tempfile::TempDir,
    program: PathBuf,
}

impl Built {
    /// Compiles the C program with these options. `None` if there is no compiler.
    fn with(options: &[&str]) -> Option<Built> {
        Built::by("cc", options, "shop.c")
    }

    fn by(compiler: &str, options: &[&str], name: &str) -> Option<Built> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let program = dir.path().join("shop");
        let mut command = Command::new(compiler);
        command.args(options).arg("-o").arg(&program);
        compile(command.arg(source(name)), compiler)?;
        Some(Built { dir, program })
    }

    fn command(&self) -> Command {
        Command::new(&self.program)
    }

    /// Where the program is.
    fn path(&self) -> &Path {
        &self.program
    }

    fn in_dir(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.dir.path().join(name.as_ref())
    }
}

/// Calls are not turned into jumps.
const PLAIN: [&str; 4] = [
    "-O2",
    "-pthread",
    "-fomit-frame-pointer",
    "-fno-optimize-sibling-calls",
];

/// Checks that all handlers of a program are in one group, in these functions, and wait for its remote service.
fn check_handlers(blocked: &Blocked, stacks: &[Value], chain: &[&str], count: usize) {
    let group = only_within(stacks, chain[1]);
    check_chain(group, chain);
    assert_eq!(group["count"], count, "{group:#}");
    assert_eq!(group["complete"], true, "{group:#}");
    blocked.check_remote(group);
}

fn stacks_of(blocked: &Blocked, document: &Value) -> Vec<Value> {
    let evidence = blocked.evidence(document);
    let missing = &evidence["stacks_missing"];
    assert_eq!(missing["moved"], 0, "{missing}");
    assert_eq!(missing["left_out"], 0, "{missing}");
    evidence["stacks"]
        .as_array()
        .unwrap_or_else(|| panic!("{evidence:#}"))
        .clone()
}

#[test]
fn every_build_of_a_program_shows_the_functions_that_wait_and_for_whom() {
    let lab = Lab::new();
    let extra: [&[&str]; 6] = [
        &[],
        // The frame pointer, which the kernel does not tell, is needed from the second function on.
        &["-fno-omit-frame-pointer"],
        &["-O0", "-fno-omit-frame-pointer"],
        &[
            "-fno-omit-frame-pointer",
            "-fno-plt",
            "-fcf-protection=full",
            "-fPIE",
            "-pie",
        ],
        &["-no-pie"],
        &["-static"],
    ];
    let mut running = Vec::new();
    for options in extra {
        let Some(built) = Built::with(&[&PLAIN, options].concat()) else {
            return;
        };
        let blocked = Blocked::fresh(&mut built.command(), 6);
        running.push((options, blocked, built));
    }
    for (options, blocked, _) in &running {
        lab.lingering(blocked.program.port(), 6, Age::Least);
        // The time for one run would not do for all of them.
        let port = blocked.program.port().to_string();
        let document = lab.json(&[&CRITICAL[..], &["--port", &port]].concat());
        let stacks = stacks_of(blocked, &document);
        let group = only_within(&stacks, "query_db");
        let chain = functions(group);
        assert!(
            chain.iter().any(|name| name.ends_with("recv")),
            "{options:?}: {chain:?}"
        );
        check_handlers(blocked, &stacks, &CHAIN[1..], 6);
        let name = &group["thread_names"][0];
        assert_eq!(
            (&name["name"], &name["threads"]),
            (&"worker-".into(), &6.into())
        );
    }
}

#[test]
fn names_of_cpp_and_rust_are_as_they_were_written() {
    let lab = Lab::new();
    let options = [&PLAIN[..], &["-std=c++20", "-x", "c++"]].concat();
    let Some(cpp) = Built::by("c++", &options, "shop.c") else {
        return;
    };
    let rust = ["-O", "--edition", "2024", "-C", "debuginfo=0"];
    let Some(rust) = Built::by("rustc", &rust, "shop.rs") else {
        return;
    };
    let cpp = Blocked::fresh(&mut cpp.command(), 3);
    let rust = Blocked::fresh(&mut rust.command(), 4);
    lab.lingering(cpp.program.port(), 3, Age::Least);
    lab.lingering(rust.program.port(), 4, Age::Least);
    let document = lab.json(&CRITICAL);
    let chain = [
        "recv",
        "query_db(int)",
        "load_user(int, int)",
        "handle_checkout(int)",
        "worker(void*)",
    ];
    check_handlers(&cpp, &stacks_of(&cpp, &document), &chain, 3);
    let stacks = stacks_of(&rust, &document);
    let chain = [
        "shop::query_db",
        "shop::load_user",
        "shop::Checkout::handle",
    ];
    let group = only_within(&stacks, chain[0]);
    check_chain(group, &chain);
    assert_eq!(
        (&group["count"], &group["complete"]),
        (&4.into(), &true.into())
    );
    rust.check_remote(group);
}

#[test]
fn a_stripped_program_shows_places_in_its_file() {
    let lab = Lab::new();
    let Some(built) = Built::with(&[&PLAIN[..], &["-s"]].concat()) else {
        return;
    };
    let blocked = Blocked::start(&lab, &mut built.command(), 5);
    let stacks = blocked.stacks(&lab);
    let waits = |group: &&Value| group["targets"][0]["remote"].is_object();
    let [group] = stacks.iter().filter(waits).collect::<Vec<_>>()[..] else {
        panic!("one group: {stacks:#?}");
    };
    assert_eq!(
        (&group["count"], &group["complete"]),
        (&5.into(), &true.into())
    );
    blocked.check_remote(group);
    assert_eq!(functions(group)[0], "recv", "{group:#}");
    let own: Vec<&Value> = array(group, "frames")
        .filter(|frame| frame["module"].as_str() == built.path().to_str())
        .collect();
    // The four functions of the chain, and each place in the file is known.
    assert_eq!(own.len(), 4, "{group:#}");
    assert!(
        own.iter().all(|frame| frame["function"].is_null()),
        "{group:#}"
    );
    assert!(
        own.iter().all(|frame| frame["offset"].is_u64()),
        "{group:#}"
    );
}

#[test]
fn threads_that_wait_for_one_lock_are_a_group_with_its_address() {
    let lab = Lab::new();
    let Some(built) = Built::with(&PLAIN) else {
        return;
    };
    let blocked = Blocked::start(&lab, built.command().env("LOCKED", "1"), 8);
    let stacks = blocked.stacks(&lab);
    let group = only_within(&stacks, "pthread_mutex_lock");
    check_chain(group, &["pthread_mutex_lock", "take_turn", "worker"]);
    assert_eq!(
        (&group["count"], &group["state"]),
        (&7.into(), &"futex".into())
    );
    let lock = group["lock"].as_str().unwrap();
    // It is a variable of the program.
    let mapped = std::fs::read_to_string(format!("/proc/{}/maps", blocked.program.pid())).unwrap();
    let lock = u64::from_str_radix(lock.strip_prefix("0x").unwrap(), 16).unwrap();
    let is_there = |line: &&str| {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let hex = |text| u64::from_str_radix(text, 16).unwrap();
        (hex(start)..hex(end)).contains(&lock)
    };
    let line = mapped.lines().find(is_there).unwrap();
    assert!(line.ends_with("/shop") || !line.contains('/'), "{line}");
    // The one that holds it.
    let holder = only_within(&stacks, "query_db");
    check_chain(
        holder,
        &[
            "query_db",
            "load_user",
            "handle_checkout",
            "take_turn",
            "worker",
        ],
    );
    assert_eq!(
        (&holder["count"], &holder["lock"]),
        (&1.into(), &Value::Null)
    );
}

#[test]
fn three_hundred_threads_are_read_within_the_time() {
    let lab = Lab::new();
    let Some(built) = Built::with(&PLAIN) else {
        return;
    };
    let blocked = Blocked::start(&lab, &mut built.command(), 300);
    let document = lab.json(&CRITICAL);
    check_handlers(&blocked, &stacks_of(&blocked, &document), &CHAIN, 300);
}

/// How often a thread has waited.
fn waits(pid: u32, thread: &str) -> u64 {
    let path = format!("/proc/{pid}/task/{thread}/status");
    let text = std::fs::read_to_string(path).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

/// The median time of an echo, while `busy` runs. The first ones are left out.
fn median_while(echo: &mut TcpStream, busy: impl FnOnce() + Send) -> Duration {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            busy();
            is_over.store(true, Ordering::Relaxed);
        });
        let mut times = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            let start = Instant::now();
            echo.write_all(b"E").unwrap();
            echo.read_exact(&mut [0]).unwrap();
            times.push(start.elapsed());
        }
        times.sort_unstable();
        times[times.len() / 2]
    })
}

#[test]
fn a_program_does_not_notice_that_its_stacks_are_read() {
    let lab = Lab::new();
    let Some(built) = Built::with(&PLAIN) else {
        return;
    };
    let blocked = Blocked::fresh(&mut built.command(), 20);
    let (pid, port) = (blocked.program.pid(), blocked.program.port());
    let mut echo = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    // Its thread has then waited more often than all others will.
    for _ in 0..1000 {
        echo.write_all(b"E").unwrap();
        echo.read_exact(&mut [0]).unwrap();
    }
    lab.lingering(port, 20, Age::Least);
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let threads: Vec<String> = threads
        .map(|thread| thread.unwrap().file_name().into_string().unwrap())
        .collect();
    let is_blocked = |thread: &&String| waits(pid, thread) < 100;
    let before: Vec<(&String, u64)> = threads
        .iter()
        .filter(is_blocked)
        .map(|thread| (thread, waits(pid, thread)))
        .collect();
    let all = ["--port", &port.to_string()].map(str::to_owned);
    let triage = |extra: &'static [&'static str]| {
        let (lab, all) = (&lab, &all);
        move || {
            lab.enter();
            let words: Vec<&str> = all.iter().map(String::as_str).chain(CRITICAL).collect();
            for _ in 0..3 {
                lab.json(&[&words[..], extra].concat());
            }
        }
    };
    let mut with = Vec::new();
    let mut without = Vec::new();
    for _ in 0..4 {
        without.push(median_while(&mut echo, triage(&["--no-stacks"])));
        with.push(median_while(&mut echo, triage(&[])));
    }
    // What disturbs one of them on a busy machine does not disturb the best of several.
    let (with, without) = (with.iter().min().unwrap(), without.iter().min().unwrap());
    assert!(*with < *without * 2, "{with:?} and {without:?}");
    // The echo runs on; no other thread has run at all.
    assert!(before.len() > 20);
    for (thread, waited) in before {
        assert_eq!(waits(pid, thread), waited, "{thread}");
    }
    assert_eq!(blocked.program.finish(), 0, "interrupted calls");
}

#[test]
fn the_same_user_sees_stacks_without_root_and_others_do_not() {
    let lab = Lab::new();
    if !is_root() {
        left_out(Lack::Root);
        return;
    }
    let Some(built) = Built::with(&PLAIN) else {
        return;
    };
    let nobody = 65534;
    let mut command = built.command();
    let own = Blocked::fresh(command.uid(nobody).gid(nobody), 4);
    let others = Blocked::fresh(&mut built.command(), 3);
    lab.lingering(own.program.port(), 4, Age::Least);
    lab.lingering(others.program.port(), 3, Age::Least);
    let run = Nobody::new().closewait(&[&CRITICAL[..], &["--json"]].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    check_handlers(&own, &stacks_of(&own, &document), &CHAIN, 4);
    // Nothing is guessed, and that something is hidden is said.
    let finding = others.finding(&document);
    assert_eq!(finding["owner_kind"], "hidden", "{finding:#}");
    assert!(!finding.to_string().contains("query_db"), "{finding:#}");
    assert_eq!(document["complete"], false);
}

/// The identification of the build that has a separate file with its symbols.
const BUILD_ID: &str = "0123456789abcdef0123456789abcdef01234567";

/// Checks a program that runs in a file system of its own, after some more commands there.
fn check_in_own_root(options: &[&str], then: &str) {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let Some(built) = Built::with(&[&PLAIN, options].concat()) else {
        return;
    };
    let root = built.in_dir("root");
    std::fs::create_dir(&root).unwrap();
    // Nothing of this file system exists outside.
    let script = r#"
        set -e
        mount -t tmpfs none "$1"
        cp "$2" "$1/shop"
        for library in $(ldd "$2" | grep -o '/[^ ]*'); do
            mkdir -p "$1/$(dirname "$library")"
            cp -L "$library" "$1/$library"
        done
        mkdir "$1/old"
        cd "$1"
        THEN
        pivot_root . old
        exec /shop "$3"
    "#;
    let script = script.replace("THEN", then);
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", &script, "sh"])
        .arg(&root)
        .arg(built.path());
    let blocked = Blocked::start(&lab, &mut command, 4);
    assert!(!root.join("shop").exists());
    let stacks = blocked.stacks(&lab);
    check_handlers(&blocked, &stacks, &CHAIN, 4);
    let group = only_within(&stacks, "query_db");
    assert_eq!(group["frames"][1]["module"], "/shop", "{group:#}");
}

#[test]
fn a_program_whose_files_are_in_its_own_mount_namespace_is_read_there() {
    check_in_own_root(&[], "");
}

#[test]
fn functions_of_a_stripped_program_are_in_the_separate_file_of_its_build() {
    let (first, rest) = BUILD_ID.split_at(2);
    let id = format!("-Wl,--build-id=0x{BUILD_ID}");
    let dir = format!("usr/lib/debug/.build-id/{first}");
    let strip =
        format!("mkdir -p {dir}; objcopy --only-keep-debug shop {dir}/{rest}.debug; strip shop");
    check_in_own_root(&[&id], &strip);
}

#[test]
fn a_program_that_was_deleted_or_replaced_meanwhile_shows_its_own_functions() {
    let lab = Lab::new();
    let names = [&[][..], &["-Dquery_db=another", "-Dload_user=one"]];
    let [Some(built), Some(other)] = names.map(|extra| Built::with(&[&PLAIN[..], extra].concat()))
    else {
        return;
    };
    let Some(deleted) = Built::with(&PLAIN) else {
        return;
    };
    let replaced = Blocked::fresh(&mut built.command(), 4);
    let gone = Blocked::fresh(&mut deleted.command(), 3);
    std::fs::rename(other.path(), built.path()).unwrap();
    std::fs::remove_file(deleted.path()).unwrap();
    lab.lingering(replaced.program.port(), 4, Age::Least);
    lab.lingering(gone.program.port(), 3, Age::Least);
    let document = lab.json(&CRITICAL);
    check_handlers(&replaced, &stacks_of(&replaced, &document), &CHAIN, 4);
    check_handlers(&gone, &stacks_of(&gone, &document), &CHAIN, 3);
    assert!(within(&stacks_of(&replaced, &document), "another").is_empty());
}
