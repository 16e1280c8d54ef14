//! What one run of a command costs: wall time, processor time and peak memory of its process.
//!
//! Each run gets a parent of its own: this program in the `time` role. It ends the command when the
//! benchmark itself is gone or the time limit has passed, so nothing is left running. And it is
//! small, which matters: Linux counts the memory of the process that forked into the peak of the
//! one it forked, so a large parent would hide a small command.

use crate::options::Timing;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A command that takes part.
#[derive(Debug)]
pub struct Contender {
    pub name: String,
    pub argv: Vec<String>,
    /// In how many rounds it runs, from the first.
    pub rounds: usize,
}

impl Contender {
    pub fn new(name: &str, argv: Vec<String>, rounds: usize) -> Self {
        Contender {
            name: name.to_owned(),
            argv,
            rounds,
        }
    }
}

/// The cost of one run.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub wall: Duration,
    /// User and system time, of all threads.
    pub cpu: Duration,
    pub peak_kib: u64,
    pub exit_code: i32,
    /// Lines on stdout, where they were counted.
    pub lines: u64,
}

/// Whether there is such a program to run.
pub fn available(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(program).is_file())
}

/// Run a command once. With `lines` its output is counted and its stderr shown; without, both go to
/// /dev/null. An exit code is part of the sample; being killed, or not starting, is an error.
pub fn sample(argv: &[String], limit_seconds: u64, lines: bool) -> Result<Sample> {
    let mut timer = Command::new(std::env::current_exe()?);
    timer.args(["time", "--limit", &limit_seconds.to_string()]);
    if lines {
        timer.arg("--lines");
    }
    let mut timer = timer
        .arg("--")
        .args(argv)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start the timer")?;
    // Held open until the timer is done; its closing tells the timer that we are gone.
    let leash = timer.stdin.take();
    let output = timer.wait_with_output()?;
    drop(leash);

    let command = argv.join(" ");
    ensure!(output.status.success(), "could not measure `{command}`");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text.split_whitespace().flat_map(str::parse).collect();
    let &[wall, cpu, peak_kib, exit_code, lines] = numbers.as_slice() else {
        anyhow::bail!("`{command}` did not end by itself within {limit_seconds} s");
    };
    Ok(Sample {
        wall: Duration::from_micros(wall),
        cpu: Duration::from_micros(cpu),
        peak_kib,
        exit_code: exit_code as i32,
        lines,
    })
}

/// Why a command is to end early, or not.
enum Event {
    Finished,
    ParentGone,
}

/// The `time` role: run the command, print wall and processor time in microseconds, peak memory in
/// KiB, exit code and lines of output. Prints nothing when the command was killed.
pub fn time(timing: &Timing) -> Result<()> {
    let (program, arguments) = timing.argv.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    if timing.lines {
        command.stdout(Stdio::piped());
    } else {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }

    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("could not run {program}"))?;
    let pid = Pid::from_child(&child);
    // A pidfd, unlike a pid, cannot come to mean another process.
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("could not watch the command")?;

    let (finished, events) = channel();
    let parent_gone = finished.clone();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = parent_gone.send(Event::ParentGone);
    });
    let limit = Duration::from_secs(timing.limit);
    std::thread::spawn(move || match events.recv_timeout(limit) {
        Ok(Event::ParentGone) | Err(RecvTimeoutError::Timeout) => {
            let _ = pidfd_send_signal(&pidfd, Signal::KILL);
        }
        Ok(Event::Finished) | Err(RecvTimeoutError::Disconnected) => {}
    });

    let lines = match child.stdout.take() {
        Some(output) => count_lines(output)?,
        None => 0,
    };
    let (status, usage) = wait(child)?;
    let wall = start.elapsed();
    let _ = finished.send(Event::Finished);

    let cpu = [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|time| time.tv_sec * 1_000_000 + time.tv_usec)
        .sum::<i64>();
    if let Some(signal) = status.signal() {
        eprintln!("{program} was ended by signal {signal}");
        return Ok(());
    }
    println!(
        "{} {cpu} {} {} {lines}",
        wall.as_micros(),
        usage.ru_maxrss,
        status.code().unwrap_or(-1),
    );
    Ok(())
}

/// Wait for a child that was not waited for yet; its status, and the resources that it used.
///
/// std waits without asking for the usage, and rustix has no call that does; so this is the one
/// place with unsafe code.
#[expect(unsafe_code)]
fn wait(child: Child) -> io::Result<(ExitStatus, libc::rusage)> {
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to live objects of the types that wait4 writes.
        let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
        if waited == pid {
            // SAFETY: all of a rusage is integers, which were zeroed and then written by wait4.
            return Ok((ExitStatus::from_raw(status), unsafe { usage.assume_init() }));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn count_lines(mut output: impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; 64 * 1024];
    let mut lines = 0;
    loop {
        let length = output.read(&mut buffer)?;
        if length == 0 {
            return Ok(lines);
        }
        let newlines = buffer[..length].iter().filter(|&&byte| byte == b'\n');
        lines += newlines.count() as u64;
    }
}
