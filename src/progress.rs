//! A progress line on stderr while a long scan runs, if stderr is a terminal.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::collector::holders::Progress;

/// How long a run may take before progress is shown.
const PATIENCE: Duration = Duration::from_millis(700);
const REFRESH: Duration = Duration::from_millis(200);

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
