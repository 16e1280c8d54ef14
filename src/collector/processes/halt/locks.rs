//! Who holds the file locks (flock(2), fcntl(2)) that threads of a process wait for, from
//! proc_locks(5).

use std::collections::BTreeMap;
use std::path::Path;

use crate::collector::file;
use crate::collector::procfs::comm;
use crate::model::{FileLock, Pid, Wait};

/// The most bytes of /proc/locks; a lock takes about 70.
const LOCKS_MAX: u64 = 4 * 1024 * 1024;

/// The locks that a process waits for, in descending order of waiting threads. Read only if some wait
/// in a call that locks files.
pub(super) fn of(proc_root: &Path, pid: Pid, waits: &[Wait]) -> Vec<FileLock> {
    let is_waiting = |wait: &Wait| matches!(wait.call.bytes(), b"flock" | b"fcntl");
    if !waits.iter().any(is_waiting) {
        return Vec::new();
    }
    let text = file::head(&proc_root.join("locks"), LOCKS_MAX).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut locks: Vec<FileLock> = awaited(&text, pid)
        .into_iter()
        .map(|(holder, threads)| FileLock {
            holder,
            name: holder.and_then(|holder| comm(&proc_root.join(holder.to_string()))),
            threads,
        })
        .collect();
    locks.sort_by_key(|lock| std::cmp::Reverse(lock.threads));
    locks
}

/// The holders of the locks that a process waits for, and the number of its waits for each. A lock has
/// one line with its number, followed by a line with the same number and an arrow per waiter.
fn awaited(text: &str, pid: Pid) -> BTreeMap<Option<Pid>, u32> {
    let mut held: Option<(&str, Option<Pid>)> = None;
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(number) = words.next() else { continue };
        let mut words = words.peekable();
        let waits = words.next_if_eq(&"->").is_some();
        // After the kind, the mode (advisory or mandatory) and the access.
        let owner = words.nth(3).and_then(|pid| pid.parse().ok());
        let owner = owner.filter(|pid| *pid != 0).map(Pid);
        match held {
            Some((of, holder)) if waits && of == number && owner == Some(pid) => {
                *found.entry(holder).or_default() += 1;
            }
            _ if !waits => held = Some((number, owner)),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_above_those_who_wait_for_it() {
        let text = "1: POSIX  ADVISORY  WRITE 700 fd:00:1048 0 EOF
1: -> POSIX  ADVISORY  WRITE 20 fd:00:1048 0 EOF
1:  -> POSIX  ADVISORY  WRITE 30 fd:00:1048 0 EOF
2: FLOCK  ADVISORY  WRITE 800 fd:00:7 0 EOF
2: -> FLOCK  ADVISORY  WRITE 20 fd:00:7 0 EOF
2: -> FLOCK  ADVISORY  WRITE 20 fd:00:7 0 EOF
3: OFDLCK ADVISORY  WRITE -1 fd:00:9 0 EOF
3: -> OFDLCK ADVISORY  WRITE -1 fd:00:9 0 EOF
4: -> FLOCK  ADVISORY  WRITE 20 fd:00:7 0 EOF
bad
";
        let of = |pid| awaited(text, Pid(pid)).into_iter().collect::<Vec<_>>();
        assert_eq!(of(20), [(Some(Pid(700)), 1), (Some(Pid(800)), 2)]);
        assert_eq!(of(30), [(Some(Pid(700)), 1)]);
        assert_eq!(of(700), []);
    }
}
