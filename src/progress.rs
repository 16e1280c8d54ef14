//! A line on a terminal's stderr while a long scan runs; nothing where it is short, or where
//! nobody looks.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::collector::holders::Progress;

/// How long a run may take before it says what it is doing.
const PATIENCE: Duration = Duration::from_millis(700);
const REFRESH: Duration = Duration::from_millis(200);

/// Runs `work`, showing how far it has come.
pub fn shown<T>(progress: &Progress, work: impl FnOnce() -> T) -> T {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // Without a thread, without a line.
        let _ = thread::Builder::new().spawn_scoped(scope, move || {
            let mut wait = PATIENCE;
            while is_done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                show(progress);
                wait = REFRESH;
            }
            if wait == REFRESH {
                // Nothing to do about a terminal that is gone.
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
        0 => write!(std::io::stderr(), "\r\x1b[Kreading sockets …"),
        _ => write!(
            std::io::stderr(),
            "\r\x1b[Kreading owners: {done} of {processes} processes, {fds} open files …"
        ),
    };
}
