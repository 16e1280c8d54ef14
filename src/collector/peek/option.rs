//! Options of sockets that the crate rustix does not read: getsockopt(2).

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

/// The offset at which a program's own `MSG_PEEK` goes on, if the program has set one (`SO_PEEK_OFF` of
/// socket(7)).
///
/// # Errors
/// `EOPNOTSUPP` if sockets of this kind have none: for TCP before Linux 6.9.
pub(super) fn peek_offset(socket: impl AsFd) -> Result<Option<u32>, Errno> {
    let mut bytes = [0; 4];
    get(socket, libc::SOL_SOCKET, libc::SO_PEEK_OFF, &mut bytes)?;
    Ok(u32::try_from(i32::from_ne_bytes(bytes)).ok())
}

/// The name of the protocol that the kernel runs on top of TCP, such as `tls`; empty if there is none
/// (`do_tcp_getsockopt` in `net/ipv4/tcp.c`).
pub(super) fn upper_layer(socket: impl AsFd) -> Result<[u8; 16], Errno> {
    // `TCP_ULP_NAME_MAX` of `include/net/tcp.h`.
    let mut name = [0; 16];
    get(socket, libc::IPPROTO_TCP, libc::TCP_ULP, &mut name)?;
    Ok(name)
}

/// Reads an option into `value`, which the kernel fills at most.
fn get(
    socket: impl AsFd,
    level: libc::c_int,
    name: libc::c_int,
    value: &mut [u8],
) -> Result<(), Errno> {
    let fd = socket.as_fd().as_raw_fd();
    let mut length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel writes at most `length` bytes to `value`, and the length.
    let result =
        unsafe { libc::getsockopt(fd, level, name, value.as_mut_ptr().cast(), &raw mut length) };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn an_ordinary_socket_has_neither_an_offset_nor_an_upper_layer() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(matches!(
            peek_offset(&socket),
            Ok(None) | Err(Errno::OPNOTSUPP)
        ));
        assert_eq!(upper_layer(&socket), Ok([0; 16]));
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(upper_layer(&udp).is_err());
    }

    /// Lets the program's own peeks go on where the last one ended. Says whether the kernel can.
    pub(in crate::collector::peek) fn set_peek_offset(socket: impl AsFd) -> bool {
        let (zero, length) = (0i32, 4);
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: the kernel reads the four bytes of a number.
        let result = unsafe {
            libc::setsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_PEEK_OFF,
                (&raw const zero).cast(),
                length,
            )
        };
        result == 0
    }
}
