//! A progress line on stderr while a long scan runs, or a second reading is awaited, if stderr is a
//! terminal.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::collector::holders::Progress;

/// How long a run may take before progress is shown.
const PATIENCE: Duration = Duration::from_millis(700);
const REFRESH: Duration = Duration::from_millis(200);
/// How often the seconds that are left are counted.
const TICK: Duration = Duration::from_millis(500);

/// Runs `work` and shows its progress.
pub fn shown<T>(progress: &Progress, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // If no thread can be started, no progress is shown.
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            let mut wait = PATIENCE;
            while is_done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                show(progress);
                wait = REFRESH;
            }
            if wait == REFRESH {
                // A write error on the terminal cannot be reported.
                let _ = write!(std::io::stderr(), "\r\x1b[K");
            }
        });
        let result = work();
        drop(done);
        result
    })
}

/// Waits, and shows how long it will take. Ctrl-C ends the program.
pub fn waiting(time: Duration) {
    let end = Instant::now() + time;
    let is_shown = std::io::stderr().is_terminal();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        if is_shown {
            let seconds = left.as_secs_f64().ceil();
            let _ = write!(
                std::io::stderr(),
                "\r\x1b[Kwaiting {seconds} s for the second reading ..."
            );
        }
        thread::sleep(left.min(TICK));
    }
    if is_shown {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
}

fn show(progress: &Progress) {
    let processes = progress.processes.load(Ordering::Relaxed);
    let done = progress.done.load(Ordering::Relaxed);
    let fds = progress.fds.load(Ordering::Relaxed);
    let _ = match processes {
        0 => write!(std::io::stderr(), "\r\x1b[Kreading sockets ..."),
        _ => write!(
            std::io::stderr(),
            "\r\x1b[Kreading owners: {done} of {processes} processes, {fds} open files ..."
        ),
    };
}
