//! Servers that cannot run: each is reported with the reason and the remedy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::accuse::{array, check_evidence};
use crate::lab::{Age, Lab, Lack, Program, is_root, left_out, until};

/// The finding about a program's connections, once it names this culprit.
fn found(lab: &Lab, program: &Program, culprit: &str) -> Value {
    lab.lingering(program.port(), program.connections(), Age::Least);
    let port = u64::from(program.port());
    until(culprit, || {
        let document = lab.json(&[]);
        let mut findings = array(&document, "findings");
        let finding = findings.find(|finding| finding["local_port"] == port);
        let finding = finding.ok_or_else(|| document.to_string())?;
        match finding["culprit"]["kind"] == culprit {
            true => Ok(finding.clone()),
            false => Err(format!("{finding:#}")),
        }
    })
}

fn check_step(finding: &Value, words: &str) {
    let mut steps = array(finding, "next_steps").filter_map(Value::as_str);
    assert!(
        steps.any(|step| step.contains(words)),
        "no {words:?}: {finding:#}"
    );
}

/// A control group of a hierarchy that is mounted here. When this is dropped, its processes are released and
/// moved to the parent.
struct Group {
    path: PathBuf,
    /// The file that freezes or limits it, and the value that undoes this.
    undo: (&'static str, &'static str),
}

impl Group {
    /// `None` if no hierarchy here has such a file, or permission is denied.
    fn with(kind: &str, file: &'static str, undo: &'static str, name: &str) -> Option<Group> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        mounts.lines().find_map(|line| {
            let (fields, behind) = line.split_once(" - ")?;
            let is_meant = match kind {
                "cgroup2" => behind.starts_with("cgroup2 "),
                controller => {
                    let options = behind.rsplit(' ').next()?;
                    behind.starts_with("cgroup ") && options.split(',').any(|has| has == controller)
                }
            };
            let at = Path::new(fields.split(' ').nth(4)?);
            let path = at.join(format!("closewait-{name}-{}", std::process::id()));
            if !is_meant || fs::create_dir(&path).is_err() {
                return None;
            }
            let undo = (file, undo);
            let group = Group { path, undo };
            group.path.join(file).exists().then_some(group)
        })
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path.join(file);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    fn take(&self, pid: u32) {
        self.write("cgroup.procs", &pid.to_string());
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A failure means that there is nothing to undo.
        let _ = fs::write(self.path.join(self.undo.0), self.undo.1);
        let procs = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        for pid in procs.lines() {
            let _ = fs::write(self.path.with_file_name("cgroup.procs"), pid);
        }
        let _ = fs::remove_dir(&self.path);
    }
}

#[test]
fn a_frozen_group_is_named_and_how_it_is_thawed() {
    let groups = [
        ("freezer", "freezer.state", "THAWED", "FROZEN"),
        ("cgroup2", "cgroup.freeze", "0", "1"),
    ];
    for (kind, file, thawed, frozen) in groups {
        if !is_root() {
            return left_out(Lack::Root);
        }
        let Some(group) = Group::with(kind, file, thawed, "frozen") else {
            left_out(Lack::Kernel("no control groups that can be frozen here"));
            continue;
        };
        let lab = Lab::new();
        let program = lab.start("deaf", &["connections=3"]);
        // Dropped before the program, which could not end while it is frozen.
        let group = group;
        group.take(program.pid());
        group.write(file, frozen);
        let finding = found(&lab, &program, "frozen");
        assert_eq!(finding["severity"], "critical", "{finding:#}");
        let path = group.path.display().to_string();
        check_evidence(&finding, &["its control group", &path]);
        check_step(&finding, &format!("echo {thawed} > {path}/{file}"));
        drop(group);
    }
}

#[test]
fn a_tracer_that_has_stopped_a_server_is_named() {
    if !is_root() {
        return left_out(Lack::Root);
    }
    let lab = Lab::new();
    let program = lab.start("deaf", &["connections=3"]);
    let tracer = lab.start(
        "tracer",
        &[&format!("pid={}", program.pid()), "name=debugger"],
    );
    let finding = found(&lab, &program, "traced");
    assert_eq!(finding["severity"], "critical", "{finding:#}");
    let who = format!("debugger[{}]", tracer.pid());
    check_evidence(&finding, &["is traced by", &who]);
    check_step(&finding, &format!("detach {who} from {}", program.pid()));
    assert!(
        !finding["next_steps"].to_string().contains("kill -CONT"),
        "{finding:#}"
    );
}

#[test]
fn a_child_that_keeps_its_parent_in_vfork_is_named() {
    if !is_root() {
        return left_out(Lack::Root);
    }
    let lab = Lab::new();
    let program = lab.start("halt", &["connections=3", "way=vfork"]);
    let finding = found(&lab, &program, "vfork");
    assert_eq!(finding["severity"], "critical", "{finding:#}");
    check_evidence(&finding, &["has waited in vfork for"]);
    let evidence = array(&finding, "processes").next().unwrap();
    let child = &evidence["halt"]["vfork"]["child"];
    if child.is_null() {
        return left_out(Lack::Kernel("no /proc/PID/task/TID/children"));
    }
    check_step(&finding, &format!("kill {child}"));
}

#[test]
fn who_holds_the_lock_that_a_server_waits_for_is_named() {
    if !is_root() {
        return left_out(Lack::Root);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = format!("path={}", file.path().display());
    let lab = Lab::new();
    let held_by = lab.start("keeper", &[&path]);
    let program = lab.start("halt", &["connections=3", "way=lock", &path]);
    let finding = found(&lab, &program, "file-lock");
    let who = format!("[{}]", held_by.pid());
    check_evidence(&finding, &["wait for a file lock held by", &who]);
    check_step(&finding, &format!("-p {}", held_by.pid()));
}

/// Keeps every processor busy until it is dropped.
struct Load(Arc<AtomicBool>);

impl Load {
    fn new() -> Load {
        let ends = Arc::new(AtomicBool::new(false));
        for _ in 0..2 * thread::available_parallelism().map_or(2, usize::from) {
            let ends = Arc::clone(&ends);
            thread::spawn(move || while !ends.load(Ordering::Relaxed) {});
        }
        Load(ends)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_dead_loop_of_the_lowest_priority_is_found_on_a_busy_host() {
    if !is_root() {
        return left_out(Lack::Root);
    }
    let lab = Lab::new();
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]);
    let guest = lab.start_by(nice, "deaf", &["connections=3", "spin=true"]);
    lab.lingering(guest.program().port(), 3, Age::Least);
    let load = Load::new();
    let port = u64::from(guest.program().port());
    until("a thread that never rests", || {
        let document = lab.json(&[]);
        let mut findings = array(&document, "findings");
        let finding = findings.find(|finding| finding["local_port"] == port);
        let finding = finding.ok_or_else(|| document.to_string())?;
        let kind = &finding["culprit"]["kind"];
        let cpu = &finding["processes"][0]["cpu"];
        let is_reported = (kind == "spinning" || kind == "busy") && cpu["restless_threads"] == 1;
        is_reported
            .then_some(())
            .ok_or_else(|| format!("{finding:#}"))
    });
    drop(load);
}

#[test]
fn a_quota_that_runs_out_is_told_with_its_group() {
    if !is_root() {
        return left_out(Lack::Root);
    }
    let one = Group::with("cpu", "cpu.cfs_quota_us", "-1", "quota");
    let Some(group) = one.or_else(|| Group::with("cgroup2", "cpu.max", "max", "quota")) else {
        return left_out(Lack::Kernel("no control groups with a quota here"));
    };
    match group.undo.0 {
        "cpu.max" => group.write("cpu.max", "2000 100000"),
        file => group.write(file, "2000"),
    }
    let lab = Lab::new();
    let program = lab.start("deaf", &["connections=3", "spin=true"]);
    lab.lingering(program.port(), 3, Age::Least);
    group.take(program.pid());
    let path = group.path.display().to_string();
    let port = u64::from(program.port());
    until("a quota that runs out", || {
        let document = lab.json(&[]);
        let mut findings = array(&document, "findings");
        let finding = findings.find(|finding| finding["local_port"] == port);
        let finding = finding.ok_or_else(|| document.to_string())?;
        let reported = finding["evidence"].to_string();
        let is_reported =
            reported.contains(&path) && reported.contains("a CPU quota of 2 ms in every 100 ms");
        is_reported
            .then_some(())
            .ok_or_else(|| format!("{finding:#}"))
    });
}
