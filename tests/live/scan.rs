//! The two methods of finding holders: /proc/*/fd, and a BPF iterator.

use std::fs::File;
use std::process::Command;

use serde_json::Value;

use crate::lab::{Age, Lab, Lack, Nobody, closewait, is_root, left_out, run, sockets_of, until};

/// Whether a BPF iterator is available; prints a message if not.
fn walks(lab: &Lab) -> bool {
    let run = lab.closewait(&["list", "-a", "--scan", "bpf"]);
    if run.code != 0 {
        let lack = Lack::Kernel(run.stderr.trim());
        left_out(if is_root() { lack } else { Lack::Root });
    }
    run.code == 0
}

/// Every holder of every socket of the lab, by one method.
fn holders(lab: &Lab, scan: &str) -> Vec<Value> {
    let list = lab.json(&["list", "-a", "--scan", scan]);
    let sockets = sockets_of(&list);
    let mut holders: Vec<Value> = sockets
        .map(|socket| {
            serde_json::json!([
                socket["cookie"],
                socket["owner_kind"],
                socket["owners"],
                socket["inode"]
            ])
        })
        .collect();
    holders.sort_by_key(Value::to_string);
    holders
}

#[test]
fn the_kernels_walk_finds_the_same_holders_as_proc() {
    let lab = Lab::new();
    let states = lab.start("states", &["name=first"]);
    let _pool = lab.start("pool", &[]);
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    if !walks(&lab) {
        return;
    }
    // The programs keep running: a result is comparable only between two equal ones.
    let from_kernel = until("the same holders from /proc, the kernel, and /proc", || {
        let before = holders(&lab, "procfs");
        let from_kernel = holders(&lab, "bpf");
        if before != holders(&lab, "procfs") {
            return Err("the sockets changed meanwhile".to_owned());
        }
        assert!(before.len() > 10, "{before:?}");
        let differ: Vec<&Value> = from_kernel
            .iter()
            .filter(|socket| !before.contains(socket))
            .chain(before.iter().filter(|socket| !from_kernel.contains(socket)))
            .collect();
        assert!(differ.is_empty(), "{differ:?}");
        Ok(from_kernel)
    });
    let shared = states.number("child_pid").to_string();
    assert!(
        from_kernel
            .iter()
            .any(|socket| socket[2].to_string().contains(&shared))
    );
}

/// The processes that hold the CLOSE_WAIT sockets on a port, by one method.
fn owners_of(lab: &Lab, port: u16, scan: &str) -> Vec<Vec<u64>> {
    let port = port.to_string();
    let list = lab.json(&[
        "list",
        "--port",
        &port,
        "--state",
        "close-wait",
        "--scan",
        scan,
    ]);
    let pids = |socket: &Value| {
        let owners = socket["owners"].as_array().unwrap().iter();
        owners.map(|owner| owner["pid"].as_u64().unwrap()).collect()
    };
    sockets_of(&list).map(pids).collect()
}

#[test]
fn what_only_a_thread_or_an_io_uring_holds_is_found_by_either_scan() {
    let lab = Lab::new();
    for way in ["table", "leader", "ring"] {
        if way == "ring" && !rings() {
            continue;
        }
        let server = lab.start("hide", &["connections=5", &format!("way={way}")]);
        let scans = if walks(&lab) {
            ["procfs", "bpf"].as_slice()
        } else {
            &["procfs"]
        };
        for scan in scans {
            let owners = owners_of(&lab, server.port(), scan);
            let expected = vec![vec![u64::from(server.pid())]; 5];
            assert_eq!(owners, expected, "{way} by {scan}");
        }
    }
}

/// Whether io_uring is available; prints a message if not.
fn rings() -> bool {
    let switch = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    let off = switch.is_ok_and(|switch| switch.trim() != "0");
    if off {
        left_out(Lack::Kernel("no io_uring (kernel.io_uring_disabled)"));
    }
    !off
}

#[test]
fn a_process_that_may_not_be_read_is_said_to_be_so_by_either_scan() {
    let lab = Lab::new();
    let _states = lab.start("states", &[]);
    if !walks(&lab) {
        return;
    }
    // Some kernels hide a process from an iterator too, such as PID 1 of some virtual machines.
    let unread = |scan: &str| {
        let run = lab.closewait(&["list", "-a", "-v", "--scan", scan]);
        let words: Vec<&str> = run
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix("closewait: owners: "))
            .unwrap_or_else(|| panic!("{}", run.stderr))
            .split(' ')
            .collect();
        let [read, "of", all, ..] = words[..] else {
            panic!("{words:?}");
        };
        all.parse::<u32>().unwrap() - read.parse::<u32>().unwrap()
    };
    assert_eq!(unread("bpf"), unread("procfs"));
}

#[test]
fn findings_and_their_evidence_are_the_same_by_either_scan() {
    let lab = Lab::new();
    let leak = lab.start("leak", &["connections=150"]);
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    if !walks(&lab) {
        return;
    }
    let port = leak.number("port") as u16;
    lab.lingering(port, 150, Age::Least);
    let reported = |scan: &str| {
        let triage = lab.json(&["--scan", scan]);
        let finding = &triage["findings"][0];
        assert_eq!(finding["cause"], "never-closed", "{triage:#}");
        serde_json::json!([
            finding["owners"],
            finding["sockets"],
            finding["fd_percent"],
            finding["severity"]
        ])
    };
    assert_eq!(reported("bpf"), reported("procfs"));
}

#[test]
fn where_the_walk_is_refused_it_is_an_error_only_if_it_was_asked_for() {
    let lab = Lab::new();
    let _states = lab.start("states", &[]);
    if !walks(&lab) {
        return;
    }
    // Another PID namespace has other process numbers.
    let inside = |args: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc"]);
        run(command.arg(closewait()).args(args))
    };
    let asked = inside(&["list", "-a", "--scan", "bpf"]);
    assert_eq!(asked.code, 1, "{}", asked.stderr);
    assert!(
        asked.stderr.contains("PID namespace") && asked.stderr.contains("try --scan procfs"),
        "{}",
        asked.stderr
    );
    assert_eq!(inside(&["list", "-a"]).code, 0);
}

#[test]
fn with_many_open_files_root_has_the_kernel_walk_and_proc_is_read_where_it_does_not() {
    let lab = Lab::new();
    let states = lab.start("states", &[]);
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    if !walks(&lab) {
        return;
    }
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    let raised = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit);
    let files: Vec<File> = (0..10_000)
        .map_while(|_| File::open("/dev/null").ok())
        .collect();
    if raised.is_err() || files.len() < 10_000 {
        left_out(Lack::Kernel("no more than some thousand open files"));
        return;
    }
    let port = states.fact("shared_port").to_string();
    let columns = "local,remote,state,owner";
    let args = ["list", "-v", "--columns", columns, "--port", &port];
    let walked = lab.closewait(&args);
    assert!(
        walked.stderr.contains("by a BPF iterator"),
        "{}",
        walked.stderr
    );
    let scanned = lab.closewait(&[&args[..], &["--scan", "procfs"]].concat());
    assert!(
        scanned.stderr.contains("by /proc/*/fd"),
        "{}",
        scanned.stderr
    );
    assert_eq!(walked.stdout, scanned.stdout);
    // Without the capabilities to load programs: CAP_BPF (39), or CAP_SYS_ADMIN (21).
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-bpf,-sys_admin"]);
    let refused = run(command.arg(closewait()).args(args));
    assert!(
        refused.stderr.contains("by /proc/*/fd"),
        "{}",
        refused.stderr
    );
    assert_eq!(refused.stdout, scanned.stdout);
    // With them, also as an unprivileged user: 65534 is nobody.
    let tool = Nobody::new();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let rights = "+bpf,+perfmon";
    command.args(["--inh-caps", rights, "--ambient-caps", rights]);
    let other = run(command.arg(tool.program()).args(args));
    assert!(
        other.stderr.contains("by a BPF iterator"),
        "{}",
        other.stderr
    );
    assert_eq!(other.stdout, scanned.stdout);
    // No matching socket has a holder, so there is no walk.
    let none = lab.closewait(&["list", "-v", "--port", "1"]);
    assert!(
        none.stderr.contains("no selected socket has one"),
        "{}",
        none.stderr
    );
}
