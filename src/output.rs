//! A file that is written whole or not at all: the textfile collector of node_exporter, and
//! whoever else reads it, never sees half of one.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use tempfile::Builder;

/// For whom the file is: everyone may read it, as far as the process's umask lets them.
const MODE: u32 = 0o644;

/// For whom a recording is: it tells who talks to whom.
const PRIVATE: u32 = 0o600;

/// Lets `write` write, and puts what it wrote in the place of `path`. Where that fails the old
/// file stays as it was. What is no regular file (a pipe, a device) is written into.
///
/// # Errors
/// When the file could not be written, or `write` failed.
pub fn replace<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    into(path, MODE, true, write)
}

/// The same of a file for its owner only, which replaces another only by `force`.
///
/// # Errors
/// When the file could not be written, is there already, or `write` failed.
pub fn save<T>(
    path: &Path,
    force: bool,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    into(path, PRIVATE, force, write)
}

/// Whether writing to `path` takes something away that is there.
pub fn replaces(path: &Path) -> bool {
    path.symlink_metadata().is_ok() && !is_stream(path)
}

/// Whether a path leads to a pipe or a device.
fn is_stream(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn into<T>(
    path: &Path,
    mode: u32,
    force: bool,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let failed = || format!("could not write {}", path.display());
    if is_stream(path) {
        let file = OpenOptions::new().write(true).open(path);
        let mut out = io::BufWriter::new(file.with_context(failed)?);
        let answer = write(&mut out).with_context(failed)?;
        out.flush().with_context(failed)?;
        return Ok(answer);
    }
    // A link stays one.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = Builder::new()
        .prefix(".closewait-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory)
        .with_context(failed)?;
    let mut out = io::BufWriter::new(file.as_file_mut());
    let answer = write(&mut out).with_context(failed)?;
    out.flush().with_context(failed)?;
    drop(out);
    file.as_file().sync_all().with_context(failed)?;
    let done = if force {
        file.persist(&target)
    } else {
        file.persist_noclobber(&target)
    };
    done.with_context(failed)?;
    Ok(answer)
}
