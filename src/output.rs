//! A file that is written whole or not at all: the textfile collector of node_exporter, and
//! whoever else reads it, never sees half of one.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use tempfile::Builder;

/// For whom the file is: everyone may read it, as far as the process's umask lets them.
const MODE: u32 = 0o644;

/// Lets `write` write, and puts what it wrote in the place of `path`. Where that fails the old
/// file stays as it was.
///
/// # Errors
/// When the file could not be written, or `write` failed.
pub fn replace<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let failed = || format!("could not write {}", path.display());
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = Builder::new()
        .prefix(".closewait-")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(directory)
        .with_context(failed)?;
    let mut out = io::BufWriter::new(file.as_file_mut());
    let answer = write(&mut out)?;
    out.flush().with_context(failed)?;
    drop(out);
    file.as_file().sync_all().with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(answer)
}
