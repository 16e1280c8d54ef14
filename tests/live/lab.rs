//! A network namespace for the sockets and programs of a test.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;

#[path = "../left_out/mod.rs"]
mod left_out;

pub use left_out::{Lack, left_out};

/// How long to wait for a condition before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

const NOBODY: u32 = 65534;

/// Where a test makes its sockets.
///
/// The calling thread moves into the namespace, and so does everything that it starts.
pub struct Lab {
    /// A program that keeps the namespace and identifies it, if there is one.
    holder: Option<Program>,
}

impl Lab {
    pub fn new() -> Lab {
        let holder = own_namespace();
        if holder.is_none() {
            left_out::may_lack(Lack::Namespace);
            static SAID: Once = Once::new();
            SAID.call_once(|| {
                left_out::say("no network namespaces: on the loopback that is there\n");
            });
        }
        Lab { holder }
    }

    /// Whether the namespace contains only the test's own sockets.
    pub fn is_private(&self) -> bool {
        self.holder.is_some()
    }

    /// The process that identifies the namespace.
    pub fn holder_pid(&self) -> Option<u32> {
        self.holder.as_ref().map(Program::pid)
    }

    /// Starts a role of misbehave, and waits until it is ready.
    pub fn start(&self, role: &str, settings: &[&str]) -> Program {
        Program::start(Command::new(misbehave()).arg(role).args(settings))
    }

    /// Starts a role through another command, such as setpriv(1), which gets the program and its arguments. It
    /// runs a copy of the program, since another user may have no access to the directory.
    pub fn start_by(&self, mut command: Command, role: &str, settings: &[&str]) -> Guest {
        let (dir, program) = copy(&misbehave());
        let program = Program::start(command.arg(program).arg(role).args(settings));
        Guest { program, _dir: dir }
    }

    /// Runs the tool to its end.
    pub fn closewait(&self, args: &[&str]) -> Run {
        run(Command::new(closewait()).args(args))
    }

    /// Runs the tool and parses its JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let run = self.closewait(&[args, &["--json"]].concat());
        assert_eq!(run.code, 0, "{args:?}: {}", run.stderr);
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// Waits until a port has the expected number of CLOSE_WAIT sockets, and the peer of each has closed for
    /// longer than a normal teardown takes. Returns the listing of them.
    pub fn lingering(&self, port: u16, sockets: usize, age: Age) -> Value {
        let port = port.to_string();
        until(&format!("{sockets} lingering on port {port}"), || {
            let mut list = self.json(&["list", "--port", &port]);
            let of_list = list["sockets"].as_array_mut().unwrap();
            of_list.retain(|socket| socket["state"] == "CLOSE_WAIT");
            let ages: Vec<Option<u64>> = of_list
                .iter()
                .map(|socket| socket["idle_ms"][age.bound()].as_u64())
                .collect();
            let youngest = ages.iter().min().copied().flatten();
            if ages.len() == sockets && youngest.is_some_and(|age| age > GRACE_MS) {
                return Ok(list);
            }
            // Polling without a pause would slow down other tests.
            let rest = GRACE_MS.saturating_sub(youngest.unwrap_or(GRACE_MS));
            thread::sleep(Duration::from_millis(rest));
            Err(format!("{} {ages:?} ms old", age.bound()))
        })
    }

    /// Moves the calling thread into the lab, which another thread may have made.
    pub fn enter(&self) {
        if let Some(holder) = &self.holder {
            enter(holder);
        }
    }
}

/// The bound by which the age of a CLOSE_WAIT is known to exceed the grace period.
#[derive(Debug, Clone, Copy)]
pub enum Age {
    /// Nothing has been acknowledged since the FIN.
    Least,
    /// Later acknowledgements hide the time of the FIN; the last byte came before it.
    Most,
}

impl Age {
    fn bound(self) -> &'static str {
        match self {
            Age::Least => "at_least",
            Age::Most => "at_most",
        }
    }
}

/// How long a CLOSE_WAIT lasts before it counts.
pub const GRACE_MS: u64 = 5_000;

pub fn sockets_of(list: &Value) -> impl Iterator<Item = &Value> {
    list["sockets"].as_array().expect("a list").iter()
}

/// Makes a network namespace with its loopback up, and moves the calling thread there. `None` if permission is
/// denied.
fn own_namespace() -> Option<Program> {
    if !is_root() {
        return None;
    }
    let probe = Command::new("unshare").args(["--net", "true"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        return None;
    }
    let mut holder = Command::new("unshare");
    let holder = Program::start(holder.args(["--net", "--"]).arg(misbehave()).arg("idle"));
    enter(&holder);
    let up = run(Command::new("ip").args(["link", "set", "lo", "up"]));
    assert_eq!(up.code, 0, "ip link set lo up: {}", up.stderr);
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback that is up");
    Some(holder)
}

fn enter(holder: &Program) {
    let namespace = File::open(format!("/proc/{}/ns/net", holder.pid())).unwrap();
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub fn closewait() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_closewait"))
}

/// The helper program, in the directory beside this one.
pub fn misbehave() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let profile = this.ancestors().nth(2).expect("a target directory");
    let program = profile.join("examples/misbehave");
    assert!(
        program.exists(),
        "{} is missing: `cargo test` builds it, `cargo test --test live` does not; \
         try `cargo build --example misbehave`",
        program.display()
    );
    program
}

/// The output of a command, and how it ended.
#[derive(Debug)]
pub struct Run {
    /// -1 if a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn run(command: &mut Command) -> Run {
    command.env("LC_ALL", "C.UTF-8");
    let output = loop {
        match command.output() {
            // A child that another test is starting keeps the copy of the tool open for writing until its exec.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(10));
            }
            output => break output.unwrap_or_else(|error| panic!("{command:?}: {error}")),
        }
    };
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("valid UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("valid UTF-8"),
    }
}

/// A role that another program starts.
pub struct Guest {
    program: Program,
    _dir: tempfile::TempDir,
}

impl Guest {
    pub fn program(&self) -> &Program {
        &self.program
    }
}

/// A copy of a program that everyone may execute.
fn copy(program: &Path) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let copy = dir.path().join(program.file_name().unwrap());
    std::fs::copy(program, &copy).unwrap();
    // Once it has run, no child of another test has it open for writing.
    run(Command::new(&copy).arg("--help"));
    (dir, copy)
}

/// The tool, in a place where an unprivileged user may execute it.
pub struct Nobody {
    _dir: tempfile::TempDir,
    pub program: PathBuf,
}

impl Nobody {
    /// Copies the tool, since others may have no access to its directory.
    pub fn new() -> Nobody {
        let (dir, program) = copy(closewait());
        Nobody { _dir: dir, program }
    }

    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs the tool as user and group 65534 without other groups; without root, as the current user.
    pub fn closewait(&self, args: &[&str]) -> Run {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir("/");
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        run(&mut command)
    }
}

/// A running role of misbehave, or a program like it. It is killed when this is dropped, and ends with the test in any case.
pub struct Program {
    child: Child,
    leash: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    pub facts: Value,
}

impl Program {
    /// Starts a program that prints its facts as its first line, in JSON, and ends when its input does.
    pub fn start(command: &mut Command) -> Program {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let leash = child.stdin.take();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut program = Program {
            child,
            leash,
            out,
            facts: Value::Null,
        };
        let mut line = String::new();
        program.out.read_line(&mut line).unwrap();
        program.facts = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{command:?} did not get ready: {error}"));
        program
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A fact that the role has reported.
    pub fn fact(&self, name: &str) -> &Value {
        let fact = &self.facts[name];
        assert!(!fact.is_null(), "no {name:?} in {}", self.facts);
        fact
    }

    pub fn number(&self, name: &str) -> u64 {
        self.fact(name).as_u64().unwrap()
    }

    pub fn port(&self) -> u16 {
        u16::try_from(self.number("port")).unwrap()
    }

    pub fn connections(&self) -> usize {
        usize::try_from(self.number("connections")).unwrap()
    }

    pub fn stop(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).unwrap();
    }

    /// Lets the role end, and returns what it counted.
    pub fn finish(mut self) -> u64 {
        self.leash = None;
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        let last: Value = serde_json::from_str(&rest).expect("a role that counts");
        last["count"].as_u64().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries until it works: a new address or route is usable only after a moment.
pub fn once_possible<T>(mut attempt: impl FnMut() -> std::io::Result<T>) -> T {
    until("the network", || {
        attempt().map_err(|error| error.to_string())
    })
}

/// Tries again until there is a result, or the time is up.
pub fn until<T>(what: &str, mut answer: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match answer() {
            Ok(answer) => return answer,
            Err(reason) if start.elapsed() > PATIENCE => panic!("waited for {what}: {reason}"),
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}
