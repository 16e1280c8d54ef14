//! Opens every file that the collector reads: only regular files, and each up to a size limit. `--proc` may
//! name any directory: opening a named pipe would block, opening a device may have effects, and some files
//! have no end.

#![allow(clippy::disallowed_methods)]

use std::fs::{File, Metadata, ReadDir};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Take};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use procfs::FromRead;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat};
use rustix::io::Errno;
use rustix::path::Arg;

use super::watchdog::Pending;
use crate::panics;

/// The limit for a file about one process, in bytes. 65,536 groups take 700 kB.
pub(super) const TEXT_MAX: u64 = 4 << 20;
/// The limit for lists that grow with the host, in bytes: mounts, users, host names.
pub(super) const LIST_MAX: u64 = 64 << 20;
/// The limit for a file that is read line by line, in bytes: about seven million sockets.
const STREAM_MAX: u64 = 1 << 30;
/// The limit for a line, in bytes. A path has at most 4,096, each of which may be escaped as four.
const LINE_MAX: u64 = 32 << 10;

/// An open regular file.
#[derive(Debug)]
pub(super) struct Opened {
    file: File,
    path: PathBuf,
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let _pending = Pending::on(&self.path);
        self.file.read(buffer)
    }
}

impl Seek for Opened {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Opened {
    /// Reads the bytes at an offset, as many as `bytes` has.
    pub(super) fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let _pending = Pending::on(&self.path);
        self.file.read_exact_at(bytes, at)
    }

    /// Reads bytes at an offset, as many as are there, and returns how many.
    pub(super) fn read_some_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let _pending = Pending::on(&self.path);
        self.file.read_at(bytes, at)
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        let _pending = Pending::on(&self.path);
        self.file.metadata()
    }

    pub(super) fn into_file(self) -> File {
        self.file
    }
}

/// Opens a regular file. Anything else is not opened but an error.
pub(super) fn open(path: &Path) -> io::Result<Opened> {
    open_at(CWD, path)
}

/// Opens a regular file below an open directory.
pub(super) fn open_at(dir: impl AsFd, path: impl Arg + Copy) -> io::Result<Opened> {
    let name = PathBuf::from(path.to_string_lossy().into_owned());
    let _pending = Pending::on(&name);
    let found = statat(&dir, path, AtFlags::empty())?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    // If a pipe has taken its place meanwhile, this does not block.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(Opened {
        file: openat(dir, path, flags, Mode::empty())?.into(),
        path: name,
    })
}

/// Opens a directory.
pub(super) fn directory(at: impl AsFd, path: impl Arg) -> Result<OwnedFd, Errno> {
    let _pending = Pending::on(&*path.to_string_lossy());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty())
}

/// Reads a whole file. One with more than `most` bytes is an error: part of a text may mean something else.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    whole(open(path)?, most)
}

fn whole(file: Opened, most: u64) -> io::Result<Vec<u8>> {
    let bytes = beginning(file, most.saturating_add(1))?;
    if bytes.len() as u64 > most {
        return Err(too_large(most));
    }
    Ok(bytes)
}

/// Reads the first bytes of a file, at most `most`.
pub(super) fn head(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    beginning(open(path)?, most)
}

fn beginning(file: Opened, most: u64) -> io::Result<Vec<u8>> {
    // Most files of the kernel take one read, and another for the end.
    let mut bytes = Vec::with_capacity(usize::try_from(most).unwrap_or(usize::MAX).min(2048));
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a whole text. Bytes that are not UTF-8 are replaced.
pub(super) fn text(path: &Path) -> io::Result<String> {
    text_of(open(path)?)
}

fn text_of(file: Opened) -> io::Result<String> {
    let bytes = whole(file, TEXT_MAX)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| {
        // A name may contain any bytes.
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    }))
}

/// Parses a file below an open directory with the crate procfs. `None` if that fails.
pub(super) fn parsed_at<T: FromRead>(dir: impl AsFd, path: impl Arg + Copy) -> Option<T> {
    parsed(&whole(open_at(dir, path).ok()?, TEXT_MAX).ok()?)
}

/// Parses a text with the crate procfs. Some of its parsers panic on a truncated text, such as `10 (x)` for
/// `stat`.
pub(super) fn parsed<T: FromRead>(text: &[u8]) -> Option<T> {
    panics::caught(|| T::from_read(text))?.ok()
}

/// Opens a file for streaming. Reading past [`STREAM_MAX`] is an error.
pub(super) fn stream(path: &Path) -> io::Result<Stream> {
    Ok(Stream(open(path)?.take(STREAM_MAX)))
}

#[derive(Debug)]
pub(super) struct Stream(Take<Opened>);

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 if self.0.limit() == 0 && !buffer.is_empty() => Err(too_large(STREAM_MAX)),
            read => Ok(read),
        }
    }
}

/// Reads a file line by line, without line ends.
pub(super) fn lines(path: &Path) -> io::Result<Lines> {
    Ok(Lines(BufReader::new(stream(path)?)))
}

/// Lines of a file; after an error there are no more.
pub(super) struct Lines(BufReader<Stream>);

impl Iterator for Lines {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<io::Result<String>> {
        let mut line = Vec::new();
        match (&mut self.0).take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return Some(Err(error)),
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 == LINE_MAX {
            return Some(Err(too_large(LINE_MAX)));
        }
        Some(Ok(String::from_utf8_lossy(&line).into_owned()))
    }
}

/// The error for a file or line with more than `most` bytes.
fn too_large(most: u64) -> io::Error {
    let reason = format!("it is larger than {most} bytes");
    io::Error::new(ErrorKind::FileTooLarge, reason)
}

/// The target of a symbolic link.
pub(super) fn link(path: &Path) -> io::Result<PathBuf> {
    let _pending = Pending::on(path);
    std::fs::read_link(path)
}

/// The entries of a directory.
pub(super) fn entries(path: &Path) -> io::Result<ReadDir> {
    let _pending = Pending::on(path);
    std::fs::read_dir(path)
}

/// The metadata of a file, without opening it.
pub(super) fn metadata(path: &Path) -> io::Result<Metadata> {
    let _pending = Pending::on(path);
    std::fs::metadata(path)
}

/// The files as a process sees them, below its root directory. A symbolic link in there cannot lead out.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    /// It is the root directory of the reader, too.
    is_ours: bool,
}

impl Tree {
    /// Of a process, by its directory in /proc.
    ///
    /// # Errors
    /// When its root directory cannot be opened, which takes the right to trace it.
    pub(super) fn of(process: &Path) -> io::Result<Tree> {
        let path = process.join("root");
        let _pending = Pending::on(&path);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root: OwnedFd = openat(CWD, &path, flags, Mode::empty())?;
        let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let theirs = File::from(root.try_clone()?).metadata()?;
        Ok(Tree {
            root,
            is_ours: metadata(Path::new("/")).is_ok_and(|ours| id(ours) == id(theirs)),
        })
    }

    /// The metadata of what is at a path, without opening it. A link at its end is followed only if
    /// `follow` says so.
    ///
    /// # Errors
    /// As of openat2(2); `Unsupported` where the kernel lacks that and this is another root directory.
    pub(super) fn metadata(&self, path: &Path, follow: Follow) -> io::Result<Metadata> {
        let flags = match follow {
            Follow::Yes => OFlags::PATH,
            Follow::No => OFlags::PATH | OFlags::NOFOLLOW,
        };
        File::from(self.open(path, flags)?).metadata()
    }

    /// Opens a directory.
    ///
    /// # Errors
    /// As for [`Tree::metadata`].
    pub(super) fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn open(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let _pending = Pending::on(path);
        let flags = flags | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match openat2(&self.root, path, flags, Mode::empty(), resolve) {
            // Linux before 5.6, or a filter of system calls that is older than that.
            Err(Errno::NOSYS | Errno::PERM) if self.is_ours => Ok(openat(
                CWD,
                Path::new("/").join(path),
                flags,
                Mode::empty(),
            )?),
            Err(Errno::NOSYS | Errno::PERM) => Err(ErrorKind::Unsupported.into()),
            opened => Ok(opened?),
        }
    }
}

/// Which time of a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Time {
    /// When its content was last changed (mtime).
    Modified,
    /// When its content, name, owner or mode was last changed (ctime).
    Status,
}

impl Time {
    /// The time, in milliseconds since 1970; `None` if it was before.
    pub(super) fn of(self, file: &Metadata) -> Option<u64> {
        let (seconds, nanoseconds) = match self {
            Time::Modified => (file.mtime(), file.mtime_nsec()),
            Time::Status => (file.ctime(), file.ctime_nsec()),
        };
        let seconds = u64::try_from(seconds).ok()?;
        let milliseconds = u64::try_from(nanoseconds).ok()? / 1_000_000;
        seconds.checked_mul(1_000)?.checked_add(milliseconds)
    }
}

/// Whether a symbolic link is followed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Follow {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_leads_out_of_a_tree() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(root.join("etc/own"), "").unwrap();
        for (name, to) in [
            ("a", "/etc/own"),
            ("b", "/etc/passwd"),
            ("c", "../../../etc/passwd"),
        ] {
            std::os::unix::fs::symlink(to, root.join(name)).unwrap();
        }
        let tree = Tree::of(dir.path()).unwrap();
        let kind = |name: &str, follow| {
            let found = tree.metadata(Path::new(name), follow);
            found.map(|found| found.file_type().is_symlink()).ok()
        };
        if kind("/etc/own", Follow::Yes).is_none() {
            // The kernel has no openat2.
            return;
        }
        assert_eq!(kind("a", Follow::Yes), Some(false));
        assert_eq!(kind("b", Follow::Yes), None);
        assert_eq!(kind("b", Follow::No), Some(true));
        assert_eq!(kind("c", Follow::Yes), None);
        assert!(tree.directory(Path::new("/etc")).is_ok());
        assert!(tree.directory(Path::new("a")).is_err());
        assert!(Tree::of(Path::new("/proc/self")).unwrap().is_ours);
    }

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("file"), "text").unwrap();
        let pipe = FileType::Fifo;
        rustix::fs::mknodat(CWD, path("pipe"), pipe, Mode::RUSR, 0).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("zero")).unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        assert_eq!(text(&path("file")).unwrap(), "text");
        assert_eq!(text(&path("link")).unwrap(), "text");
        for odd in [path("pipe"), path("zero"), dir.path().to_owned()] {
            let error = text(&odd).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", odd.display());
        }
        assert!(text(Path::new("/proc/self/stat")).is_ok());
        assert!(text(Path::new("/proc/self/ns/net")).is_err());
    }

    #[test]
    fn a_text_is_whole_or_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"abc\xff").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"abc\xff");
        assert_eq!(read(&path, 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(head(&path, 3).unwrap(), b"abc");
        assert_eq!(text(&path).unwrap(), "abc\u{fffd}");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(text(&path).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_text_that_the_crate_panics_on_is_one_that_it_does_not_understand() {
        use procfs::process::{Limits, Schedstat, Stat, Status};
        let odd = [
            "10 (x)",
            "(",
            ")(",
            "1 )(",
            "(x) S",
            "Max",
            "Limit\nMax cpu time",
        ];
        let own = |name| text(&Path::new("/proc/self").join(name)).unwrap();
        let whole = ["stat", "status", "limits", "schedstat"].map(own);
        let whole = whole
            .into_iter()
            .chain([text(Path::new("/proc/uptime")).unwrap()]);
        let mut panics = 0;
        let mut understood = 0;
        let mut try_all = |text: &[u8]| {
            understood += usize::from(parsed::<Stat>(text).is_some());
            panics += usize::from(panics::caught(|| Stat::from_read(text).is_ok()).is_none());
            parsed::<Status>(text);
            parsed::<Limits>(text);
            parsed::<Schedstat>(text);
            parsed::<procfs::Uptime>(text);
        };
        for text in odd.map(str::to_owned).into_iter().chain(whole) {
            for end in 0..=text.len() {
                try_all(text.as_bytes().get(..end).unwrap_or_default());
            }
        }
        // If this fails, the crate may no longer panic.
        assert!(panics > 0 && understood > 0);
    }

    #[test]
    fn lines_end_where_there_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "a\n\nb").unwrap();
        let all: Vec<String> = lines(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(all, ["a", "", "b"]);
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let first = lines(&path).unwrap().next().unwrap();
        assert_eq!(first.unwrap_err().kind(), ErrorKind::FileTooLarge);
    }
}
