//! Why a recording cannot be used.

use std::io;

use super::DUMPS_MAX;
use super::content::RATIO_MAX;

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("could not read it: {0}")]
    Unread(io::Error),
    #[error("it is not a recording: those begin with `closewait recording`")]
    Foreign,
    #[error(
        "it has format {version}, but this closewait knows only formats up to {known}: use the \
         version that made it, or a newer one"
    )]
    Newer { version: u32, known: u32 },
    #[error("it is truncated: copy it again, or record again")]
    Truncated,
    #[error("it was altered: {0}")]
    Altered(&'static str),
    #[error("it was altered: could not parse its {name}: {reason}")]
    Section { name: &'static str, reason: String },
    #[error(
        "it is too large: it unpacks to more than {} MiB, or to more than {} times its size",
        DUMPS_MAX >> 20,
        RATIO_MAX
    )]
    TooLarge,
    #[error("it has no network namespace that matches the filter")]
    NoNetns,
    #[error("it was made on a machine with another byte order")]
    ByteOrder,
}

impl From<io::Error> for RecordingError {
    fn from(error: io::Error) -> RecordingError {
        match error.kind() {
            io::ErrorKind::FileTooLarge => RecordingError::TooLarge,
            io::ErrorKind::UnexpectedEof => RecordingError::Altered("a dump ends too early"),
            io::ErrorKind::InvalidData => {
                RecordingError::Altered("a table is empty, without even a heading")
            }
            _ => RecordingError::Altered("a dump cannot be unpacked"),
        }
    }
}
