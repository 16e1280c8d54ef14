//! The titles that processes set in their command lines, and those of their siblings; see
//! proc_pid_cmdline(5) and proc_tid_children(5).
//!
//! The kernel reads a command line from the memory of the process, which can hang while that waits
//! for a disk. So only those of programs known to set titles are read here, and not of a process in
//! uninterruptible sleep.

use std::path::Path;

use procfs::process::Stat;
use rustix::fs::CWD;

use crate::collector::file;
use crate::model::{Evidence, Pid, Sibling, Title};

/// The most bytes of a command line that are read.
const LINE_MAX: u64 = 4_096;
/// The most children of one parent that are read.
const SIBLINGS_MAX: usize = 1_024;

/// The first letters of the names (`comm`) of programs that set titles.
const TITLED: [&str; 6] = [
    "postgres",
    "postmaster",
    "nginx",
    "php-fpm",
    "gunicorn",
    "uwsgi",
];

/// The title of a process.
pub(super) fn of(root: &Path, stat: &Stat) -> Option<Title> {
    let may_have = TITLED.iter().any(|name| stat.comm.starts_with(name));
    if !may_have || stat.state == 'D' {
        return None;
    }
    let mut line = file::head(&root.join("cmdline"), LINE_MAX).ok()?;
    for byte in line.iter_mut().filter(|byte| **byte == 0) {
        *byte = b' ';
    }
    Title::of(&line)
}

/// Adds the titles of the siblings of each process with a title, once per parent.
pub(super) fn add_siblings<'a>(
    proc_root: &Path,
    all: impl Iterator<Item = (&'a mut Evidence, Option<Stat>)>,
) {
    let mut parents = Vec::new();
    for (evidence, stat) in all {
        let Some(parent) = stat
            .map(|stat| stat.ppid)
            .filter(|_| evidence.title.is_some())
        else {
            continue;
        };
        if parents.contains(&parent) {
            continue;
        }
        parents.push(parent);
        let children = children(proc_root, parent);
        let others = children.into_iter().filter(|pid| *pid != evidence.pid);
        evidence.siblings = others
            .filter_map(|pid| {
                let root = proc_root.join(pid.to_string());
                let stat = file::parsed_at(CWD, &root.join("stat"))?;
                let title = of(&root, &stat)?;
                Some(Sibling { pid, title })
            })
            .collect();
    }
}

/// The children of the first thread of a process; none if the kernel does not list them
/// (CONFIG_PROC_CHILDREN), or for process 1, which adopts children of others.
fn children(proc_root: &Path, parent: i32) -> Vec<Pid> {
    if parent <= 1 {
        return Vec::new();
    }
    let path = proc_root.join(format!("{parent}/task/{parent}/children"));
    let text = file::text(&path).unwrap_or_default();
    let numbers = text.split_ascii_whitespace();
    numbers
        .filter_map(|number| number.parse().ok().map(Pid))
        .take(SIBLINGS_MAX)
        .collect()
}
