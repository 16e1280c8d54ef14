//! Why a procfs may not show all processes, and with them all network namespaces.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::mounts::{MountLine, unescaped};
use crate::collector::file;
use crate::collector::namespaces::netns;
use crate::model::Words;

/// The number of the initial PID namespace (`PROC_PID_INIT_INO` of `include/linux/proc_ns.h`).
const INITIAL_PIDS: u64 = 0xEFFF_FFFC;
/// The first user namespace (`PROC_USER_INIT_INO` of the same).
const FIRST_USER: u64 = 0xEFFF_FFFD;
/// `PF_KTHREAD` of `include/linux/sched.h`: only the initial PID namespace has kernel threads.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// Why a network namespace may exist that was not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doubt {
    /// What could not be listed, and why.
    pub(super) detail: String,
    pub(super) hint: Words,
}

impl Doubt {
    /// Something could not be done to a path.
    pub(super) fn could_not(what: &str, path: &Path, reason: &io::Error) -> Doubt {
        Doubt {
            detail: format!("could not {what} {}: {reason}", path.display()),
            hint: match Errno::from_io_error(reason) {
                Some(Errno::ACCESS | Errno::PERM) => "run as root".into(),
                Some(Errno::NOENT) => "is a procfs mounted there?".into(),
                Some(reason) => hint_of(reason, ""),
                None => "".into(),
            },
        }
    }

    /// It, and what to try.
    pub(super) fn words(&self) -> String {
        if self.hint.is_empty() {
            return self.detail.clone();
        }
        format!("{}; {}", self.detail, self.hint)
    }
}

/// Whether the calling thread has all of these capabilities.
pub(in crate::collector) fn is_capable(wanted: CapabilitySet) -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}

/// Whether the reader is in the first user namespace, in which alone its capabilities hold for the
/// whole host; `None` where that cannot be told.
pub(in crate::collector) fn is_of_first_user_namespace(proc_root: &Path) -> Option<bool> {
    let own = netns::number_at(&proc_root.join("self/ns/user"), "user")?;
    Some(own == FIRST_USER)
}

/// What to try where a capability is missing: root may lack it too.
pub(super) fn by_capability(names: &str) -> String {
    if !rustix::process::geteuid().is_root() {
        format!("run as root (or with {names})")
    } else if is_of_first_user_namespace(Path::new("/proc")) == Some(false) {
        "run it outside this user namespace".to_owned()
    } else {
        format!("run it with {names}")
    }
}

/// What to try where something was refused for this reason, which the capabilities would permit.
pub(in crate::collector) fn hint_of(reason: Errno, capabilities: &str) -> Words {
    match reason {
        Errno::ACCESS | Errno::PERM => by_capability(capabilities).into(),
        Errno::MFILE => "raise the limit of open files (ulimit -n)".into(),
        Errno::NFILE => "the host has no descriptor left: see fs.file-max".into(),
        Errno::AGAIN => "raise the limit of threads (ulimit -u)".into(),
        Errno::NOMEM | Errno::NOBUFS => "the host has no memory left".into(),
        _ => "".into(),
    }
}

/// Why a procfs that has processes may not show all of them.
pub(super) fn of_procfs(proc_root: &Path) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let hiding = hiding(proc_root);
    if !is_of_the_host(proc_root, hiding.is_some()) {
        doubts.push(Doubt {
            detail: format!(
                "{} shows the processes of one PID namespace, not of the host",
                proc_root.display()
            ),
            hint: "run it on the host, or with the host's --proc".into(),
        });
    }
    doubts.extend(hiding.map(|option| hidden(proc_root, &option)));
    doubts
}

/// Processes of others are hidden by an option of the mount.
pub(super) fn hidden(proc_root: &Path, option: &str) -> Doubt {
    Doubt {
        detail: format!(
            "{} is mounted with {option}: other users' processes are not seen",
            proc_root.display()
        ),
        hint: by_capability("CAP_SYS_PTRACE").into(),
    }
}

/// Whether the processes are those of the initial PID namespace: by the namespace of PID 1, or, if
/// that may not be read, by whether PID 2 is a kernel thread, or by the reader's own, if that is
/// what the procfs shows. If none shows it, they are not, unless they may be hidden.
pub(in crate::collector) fn is_of_the_host(proc_root: &Path, may_be_hidden: bool) -> bool {
    let is_initial = |process: &str| {
        let path = proc_root.join(process).join("ns/pid");
        netns::number_at(&path, "pid").map(|inode| inode == INITIAL_PIDS)
    };
    let own = || is_initial("self").filter(|_| netns::has_our_numbers(proc_root));
    is_initial("1")
        .or_else(|| is_kernel_thread(&proc_root.join("2")))
        .or_else(own)
        .unwrap_or(may_be_hidden)
}

fn is_kernel_thread(process: &Path) -> Option<bool> {
    let flags: u32 = stat(process).ok()?.split(' ').nth(6)?.parse().ok()?;
    Some(flags & KERNEL_THREAD != 0)
}

/// What proc_pid_stat(5) tells from the state on: a name may have anything in it.
pub(super) fn stat(process: &Path) -> io::Result<String> {
    let text = file::text(&process.join("stat"))?;
    let rest = text.rsplit_once(") ").map(|(_, rest)| rest);
    Ok(rest.unwrap_or_default().to_owned())
}

/// The option of the mount that hides processes from this reader; see proc(5).
pub(in crate::collector) fn hiding(proc_root: &Path) -> Option<String> {
    if is_capable(CapabilitySet::SYS_PTRACE) {
        return None;
    }
    let mountinfo = file::read(Path::new("/proc/thread-self/mountinfo"), file::LIST_MAX).ok()?;
    let root = proc_root.canonicalize().ok()?;
    let root = root.as_os_str().as_encoded_bytes();
    let lines = mountinfo.split(|byte| *byte == b'\n');
    // Of several on one place the last is on top.
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

/// The option among those of a superblock that hides processes from whoever is not in the group
/// that it excepts.
fn hidden_by(options: &[u8], is_in: impl Fn(u32) -> bool) -> Option<String> {
    let options = std::str::from_utf8(options).ok()?;
    let mut options = options.split(',');
    let excepted = options
        .clone()
        .find_map(|option| option.strip_prefix("gid="))
        .map_or(0, |gid| gid.parse().unwrap_or(0));
    let hiding = options.find(|option| option.starts_with("hidepid="))?;
    let hides = match hiding {
        // 1 shows that they are there.
        "hidepid=0" | "hidepid=off" | "hidepid=1" | "hidepid=noaccess" => false,
        // Whatever the group.
        "hidepid=4" | "hidepid=ptraceable" => true,
        _ => !is_in(excepted),
    };
    hides.then(|| hiding.to_owned())
}

/// Whether an error says that a process has ended.
pub(super) fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::SRCH)
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
        // Without a group it is root's.
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
