//! What may keep processes and files from this reader: missing capabilities, mount options of the
//! procfs, user and PID namespaces; and what to try against it.

use std::path::Path;

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::file;
use super::mountinfo::{MountLine, unescaped};
use super::procfs::{has_our_numbers, namespace_at, stat};
use crate::model::Words;

/// The number of the initial PID namespace (`PROC_PID_INIT_INO` of `include/linux/proc_ns.h`).
const INITIAL_PIDS: u64 = 0xEFFF_FFFC;
/// The number of the initial user namespace (`PROC_USER_INIT_INO`, same file).
const INITIAL_USER: u64 = 0xEFFF_FFFD;
/// `PF_KTHREAD` of `include/linux/sched.h`: only the initial PID namespace has kernel threads.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// Whether the calling thread has all of these capabilities.
pub(super) fn is_capable(wanted: CapabilitySet) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}

/// Whether this process is in the initial user namespace: only there do its capabilities hold for
/// the whole host. `None` if unknown.
pub(super) fn is_of_first_user_namespace(proc_root: &Path) -> Option<bool> {
    let own = namespace_at(&proc_root.join("self/ns/user"), "user")?;
    Some(own == INITIAL_USER)
}

/// The hint where a capability is missing, which root may lack too.
pub(super) fn by_capability(names: &str) -> String {
    if !rustix::process::geteuid().is_root() {
        format!("run as root (or with {names})")
    } else if is_of_first_user_namespace(Path::new("/proc")) == Some(false) {
        "run outside this user namespace".to_owned()
    } else {
        format!("run with {names}")
    }
}

/// The hint for an error of a system call; `capabilities` would permit what was refused. Empty for
/// errors without advice.
pub(super) fn hint_of(reason: Errno, capabilities: &str) -> Words {
    match reason {
        Errno::ACCESS | Errno::PERM => by_capability(capabilities).into(),
        Errno::MFILE => "raise the limit of open files (ulimit -n)".into(),
        Errno::NFILE => "the host is out of file descriptors: see fs.file-max".into(),
        Errno::AGAIN => "raise the limit of threads (ulimit -u)".into(),
        Errno::NOMEM | Errno::NOBUFS => "the host is out of memory".into(),
        _ => "".into(),
    }
}

/// Whether a procfs shows the initial PID namespace. Decided by the namespace of PID 1; else by
/// whether PID 2 is a kernel thread; else by this process's own namespace, if the procfs shows it.
/// If none of these can be read: `may_be_hidden`.
pub(super) fn is_of_the_host(proc_root: &Path, may_be_hidden: bool) -> bool {
    let is_initial = |process: &str| {
        let path = proc_root.join(process).join("ns/pid");
        namespace_at(&path, "pid").map(|inode| inode == INITIAL_PIDS)
    };
    let own = || is_initial("self").filter(|_| has_our_numbers(proc_root));
    is_initial("1")
        .or_else(|| is_kernel_thread(&proc_root.join("2")))
        .or_else(own)
        .unwrap_or(may_be_hidden)
}

fn is_kernel_thread(process: &Path) -> Option<bool> {
    let flags: u32 = stat(process).ok()?.split(' ').nth(6)?.parse().ok()?;
    Some(flags & KERNEL_THREAD != 0)
}

/// The option of the procfs mount that hides other users' processes, such as `hidepid=2`; see proc(5).
pub(super) fn hiding(proc_root: &Path) -> Option<String> {
    if is_capable(CapabilitySet::SYS_PTRACE) {
        return None;
    }
    let mountinfo = file::read(Path::new("/proc/thread-self/mountinfo"), file::LIST_MAX).ok()?;
    let root = proc_root.canonicalize().ok()?;
    let root = root.as_os_str().as_encoded_bytes();
    let lines = mountinfo.split(|byte| *byte == b'\n');
    // Of several mounts on one directory the last is on top.
    let mount = lines
        .filter_map(MountLine::of)
        .rfind(|line| unescaped(line.at) == root)?;
    let groups = || {
        let others = rustix::process::getgroups().unwrap_or_default();
        let own = rustix::process::getegid();
        others.into_iter().chain([own])
    };
    hidden_by(mount.options, |gid| {
        groups().any(|group| group.as_raw() == gid)
    })
}

/// The `hidepid` among the options of a superblock, if it hides processes. `is_in` says whether this
/// process is in the group that `gid` exempts.
fn hidden_by(options: &[u8], is_in: impl Fn(u32) -> bool) -> Option<String> {
    let options = std::str::from_utf8(options).ok()?;
    let mut options = options.split(',');
    let exempt = options
        .clone()
        .find_map(|option| option.strip_prefix("gid="))
        .map_or(0, |gid| gid.parse().unwrap_or(0));
    let hiding = options.find(|option| option.starts_with("hidepid="))?;
    let hides = match hiding {
        // 1 hides only the content of their directories.
        "hidepid=0" | "hidepid=off" | "hidepid=1" | "hidepid=noaccess" => false,
        // Whatever the group.
        "hidepid=4" | "hidepid=ptraceable" => true,
        _ => !is_in(exempt),
    };
    hides.then(|| hiding.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn hidepid_hides_from_all_but_its_group() {
        let nobody = |_| false;
        let hidden = |options: &str| hidden_by(options.as_bytes(), nobody);
        assert_eq!(hidden("rw"), None);
        assert_eq!(hidden("rw,hidepid=off"), None);
        assert_eq!(hidden("rw,hidepid=noaccess"), None);
        assert_eq!(
            hidden("rw,hidepid=invisible").as_deref(),
            Some("hidepid=invisible")
        );
        assert_eq!(hidden("rw,gid=4,hidepid=2").as_deref(), Some("hidepid=2"));
        assert_eq!(hidden_by(b"rw,gid=4,hidepid=2", |gid| gid == 4), None);
        // Without `gid` the group is root's.
        assert_eq!(hidden_by(b"rw,hidepid=2", |gid| gid == 0), None);
        assert!(hidden_by(b"rw,gid=4,hidepid=ptraceable", |gid| gid == 4).is_some());
    }

    #[test]
    fn processes_of_no_known_pid_namespace_are_not_the_hosts() {
        let root = tempfile::tempdir().unwrap();
        let ns = root.path().join("1/ns");
        fs::create_dir_all(&ns).unwrap();
        assert!(!is_of_the_host(root.path(), false));
        assert!(is_of_the_host(root.path(), true));
        std::os::unix::fs::symlink("pid:[4026531836]", ns.join("pid")).unwrap();
        assert!(is_of_the_host(root.path(), false));
        fs::remove_file(ns.join("pid")).unwrap();
        std::os::unix::fs::symlink("pid:[4026532000]", ns.join("pid")).unwrap();
        assert!(!is_of_the_host(root.path(), true));
    }
}
