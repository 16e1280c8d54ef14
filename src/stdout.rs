//! The process's stdout, with an error for every failed write. The standard library's stdout ignores
//! errors if the descriptor is closed or open only for reading.

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

    /// Fails on a closed stdout even if nothing was written.
    fn flush(&mut self) -> io::Result<()> {
        open()
    }
}
