//! Runs a program whose system calls fail: every call of one kind, or the n-th. seccomp passes each call to a
//! supervisor (seccomp_unotify(2)), which lets it continue or returns an error. This needs no tracer and
//! costs a few microseconds per call.

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};

/// How long a program may run.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which of the calls fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    All,
    /// Counted from 1.
    Nth(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub call: i64,
    pub errno: i32,
    pub when: When,
}

/// How a program ended, and its output.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// How many calls failed.
    pub failed: u64,
    /// Each watched call, and how often it was made.
    pub calls: BTreeMap<i64, u64>,
    /// It was killed because it did not end.
    pub hung: bool,
}

/// Runs the program with a fault, or without one, to count its calls.
///
/// # Errors
/// If the kernel does not support such filters, or permission is denied.
pub fn run(command: &mut Command, fault: Option<Fault>) -> io::Result<Ended> {
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null());
    command.stdout(stdout.try_clone()?);
    command.stderr(stderr.try_clone()?);
    let shared = Arc::new((AtomicI32::new(0), AtomicI32::new(0)));
    let reported = Arc::clone(&shared);
    thread::scope(|scope| {
        // The filter applies to this thread and its children, permanently.
        let starting = scope.spawn(move || {
            reported
                .0
                .store(rustix::thread::gettid().as_raw_nonzero().get(), SeqCst);
            // No system call may happen between these two: it would not be answered.
            reported
                .1
                .store(listen(fault.map(|fault| fault.call)), SeqCst);
            if reported.1.load(SeqCst) < 0 {
                return Err(io::Error::last_os_error());
            }
            command.spawn()?.wait()
        });
        let (starter, listener) = loop {
            match shared.1.load(SeqCst) {
                0 => thread::sleep(Duration::from_micros(50)),
                listener => break (shared.0.load(SeqCst), listener),
            }
        };
        let (failed, calls, hung) = if listener > 0 {
            // SAFETY: the kernel has just created it, and nobody else owns it.
            let listener = unsafe { OwnedFd::from_raw_fd(listener) };
            supervise(&listener, starter.cast_unsigned(), fault)?
        } else {
            Default::default()
        };
        let status = starting.join().expect("a thread that starts a program")?;
        let (stdout, stderr) = (text(&mut stdout)?, text(&mut stderr)?);
        Ok(Ended {
            status,
            stdout,
            stderr,
            failed,
            calls,
            hung,
        })
    })
}

impl Ended {
    /// The exit code, or the negative number of the signal that ended it.
    pub fn code(&self) -> i32 {
        let signal = self.status.signal().unwrap_or(0);
        self.status.code().unwrap_or(-signal)
    }
}

fn text(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// From now on, passes this call, or every watched one, to the supervisor. Returns -1 and sets errno on failure.
fn listen(call: Option<i64>) -> i32 {
    let code = |code: u32| u16::try_from(code).expect("a short code");
    let step = |code: u16, yes, k| libc::sock_filter {
        code,
        jt: yes,
        jf: 0,
        k,
    };
    let ask = step(
        code(libc::BPF_RET | libc::BPF_K),
        0,
        libc::SECCOMP_RET_USER_NOTIF,
    );
    let pass = step(
        code(libc::BPF_RET | libc::BPF_K),
        0,
        libc::SECCOMP_RET_ALLOW,
    );
    let number = |call: i64| u32::try_from(call).expect("the number of a system call");
    let is = code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
    // `seccomp_data` starts with the number of the call.
    let mut some = [
        step(code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS), 0, 0),
        step(is, 2, number(libc::SYS_fcntl)),
        step(is, 1, number(call.unwrap_or_default())),
        pass,
        ask,
    ];
    let mut all = [ask];
    let steps: &mut [libc::sock_filter] = if call.is_some() { &mut some } else { &mut all };
    let program = libc::sock_fprog {
        len: u16::try_from(steps.len()).expect("a short program"),
        filter: steps.as_mut_ptr(),
    };
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // SAFETY: the program outlives the call, which copies it.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    i32::try_from(listener).expect("a descriptor")
}

/// Answers calls until the program has ended.
fn supervise(
    listener: &OwnedFd,
    starter: u32,
    fault: Option<Fault>,
) -> io::Result<(u64, BTreeMap<i64, u64>, bool)> {
    let (mut calls, mut failed, mut hung) = (BTreeMap::new(), 0, false);
    let mut program = None;
    let start = Instant::now();
    loop {
        let mut waits = [PollFd::new(listener, PollFlags::IN)];
        let second = rustix::event::Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        };
        let ready = poll(&mut waits, Some(&second))?;
        if start.elapsed() > PATIENCE
            && !hung
            && let Some(pid) = program
        {
            hung = true;
            // If it has just ended, there is nothing to do.
            let _ = kill_process(pid, Signal::KILL);
        }
        let events = waits[0].revents();
        if ready == 0 {
            continue;
        }
        if !events.contains(PollFlags::IN) {
            return Ok((failed, calls, hung));
        }
        // SAFETY: the kernel requires it to be all zero.
        let mut asked: libc::seccomp_notif = unsafe { zeroed() };
        // SAFETY: the kernel writes only to this structure.
        if unsafe {
            libc::ioctl(
                listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                &raw mut asked,
            )
        } != 0
        {
            // The calling process has been killed.
            continue;
        }
        let call = i64::from(asked.data.nr);
        // Checking stderr is the last call before `main` (`src/start.rs`); faults before that would hit the
        // loader.
        let asks = call == libc::SYS_fcntl && asked.data.args[..2] == [2, libc::F_GETFD as u64];
        if asks && asked.pid != starter && program.is_none() {
            program = Pid::from_raw(asked.pid.cast_signed());
        }
        let is_meant = fault.is_none_or(|fault| fault.call == call);
        let mut error = 0;
        if is_meant && program.is_some() && asked.pid != starter {
            let count = calls.entry(call).or_insert(0);
            *count += 1;
            if let Some(fault) = fault.filter(|fault| match fault.when {
                When::All => true,
                When::Nth(number) => *count == number,
            }) {
                failed += 1;
                error = -fault.errno;
            }
        }
        let goes_on = u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).expect("a flag");
        let answer = libc::seccomp_notif_resp {
            id: asked.id,
            val: 0,
            error,
            flags: if error == 0 { goes_on } else { 0 },
        };
        // A process that has been killed meanwhile needs no answer.
        // SAFETY: the kernel only reads this structure.
        unsafe {
            libc::ioctl(
                listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                &raw const answer,
            )
        };
    }
}
