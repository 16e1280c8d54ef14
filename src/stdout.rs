//! The process's stdout, which says so when nothing gets there. The standard library's own takes a
//! descriptor that is closed, or only open for reading, for one that swallows everything.

use std::io::{self, Write};

use crate::start;

/// Stdout without a buffer.
#[derive(Debug, Clone, Copy)]
pub struct Stdout;

fn open() -> io::Result<()> {
    if start::is_mute() {
        return Err(io::Error::other("stdout is closed"));
    }
    Ok(())
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        open()?;
        Ok(rustix::io::write(rustix::stdio::stdout(), bytes)?)
    }

    /// Fails where even nothing would be lost: whoever asks wants to know that it has arrived.
    fn flush(&mut self) -> io::Result<()> {
        open()
    }
}
