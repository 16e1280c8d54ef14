//! When a process started, and its ancestors. A socket that is older than its holder was inherited. See
//! proc_pid_stat(5).

use std::collections::HashMap;
use std::path::Path;

use procfs::process::Stat;
use rustix::fs::CWD;

use crate::collector::file;
use crate::collector::procfs::TICK_MS;
use crate::model::{Name, Pid};

/// The most ancestors that are read.
const ANCESTORS_MAX: usize = 8;

/// Start times and ancestors of processes. Each process is read once, since those of one service share
/// their ancestors.
pub struct Ancestry<'a> {
    proc_root: &'a Path,
    uptime_ms: u64,
    read: HashMap<Pid, Option<Parentage>>,
}

/// What is kept of a `/proc/PID/stat`.
struct Parentage {
    name: Name,
    parent: i32,
    start_ms: u64,
}

impl Ancestry<'_> {
    pub fn new(proc_root: &Path, uptime_ms: u64) -> Ancestry<'_> {
        Ancestry {
            proc_root,
            uptime_ms,
            read: HashMap::new(),
        }
    }

    /// How long ago a process started, in milliseconds, and its ancestors, the parent first.
    pub fn of(&mut self, pid: Pid) -> (Option<u64>, Vec<(Pid, Name)>) {
        let Some(own) = self.read(pid) else {
            return (None, Vec::new());
        };
        let (start_ms, mut parent) = (own.start_ms, own.parent);
        let mut ancestors = Vec::new();
        while ancestors.len() < ANCESTORS_MAX
            && let Some(next) = u32::try_from(parent).ok().filter(|pid| *pid > 0).map(Pid)
            && let Some(found) = self.read(next)
        {
            ancestors.push((next, found.name.clone()));
            parent = found.parent;
        }
        (self.uptime_ms.checked_sub(start_ms), ancestors)
    }

    fn read(&mut self, pid: Pid) -> Option<&Parentage> {
        let proc_root = self.proc_root;
        let read = self.read.entry(pid).or_insert_with(|| {
            let path = proc_root.join(pid.to_string()).join("stat");
            let stat: Stat = file::parsed_at(CWD, &path)?;
            Some(Parentage {
                name: Name::new(stat.comm.into_bytes()),
                parent: stat.ppid,
                start_ms: stat.starttime.saturating_mul(TICK_MS),
            })
        });
        read.as_ref()
    }
}
