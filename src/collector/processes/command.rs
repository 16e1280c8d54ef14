//! What an interpreter runs; see proc_pid_cmdline(5).

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use procfs::process::Stat;

use crate::collector::{file, watchdog};
use crate::model::Command;
use crate::model::command::is_interpreter;

/// The most bytes of a command line that are read: that of a Java program may hold a long class path.
const LINE_MAX: u64 = 65_536;

/// Reads a process, by its directory in /proc; `None` if it is no interpreter, or cannot be read.
///
/// Command lines are read of interpreters only. The kernel reads them from the memory of the process,
/// which can take long while that waits for a disk.
pub(super) fn command(root: &Path, stat: Option<&Stat>) -> Option<Command> {
    let exe = file::link(&root.join("exe")).ok()?;
    let exe = exe.file_name()?.as_bytes();
    let program = exe.strip_suffix(b" (deleted)").unwrap_or(exe);
    if !is_interpreter(program) || stat?.state == 'D' {
        return None;
    }
    let path = root.join("cmdline");
    let line = watchdog::with_timeout(move || file::head(&path, LINE_MAX)).ok()?;
    let mut words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    // Behind the last NUL is nothing, or a word that was cut.
    words.pop();
    Command::of(&words)
}
