//! Next steps: each is advice, or a command that a shell can run as printed.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::accuse::array;
use crate::lab::{Age, Lab, Lack, Program, Run, closewait, left_out, run, sockets_of, until};
use crate::placement::Group;

/// The first words of advice; everything else is a command.
const ADVICE: [&str; 6] = [
    "as relief, ",
    "look at ",
    "make accept() faster",
    "run ",
    "set request_slowlog_timeout",
    "end it ",
];
/// The commands that are run here: they change nothing and need no input.
const HARMLESS: [&str; 5] = ["cat", "ls", "lsof", "ps", "tail"];

#[test]
fn every_step_runs_as_printed_in_its_namespace_and_from_outside() {
    if !has("bash") {
        return left_out(Lack::Program("bash"));
    }
    let lab = Lab::new();
    let programs = [
        ("leak", lab.start("leak", &["connections=6"])),
        (
            "leak",
            lab.start("leak", &["connections=3", "epoll=absent"]),
        ),
        ("leak", lab.start("leak", &["connections=5", "dead=120"])),
        ("slow", lab.start("slow", &["connections=4"])),
        ("pool", lab.start("pool", &["connections=7"])),
        (
            "inherit",
            lab.start("inherit", &["connections=8", "parent=keeps"]),
        ),
        (
            "prefork",
            lab.start("prefork", &["connections=12", "name=backend"]),
        ),
        (
            "few",
            lab.start("prefork", &["connections=2", "name=backend"]),
        ),
        ("queue", lab.start("queue", &["backlog=8"])),
    ];
    for (role, program) in &programs {
        let port = match *role {
            "pool" => u16::try_from(program.number("server_port")).unwrap(),
            _ => program.port(),
        };
        lab.lingering(port, program.connections(), Age::Least);
    }
    let inside = lab.json(&[]);
    let ports: Vec<u64> = programs.iter().map(|(_, program)| port(program)).collect();
    assert!(check(&inside, &ports) >= programs.len(), "{inside:#}");
    let Some(holder) = lab.holder_pid() else {
        return;
    };
    let elsewhere = Lab::new();
    let outside = elsewhere.json(&["-N", &holder.to_string()]);
    assert!(check(&outside, &ports) >= programs.len(), "{outside:#}");
}

#[test]
fn relief_comes_after_the_evidence_and_does_what_it_says() {
    let programs = ["bash", "prlimit", "ss"];
    if let Some(missing) = programs.into_iter().find(|program| !has(program)) {
        return left_out(Lack::Program(missing));
    }
    let name = format!("closewait-relief-{}.service", std::process::id());
    let Some(group) = Group::new(&name) else {
        return;
    };
    let lab = Lab::new();
    let leak = lab.start("leak", &["connections=30"]);
    group.add(leak.pid());
    let pid = leak.pid();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let limit = format!("--nofile={}:4096", open + 1);
    assert_eq!(
        bash(&["-c", &format!("prlimit --pid {pid} {limit}")]).code,
        0
    );
    lab.lingering(leak.port(), leak.connections(), Age::Least);
    let steps = steps_of(&lab.json(&[]), leak.port());
    let at = |start: &str| {
        let mut each = steps.iter();
        let found = each.position(|step| step.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start:?} in {steps:#?}"))
    };
    let record = at(&format!("{} record /tmp/incident-", closewait().display()));
    let list = at(&format!("{} list ", closewait().display()));
    let files = at(&format!("prlimit --pid {pid} --nofile={}:", 2 * (open + 1)));
    let restart = at(&format!("systemctl restart {name}"));
    let kill = at(&format!(
        "ss -K -t state close-wait 'sport = :{}'",
        leak.port()
    ));
    assert_eq!(record, 0, "{steps:#?}");
    assert!(
        list < files && files < restart && restart < kill,
        "{steps:#?}"
    );

    let raised = bash(&["-c", &steps[files]]);
    assert_eq!((raised.code, raised.stderr.as_str()), (0, ""), "{steps:#?}");
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = files.unwrap().split_whitespace().collect();
    assert_eq!(words[3..5], [(2 * (open + 1)).to_string().as_str(), "4096"]);
    // Only where the kernel can: it closes the sockets, and the program keeps its descriptors.
    bash(&["-c", &steps[kill]]);
    let port = leak.port().to_string();
    let left = lab.json(&["list", "--port", &port, "--state", "close-wait"]);
    if sockets_of(&left).count() == leak.connections() {
        return left_out(Lack::Kernel("CONFIG_INET_DIAG_DESTROY is not set"));
    }
    assert_eq!(sockets_of(&left).count(), 0, "{left:#}");
    let still = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    assert_eq!(still, open);
}

#[test]
fn sockets_are_not_closed_where_one_in_use_would_match() {
    let lab = Lab::new();
    let leak = lab.start("leak", &["connections=110"]);
    lab.lingering(leak.port(), leak.connections(), Age::Least);
    let kills = |steps: &[String]| steps.iter().any(|step| step.starts_with("ss -K "));
    let steps = steps_of(&lab.json(&[]), leak.port());
    assert!(kills(&steps), "{steps:#?}");
    // Of another program, on the same port of another address: it has just been closed.
    let address = std::net::Ipv4Addr::new(127, 0, 0, 9);
    let listener = std::net::TcpListener::bind((address, leak.port())).unwrap();
    let client = std::net::TcpStream::connect((address, leak.port())).unwrap();
    let (served, _) = listener.accept().unwrap();
    drop(client);
    let steps = until("findings with a young socket", || {
        let document = lab.json(&[]);
        match document["states"]["CLOSE_WAIT"].as_u64() {
            Some(111) => Ok(steps_of(&document, leak.port())),
            count => Err(format!("{count:?}")),
        }
    });
    assert!(!kills(&steps), "{steps:#?}");
    drop(served);
}

#[test]
fn steps_for_the_procfs_of_another_pid_namespace_say_where_they_run() {
    let lab = Lab::new();
    if !lab.is_private() {
        return left_out(Lack::Namespace);
    }
    let leak = lab.start("leak", &["connections=3"]);
    lab.lingering(leak.port(), leak.connections(), Age::Least);
    let dir = tempfile::tempdir().unwrap();
    let (dir, this, pid) = (dir.path().display(), closewait().display(), leak.pid());
    let read = format!("exec {this} --proc {dir} -N {pid} --json");
    let script = format!("mount --bind /proc {dir} && mount -t proc proc /proc && {read}");
    let mut unshare = Command::new("unshare");
    let run = run(unshare.args(["-p", "-m", "--fork", "sh", "-c", &script]));
    assert_eq!(run.code, 0, "{}", run.stderr);
    let steps = steps_of(&serde_json::from_str(&run.stdout).unwrap(), leak.port());
    assert!(
        steps[0].starts_with("run these commands on the host"),
        "{steps:#?}"
    );
    assert!(
        steps.iter().all(|step| !step.contains("install")),
        "{steps:#?}"
    );
    let here = steps_of(&lab.json(&[]), leak.port());
    assert!(!here[0].starts_with("run these commands"), "{here:#?}");
}

/// The steps of the worst finding at a port.
fn steps_of(document: &Value, port: u16) -> Vec<String> {
    let mut findings = array(document, "findings");
    let found = findings.find(|finding| finding["local_port"] == u64::from(port));
    let steps = array(found.expect("a finding"), "next_steps");
    steps
        .map(|step| step.as_str().unwrap().to_owned())
        .collect()
}

fn port(program: &Program) -> u64 {
    let facts = ["server_port", "port"].map(|name| &program.facts[name]);
    facts.into_iter().find_map(Value::as_u64).unwrap()
}

/// Checks the steps of the findings at these ports, and of those without a port. Returns the number of those
/// findings.
fn check(document: &Value, ports: &[u64]) -> usize {
    let about = |finding: &&Value| {
        let ends = [&finding["local_port"], &finding["remote"]["port"]];
        ends.iter().all(|end| end.is_null())
            || ends
                .iter()
                .any(|end| end.as_u64().is_some_and(|port| ports.contains(&port)))
    };
    let findings = array(document, "findings").filter(about);
    let checked = findings.map(|finding| {
        for step in array(finding, "next_steps") {
            check_step(step.as_str().unwrap(), finding);
        }
    });
    checked.count()
}

fn check_step(step: &str, finding: &Value) {
    if ADVICE.iter().any(|start| step.starts_with(start)) {
        return;
    }
    let checked = bash(&["-n", "-c", step]);
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{step}");
    let (command, remark) = step.split_once("  # ").unwrap_or((step, ""));
    let tool = tool(command);
    assert!(
        has(tool) || remark.starts_with("first"),
        "{step}: no {tool}"
    );
    assert!(
        !has(tool) || !remark.contains("first"),
        "{step}: {tool} is here"
    );
    let this = closewait().to_str().unwrap();
    if command.starts_with(&format!("{this} list --state")) {
        let listed = bash(&["-c", &format!("{command} --json")]);
        assert_eq!(listed.code, 0, "{step}: {}", listed.stderr);
        let list: Value = serde_json::from_str(&listed.stdout).unwrap();
        let sockets = array(&list, "sockets").count();
        let parts = array(finding, "parts").map(|part| part["sockets"].as_u64().unwrap());
        let all = finding["sockets"].as_u64().unwrap() + parts.sum::<u64>();
        assert_eq!(all, sockets as u64, "{step}");
    } else if let Some(file) = command.strip_prefix(&format!("{this} record ")) {
        // It does not replace the file of another run.
        let file = file.rsplit(' ').next().unwrap();
        let _ = fs::remove_file(file);
        let ran = bash(&["-c", step]);
        assert_eq!(ran.code, 0, "{step}: {}", ran.stderr);
        fs::remove_file(file).unwrap();
    } else if tool == this || (HARMLESS.contains(&tool) && has(tool)) {
        let ran = bash(&["-c", step]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{step}");
        assert!(!ran.stdout.is_empty(), "{step}");
    }
}

/// The program that a command runs, after those that enter namespaces.
fn tool(command: &str) -> &str {
    let mut words = command.split(' ').peekable();
    while let Some(word) = words.next() {
        match word {
            "nsenter" | "setpriv" | "timeout" => {
                assert!(has(word), "{command}");
                // Options, and their numbers.
                while let Some(option) = words.peek() {
                    let is_option = option.starts_with('-');
                    let is_number = option.bytes().all(|byte| byte.is_ascii_digit());
                    if !(is_option || is_number) {
                        break;
                    }
                    words.next();
                }
            }
            word => return word,
        }
    }
    panic!("no program in {command}")
}

/// Whether a shell finds a program.
fn has(program: &str) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", "command -v \"$0\"", program]);
    run(&mut shell).code == 0
}

fn bash(args: &[&str]) -> Run {
    run(Command::new("bash").args(args))
}
