//! An end for what waits for a file system: a mount of NFS or FUSE may never answer, be it below the
//! directory of `--proc` or below a program that is looked at, and a read of it cannot be broken off.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SendError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What threads wait for at this moment, and since when.
static PENDING: Mutex<Vec<(Instant, PathBuf)>> = Mutex::new(Vec::new());

/// How long a look at the files of a program may take, and how long all that get no answer.
const MOMENT: Duration = Duration::from_secs(2);
static PATIENCE: Mutex<Duration> = Mutex::new(Duration::from_secs(4));

thread_local! {
    /// Whether nobody waits for this thread.
    static IS_LEFT: Cell<bool> = const { Cell::new(false) };
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until it is dropped, the calling thread waits for a file system.
pub(super) struct Pending(Instant);

impl Pending {
    pub(super) fn on(path: impl Into<PathBuf>) -> Pending {
        let since = Instant::now();
        if !IS_LEFT.get() {
            locked(&PENDING).push((since, path.into()));
        }
        Pending(since)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if IS_LEFT.get() {
            return;
        }
        let mut pending = locked(&PENDING);
        // Where two began at the same moment, either may be taken out.
        if let Some(at) = pending.iter().position(|(since, _)| *since == self.0) {
            pending.swap_remove(at);
        }
    }
}

/// What has been waited for that long.
fn hanging(limit: Duration) -> Option<PathBuf> {
    let pending = locked(&PENDING);
    let mut hanging = pending.iter().filter(|(since, _)| since.elapsed() >= limit);
    hanging.next().map(|(_, path)| path.clone())
}

/// Calls `end` with the path of what does not answer within `limit`. Without a thread, without a
/// limit.
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

/// What `work` gives, which looks at files of a program: they lie where it has them, and the run
/// goes on without those that do not answer.
pub(super) fn abroad<T, Work>(work: Work) -> io::Result<T>
where
    T: Send + 'static,
    Work: FnOnce() -> io::Result<T> + Send + 'static,
{
    let late = || io::Error::from(ErrorKind::TimedOut);
    let patience = locked(&PATIENCE).min(MOMENT);
    if patience.is_zero() {
        return Err(late());
    }
    let (tell, told) = mpsc::channel();
    let (give, given) = mpsc::channel::<Work>();
    // Not joined: where it hangs, the process ends without it.
    let thread = thread::Builder::new().spawn(move || {
        IS_LEFT.set(true);
        given.recv().map(|work| tell.send(work()))
    });
    match (thread, give.send(work)) {
        (Ok(_), Ok(())) => told.recv_timeout(patience).unwrap_or_else(|_| {
            let mut left = locked(&PATIENCE);
            *left = left.saturating_sub(patience);
            Err(late())
        }),
        // Without a thread, without a limit but that of all.
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
        // Others wait too, and are answered.
        for _ in 0..100 {
            drop(Pending::on("/proc/answers"));
        }
        let (tell, told) = mpsc::channel();
        let hangs = Pending::on("/nfs/hangs");
        let wanted = |path: &Path| path == Path::new("/nfs/hangs");
        watch(Duration::from_millis(4), move |path| {
            let _ = tell.send(path.to_owned());
        });
        assert!(wanted(&told.recv().unwrap()));
        drop(hangs);
        // One that is left alone is nobody's business.
        let (end, ended) = mpsc::channel::<()>();
        let hangs = move || {
            let _pending = Pending::on("/nfs/hangs");
            Ok(ended.recv().is_err())
        };
        assert_eq!(abroad(hangs).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(hanging(Duration::ZERO).filter(|path| wanted(path)), None);
        drop(end);
        assert!(abroad(|| Ok(true)).unwrap());
    }
}
