//! Sockets in network namespaces that were not named: how an ordinary run reports them, and which `-A` cannot
//! find.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::lab::{Lab, Lack, Nobody, Run, closewait, left_out, misbehave, run, sockets_of, until};
use crate::namespaces::{Connection, Named, label};
use crate::placement::Group;

/// A program of user 65534 in the namespace of the calling thread; it ends with its standard input.
struct Stranger(Child);

impl Stranger {
    fn new() -> Stranger {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "cat"]);
        let stranger = command.stdin(Stdio::piped()).spawn().unwrap();
        Stranger(stranger)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sh(script: &str, program: &Path) -> Run {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(program);
    run(&mut command)
}

/// How often a socket of this process is in a document.
fn times(list: &Value, connection: &Connection) -> usize {
    let fd = std::os::fd::AsRawFd::as_raw_fd(&connection.server);
    let link = std::fs::metadata(format!("/proc/self/fd/{fd}")).unwrap();
    let is_it = |socket: &&Value| socket["inode"].as_u64() == Some(link.ino());
    sockets_of(list).filter(is_it).count()
}

#[test]
fn a_plain_run_says_what_other_namespaces_it_did_not_look_at() {
    let lab = Lab::new();
    if label(&lab).is_none() {
        return left_out(Lack::Namespace);
    }
    let _leak = Connection::new(true, true);
    let quiet = Named::new("quiet");
    quiet.enter();
    let said = "not read (use -A)";
    let triage = lab.closewait(&[]);
    assert!(triage.stdout.contains(said), "{}", triage.stdout);
    let check = lab.closewait(&["check"]);
    assert_eq!(check.code, 0, "{}", check.stdout);
    assert!(check.stdout.contains(said), "{}", check.stdout);
    let strict = lab.closewait(&["check", "--strict"]);
    assert_eq!(strict.code, 3, "{}", strict.stdout);
    assert!(strict.stdout.contains(said), "{}", strict.stdout);
    assert_eq!(lab.closewait(&["--strict"]).code, 1);
    let list = lab.closewait(&["list", "--strict"]);
    assert_eq!(list.code, 1);
    assert!(list.stderr.contains(said), "{}", list.stderr);
    let others = &lab.json(&[])["other_namespaces"];
    assert!(others["namespaces"].as_u64() >= Some(2), "{others}");
    assert!(others["processes"].as_u64() >= Some(2), "{others}");
    let metrics = lab.closewait(&["--prometheus"]).stdout;
    let reported = metrics
        .lines()
        .find_map(|line| line.strip_prefix("closewait_other_namespaces "));
    assert!(
        reported.is_some_and(|reported| reported != "0"),
        "{metrics}"
    );
    // If all namespaces are read, there are no others.
    assert_eq!(lab.json(&["-A"])["other_namespaces"], Value::Null);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("quiet.cw");
    let file = file.to_str().unwrap();
    let record = lab.closewait(&["record", file]);
    assert!(record.stderr.contains(said), "{}", record.stderr);
    let replayed = lab.closewait(&["--from", file]);
    assert!(replayed.stdout.contains(said), "{}", replayed.stdout);
    // With one namespace chosen, the others were not read either.
    let chosen = lab.closewait(&["-N", &lab.holder_pid().unwrap().to_string()]);
    assert!(chosen.stdout.contains(said), "{}", chosen.stdout);
}

#[test]
fn sockets_in_a_namespace_that_nobody_is_in_are_found() {
    let lab = Lab::new();
    if label(&lab).is_none() {
        return left_out(Lack::Namespace);
    }
    // The name is removed and the thread leaves, but the sockets remain.
    let named = Named::new("nobody");
    named.enter();
    let connection = Connection::new(true, true);
    lab.enter();
    drop(named);
    let list = lab.json(&["list", "-A", "state", "close-wait"]);
    assert_eq!(times(&list, &connection), 1, "{list:#}");
    // It is found if its process is named.
    let pid = std::process::id().to_string();
    let list = lab.json(&["list", "--pid", &pid, "state", "close-wait"]);
    assert_eq!(times(&list, &connection), 1, "{list:#}");
    // Without permission, the tool reports that such namespaces may exist.
    let reported = Nobody::new().closewait(&["check", "-A", "state", "close-wait", "-w", "1000"]);
    assert!(
        reported.stdout.contains("CAP_NET_ADMIN"),
        "{}",
        reported.stdout
    );
    // So does root, if the kernel refuses for another reason.
    let mut confined = Command::new(misbehave());
    confined.args(["confined", closewait().to_str().unwrap()]);
    let reported = run(confined.args(["check", "-A", "--port", "1"]));
    assert_eq!(reported.code, 3, "{reported:?}");
    let said = reported
        .stdout
        .contains("no socket's namespace could be read");
    assert!(said, "{}", reported.stdout);
}

#[test]
fn a_named_namespace_counts_once_where_its_processes_may_not_be_looked_at() {
    let lab = Lab::new();
    if label(&lab).is_none() {
        return left_out(Lack::Namespace);
    }
    let named = Named::new("once");
    named.enter();
    let connection = Connection::new(true, true);
    let _stranger = Stranger::new();
    lab.enter();
    let reported = run(Command::new("setpriv")
        .args(["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"])
        .arg(closewait())
        .args(["list", "-A", "--json", "state", "close-wait"]));
    let list: Value = serde_json::from_str(&reported.stdout).unwrap();
    assert_eq!(times(&list, &connection), 1, "{list:#}");
    // It is read, so it does not count among the others.
    let others = |program: &mut Command| {
        let reported = run(program.args(["list", "-N", &named.0, "--json"]));
        let list: Value = serde_json::from_str(&reported.stdout).unwrap();
        list["other_namespaces"]["namespaces"].as_u64().unwrap()
    };
    until("as many others as root counts", || {
        let by_root = others(&mut Command::new(closewait()));
        let mut without = Command::new("setpriv");
        without.args(["--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]);
        let without = others(without.arg(closewait()));
        if by_root == without {
            Ok(())
        } else {
            Err(format!("{by_root} by root, {without} without"))
        }
    });
    let mut inodes: Vec<u64> = list["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|namespace| namespace["inode"].as_u64())
        .collect();
    let all = inodes.len();
    inodes.dedup();
    assert_eq!(inodes.len(), all);
}

#[test]
fn all_namespaces_of_a_part_of_the_host_are_not_all() {
    if !crate::lab::is_root() {
        return left_out(Lack::Root);
    }
    let nobody = Nobody::new();
    let as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    for (what, script, said) in [
        (
            "hidepid",
            format!("mount -t proc -o hidepid=2 proc /proc && {as_nobody} \"$1\" check -A"),
            "hidepid=invisible",
        ),
        (
            "hidepid that shows the numbers",
            format!("mount -t proc -o hidepid=1 proc /proc && {as_nobody} \"$1\" check -A"),
            "which could not be read",
        ),
        (
            "another PID namespace",
            "unshare --pid --fork --mount-proc \"$1\" check -A".to_owned(),
            "PID namespace",
        ),
        (
            "no procfs",
            "mount -t tmpfs none /proc && \"$1\" check -A".to_owned(),
            "/proc shows no process",
        ),
        (
            "names that cannot be listed",
            "mount -t tmpfs none /run && touch /run/netns && \"$1\" check -A".to_owned(),
            "could not list /run/netns",
        ),
        (
            "a part of the processes",
            "mkdir -p /tmp/part-of-proc.$$ && mount -t tmpfs none /tmp/part-of-proc.$$ && cd /tmp/part-of-proc.$$ && \
             for p in self thread-self 1 sys net; do mkdir $p && mount --bind /proc/$p $p; done; \
             mount --move /tmp/part-of-proc.$$ /proc; rmdir /tmp/part-of-proc.$$; \"$1\" check -A"
                .to_owned(),
            "PID namespace",
        ),
    ] {
        let reported = sh(&script, &nobody.program);
        assert_ne!(reported.code, 0, "{what}: {reported:?}");
        assert!(reported.stdout.contains(said), "{what}: {reported:?}");
    }
}

#[test]
fn a_process_a_unit_and_a_container_are_read_in_their_own_namespaces() {
    let lab = Lab::new();
    let Some(home) = label(&lab) else {
        return left_out(Lack::Namespace);
    };
    let leak = lab.start("leak", &["connections=3"]);
    let port = leak.port().to_string();
    Named::new("away").enter();
    let close_wait = |args: &[&str]| {
        let list = lab.json(&[&["list", "-a", "--port", &port], args].concat());
        let found = sockets_of(&list).filter(|socket| socket["state"] == "CLOSE_WAIT");
        found.count()
    };
    let pid = leak.pid().to_string();
    assert_eq!(close_wait(&[]), 0);
    assert_eq!(close_wait(&["--pid", &pid]), 3);
    assert_eq!(
        close_wait(&["pid", "=", &pid, "and", "recvq", ">=", "0"]),
        3
    );
    let check = lab.closewait(&["check", "--pid", &pid, "-w", "0", "--grace", "0s"]);
    assert_eq!(check.code, 1, "{check:?}");
    // Several are selected.
    assert_eq!(close_wait(&["pid", "=", &pid, "or", "port", "=", "1"]), 0);
    // The tool's own label for a namespace, and its number.
    assert_eq!(close_wait(&["-N", &home]), 3);
    assert_eq!(
        close_wait(&["-N", home.trim_matches(|c: char| !c.is_ascii_digit())]),
        3
    );

    let unit = format!("closewait-away-{}.service", std::process::id());
    if let Some(group) = Group::new(&unit) {
        group.add(leak.pid());
        assert_eq!(close_wait(&["unit", "=", &unit]), 3);
        let none = lab.closewait(&["list", "unit", "=", "closewait-nothing"]);
        assert_eq!(none.code, 1, "{none:?}");
        assert!(
            none.stderr.contains(&unit),
            "it lists what there is: {none:?}"
        );
        let none = lab.closewait(&["check", "unit", "=", "closewait-nothing"]);
        assert_eq!(none.code, 3, "{none:?}");
    }
    let id = format!("{:064x}", std::process::id());
    if let Some(group) = Group::new(&format!("docker-{id}.scope")) {
        let inside = lab.start("idle", &[]);
        group.add(inside.pid());
        let away = lab.closewait(&["check", "container", "=", &id, "-w", "1"]);
        assert_eq!(away.code, 0, "{away:?}");
        let none = lab.closewait(&["check", "container", "=", "0123456789ab"]);
        assert_eq!(none.code, 3, "{none:?}");
        assert!(none.stdout.contains(&id), "{none:?}");
        drop(inside);
    }
}

#[test]
fn a_process_that_may_not_be_looked_at_is_not_said_to_have_no_socket() {
    let lab = Lab::new();
    if label(&lab).is_none() {
        return left_out(Lack::Namespace);
    }
    let leak = lab.start("leak", &["connections=3"]);
    let pid = leak.pid().to_string();
    Named::new("closed").enter();
    let nobody = Nobody::new();
    let mount = "mount -t proc -o hidepid=1 proc /proc && exec setpriv --reuid=65534 --regid=65534 \
                 --clear-groups \"$1\" check -w 1";
    for what in ["--pid", "pid ="] {
        let reported = sh(&format!("{mount} {what} {pid}"), &nobody.program);
        assert_eq!(reported.code, 3, "{reported:?}");
        assert!(!reported.stdout.contains("has no socket"), "{reported:?}");
        assert!(reported.stdout.contains("could not read"), "{reported:?}");
    }
}

#[test]
fn a_process_without_its_leader_is_looked_for_where_its_threads_live() {
    let lab = Lab::new();
    if label(&lab).is_none() {
        return left_out(Lack::Namespace);
    }
    let hidden = lab.start("hide", &["connections=3", "way=leader"]);
    let pid = hidden.pid().to_string();
    Named::new("leader").enter();
    let check = lab.closewait(&["check", "--pid", &pid, "-w", "2", "--grace", "0s"]);
    assert_eq!(check.code, 1, "{check:?}");
    let port = hidden.port().to_string();
    let named = lab.closewait(&["-q", "-N", &pid, "--state", "close-wait", "--port", &port]);
    assert_eq!(named.code, 0, "{named:?}");
}

#[test]
fn a_process_that_does_not_exist_is_an_error() {
    let lab = Lab::new();
    let none = lab.closewait(&["list", "--pid", "4194305"]);
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.stderr.contains("no process 4194305"), "{none:?}");
    let none = lab.closewait(&["check", "--pid", "4194305", "-w", "1"]);
    assert_eq!(none.code, 3, "{none:?}");
    // A recording does not contain a process without sockets.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("quiet.cw");
    let file = file.to_str().unwrap();
    assert_eq!(lab.closewait(&["record", file]).code, 0);
    let none = lab.closewait(&["check", "--from", file, "--pid", "4194305"]);
    assert_eq!(none.code, 3, "{none:?}");
    let (reported, thread) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let threads = std::thread::spawn(move || {
        reported
            .send(rustix::thread::gettid().as_raw_nonzero())
            .unwrap();
        let _ = ended.recv();
    });
    let thread = thread.recv().unwrap().to_string();
    let found = lab.closewait(&["check", "--pid", &thread]);
    assert_eq!(found.code, 3, "{found:?}");
    let said = format!("--pid {}", std::process::id());
    assert!(found.stdout.contains(&said), "{found:?}");
    drop(end);
    threads.join().unwrap();
}

/// A container beside the lab, with its own PID, network and mount namespaces. The procfs of the lab's PID
/// namespace, whose PID 1 is in the lab's network namespace, is mounted on `$HOST`.
fn in_container(lab: &Lab, script: &str) -> Run {
    lab.enter();
    let outside = "HOST=$(mktemp -d) && export HOST && mount -t proc proc \"$HOST\" && \
                   unshare --pid --net --mount --fork --mount-proc sh -c \"$SCRIPT\" sh \"$1\"; \
                   CODE=$?; umount \"$HOST\"; rmdir \"$HOST\"; exit $CODE";
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount", "sh", "-c", outside, "sh"]);
    run(command.arg(closewait()).env("SCRIPT", script))
}

#[test]
fn another_procfs_reads_the_namespace_of_its_process_1() {
    let lab = Lab::new();
    let Some(home) = label(&lab) else {
        return left_out(Lack::Namespace);
    };
    let leak = lab.start("leak", &["connections=3"]);
    let port = leak.port();
    let reported = |arguments: &str| in_container(&lab, &format!("\"$1\" {arguments}"));
    let list = |arguments: &str| -> Value {
        let reported = reported(&format!("list -a --json --port {port} {arguments}"));
        assert_eq!(reported.code, 0, "{reported:?}");
        serde_json::from_str(&reported.stdout).unwrap()
    };
    let waits = |list: &Value| list["states"]["CLOSE_WAIT"].as_u64();
    assert_eq!(waits(&list("")), Some(0), "the container's own");
    let of_host = list("--proc \"$HOST\"");
    assert_eq!(waits(&of_host), Some(3), "{of_host:#}");
    assert_eq!(of_host["namespaces"][0]["netns"], home.as_str());
    assert_eq!(of_host["source"], "netlink");
    // If the namespace cannot be entered, or netlink is not wanted, its files are read.
    let of_files = list("--proc \"$HOST\" --source procfs");
    assert_eq!(waits(&of_files), Some(3), "{of_files:#}");
    assert_eq!(waits(&list("-A --proc \"$HOST\"")), Some(3));
    let check = reported(&format!(
        "check --proc \"$HOST\" --port {port} --by total -w 2 --grace 0s --no-owners"
    ));
    assert_eq!(check.code, 1, "{check:?}");
    // Its own PID namespace is not that of the host.
    let all = reported(&format!("check -A --port {port}"));
    assert_eq!(all.code, 3, "{all:?}");
    let screen = reported("--proc \"$HOST\" --no-owners");
    assert!(screen.stdout.contains("/1/ns/net)"), "{}", screen.stdout);
}

#[test]
fn a_directory_that_shows_no_process_is_no_host() {
    let lab = Lab::new();
    let root = tempfile::tempdir().unwrap();
    let path = root.path().to_str().unwrap();
    // Without visible processes, nothing is known about them.
    for args in [["--pid", "1"], ["unit", "= x"]] {
        let words = args.iter().flat_map(|arg| arg.split(' '));
        let asked: Vec<&str> = ["check", "--proc", path].into_iter().chain(words).collect();
        let reported = lab.closewait(&asked);
        assert_eq!(reported.code, 3, "{reported:?}");
        assert!(reported.stdout.contains("shows no process"), "{reported:?}");
    }
    // Another namespace was read instead.
    let nothing = lab.closewait(&["check", "--proc", path, "--by", "total", "-w", "1000000"]);
    assert_eq!(nothing.code, 3, "{nothing:?}");
    let all = lab.closewait(&["check", "-A", "--proc", path]);
    assert_eq!(all.code, 3, "{all:?}");
    let net = root.path().join("1/net");
    std::fs::create_dir_all(&net).unwrap();
    let heading = "  sl  local_address rem_address   st tx_queue\n";
    let wait =
        "   0: 0100007F:1F90 0100007F:C350 08 00000000:00000000 00:00000000 00000000 0 0 77 1\n";
    std::fs::write(net.join("tcp"), format!("{heading}{wait}")).unwrap();
    let list = lab.json(&["list", "--proc", path]);
    assert_eq!(list["states"]["CLOSE_WAIT"], 1, "{list:#}");
    assert_eq!(list["source"], "procfs");
}
