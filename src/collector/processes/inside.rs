//! How a process sees the system, for tools that must run the same way: its number in its own PID
//! namespace, its files, its user, and the tools beside its executable. And what can give it more
//! descriptors, or restart it.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::collector::processes::halt::CGROUP_MAX;
use crate::collector::processes::manager;
use crate::collector::procfs::status_numbers;
use crate::collector::tools::is_program;
use crate::collector::{file, watchdog};
use crate::model::{Inside, Name, Pid};

/// Reads a process, by its directory in /proc. What cannot be read counts as the same as for the reader.
pub(super) fn inside(root: &Path) -> Inside {
    let status = file::text(&root.join("status")).unwrap_or_default();
    // Its file system may not answer.
    let is_stuck = status.lines().any(|line| line.starts_with("State:\tD"));
    let exe = file::link(&root.join("exe")).ok();
    let beside = exe.as_deref().and_then(Path::parent);
    let jcmd = beside.map(|place| place.join("jcmd")).filter(|jcmd| {
        let below = jcmd.strip_prefix("/").unwrap_or(jcmd);
        let file = root.join("root").join(below);
        !is_stuck && watchdog::with_timeout(move || Ok(is_program(&file))).unwrap_or(false)
    });
    let name = |path: &Path| Name::new(path.as_os_str().as_bytes());
    let stderr = root.join("fd/2");
    Inside {
        pid: status_numbers(&status, "NSpid:")
            .filter(|pids| pids.len() > 1)
            .and_then(|pids| pids.last().copied().map(Pid)),
        other_files: has_other_files(root).unwrap_or(false),
        user: effective(&status, "Uid:").zip(effective(&status, "Gid:")),
        exe: exe
            .as_deref()
            .filter(|exe| !exe.as_os_str().as_bytes().ends_with(b" (deleted)"))
            .map(name),
        jcmd: jcmd.as_deref().map(name),
        logs: !is_stuck
            && watchdog::with_timeout(move || file::metadata(&stderr))
                .is_ok_and(|stderr| stderr.is_file() && stderr.len() > 0),
        max_files: file::text(&root.join("limits"))
            .ok()
            .and_then(|limits| max_files(&limits)),
        manager: file::head(&root.join("cgroup"), CGROUP_MAX)
            .ok()
            .and_then(|cgroup| manager::of(&cgroup)),
    }
}

/// The hard limit in the line `Max open files            1024                 4096    files`.
fn max_files(limits: &str) -> Option<u64> {
    let mut lines = limits.lines();
    let rest = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Whether it is in another mount namespace than the reader.
fn has_other_files(root: &Path) -> Option<bool> {
    let of = |root: &Path| {
        file::metadata(&root.join("ns/mnt"))
            .ok()
            .map(|mounts| mounts.ino())
    };
    Some(of(root)? != of(Path::new("/proc/self"))?)
}

/// The effective one of the real, effective, saved and file-system IDs.
fn effective(status: &str, field: &str) -> Option<u32> {
    status_numbers(status, field)?.get(1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_status_is_read_or_unknown() {
        let status = "Name:\tx\nUid:\t0\t33\t0\t0\nNSpid:\t11391\t1\n";
        assert_eq!(effective(status, "Uid:"), Some(33));
        assert_eq!(effective(status, "Gid:"), None);
        assert_eq!(effective("Uid:\tx\ty\n", "Uid:"), None);
    }

    #[test]
    fn a_hard_limit_is_a_number_or_there_is_none() {
        let of = |line: &str| max_files(&format!("Limit  Soft Limit  Hard Limit\n{line}\n"));
        assert_eq!(of("Max open files   1024   4096   files"), Some(4096));
        assert_eq!(of("Max open files   1024   unlimited   files"), None);
        assert_eq!(of("Max open files   1024"), None);
    }

    #[test]
    fn this_process_sees_what_it_sees_itself() {
        let inside = inside(Path::new("/proc/self"));
        let user = rustix::process::geteuid().as_raw();
        assert_eq!(inside.user.map(|(user, _)| user), Some(user));
        assert!(!inside.other_files);
        assert!(inside.exe.is_some() && inside.jcmd.is_none());
    }
}
