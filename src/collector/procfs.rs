//! What every part reads of a procfs in the same way: numbered entries, links such as `socket:[N]`,
//! proc_pid_stat(5), and whether its process numbers are those of system calls.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, RawDir};
use rustix::io::Errno;

use super::file;
use super::watchdog::Pending;
use crate::model::{Name, Pid};

/// The unit of times in /proc/PID/stat, in milliseconds: `USER_HZ` is 100 on every architecture that
/// Rust supports.
pub(super) const TICK_MS: u64 = 10;
/// The most bytes of a name: 15 for a thread, up to 63 for a kernel thread.
const COMM_MAX: u64 = 64;
/// The size of the buffer for one getdents64(2): about 1,300 descriptors.
pub(super) const DIRENTS: usize = 32 * 1024;

/// Whether this is the procfs of the system, and not one given with `--proc`.
pub(super) fn is_ours(proc_root: &Path) -> bool {
    proc_root == Path::new("/proc")
}

/// Whether the process numbers in a procfs are those that system calls take here. The status of a
/// process in a nested PID namespace has several.
pub(super) fn has_our_numbers(proc_root: &Path) -> bool {
    let status = file::text(&proc_root.join("self/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let own = std::process::id().to_string();
    numbers.is_some_and(|numbers| numbers.split_ascii_whitespace().eq([own.as_str()]))
}

/// Whether an error means that a process has ended.
pub(super) fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::SRCH)
}

/// The fields of proc_pid_stat(5) from the state on: the name before them may contain anything.
pub(super) fn stat(process: &Path) -> io::Result<String> {
    let text = file::text(&process.join("stat"))?;
    let rest = text.rsplit_once(") ").map(|(_, rest)| rest);
    Ok(rest.unwrap_or_default().to_owned())
}

/// The open directory of a process: a later process with the same number cannot take its place.
pub(super) fn open_process(proc_root: &Path, pid: Pid) -> Option<OwnedFd> {
    file::directory(CWD, proc_root.join(pid.to_string())).ok()
}

/// The name of a process or thread, from the `comm` in its directory.
pub(super) fn comm(process: &Path) -> Option<Name> {
    let comm = file::head(&process.join("comm"), COMM_MAX).ok()?;
    Some(Name::new(comm.strip_suffix(b"\n").unwrap_or(&comm)))
}

/// The value after a name at the start of a line of proc_pid_status(5).
pub(super) fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(name))?;
    Some(value.trim())
}

/// The numbers after a name at the start of a line of proc_pid_status(5).
pub(super) fn status_numbers(status: &str, name: &str) -> Option<Vec<u32>> {
    let numbers = status_field(status, name)?.split_ascii_whitespace();
    numbers.map(|number| number.parse().ok()).collect()
}

/// The entries of a directory that are numbers, as far as it could be listed, and the error that
/// ended the listing early.
pub(super) fn numbers_in(at: impl AsFd, path: &Path) -> (Vec<u32>, Option<Errno>) {
    let mut numbers = Vec::new();
    let dir = match file::directory(at, path) {
        Ok(dir) => dir,
        Err(error) => return (numbers, Some(error)),
    };
    let mut buffer = vec![MaybeUninit::uninit(); DIRENTS];
    let mut entries = RawDir::new(dir.as_fd(), &mut buffer);
    let _pending = Pending::on(path);
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) => numbers.extend(number(entry.file_name().to_bytes())),
            Err(error) => return (numbers, Some(error)),
        }
    }
    (numbers, None)
}

/// How many threads a process has. Its `task` directory has one hard link for itself, one in its
/// parent and one for each thread (`proc_task_getattr`).
pub(super) fn threads_in(tasks: &Path) -> Result<u64, Errno> {
    match file::metadata(tasks) {
        Ok(tasks) => Ok(tasks.nlink().saturating_sub(2)),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

/// A decimal number, as in the name of a process's directory.
pub(super) fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The inode in `socket:[N]`.
pub(super) fn socket_inode(target: &[u8]) -> Option<u32> {
    number(target.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

/// The inode of the socket that a link such as `/proc/PID/fd/3` leads to.
pub(super) fn socket_at(link: &Path) -> Option<u32> {
    socket_inode(file::link(link).ok()?.as_os_str().as_bytes())
}

/// The inode of the namespace that a link such as `/proc/PID/ns/net` leads to.
pub(super) fn namespace_at(link: &Path, kind: &str) -> Option<u64> {
    let target = file::link(link).ok()?;
    namespace_inode(target.as_os_str().as_bytes(), kind)
}

/// The inode in `KIND:[N]`, such as `net:[4026531840]`.
pub(super) fn namespace_inode(link: &[u8], kind: &str) -> Option<u64> {
    let digits = link.strip_prefix(kind.as_bytes())?.strip_prefix(b":[")?;
    let digits = digits.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A buffer for `PID/leaf` and a NUL, reused for every process.
#[derive(Default)]
pub(super) struct PathBuffer(Vec<u8>);

impl PathBuffer {
    pub(super) fn of(&mut self, pid: Pid, leaf: impl std::fmt::Display) -> &CStr {
        use std::io::Write as _;
        self.0.clear();
        // Writing to a Vec does not fail.
        let _ = write!(self.0, "{pid}/{leaf}\0");
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_a_socket_only_in_the_kernels_own_words() {
        assert_eq!(socket_inode(b"socket:[4294967295]"), Some(u32::MAX));
        assert_eq!(socket_inode(b"socket:[4294967296]"), None);
        assert_eq!(socket_inode(b"socket:["), None);
        assert_eq!(socket_inode(b"pipe:[1]"), None);
        assert_eq!(socket_inode(b"/tmp/socket:[1]"), None);
    }

    #[test]
    fn a_line_of_the_status_is_read_or_unknown() {
        let status = "Name:\tx\nUid:\t0\t33\t0\t0\nNSpid:\t11391\t1\n";
        assert_eq!(status_numbers(status, "NSpid:"), Some(vec![11391, 1]));
        assert_eq!(status_field(status, "Name:"), Some("x"));
        assert_eq!(status_field(status, "Gid:"), None);
        assert_eq!(status_numbers("Uid:\tx\ty\n", "Uid:"), None);
    }
}
