//! Hidden owners: the reported reason is right, and the advice helps.

use std::process::Command;

use serde_json::Value;

use crate::lab::{Guest, Lab, Lack, Nobody, Run, closewait, is_root, left_out, run, sockets_of};

/// The gap about hidden owners.
fn hidden(run: &Run) -> Option<Value> {
    assert_eq!(run.code, 0, "{}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    let mut gaps = document["gaps"].as_array().unwrap().iter();
    gaps.find(|gap| gap["kind"] == "owners-hidden").cloned()
}

fn detail(gap: &Value) -> &str {
    gap["detail"].as_str().unwrap()
}

fn leak_of_another_user(lab: &Lab) -> Guest {
    let mut other = Command::new("setpriv");
    other.args(["--reuid", "33", "--regid", "33", "--clear-groups"]);
    lab.start_by(other, "leak", &["connections=3"])
}

#[test]
fn what_is_in_flight_or_in_a_system_call_is_said_to_be_there_and_by_whom() {
    let lab = Lab::new();
    for (way, words) in [
        ("flight", "(1 descriptor in flight)"),
        ("call", "in a system call"),
    ] {
        let server = lab.start(
            "hide",
            &["connections=1", "name=holder", &format!("way={way}")],
        );
        let port = server.port().to_string();
        let state = if way == "call" {
            "established"
        } else {
            "close-wait"
        };
        let args = ["list", "--json", "--state", state, "--port", &port];
        for scan in ["procfs", "auto"] {
            let run = lab.closewait(&[&args[..], &["--scan", scan]].concat());
            let gap = hidden(&run).unwrap_or_else(|| panic!("{way}: {}", run.stdout));
            let who = format!("holder[{}]", server.pid());
            assert!(detail(&gap).contains(words), "{gap}");
            assert!(detail(&gap).contains(&who), "{gap}");
            assert!(
                !gap["hint"].as_str().unwrap().contains("on the host"),
                "{gap}"
            );
        }
    }
}

#[test]
fn root_without_the_capability_is_told_which_one_it_lacks() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let _server = leak_of_another_user(&lab);
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_ptrace"]);
    let list = run(command.arg(closewait()).args(["list", "-a", "--json"]));
    let gap = hidden(&list).expect("hidden owners");
    assert!(detail(&gap).contains("cannot be read"), "{gap}");
    assert_eq!(gap["hint"], "run it with CAP_SYS_PTRACE");
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-sys_ptrace"]);
    let list = run(command.arg(closewait()).args(["list", "-a"]));
    assert!(list.stdout.contains("? (not permitted)"), "{}", list.stdout);
}

#[test]
fn capabilities_count_and_not_the_name_of_the_user() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let _server = lab.start("leak", &["connections=3"]);
    let tool = Nobody::new();
    let with = |capabilities: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.args(["--inh-caps", capabilities, "--ambient-caps", capabilities]);
        run(command.arg(tool.program()).args(["list", "-a", "--json"]))
    };
    let all = with("+sys_ptrace,+dac_read_search");
    let document: Value = serde_json::from_str(&all.stdout).unwrap();
    let held = sockets_of(&document).filter(|socket| socket["owner_kind"] == "process");
    assert_eq!(held.count(), 4, "{document:#}");
    let some = with("+sys_ptrace");
    let gap = hidden(&some).expect("hidden owners");
    let hint = gap["hint"].as_str().unwrap();
    assert_eq!(hint, "run as root (or with CAP_DAC_READ_SEARCH)");
}

#[test]
fn hidepid_is_named_as_the_reason_for_a_hidden_owner() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let server = lab.start("leak", &["connections=3"]);
    let tool = Nobody::new();
    // A separate mount: remounting the same procfs would affect everyone.
    let run_inside = |option: &str, groups: u32, args: &[&str]| {
        let script = format!("mount -t proc -o {option} proc /proc && exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh", "setpriv"]);
        command.args(["--reuid", "65534", "--clear-groups", "--regid"]);
        command.arg(groups.to_string());
        run(command.arg(tool.program()).args(args))
    };
    let inside = |option: &str, group| run_inside(option, group, &["list", "-a", "--json"]);
    let pid = server.pid().to_string();
    for option in ["hidepid=2", "hidepid=4"] {
        // A hidden process may still exist.
        let quiet = run_inside(option, 65534, &["-q", "--pid", &pid]);
        assert_eq!(quiet.code, 2, "{quiet:?}");
        assert!(quiet.stderr.contains("hidepid="), "{quiet:?}");
        let run = inside(option, 65534);
        let gap = hidden(&run).expect("hidden owners");
        assert!(detail(&gap).contains("(hidepid="), "{gap}");
        assert!(!detail(&gap).contains("PID namespace"), "{gap}");
        assert!(gap["hint"].as_str().unwrap().contains("root"), "{gap}");
        let document: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(document["complete"], false);
    }
    // The group that the mount exempts sees every process, but cannot read them.
    for (option, group) in [("hidepid=2", 0), ("hidepid=1", 65534)] {
        let run = inside(option, group);
        assert!(!run.stdout.contains("PID namespace"), "{run:?}");
        let gap = hidden(&run).expect("hidden owners");
        assert!(!detail(&gap).contains("hidepid"), "{gap}");
        assert!(detail(&gap).contains("cannot be read"), "{gap}");
    }
}

#[test]
fn another_pid_namespace_is_the_reason_only_inside_of_one() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let _server = lab.start("leak", &["connections=3"]);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc"]);
    let inside = run(command.arg(closewait()).args(["list", "-a", "--json"]));
    let gap = hidden(&inside).expect("hidden owners");
    assert!(
        detail(&gap).ends_with("perhaps held by a process in another PID namespace"),
        "{gap}"
    );
    assert!(
        gap["hint"].as_str().unwrap().contains("on the host"),
        "{gap}"
    );
}

#[test]
fn what_came_and_went_while_it_ran_is_no_hidden_owner() {
    let lab = Lab::new();
    if !is_root() || !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let _churn = lab.start("churn", &[]);
    for _ in 0..30 {
        let run = lab.closewait(&["list", "-a", "--json", "--scan", "procfs"]);
        assert_eq!(hidden(&run), None);
    }
}

#[test]
fn a_user_namespace_is_named_as_what_ends_capabilities() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let _server = leak_of_another_user(&lab);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user"]);
    command.arg(closewait()).args(["list", "-a", "--json"]);
    let inside = run(&mut command);
    if inside.code == 1 && inside.stdout.is_empty() {
        left_out(Lack::Kernel("user namespaces"));
        return;
    }
    let gap = hidden(&inside).expect("hidden owners");
    assert!(detail(&gap).contains("from this user namespace"), "{gap}");
    assert_eq!(gap["hint"], "run it outside this user namespace");
}
