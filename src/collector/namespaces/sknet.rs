//! The network namespace of a socket: SIOCGSKNS of ioctl(2) (`net/socket.c`, Linux 4.9), with
//! pidfd_getfd(2) (Linux 5.6) for sockets of other processes.
//!
//! The unsafe code is one ioctl that takes no argument and returns a descriptor; rustix has no function
//! for it.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, getpeername, socket_with, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::model::Pid;

/// `include/uapi/linux/sockios.h`.
const SIOCGSKNS: Opcode = 0x894C;

struct NamespaceOfSocket;

// SAFETY: the kernel reads and writes nothing through the argument, which is null, and answers
// with a new descriptor that nobody else has (`open_related_ns`).
unsafe impl Ioctl for NamespaceOfSocket {
    type Output = OwnedFd;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        SIOCGSKNS
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> Result<OwnedFd, Errno> {
        if out < 0 {
            return Err(Errno::BADF);
        }
        // SAFETY: of a call that did not fail it is the new descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(out) })
    }
}

/// The namespace of a socket.
///
/// # Errors
/// Without CAP_NET_ADMIN in it.
fn namespace_of(socket: impl AsFd) -> Result<OwnedFd, Errno> {
    // SAFETY: the opcode belongs to sockets, and this is one.
    unsafe { ioctl(socket, NamespaceOfSocket) }
}

/// The namespace of the calling thread, from a new socket.
///
/// # Errors
/// Without CAP_NET_ADMIN in it.
pub(in crate::collector) fn own() -> Result<OwnedFd, Errno> {
    let kind = SocketType::DGRAM;
    namespace_of(socket_with(
        AddressFamily::INET,
        kind,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// The sockets of another process.
pub(in crate::collector) struct Sockets {
    process: OwnedFd,
}

impl Sockets {
    /// # Errors
    /// When the process is gone, or the kernel is older.
    pub(in crate::collector) fn of(pid: Pid) -> Result<Sockets, Errno> {
        let raw = i32::try_from(pid.0).ok();
        let pid = raw.and_then(rustix::process::Pid::from_raw);
        let process = pidfd_open(pid.ok_or(Errno::SRCH)?, PidfdFlags::empty())?;
        Ok(Sockets { process })
    }

    /// Whether a TCP socket has no connection and does not listen: reset, reaped or never connected. Then
    /// it is in no table. `None` if it may not be shared, or has another inode.
    pub(in crate::collector) fn is_dead(&self, fd: u32, inode: u32) -> Option<bool> {
        let fd = i32::try_from(fd).ok()?;
        let shared = pidfd_getfd(&self.process, fd, PidfdGetfdFlags::empty()).ok()?;
        // Another procfs may have other process numbers.
        if rustix::fs::fstat(&shared).ok()?.st_ino != u64::from(inode) {
            return None;
        }
        if sockopt::socket_acceptconn(&shared).ok()? {
            return Some(false);
        }
        match getpeername(&shared) {
            Ok(_) => Some(false),
            Err(Errno::NOTCONN) => Some(true),
            Err(_) => None,
        }
    }

    /// The namespace of an IPv4 or IPv6 socket; `None` for other families. The socket is shared for a few
    /// microseconds, and not used.
    ///
    /// # Errors
    /// When the socket may not be shared, or is closed.
    pub(super) fn namespace(&self, fd: u32) -> Result<Option<OwnedFd>, Errno> {
        let fd = i32::try_from(fd).map_err(|_| Errno::BADF)?;
        let shared = pidfd_getfd(&self.process, fd, PidfdGetfdFlags::empty())?;
        match sockopt::socket_domain(&shared) {
            Ok(AddressFamily::INET | AddressFamily::INET6) => namespace_of(&shared).map(Some),
            // Of another family, or no socket any more.
            Ok(_) | Err(Errno::NOTSOCK) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_socket_lives_where_its_thread_does() {
        let inode = |fd: OwnedFd| File::from(fd).metadata().unwrap().ino();
        match own() {
            Ok(found) => assert_eq!(
                Some(inode(found)),
                crate::collector::namespaces::netns::current()
            ),
            Err(error) => {
                assert_eq!(error, Errno::PERM);
                return eprintln!("not root: the namespace of a socket cannot be read");
            }
        }
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mine = Sockets::of(Pid(std::process::id())).unwrap();
        let found = mine.namespace(socket.as_raw_fd() as u32).unwrap().unwrap();
        assert_eq!(
            Some(inode(found)),
            crate::collector::namespaces::netns::current()
        );
        let file = File::open("/proc/self/stat").unwrap();
        assert!(mine.namespace(file.as_raw_fd() as u32).unwrap().is_none());
        assert!(mine.namespace(u32::MAX).is_err());
    }
}
