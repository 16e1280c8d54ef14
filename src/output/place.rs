//! Resolves the path of an output file component by component, so that the file that is checked is
//! the one that is opened.
//!
//! In a sticky directory that others can write to (/tmp), links and files are trusted only if the
//! process's user or the directory's owner made them. These are the rules of
//! `fs.protected_symlinks`, `protected_regular` and `protected_fifos`
//! (`Documentation/admin-guide/sysctl/fs.rst`), applied even where the host has not set them, and also
//! to links inside the path.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, fstatfs, openat, readlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

/// `MAXSYMLINKS` of `include/linux/namei.h`.
const LINKS_MAX: usize = 40;
/// `PROC_SUPER_MAGIC` of `include/uapi/linux/magic.h`.
const PROCFS: u64 = 0x9fa0;
/// The bits of a directory in which users cannot remove each other's files.
const STICKY: Mode = Mode::SVTX;
const SHARED: Mode = Mode::WGRP.union(Mode::WOTH);

/// Where a path leads.
#[derive(Debug)]
pub(super) enum Place {
    /// A name in a directory, of a file that may not exist; never a link.
    Entry { dir: OwnedFd, name: OsString },
    /// An open file of this process, by its number.
    Descriptor(u32),
    /// A link in a procfs that only the kernel can follow: an open file of another process.
    Magic { dir: OwnedFd, name: OsString },
}

impl Place {
    pub(super) fn of(path: &Path) -> io::Result<Place> {
        if path == Path::new("-") {
            return Ok(Place::Descriptor(1));
        }
        let mut rest = names(path.as_os_str());
        let mut dir = start(path.as_os_str())?;
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            let is_last = rest.is_empty();
            let found = match open(&dir, &name, OFlags::NOFOLLOW) {
                Err(Errno::NOENT) if is_last => return Ok(Place::Entry { dir, name }),
                found => found?,
            };
            let stat = fstat(&found)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Errno::LOOP.into());
                    }
                    trusted(&fstat(&dir)?, &stat, "a link")?;
                    let target = OsString::from_vec(readlinkat(&found, "", [])?.into_bytes());
                    // In a procfs, the text of such a link does not lead to the file.
                    if fstatfs(&found)?.f_type as u64 == PROCFS && !target.as_bytes().is_empty() {
                        match (is_last, number(&dir, &name)) {
                            (true, Some(number)) => return Ok(Place::Descriptor(number)),
                            (true, None) => return Ok(Place::Magic { dir, name }),
                            (false, _) => dir = open(&dir, &name, OFlags::DIRECTORY)?,
                        }
                        continue;
                    }
                    if target.as_bytes().starts_with(b"/") {
                        dir = start(&target)?;
                    }
                    for name in names(&target).into_iter().rev() {
                        rest.push_front(name);
                    }
                }
                FileType::Directory if !is_last => dir = entered(&dir, &name, found)?,
                FileType::Directory => return Err(Errno::ISDIR.into()),
                _ if is_last => return Ok(Place::Entry { dir, name }),
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        Err(Errno::ISDIR.into())
    }
}

/// Checks that an existing file may be written.
pub(super) fn may_be_written(dir: &OwnedFd, file: &Stat) -> io::Result<()> {
    trusted(&fstat(dir)?, file, "a file")
}

fn trusted(dir: &Stat, found: &Stat, what: &str) -> io::Result<()> {
    let mode = Mode::from_raw_mode(dir.st_mode);
    let is_shared = mode.contains(STICKY) && mode.intersects(SHARED);
    let of_whom = [geteuid().as_raw(), dir.st_uid];
    if is_shared && !of_whom.contains(&found.st_uid) {
        let uid = found.st_uid;
        let why =
            format!("{what} of another user (uid {uid}) in a directory that others can write to");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

/// The components of a path; a trailing slash means a directory.
fn names(path: &OsStr) -> VecDeque<OsString> {
    let bytes = path.as_bytes();
    let mut names: VecDeque<OsString> = bytes
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(|name| OsStr::from_bytes(name).to_owned())
        .collect();
    if bytes.ends_with(b"/") || bytes.ends_with(b"/.") {
        names.push_back(".".into());
    }
    names
}

fn start(path: &OsStr) -> rustix::io::Result<OwnedFd> {
    let start = match path.as_bytes() {
        // As in path_resolution(7).
        [] => return Err(Errno::NOENT),
        [b'/', ..] => "/",
        _ => ".",
    };
    open(CWD, OsStr::new(start), OFlags::DIRECTORY)
}

fn open(dir: impl AsFd, name: &OsStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | flags;
    openat(dir, name, flags, Mode::empty())
}

/// Enters a directory, which triggers an automount.
fn entered(dir: &OwnedFd, name: &OsStr, found: OwnedFd) -> rustix::io::Result<OwnedFd> {
    match open(dir, name, OFlags::DIRECTORY | OFlags::NOFOLLOW) {
        // It was replaced by a link meanwhile.
        Err(Errno::NOTDIR | Errno::LOOP) => Ok(found),
        entered => entered,
    }
}

/// The descriptor number, if this is an entry of the process's own fd directory.
fn number(dir: &OwnedFd, name: &OsStr) -> Option<u32> {
    let number = name.to_str()?.parse().ok()?;
    let here = fstat(dir).ok()?;
    let is_here = |path: &str| {
        let stat = rustix::fs::statat(CWD, path, AtFlags::empty());
        stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (here.st_dev, here.st_ino))
    };
    let is_ours = is_here("/proc/self/fd") || is_here("/proc/thread-self/fd");
    is_ours.then_some(number)
}
