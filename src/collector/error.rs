//! Why nothing could be read.

use rustix::io::Errno;

use super::holders::ScanError;
use super::namespaces::netns::NetnsError;
use super::sockets::error::ReadError;

/// Why nothing could be read. The message includes the reason, so there is no source.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error(transparent)]
    Netns(#[from] NetnsError),
    #[error(transparent)]
    Sockets(#[from] ReadError),
    #[error("{0}; try --scan procfs")]
    Scan(#[from] ScanError),
}

impl CollectError {
    /// The error of the system call, if one failed.
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            CollectError::Netns(error) => error.errno(),
            CollectError::Sockets(error) => error.errno(),
            CollectError::Scan(_) => None,
        }
    }
}
