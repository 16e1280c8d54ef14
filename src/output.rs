//! Writes files atomically, so that readers such as the textfile collector of node_exporter never
//! see half a file.
//!
//! The new file has no name until it is complete (`O_TMPFILE`), so a run that is killed leaves nothing
//! behind; on file systems without `O_TMPFILE`, the content stays in memory until then. It then
//! replaces the old file and keeps its mode, owner, group and access control list. Other hard links to
//! the old file keep the old content.

mod place;

use std::ffi::OsStr;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use anyhow::Context;
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Uid, XattrFlags, fchmod, fchown,
    fgetxattr, fremovexattr, fsetxattr, fstat, linkat, openat, renameat, renameat_with, statat,
    unlinkat,
};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use self::place::{Place, may_be_written};
use crate::rights::as_caller;
use crate::stdout::Stdout;

/// The mode of a new file, before the umask.
const MODE: Mode = Mode::from_raw_mode(0o644);
/// The mode of a recording, which shows who talks to whom.
const PRIVATE: Mode = Mode::from_raw_mode(0o600);
/// Extended attributes that control access: acl(5), and the SELinux label.
const ACL: &str = "system.posix_acl_access";
const LABEL: &str = "security.selinux";

/// What happens to an existing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Older {
    /// It is replaced; the new one keeps its permissions.
    Followed,
    /// It is replaced by one that only its owner can read.
    Closed,
    /// It stays, which is an error.
    Kept,
}

/// Replaces `path` with what `write` writes. On failure the old file stays unchanged. Pipes and devices
/// are written to directly.
///
/// # Errors
/// If the file could not be written, or `write` failed.
pub fn replace<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    into(path, Older::Followed, write)
}

/// Like [`replace`], for a file that only its owner can read; an existing file is replaced only with
/// `force`.
///
/// # Errors
/// If the file exists, could not be written, or `write` failed.
pub fn save<T>(
    path: &Path,
    force: bool,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    into(path, if force { Older::Closed } else { Older::Kept }, write)
}

/// Whether writing to `path` would replace a file.
pub fn replaces(path: &Path) -> bool {
    as_caller(|| Place::of(path)).is_ok_and(|place| match place {
        Place::Entry { dir, name } => {
            statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|found| !is_stream(&found))
        }
        Place::Descriptor(_) | Place::Magic { .. } => false,
    })
}

fn into<T>(
    path: &Path,
    older: Older,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let failed = || format!("could not write {}", path.display());
    // Report an unwritable path before anything is read.
    let place = as_caller(|| checked(path, older)).with_context(failed)?;
    let mut out = BufWriter::new(Pending {
        place: &place,
        older,
        sink: None,
    });
    let answer = write(&mut out).with_context(failed)?;
    out.flush().with_context(failed)?;
    let (pending, _) = out.into_parts();
    pending.done().with_context(failed)?;
    Ok(answer)
}

/// The place for the file, after all checks that are possible before writing.
fn checked(path: &Path, older: Older) -> io::Result<Place> {
    let place = Place::of(path)?;
    if let Place::Entry { dir, name } = &place {
        match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
            Ok(found) => {
                may_be_written(dir, &found)?;
                match FileType::from_raw_mode(found.st_mode) {
                    FileType::BlockDevice => {
                        let why = "it is a block device, which would be overwritten";
                        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
                    }
                    FileType::RegularFile if older == Older::Kept => {
                        return Err(Errno::EXIST.into());
                    }
                    FileType::RegularFile => drop(old(dir, name)?),
                    _ => {}
                }
            }
        }
    }
    Ok(place)
}

fn is_stream(found: &Stat) -> bool {
    !matches!(
        FileType::from_raw_mode(found.st_mode),
        FileType::RegularFile | FileType::Directory
    )
}

/// Output that opens its destination at the first write.
struct Pending<'a> {
    place: &'a Place,
    older: Older,
    sink: Option<Sink>,
}

enum Sink {
    Stdout,
    /// A pipe, a device, or an open file.
    Stream(File),
    /// A file without a name.
    Unnamed(File),
    /// Content for a file system without `O_TMPFILE`.
    Kept(Vec<u8>),
}

impl Pending<'_> {
    fn sink(&mut self) -> io::Result<&mut Sink> {
        if self.sink.is_none() {
            let (place, older) = (self.place, self.older);
            self.sink = Some(as_caller(|| Sink::open(place, older))?);
        }
        self.sink
            .as_mut()
            .ok_or_else(|| io::Error::other("nothing was opened"))
    }

    /// Gives the finished file its name.
    fn done(mut self) -> io::Result<()> {
        self.sink()?;
        let Pending { place, older, sink } = self;
        let (Place::Entry { dir, name }, Some(sink)) = (place, sink) else {
            return Ok(());
        };
        match sink {
            Sink::Stdout | Sink::Stream(_) => Ok(()),
            Sink::Unnamed(file) => {
                file.sync_all()?;
                as_caller(|| name_it(&file, dir, name, older))
            }
            Sink::Kept(bytes) => as_caller(|| write_named(&bytes, dir, name, older)),
        }
    }
}

impl Write for Pending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.sink()? {
            Sink::Stdout => Stdout.write(bytes),
            Sink::Stream(file) | Sink::Unnamed(file) => file.write(bytes),
            Sink::Kept(kept) => kept.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.sink {
            Some(Sink::Stdout) => Stdout.flush(),
            _ => Ok(()),
        }
    }
}

impl Sink {
    fn open(place: &Place, older: Older) -> io::Result<Sink> {
        let write = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        let (dir, name) = match place {
            Place::Descriptor(1) => return Ok(Sink::Stdout),
            Place::Descriptor(number) => return descriptor(*number).map(Sink::Stream),
            Place::Magic { dir, name } => {
                let file = File::from(openat(dir, name, write, Mode::empty())?);
                if file.metadata()?.is_file() {
                    file.set_len(0)?;
                }
                return Ok(Sink::Stream(file));
            }
            Place::Entry { dir, name } => (dir, name),
        };
        let found = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
        if found.is_ok_and(|found| is_stream(&found)) {
            let file = openat(dir, name, write | OFlags::NOFOLLOW, Mode::empty())?;
            let opened = fstat(&file)?;
            may_be_written(dir, &opened)?;
            if is_stream(&opened) {
                return Ok(Sink::Stream(file.into()));
            }
        }
        let mode = match older {
            Older::Followed => MODE,
            Older::Closed | Older::Kept => PRIVATE,
        };
        match openat(dir, ".", write | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(Sink::Unnamed(file.into())),
            // Any other problem with the directory shows again later.
            Err(_) => Ok(Sink::Kept(Vec::new())),
        }
    }
}

/// An open file of this process: the same open file with its offset, not a second open.
fn descriptor(number: u32) -> io::Result<File> {
    let fd = i32::try_from(number).map_err(|_| Errno::BADF)?;
    let same = pidfd_open(getpid(), PidfdFlags::empty())
        .and_then(|this| pidfd_getfd(this, fd, PidfdGetfdFlags::empty()));
    match same {
        Ok(file) => Ok(file.into()),
        Err(Errno::BADF) => Err(Errno::BADF.into()),
        // Before Linux 5.6, or refused.
        Err(_) => {
            let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY;
            let path = format!("/proc/self/fd/{number}");
            Ok(openat(CWD, path, flags, Mode::empty())?.into())
        }
    }
}

/// The file to be replaced, opened for writing: a file that may not be written is not replaced.
fn old(dir: &OwnedFd, name: &OsStr) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(dir, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        file => file?,
    };
    let found = fstat(&file)?;
    may_be_written(dir, &found)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => Ok(Some(file)),
        _ => Err(io::Error::other("another file appeared there meanwhile")),
    }
}

/// Gives the new file the owner and permissions of the old one.
fn like(new: &File, old: &OwnedFd, older: Older) -> io::Result<()> {
    let (now, then) = (fstat(new)?, fstat(old)?);
    if (now.st_uid, now.st_gid) != (then.st_uid, then.st_gid) {
        let (user, group) = (Uid::from_raw(then.st_uid), Gid::from_raw(then.st_gid));
        fchown(new, Some(user), Some(group)).map_err(|error| {
            let why = format!(
                "its owner (uid {}) or group cannot be kept: {error}",
                then.st_uid
            );
            io::Error::new(io::ErrorKind::PermissionDenied, why)
        })?;
    }
    if older == Older::Closed {
        // A directory may have a default access control list for new files.
        let _ = fremovexattr(new, ACL);
        return Ok(fchmod(new, PRIVATE)?);
    }
    // The list first: with one, the group bits of the mode are its mask.
    match attribute(old, ACL) {
        Some(list) => fsetxattr(new, ACL, &list, XattrFlags::empty())?,
        None => match fremovexattr(new, ACL) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        },
    }
    if let Some(label) = attribute(old, LABEL) {
        // On failure the file keeps the default label of this directory.
        let _ = fsetxattr(new, LABEL, &label, XattrFlags::empty());
    }
    Ok(fchmod(new, Mode::from_raw_mode(then.st_mode & 0o777))?)
}

fn attribute(file: &OwnedFd, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 64 * 1024];
    let length = fgetxattr(file, name, value.as_mut_slice()).ok()?;
    value.truncate(length);
    Some(value)
}

/// Gives a file its name atomically.
fn name_it(file: &File, dir: &OwnedFd, name: &OsStr, older: Older) -> io::Result<()> {
    if older == Older::Kept {
        return link(file, dir, name);
    }
    // If there is no old file, linking is enough.
    match old(dir, name)? {
        None => match link(file, dir, name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            named => return named,
        },
        Some(old) => like(file, &old, older)?,
    }
    let other = other_name();
    link(file, dir, OsStr::new(&other))?;
    renamed(dir, &other, || Ok(renameat(dir, &other, dir, name)?))
}

/// Like [`name_it`], for content kept in memory: the file has a temporary name while it is written.
fn write_named(bytes: &[u8], dir: &OwnedFd, name: &OsStr, older: Older) -> io::Result<()> {
    let replaced = match older {
        Older::Kept => None,
        Older::Followed | Older::Closed => old(dir, name)?,
    };
    let mode = match older {
        Older::Followed if replaced.is_none() => MODE,
        _ => PRIVATE,
    };
    let other = other_name();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(dir, &other, flags, mode)?);
    renamed(dir, &other, || {
        file.write_all(bytes)?;
        if let Some(old) = &replaced {
            like(&file, old, older)?;
        }
        file.sync_all()?;
        if older != Older::Kept {
            return Ok(renameat(dir, &other, dir, name)?);
        }
        match renameat_with(dir, &other, dir, name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => {
                linkat(dir, &other, dir, name, AtFlags::empty())?;
                Ok(unlinkat(dir, &other, AtFlags::empty())?)
            }
            named => Ok(named?),
        }
    })
}

/// Removes the temporary name if `rename` fails.
fn renamed(dir: &OwnedFd, other: &str, rename: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    rename().inspect_err(|_| {
        let _ = unlinkat(dir, other, AtFlags::empty());
    })
}

/// Links a file that has no name: through /proc, or else through its descriptor, which needs a
/// capability or a recent kernel.
fn link(file: &File, dir: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let linked = match linkat(CWD, path, dir, name, AtFlags::SYMLINK_FOLLOW) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {
            linkat(file.as_fd(), "", dir, name, AtFlags::EMPTY_PATH)
        }
        linked => linked,
    };
    Ok(linked?)
}

/// A temporary name, unique enough.
fn other_name() -> String {
    format!(".closewait-{:016x}", RandomState::new().hash_one(()))
}
