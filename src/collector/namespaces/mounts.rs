//! Mounted network namespaces: those that `ip netns` and container runtimes keep by name, and any other
//! mount of `nsfs`, in this mount namespace and in others.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::omission::Omission;
use crate::collector::file;
use crate::collector::mountinfo::{MountLine, unescaped};
use crate::collector::namespaces::netns::{self, PLACES};

/// `NSFS_MAGIC` of `include/uapi/linux/magic.h`.
const NSFS: u64 = 0x6e73_6673;

/// A path that leads to a network namespace.
pub(super) struct Mount {
    pub(super) inode: u64,
    pub(super) path: PathBuf,
    pub(super) name: Option<String>,
}

/// The mounts that a process sees: those with a name first, in the order of the names.
///
/// `root` is put before every path: `/proc/PID/root` of a process in another mount namespace.
pub(super) fn of_root(
    root: Option<&Path>,
    mountinfo: &Path,
    omissions: &mut Vec<Omission>,
) -> Vec<Mount> {
    let mut found = Vec::new();
    for place in PLACES {
        let dir = below(root, Path::new(place));
        let mut names = Vec::new();
        match list(&dir, &mut names) {
            Ok(()) => {}
            // Most hosts have only some of the directories.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => omissions.push(Omission::could_not("list", &dir, &error)),
        }
        names.sort_unstable();
        for name in names {
            let path = dir.join(&name);
            match namespace_inode(&path) {
                Ok(Some(inode)) => found.push(Mount {
                    inode,
                    path,
                    name: Some(name.to_string_lossy().into_owned()),
                }),
                // A leftover name, or one that is mounted in another mount namespace.
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => omissions.push(Omission::could_not("open", &path, &error)),
            }
        }
    }
    match file::read(mountinfo, file::LIST_MAX) {
        Ok(text) => found.extend(of_text(&text, root)),
        Err(error) => omissions.push(Omission::could_not("read", mountinfo, &error)),
    }
    found
}

/// The network namespaces in the text of proc_pid_mountinfo(5).
pub(super) fn of_text(mountinfo: &[u8], root: Option<&Path>) -> Vec<Mount> {
    let mount = |(inode, path): (u64, PathBuf)| Mount {
        inode,
        path: below(root, &path),
        name: None,
    };
    mounted(mountinfo).map(mount).collect()
}

fn below(root: Option<&Path>, path: &Path) -> PathBuf {
    match root {
        Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
        None => path.to_owned(),
    }
}

/// The names of network namespaces, as far as they can be listed, in order; only those that a shell
/// reads as one word.
pub fn names() -> Vec<String> {
    let mut found = Vec::new();
    for place in PLACES {
        // What cannot be listed has no names to offer.
        let _ = list(Path::new(place), &mut found);
    }
    let is_plain = |name: &String| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+@".contains(c);
        name.chars().all(is_plain)
    };
    let mut names: Vec<String> = found
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .filter(is_plain)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The names in a directory, as far as it can be listed.
fn list(dir: &Path, names: &mut Vec<std::ffi::OsString>) -> io::Result<()> {
    for entry in file::entries(dir)? {
        names.push(entry?.file_name());
    }
    Ok(())
}

/// The inode of the network namespace that is mounted on a path; `None` where none is.
fn namespace_inode(path: &Path) -> io::Result<Option<u64>> {
    if !file::metadata(path)?.is_file() {
        return Ok(None);
    }
    let file = file::open(path)?.into_file();
    let is_namespace = rustix::fs::fstatfs(&file)?.f_type as u64 == NSFS;
    Ok(if is_namespace {
        Some(file.metadata()?.ino())
    } else {
        None
    })
}

/// The network namespaces in proc_pid_mountinfo(5): `36 35 0:4 net:[N] PATH …`.
fn mounted(mountinfo: &[u8]) -> impl Iterator<Item = (u64, PathBuf)> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = MountLine::of(line)?;
        let inode = netns::link_inode(line.root)?;
        Some((inode, PathBuf::from(OsStr::from_bytes(&unescaped(line.at)))))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn mounts_of_network_namespaces_are_found_whatever_their_path() {
        let text = b"24 1 0:22 / /proc rw - proc proc rw\n\
            30 24 0:4 net:[4026532290] /run/netns/blue rw shared:1 - nsfs nsfs rw\n\
            31 24 0:4 mnt:[4026532291] /run/snapd/ns/x.mnt rw - nsfs nsfs rw\n\
            32 24 0:4 net:[x] /run/netns/bad rw - nsfs nsfs rw\n\
            33 24 0:4 net:[1] /tmp/a\\040b\\134\\012 rw - nsfs nsfs rw\n\
            34 24 0:4 net:[2]\n\n\xff";
        let found: Vec<(u64, PathBuf)> = mounted(text).collect();
        assert_eq!(
            found,
            [
                (4026532290, PathBuf::from("/run/netns/blue")),
                (1, "/tmp/a b\\\n".into())
            ]
        );
    }

    #[test]
    fn where_a_directory_cannot_be_listed_some_may_be_missing() {
        let root = tempfile::tempdir().unwrap();
        // A file instead of a directory: it exists, but cannot be listed.
        fs::create_dir_all(root.path().join("run")).unwrap();
        fs::write(root.path().join("run/netns"), "").unwrap();
        fs::create_dir_all(root.path().join("run/docker/netns")).unwrap();
        fs::write(root.path().join("run/docker/netns/left-behind"), "").unwrap();
        let mut omissions = Vec::new();
        let mountinfo = root.path().join("mountinfo");
        fs::write(&mountinfo, "").unwrap();
        let found = of_root(Some(root.path()), &mountinfo, &mut omissions);
        assert!(found.is_empty());
        let [omission] = omissions.as_slice() else {
            panic!("one omission: {omissions:?}");
        };
        assert!(
            omission.detail.contains("run/netns: Not a directory"),
            "{omission:?}"
        );
    }
}
