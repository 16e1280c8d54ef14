//! TCP descriptors whose connections are gone: their sockets are in no table.

use std::path::Path;

use crate::collector::namespaces::sknet::Sockets;
use crate::collector::processes::by_inode::SocketsByInode;
use crate::collector::procfs::socket_at;
use crate::model::Scanned;

/// How many of the unmatched descriptors of a process, by its directory in /proc, have lost their
/// connections. Each of them is still the socket that the scan saw, is TCP, and is in none of the
/// tables, which the caller read again after the scan. If its namespace was not read, the socket
/// itself shows whether it is dead. `None` if that is not permitted.
pub(super) fn count(root: &Path, scanned: &Scanned, tables: &SocketsByInode<'_>) -> Option<u64> {
    let unmatched = scanned.unmatched.as_ref()?;
    let mut dead = 0;
    let mut sockets = None;
    for (fd, inode) in unmatched {
        let path = root.join("fd").join(fd.to_string());
        let is_known = tables.find(*inode).is_some();
        if is_known || !is_tcp(&path) || socket_at(&path) != Some(*inode) {
            continue;
        }
        let sockets = sockets.get_or_insert_with(|| Sockets::of(scanned.pid).ok());
        dead += u64::from(sockets.as_ref()?.is_dead(*fd, *inode)?);
    }
    Some(dead)
}

/// Whether at least `few` of the unmatched descriptors of a process are TCP sockets. `None` if it
/// takes more than `checks` descriptors to find out; those that were checked are subtracted.
pub(crate) fn has_unmatched_tcp(
    proc_root: &Path,
    scanned: &Scanned,
    few: usize,
    checks: &mut usize,
) -> Option<bool> {
    let descriptors = proc_root.join(scanned.pid.to_string()).join("fd");
    let mut found = 0;
    for (fd, _) in scanned.unmatched.iter().flatten() {
        *checks = checks.checked_sub(1)?;
        found += usize::from(is_tcp(&descriptors.join(fd.to_string())));
        if found == few {
            return Some(true);
        }
    }
    Some(false)
}

/// Whether a descriptor is a TCP socket. Every socket names its protocol in an extended attribute
/// (`sockfs_xattr_get` in `net/socket.c`).
fn is_tcp(path: &Path) -> bool {
    let mut protocol = [0; 32];
    rustix::fs::getxattr(path, c"system.sockprotoname", &mut protocol).is_ok_and(|length| {
        let name = protocol.get(..length).unwrap_or_default();
        name.starts_with(b"TCP") || name.starts_with(b"MPTCP")
    })
}
