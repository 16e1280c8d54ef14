//! Why the sockets of a network namespace could not be read.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::sock_diag::DumpError;

/// Why the sockets of a namespace could not be read. The message includes the reason, so there is no
/// source.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("could not read sockets through sock_diag: {0}; try --source procfs")]
    Netlink(DumpError),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error("no socket could be read: {netlink}; {text}")]
    Neither { netlink: DumpError, text: TextError },
}

/// Why a file such as /proc/net/tcp could not be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read {}: {reason}{hint}", path.display())]
pub struct TextError {
    pub(super) path: PathBuf,
    pub(super) reason: io::Error,
    pub(super) hint: String,
}

impl ReadError {
    /// The error of the system call, if one failed.
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            ReadError::Text(text) | ReadError::Neither { text, .. } => {
                Errno::from_io_error(&text.reason)
            }
            ReadError::Netlink(
                DumpError::Open(reason) | DumpError::Send(reason) | DumpError::Receive(reason),
            ) => Errno::from_io_error(reason),
            ReadError::Netlink(DumpError::Refused(errno) | DumpError::Failed(errno)) => {
                Some(*errno)
            }
            ReadError::Netlink(_) => None,
        }
    }
}

impl TextError {
    /// The error of a reading that first tried sock_diag.
    pub(super) fn after(self, refused: Option<DumpError>) -> ReadError {
        match refused {
            Some(netlink) => ReadError::Neither {
                netlink,
                text: self,
            },
            None => ReadError::Text(self),
        }
    }
}
