//! Finds the network namespaces of the host: by processes, names and mounts.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::collector::netns::{self, Netns, NetnsError, PLACES};
use crate::collector::owners;
use crate::model::Pid;

/// The most processes of a namespace that are remembered, to look at another one where one ended.
const PIDS_MAX: usize = 8;
/// `NSFS_MAGIC` of `include/uapi/linux/magic.h`.
const NSFS: u64 = 0x6e73_6673;

/// What tells a namespace from every other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The one that the tool runs in.
    Own,
    /// The inode of the namespace.
    Inode(u64),
    /// The inode of `/proc/PID/net/tcp`, where the namespace itself may not be looked at: each has
    /// a file of its own (`fs/proc/proc_net.c`).
    Table(u64),
}

/// How a namespace can be reached.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// The name by which `ip netns` knows it.
    pub(super) name: Option<String>,
    /// Something mounted on it.
    pub(super) mount: Option<PathBuf>,
    /// The first processes that are in it.
    pub(super) pids: Vec<Pid>,
}

/// The namespaces that were found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) places: BTreeMap<Key, Place>,
    /// Processes of which the namespace could not be told.
    pub(super) untold: u64,
}

impl Place {
    /// What `-N` takes to choose the namespace.
    pub(super) fn asked(&self) -> Option<String> {
        let mount = || Some(self.mount.as_ref()?.to_string_lossy().into_owned());
        let pid = || Some(self.pids.first()?.to_string());
        self.name.clone().or_else(mount).or_else(pid)
    }

    /// Opens the namespace; `None` where it has gone away, or what led to it leads elsewhere now.
    pub(super) fn open(
        &self,
        inode: Option<u64>,
        proc_root: &Path,
    ) -> Result<Option<Netns>, NetnsError> {
        let of_process = |pid: &Pid| proc_root.join(pid.to_string()).join("ns/net");
        let paths = self
            .mount
            .iter()
            .cloned()
            .chain(self.pids.iter().map(of_process));
        let mut refused = None;
        for path in paths {
            match Netns::at(&path) {
                Ok(netns) if inode.is_none_or(|inode| inode == netns.inode()) => {
                    return Ok(Some(netns));
                }
                Ok(_) => {}
                Err(error) if is_gone(&error) => {}
                Err(error) => {
                    refused.get_or_insert(NetnsError::Open {
                        name: path.to_string_lossy().into_owned(),
                        reason: error.to_string(),
                    });
                }
            }
        }
        refused.map_or(Ok(None), Err)
    }

    fn add(&mut self, pid: Pid) {
        if self.pids.len() < PIDS_MAX {
            self.pids.push(pid);
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    let gone = rustix::io::Errno::SRCH.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(gone)
}

/// Finds all namespaces: the own one, those with a name or another mount, those of processes.
pub(super) fn find(proc_root: &Path) -> Found {
    let mut found = Found::default();
    let own = netns::current();
    let own_table = [proc_root.join("thread-self"), proc_root.to_owned()]
        .iter()
        .find_map(|process| table_inode(process));
    let key = |inode: u64| {
        if Some(inode) == own {
            Key::Own
        } else {
            Key::Inode(inode)
        }
    };
    found.places.entry(Key::Own).or_default();
    for (path, name) in mounts(proc_root) {
        let Some(inode) = namespace_inode(&path) else {
            continue;
        };
        let place = found.places.entry(key(inode)).or_default();
        // A name outweighs a path; of several the first stays.
        if place.name.is_none() && (name.is_some() || place.mount.is_none()) {
            place.mount = Some(path);
            place.name = name;
        }
    }
    let Ok(pids) = owners::processes(proc_root) else {
        return found;
    };
    let mut tables: BTreeMap<u64, Key> = own_table
        .map(|table| (table, Key::Own))
        .into_iter()
        .collect();
    let mut closed = Vec::new();
    for pid in pids {
        let process = proc_root.join(pid.to_string());
        match fs::read_link(process.join("ns/net")) {
            Ok(link) => {
                let Some(inode) = netns::link_inode(link.as_os_str().as_bytes()) else {
                    continue;
                };
                let key = key(inode);
                let place = found.places.entry(key).or_default();
                if place.pids.is_empty()
                    && let Some(table) = table_inode(&process)
                {
                    tables.insert(table, key);
                }
                place.add(pid);
            }
            Err(error) if is_gone(&error) => {}
            Err(_) => closed.push((pid, process)),
        }
    }
    for (pid, process) in closed {
        // A process that is ending has no namespace any more.
        match (table_inode(&process), is_ending(&process)) {
            (Some(table), _) => {
                let key = tables.get(&table).copied().unwrap_or(Key::Table(table));
                found.places.entry(key).or_default().add(pid);
            }
            (None, false) => found.untold += 1,
            (None, true) => {}
        }
    }
    found
}

fn table_inode(process: &Path) -> Option<u64> {
    Some(fs::metadata(process.join("net/tcp")).ok()?.ino())
}

/// Whether a process has ended, or is a zombie.
fn is_ending(process: &Path) -> bool {
    use procfs::FromRead;
    match procfs::process::Stat::from_file(process.join("stat")) {
        Ok(stat) => matches!(stat.state, 'Z' | 'X'),
        Err(_) => true,
    }
}

/// The inode of the network namespace that is mounted on a path, if one is.
fn namespace_inode(path: &Path) -> Option<u64> {
    let file = File::open(path).ok()?;
    let is_namespace = rustix::fs::fstatfs(&file).is_ok_and(|found| found.f_type as u64 == NSFS);
    is_namespace.then(|| file.metadata().ok().map(|metadata| metadata.ino()))?
}

/// The paths on which network namespaces may be mounted, with the names that they have: those in
/// the places for names first, in order.
fn mounts(proc_root: &Path) -> Vec<(PathBuf, Option<String>)> {
    let mut paths = Vec::new();
    for place in PLACES {
        let Ok(entries) = fs::read_dir(place) else {
            continue;
        };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort_unstable();
        paths.extend(names.into_iter().map(|name| {
            let text = name.to_string_lossy().into_owned();
            (Path::new(place).join(name), Some(text))
        }));
    }
    let text = fs::read(proc_root.join("thread-self/mountinfo"))
        .or_else(|_| fs::read(proc_root.join("self/mountinfo")))
        .unwrap_or_default();
    paths.extend(mounted(&text).map(|path| (path, None)));
    paths
}

/// The mount points of network namespaces in proc_pid_mountinfo(5): `36 35 0:4 net:[N] PATH …`.
fn mounted(mountinfo: &[u8]) -> impl Iterator<Item = PathBuf> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        netns::link_inode(fields.nth(3)?)?;
        let path = unescaped(fields.next()?);
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(&path)))
    })
}

/// A path with its `\040` turned back (`fs/seq_file.c`, `mangle_path`).
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .filter(|digits| digits.iter().all(u8::is_ascii_digit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) => {
                path.push(byte);
                rest = &after[3..];
            }
            None => {
                path.push(*first);
                rest = after;
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_network_namespaces_are_found_whatever_their_path() {
        let text = b"24 1 0:22 / /proc rw - proc proc rw\n\
            30 24 0:4 net:[4026532290] /run/netns/blue rw shared:1 - nsfs nsfs rw\n\
            31 24 0:4 mnt:[4026532291] /run/snapd/ns/x.mnt rw - nsfs nsfs rw\n\
            32 24 0:4 net:[x] /run/netns/bad rw - nsfs nsfs rw\n\
            33 24 0:4 net:[1] /tmp/a\\040b\\134\\012 rw - nsfs nsfs rw\n\
            34 24 0:4 net:[2]\n\n\xff";
        let found: Vec<PathBuf> = mounted(text).collect();
        assert_eq!(
            found,
            [PathBuf::from("/run/netns/blue"), "/tmp/a b\\\n".into()]
        );
    }

    #[test]
    fn a_backslash_without_three_digits_is_itself() {
        assert_eq!(unescaped(b"a\\"), b"a\\");
        assert_eq!(unescaped(b"\\04"), b"\\04");
        assert_eq!(unescaped(b"\\777x"), b"\\777x");
        assert_eq!(unescaped(b"\\+12"), b"\\+12");
    }
}
