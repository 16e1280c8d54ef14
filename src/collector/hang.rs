//! An end for what waits for a file system: a mount of NFS or FUSE may never answer, be it below the
//! directory of `--proc` or below a program that is looked at, and a read of it cannot be broken off.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What threads wait for at this moment, and since when.
static PENDING: Mutex<Vec<(Instant, PathBuf)>> = Mutex::new(Vec::new());

fn pending() -> MutexGuard<'static, Vec<(Instant, PathBuf)>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until it is dropped, the calling thread waits for a file system.
pub(super) struct Pending(Instant);

impl Pending {
    pub(super) fn on(path: impl Into<PathBuf>) -> Pending {
        let since = Instant::now();
        pending().push((since, path.into()));
        Pending(since)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut pending = pending();
        // Where two began at the same moment, either may be taken out.
        if let Some(at) = pending.iter().position(|(since, _)| *since == self.0) {
            pending.swap_remove(at);
        }
    }
}

/// What has been waited for that long.
fn hanging(limit: Duration) -> Option<PathBuf> {
    let pending = pending();
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
        assert_eq!(hanging(Duration::ZERO).filter(|path| wanted(path)), None);
    }
}
