//! Timeouts for file systems. An NFS or FUSE mount may never answer, whether it is below the `--proc`
//! directory or holds the files of an examined program, and a read from it cannot be interrupted.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SendError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The paths that threads are waiting for now, and since when.
static PENDING: Mutex<Vec<(Instant, PathBuf)>> = Mutex::new(Vec::new());

/// How long one access to the files of a program may take.
const ACCESS_LIMIT: Duration = Duration::from_secs(2);
/// How long all accesses without an answer may still take together.
static REMAINING: Mutex<Duration> = Mutex::new(Duration::from_secs(4));

thread_local! {
    /// Whether nobody joins this thread.
    static IS_DETACHED: Cell<bool> = const { Cell::new(false) };
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While this exists, the calling thread waits for a file system.
pub(super) struct Pending(Instant);

impl Pending {
    pub(super) fn on(path: impl Into<PathBuf>) -> Pending {
        let since = Instant::now();
        if !IS_DETACHED.get() {
            locked(&PENDING).push((since, path.into()));
        }
        Pending(since)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if IS_DETACHED.get() {
            return;
        }
        let mut pending = locked(&PENDING);
        // If two began at the same moment, either may be removed.
        if let Some(at) = pending.iter().position(|(since, _)| *since == self.0) {
            pending.swap_remove(at);
        }
    }
}

/// A path that has been waited for at least this long.
fn hanging(limit: Duration) -> Option<PathBuf> {
    let pending = locked(&PENDING);
    let mut hanging = pending.iter().filter(|(since, _)| since.elapsed() >= limit);
    hanging.next().map(|(_, path)| path.clone())
}

/// Calls `end` with the path of a file that does not answer within `limit`. If no thread can be started,
/// there is no limit.
pub fn watch(limit: Duration, end: impl FnOnce(&Path) + Send + 'static) {
    let look = move || {
        loop {
            thread::sleep(limit / 4);
            if let Some(path) = hanging(limit) {
                return end(&path);
            }
        }
    };
    let _ = thread::Builder::new().spawn(look);
}

/// Runs `work`, which reads files of a program, in a thread. The run continues without the result if it does
/// not come in time.
///
/// # Errors
/// Those of `work`, or `TimedOut`.
pub(super) fn with_timeout<T, Work>(work: Work) -> io::Result<T>
where
    T: Send + 'static,
    Work: FnOnce() -> io::Result<T> + Send + 'static,
{
    let late = || io::Error::from(ErrorKind::TimedOut);
    let limit = locked(&REMAINING).min(ACCESS_LIMIT);
    if limit.is_zero() {
        return Err(late());
    }
    let (result_sender, result) = mpsc::channel();
    let (work_sender, received) = mpsc::channel::<Work>();
    // Not joined: if the thread hangs, the process ends without it.
    let thread = thread::Builder::new().spawn(move || {
        IS_DETACHED.set(true);
        received.recv().map(|work| result_sender.send(work()))
    });
    match (thread, work_sender.send(work)) {
        (Ok(_), Ok(())) => result.recv_timeout(limit).unwrap_or_else(|_| {
            let mut remaining = locked(&REMAINING);
            *remaining = remaining.saturating_sub(limit);
            Err(late())
        }),
        // If no thread could be started, only the limit of the whole run applies.
        (_, Err(SendError(work))) => work(),
        (Err(error), Ok(())) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn only_what_does_not_answer_is_told() {
        // Other accesses are answered.
        for _ in 0..100 {
            drop(Pending::on("/proc/answers"));
        }
        let (sender, hanging_path) = mpsc::channel();
        let hangs = Pending::on("/nfs/hangs");
        let wanted = |path: &Path| path == Path::new("/nfs/hangs");
        // Long enough that no file which another test reads meanwhile takes it.
        watch(Duration::from_millis(400), move |path| {
            let _ = sender.send(path.to_owned());
        });
        assert!(wanted(&hanging_path.recv().unwrap()));
        drop(hangs);
        // A detached thread is not reported.
        let (end, ended) = mpsc::channel::<()>();
        let hangs = move || {
            let _pending = Pending::on("/nfs/hangs");
            Ok(ended.recv().is_err())
        };
        assert_eq!(with_timeout(hangs).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(hanging(Duration::ZERO).filter(|path| wanted(path)), None);
        drop(end);
        assert!(with_timeout(|| Ok(true)).unwrap());
    }
}
