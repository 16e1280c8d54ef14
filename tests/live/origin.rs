//! Whether a leak began with its process, and whether its files were replaced meanwhile.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::accuse::array;
use crate::identity::Script;
use crate::lab::{Age, Lab, Lack, left_out, misbehave, run};

/// Uses a copy of a library, which another copy then replaces. After that it accepts connections whose
/// peers close, reads the end-of-file, and does not close them. Arguments: a directory, and seconds to
/// wait before.
const LATE: &str = r#"
import ctypes, os, shutil, socket, sys, time
place, wait = sys.argv[1], float(sys.argv[2])
mapped = [line.split()[-1] for line in open("/proc/self/maps")]
mapped = [path for path in mapped if any(name in path for name in ("/libm.so", "/libz.so"))]
if mapped:
    for name in ("libcopy.so.1", "new"):
        shutil.copy(mapped[0], os.path.join(place, name))
    library = ctypes.CDLL(os.path.join(place, "libcopy.so.1"))
    os.rename(os.path.join(place, "new"), os.path.join(place, "libcopy.so.1"))
time.sleep(wait)
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
kept = []
for _ in range(5):
    client = socket.create_connection(("127.0.0.1", port))
    server, _ = listener.accept()
    client.sendall(b"x")
    client.close()
    while server.recv(9):
        pass
    kept.append(server)
print(port, flush=True)
time.sleep(600)
"#;

/// The only finding about a port.
fn finding(lab: &Lab, port: u16, sockets: usize) -> Value {
    lab.lingering(port, sockets, Age::Least);
    let document = lab.json(&["--port", &port.to_string()]);
    let mut findings = array(&document, "findings");
    let finding = findings.find(|finding| finding["local_port"] == port);
    finding.unwrap_or_else(|| panic!("{document:#}")).clone()
}

fn says(finding: &Value, words: &str) -> bool {
    let mut lines = array(finding, "evidence");
    lines.any(|line| line.as_str().is_some_and(|line| line.contains(words)))
}

#[test]
fn a_leak_as_old_as_its_process_began_with_it_and_with_its_new_file() {
    let lab = Lab::new();
    // The program is a copy that was made just now.
    let leak = lab.start_by(Command::new("env"), "leak", &["connections=3"]);
    let finding = finding(&lab, leak.program().port(), 3);
    let origin = &finding["processes"][0]["origin"];
    assert_eq!(
        origin["coincides"],
        serde_json::json!(["process"]),
        "{finding:#}"
    );
    assert_eq!(origin["executable"]["state"], "current", "{finding:#}");
    assert!(
        says(&finding, "and its oldest CLOSE_WAIT here began at most"),
        "{finding:#}"
    );
    assert!(says(&finding, "; its executable is of "), "{finding:#}");
}

#[test]
fn a_replaced_executable_is_told_and_with_the_start_beside_it_nothing_is_decided() {
    let lab = Lab::new();
    let dir = tempfile::tempdir().unwrap();
    let copy = |name: &str| {
        let path = dir.path().join(name);
        fs::copy(misbehave(), &path).unwrap();
        path
    };
    let (program, new) = (copy("server"), copy("new"));
    // Once it has run, no child of another test has it open for writing.
    run(Command::new(&program).arg("--help"));
    let mut command = Command::new("env");
    command.arg(format!("PROGRAM={}", program.display()));
    command.args(["sh", "-c", "shift; exec \"$PROGRAM\" \"$@\"", "sh"]);
    let leak = lab.start_by(command, "leak", &["connections=3"]);
    fs::rename(new, &program).unwrap();
    let finding = finding(&lab, leak.program().port(), 3);
    let origin = &finding["processes"][0]["origin"];
    assert_eq!(origin["executable"]["state"], "replaced", "{finding:#}");
    assert!(
        origin["executable"]["replaced_at"].is_string(),
        "{finding:#}"
    );
    assert!(
        says(&finding, "after it had started: it still runs the old one"),
        "{finding:#}"
    );
    let coincides = serde_json::json!(["process", "executable"]);
    assert_eq!(origin["coincides"], coincides, "{finding:#}");
    assert!(!says(&finding, "oldest CLOSE_WAIT here"), "{finding:#}");
}

#[test]
fn a_leak_that_began_long_after_the_start_did_not_begin_with_it() {
    let found = Command::new("python3").arg("-c").arg("").status();
    if !found.is_ok_and(|status| status.success()) {
        return left_out(Lack::Program("python3"));
    }
    let lab = Lab::new();
    let dir = tempfile::tempdir().unwrap();
    let script = |name: &str, wait: &str| {
        let place = dir.path().join(name);
        fs::create_dir(&place).unwrap();
        fs::write(place.join("late.py"), LATE).unwrap();
        let place = place.to_str().unwrap();
        Script::start(Path::new(place), &["late.py", place, wait])
    };
    let late = script("late", "9");
    let finding = finding(&lab, late.port, 5);
    let origin = &finding["processes"][0]["origin"];
    assert_eq!(origin["coincides"], serde_json::json!([]), "{finding:#}");
    assert!(says(&finding, "ago (python)"), "{finding:#}");
    assert!(origin["script_modified_at"].is_string(), "{finding:#}");
    assert!(!says(&finding, "oldest CLOSE_WAIT here"), "{finding:#}");
    let maps = fs::read_to_string(format!("/proc/{}/maps", late.process.id()));
    if !maps.unwrap().contains("libcopy.so.1 (deleted)") {
        return left_out(Lack::Program("python3 with a library"));
    }
    assert_eq!(
        origin["old_libraries"][0]["name"], "libcopy.so.1",
        "{finding:#}"
    );
    assert_eq!(origin["old_library_count"], 1, "{finding:#}");
    assert!(
        says(
            &finding,
            "still uses the old library libcopy.so.1, replaced"
        ),
        "{finding:#}"
    );
}

#[test]
fn a_process_in_a_pid_namespace_began_with_its_container() {
    if !crate::lab::is_root() {
        return left_out(Lack::Root);
    }
    let lab = Lab::new();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]);
    let leak = lab.start_by(command, "leak", &["connections=3"]);
    let finding = finding(&lab, leak.program().port(), 3);
    let origin = &finding["processes"][0]["origin"];
    assert!(origin["container_age_ms"].is_u64(), "{finding:#}");
    let coincides = serde_json::json!(["container", "process"]);
    assert_eq!(origin["coincides"], coincides, "{finding:#}");
    assert!(
        says(
            &finding,
            " ago with its container, and its oldest CLOSE_WAIT"
        ),
        "{finding:#}"
    );
}
