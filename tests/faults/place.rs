//! A leak, the commands that inspect it, and running each of them with a fault.

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::inject::{self, Ended, Fault};
use crate::judge::{Form, Leak, Outcome, Run, Said, judge, said};
use crate::lab::{Age, Lab, Lack, Program, closewait, is_root, left_out, run, until};

/// The place from which a command inspects the leak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Its,
    /// From another network namespace.
    Another,
    /// From another network namespace, with a leak in a namespace without processes.
    Beside,
}

/// A command, with the placeholders PORT, PID, RECORDING and FILE.
#[derive(Debug)]
pub struct Asking {
    pub name: &'static str,
    pub form: Form,
    pub from: From,
    pub owners: bool,
}

const fn asking(name: &'static str, form: Form, from: From, owners: bool) -> Asking {
    Asking {
        name,
        form,
        from,
        owners,
    }
}

pub const COMMANDS: &[Asking] = &[
    asking("--color never", Form::Text, From::Its, true),
    asking("--json", Form::Json, From::Its, true),
    asking(
        "--json --no-owners --no-evidence",
        Form::Json,
        From::Its,
        false,
    ),
    asking(
        "--json --scan procfs --no-evidence",
        Form::Json,
        From::Its,
        true,
    ),
    asking(
        "--json --source procfs --no-evidence",
        Form::Json,
        From::Its,
        false,
    ),
    asking("--json --strict", Form::Json, From::Its, true),
    asking("--json -r --no-evidence", Form::Json, From::Its, true),
    asking(
        "list -a --no-owners --columns state,local",
        Form::Rows,
        From::Its,
        false,
    ),
    asking(
        "list --columns state,local,owner,cause,unit,container",
        Form::Rows,
        From::Its,
        true,
    ),
    asking("-q --state close-wait", Form::Quiet, From::Its, false),
    asking(
        "-q --cause never-closed --program misbehave",
        Form::Quiet,
        From::Its,
        true,
    ),
    asking("check -c 2 --port PORT", Form::Check, From::Its, true),
    asking(
        "check -c 2 --by port --no-owners",
        Form::Check,
        From::Its,
        false,
    ),
    asking("record FILE", Form::Recording, From::Its, true),
    asking(
        "diff --from RECORDING --against now --json",
        Form::Difference,
        From::Its,
        true,
    ),
    asking("--prometheus --output FILE", Form::Metrics, From::Its, true),
    asking("--json --from RECORDING", Form::Json, From::Its, true),
    asking("-A --json --no-evidence", Form::Json, From::Another, true),
    asking(
        "-A -q --state close-wait --port PORT",
        Form::Quiet,
        From::Another,
        false,
    ),
    asking(
        "-A check -c 2 --port PORT",
        Form::Check,
        From::Another,
        true,
    ),
    asking(
        "-q --pid PID --state close-wait",
        Form::Quiet,
        From::Another,
        true,
    ),
    asking(
        "--json --pid PID --no-evidence",
        Form::Json,
        From::Another,
        true,
    ),
    asking(
        "--json -N PID --no-evidence",
        Form::Json,
        From::Another,
        true,
    ),
    asking("--json -A --no-evidence", Form::Json, From::Beside, true),
    asking(
        "-q -A --state close-wait --port PORT",
        Form::Quiet,
        From::Beside,
        false,
    ),
    asking("check -A -c 2 --port PORT", Form::Check, From::Beside, true),
    asking("check -c 2 --pid PID", Form::Check, From::Beside, true),
];

pub struct Place {
    its: Lab,
    another: Lab,
    leak: Leak,
    beside: Leak,
    recording: PathBuf,
    _dir: tempfile::TempDir,
    _program: Program,
    _held: Vec<OwnedFd>,
}

impl Place {
    /// `None` if the place cannot be created.
    pub fn new() -> Option<Place> {
        if !is_root() {
            left_out(Lack::Root);
            return None;
        }
        let another = Lab::new();
        let its = Lab::new();
        if !its.is_private() {
            left_out(Lack::Namespace);
            return None;
        }
        if let Err(error) = inject::run(&mut Command::new("true"), None) {
            left_out(Lack::Kernel("no seccomp with a supervisor"));
            println!("{error}");
            return None;
        }
        let sockets = 3;
        let program = its.start("leak", &[&format!("connections={sockets}")]);
        its.lingering(program.port(), sockets, Age::Least);
        let dir = tempfile::tempdir().unwrap();
        let recording = dir.path().join("leak.cw");
        let to = recording.to_str().unwrap();
        let recorded = its.closewait(&["record", to]);
        assert_eq!(recorded.code, 0, "{recorded:?}");
        let (beside, held) = held(&another, sockets);
        let leak = Leak {
            name: "misbehave".into(),
            pid: program.pid(),
            port: program.port(),
            sockets,
        };
        Some(Place {
            its,
            another,
            leak,
            beside,
            recording,
            _dir: dir,
            _program: program,
            _held: held,
        })
    }

    fn leak(&self, asking: &Asking) -> &Leak {
        match asking.from {
            From::Beside => &self.beside,
            From::Its | From::Another => &self.leak,
        }
    }

    fn asked(&self, asking: &Asking, dir: &Path) -> Run {
        let leak = self.leak(asking);
        let (port, pid) = (leak.port.to_string(), leak.pid.to_string());
        let file = dir.join("file");
        let word = |word: &str| match word {
            "PORT" => port.clone(),
            "PID" => pid.clone(),
            "FILE" => file.to_str().unwrap().to_owned(),
            "RECORDING" => self.recording.to_str().unwrap().to_owned(),
            word => word.to_owned(),
        };
        Run {
            form: asking.form,
            args: asking.name.split(' ').map(word).collect(),
            file,
            owners: asking.owners,
        }
    }

    fn run(&self, asking: &Asking, fault: Option<Fault>) -> (Run, Ended, tempfile::TempDir) {
        let lab = match asking.from {
            From::Its => &self.its,
            From::Another | From::Beside => &self.another,
        };
        lab.enter();
        let dir = tempfile::tempdir().unwrap();
        let asked = self.asked(asking, dir.path());
        let ended = inject::run(Command::new(closewait()).args(&asked.args), fault);
        (asked, ended.unwrap(), dir)
    }

    /// The output and the system calls of a command without a fault.
    pub fn clean(&self, asking: &Asking) -> (Said, BTreeMap<i64, u64>) {
        let (asked, ended, _dir) = self.run(asking, None);
        let all = Said::default();
        judge(&asked, self.leak(asking), &ended, &all)
            .unwrap_or_else(|reason| panic!("{asked:?}: {reason}: {ended:?}"));
        let said = said(&asked, self.leak(asking), &ended).unwrap();
        let needs_leak = !matches!(asked.form, Form::Quiet | Form::Check);
        assert!(said.leak || !needs_leak, "{asked:?}: {said:?} {ended:?}");
        if !needs_leak {
            let found = if asked.form == Form::Quiet { 0 } else { 2 };
            assert_eq!(ended.code(), found, "{asked:?}: {ended:?}");
        }
        (said, ended.calls)
    }

    /// The number of failed calls, and the judgement.
    pub fn judged(
        &self,
        asking: &Asking,
        clean: &Said,
        fault: Fault,
    ) -> (u64, Result<Outcome, String>) {
        let (asked, ended, _dir) = self.run(asking, Some(fault));
        let mut verdict = judge(&asked, self.leak(asking), &ended, clean);
        // If writing fails there can be no message, and a closed pipe ends the program silently.
        let is_mute = ended.stderr.is_empty() && (0..=3).contains(&ended.code());
        if verdict.is_err() && fault.call == libc::SYS_write && is_mute {
            let quietly = fault.errno == libc::EPIPE && ended.stdout.is_empty();
            if ended.code() > 0 || quietly {
                verdict = Ok(Outcome::Refused);
            }
        }
        let reported = |reason: String| match std::env::var_os("FAULTS_VERBOSE") {
            Some(_) => format!("{reason}\n{ended:?}"),
            None => reason,
        };
        (ended.failed, verdict.map_err(reported))
    }
}

/// A leak of this process in a network namespace without processes, which exists only through its descriptors.
fn held(lab: &Lab, sockets: usize) -> (Leak, Vec<OwnedFd>) {
    let make = || {
        // SAFETY: it affects only this thread, which ends here.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
        assert_eq!(
            run(Command::new("ip").args(["link", "set", "lo", "up"])).code,
            0
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        let mut held = Vec::new();
        for _ in 0..sockets {
            drop(TcpStream::connect(to).unwrap());
            let mut accepted = listener.accept().unwrap().0;
            assert_eq!(accepted.read(&mut [0]).unwrap(), 0);
            held.push(accepted.into());
        }
        held.push(listener.into());
        (to.port(), held)
    };
    let (port, held) = thread::scope(|scope| scope.spawn(make).join().unwrap());
    let leak = Leak {
        name: std::fs::read_to_string("/proc/self/comm")
            .unwrap()
            .trim()
            .to_owned(),
        pid: std::process::id(),
        port,
        sockets,
    };
    lab.enter();
    until("a leak that is old enough", || {
        let port = port.to_string();
        let reported = lab.closewait(&["-A", "-q", "--port", &port, "--cause", "never-closed"]);
        if reported.code == 0 {
            Ok(())
        } else {
            Err(reported.stderr)
        }
    });
    (leak, held)
}
