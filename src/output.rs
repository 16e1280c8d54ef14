//! A file that is written whole or not at all: the textfile collector of node_exporter, and
//! whoever else reads it, never sees half of one.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use tempfile::{Builder, NamedTempFile};

/// For whom the file is: everyone may read it, as far as the process's umask lets them.
const MODE: u32 = 0o644;

/// For whom a recording is: it tells who talks to whom.
const PRIVATE: u32 = 0o600;

/// Lets `write` write, and puts what it wrote in the place of `path`. Where that fails the old
/// file stays as it was.
///
/// # Errors
/// When the file could not be written, or `write` failed.
pub fn replace<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (file, answer) = written(path, MODE, write)?;
    let failed = || format!("could not write {}", path.display());
    file.persist(path).with_context(failed)?;
    Ok(answer)
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
    let (file, answer) = written(path, PRIVATE, write)?;
    let failed = || format!("could not write {}", path.display());
    if force {
        file.persist(path).with_context(failed)?;
    } else {
        file.persist_noclobber(path).with_context(failed)?;
    }
    Ok(answer)
}

/// A file beside `path`, written whole.
fn written<T>(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<(NamedTempFile, T)> {
    let failed = || format!("could not write {}", path.display());
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = Builder::new()
        .prefix(".closewait-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory)
        .with_context(failed)?;
    let mut out = io::BufWriter::new(file.as_file_mut());
    let answer = write(&mut out)?;
    out.flush().with_context(failed)?;
    drop(out);
    file.as_file().sync_all().with_context(failed)?;
    Ok((file, answer))
}
