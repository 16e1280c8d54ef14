//! The control groups of the holders of sockets, and those in which sockets without a holder were created.
//! Read only if needed.

pub mod cgroup;

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustc_hash::FxHashSet;

use super::file;
use crate::model::{Cgroups, Holders, Socket};

/// `CGROUP2_SUPER_MAGIC` of `include/uapi/linux/magic.h`.
const CGROUP2: u64 = 0x6367_7270;
/// The mount points of the cgroup2 file system; the second one is used beside version 1.
pub(crate) const CGROUP_MOUNTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
/// The most groups that are walked.
const GROUPS_MAX: usize = 100_000;

/// Reads the groups of all holders, and those in which sockets without a holder were created, or, with
/// `all`, any sockets.
pub(super) fn read(
    proc_root: &Path,
    holders: Option<&Holders>,
    sockets: &[Socket],
    all: bool,
) -> Cgroups {
    let mut cgroups = Cgroups::default();
    for process in holders.map_or([].as_slice(), Holders::processes) {
        let path = proc_root.join(process.pid.to_string()).join("cgroup");
        let cgroup = file::read(&path, file::TEXT_MAX)
            .ok()
            .and_then(|text| cgroup::of_process(&text));
        if let Some(cgroup) = cgroup {
            cgroups.of_process.insert(process.pid, cgroup);
        }
    }
    let is_held =
        |socket: &Socket| holders.is_some_and(|holders| !holders.range(socket.inode).is_empty());
    let mut wanted: FxHashSet<u64> = sockets
        .iter()
        .filter(|socket| all || !is_held(socket))
        .filter_map(|socket| socket.cgroup.map(u64::from))
        .collect();
    if let Some(mount) = CGROUP_MOUNTS
        .map(Path::new)
        .into_iter()
        .find(|at| is_cgroup2(at))
    {
        walk(mount, &mut wanted, &mut cgroups);
    }
    cgroups
}

/// Whether a path is in a cgroup2 file system.
pub(super) fn is_cgroup2(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| found.f_type as u64 == CGROUP2)
}

/// Finds the groups with the wanted IDs. The ID of a group is the inode of its directory (`kernfs_id`).
fn walk(mount: &Path, wanted: &mut FxHashSet<u64>, found: &mut Cgroups) {
    if let Ok(root) = file::metadata(mount) {
        wanted.remove(&root.ino());
    }
    if wanted.is_empty() {
        return;
    }
    let mut left: Vec<PathBuf> = vec![mount.to_owned()];
    let mut seen = 0;
    while let Some(dir) = left.pop() {
        // The group may have been removed, or permission denied.
        let Ok(entries) = file::entries(&dir) else {
            continue;
        };
        for entry in entries.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            if wanted.remove(&entry.ino()) {
                let below = path.strip_prefix(mount).unwrap_or(&path);
                let path = [b"/", below.as_os_str().as_bytes()].concat();
                found.by_id.insert(entry.ino(), cgroup::of_path(&path));
            }
            seen += 1;
            if wanted.is_empty() || seen > GROUPS_MAX {
                return;
            }
            left.push(path);
        }
    }
}
