//! Borrows one socket of another process, looks at its unread bytes, and gives it back.

use std::num::NonZeroU64;
use std::os::fd::OwnedFd;

use rustix::fs::fstat;
use rustix::io::{Errno, ioctl_fionread};
use rustix::net::{RecvFlags, SocketType, ipproto, recv, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::{content, option};
use crate::model::peeked::Left;
use crate::model::{Content, Peeked, Pid, Unread};

/// How many bytes are looked at: a request line with the usual headers, or a ClientHello.
const LOOK: usize = 2048;

/// A process whose sockets are borrowed.
pub(super) struct Process(OwnedFd);

/// What came of looking at a socket.
pub(super) enum Look {
    Seen(Peeked),
    /// The descriptor refers to something else now.
    Another,
    /// Nothing is unread any more.
    Empty,
}

impl Process {
    /// # Errors
    /// If the process has ended, or the kernel is older than Linux 5.6.
    pub(super) fn open(pid: Pid) -> Result<Process, Errno> {
        let raw = i32::try_from(pid.0).ok();
        let pid = raw.and_then(rustix::process::Pid::from_raw);
        Ok(Process(pidfd_open(
            pid.ok_or(Errno::SRCH)?,
            PidfdFlags::empty(),
        )?))
    }

    /// Looks at the unread bytes of one socket. It is open here for the time of about eight system
    /// calls, none of which waits.
    ///
    /// # Errors
    /// If the socket may not be borrowed (`PTRACE_MODE_ATTACH_REALCREDS` of ptrace(2)), is closed, or
    /// cannot be looked at.
    pub(super) fn look(&self, unread: &Unread) -> Result<Look, Errno> {
        let fd = i32::try_from(unread.holder.fd).map_err(|_| Errno::BADF)?;
        let socket = pidfd_getfd(&self.0, fd, PidfdGetfdFlags::empty())?;
        if !is_meant(&socket, unread)? {
            return Ok(Look::Another);
        }
        // Without data, reading returns a pending error and clears it, and the program would miss it. A
        // FIN does not count here.
        let bytes = ioctl_fionread(&socket)?;
        if bytes == 0 {
            return Ok(Look::Empty);
        }
        let content = match reason_to_leave(&socket)? {
            Some(reason) => Content::Left(reason),
            None => {
                let mut buffer = [0; LOOK];
                let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
                let (received, _) = recv(&socket, &mut buffer[..], flags)?;
                drop(socket);
                let content = content::of(buffer.get(..received).unwrap_or_default());
                buffer.fill(0);
                content
            }
        };
        Ok(Look::Seen(Peeked {
            inode: unread.holder.inode,
            bytes,
            content,
        }))
    }
}

/// Whether this is the connection that was meant: the number of a descriptor or of a process may have
/// been given to another one since.
fn is_meant(socket: &OwnedFd, unread: &Unread) -> Result<bool, Errno> {
    if fstat(socket)?.st_ino != u64::from(unread.holder.inode)
        || sockopt::socket_type(socket)? != SocketType::STREAM
        || sockopt::socket_acceptconn(socket)?
    {
        return Ok(false);
    }
    let protocol = sockopt::socket_protocol(socket)?;
    if protocol != Some(ipproto::TCP) && protocol != Some(ipproto::MPTCP) {
        return Ok(false);
    }
    let is_same = |cookie: NonZeroU64| Ok(sockopt::socket_cookie(socket)? == cookie.get());
    unread.cookie.map_or(Ok(true), is_same)
}

/// Why looking would change something for the program.
fn reason_to_leave(socket: &OwnedFd) -> Result<Option<Left>, Errno> {
    match option::peek_offset(socket) {
        Ok(Some(_)) => return Ok(Some(Left::PeekOffset)),
        // Sockets of this kind have none.
        Ok(None) | Err(Errno::OPNOTSUPP) => {}
        Err(error) => return Err(error),
    }
    let is_tcp = sockopt::socket_protocol(socket)? == Some(ipproto::TCP);
    let is_tls = is_tcp && option::upper_layer(socket)?.starts_with(b"tls");
    Ok(is_tls.then_some(Left::KernelTls))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::model::Holder;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn unread(socket: &impl AsRawFd) -> Unread {
        let fd = socket.as_raw_fd() as u32;
        let path = format!("/proc/self/fd/{fd}");
        Unread {
            holder: Holder {
                inode: std::fs::metadata(path).unwrap().ino() as u32,
                pid: Pid(std::process::id()),
                fd,
            },
            cookie: None,
        }
    }

    fn own() -> Process {
        Process::open(Pid(std::process::id())).unwrap()
    }

    #[test]
    fn the_program_reads_the_same_bytes_afterwards() {
        let (mut client, mut server) = pair();
        let request = b"GET /a?secret HTTP/1.1\r\nCookie: secret\r\n\r\n";
        client.write_all(request).unwrap();
        drop(client);
        // The bytes have arrived when one can be peeked at.
        server.peek(&mut [0]).unwrap();
        let Ok(Look::Seen(peeked)) = own().look(&unread(&server)) else {
            panic!("not looked at");
        };
        assert_eq!(peeked.bytes, request.len() as u64);
        let expected = Content::Request {
            method: Some("GET".into()),
            path: "/a".into(),
            user_agent: None,
        };
        assert_eq!(peeked.content, expected);
        let mut all = Vec::new();
        server.read_to_end(&mut all).unwrap();
        assert_eq!(all, request);
        assert!(matches!(own().look(&unread(&server)), Ok(Look::Empty)));
    }

    #[test]
    fn another_socket_under_the_number_of_the_descriptor_is_not_read() {
        let (mut client, server) = pair();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        server.peek(&mut [0]).unwrap();
        let mut other = unread(&server);
        other.holder.inode = other.holder.inode.wrapping_add(1);
        assert!(matches!(own().look(&other), Ok(Look::Another)));
        let mut other = unread(&server);
        other.cookie = NonZeroU64::new(u64::MAX);
        assert!(matches!(own().look(&other), Ok(Look::Another)));
        other.cookie = NonZeroU64::new(sockopt::socket_cookie(&server).unwrap());
        assert!(matches!(own().look(&other), Ok(Look::Seen(_))));
        other.holder.fd = u32::MAX;
        assert!(matches!(own().look(&other), Err(Errno::BADF)));
    }

    #[test]
    fn the_place_up_to_which_the_program_has_peeked_stays() {
        let (mut client, server) = pair();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        server.peek(&mut [0]).unwrap();
        if !option::tests::set_peek_offset(&server) {
            return eprintln!("left out: TCP has no SO_PEEK_OFF before Linux 6.9");
        }
        let Ok(Look::Seen(peeked)) = own().look(&unread(&server)) else {
            panic!("not looked at");
        };
        assert_eq!(peeked.content, Content::Left(Left::PeekOffset));
        assert_eq!(peeked.bytes, 18);
        let mut first = [0; 3];
        server.peek(&mut first).unwrap();
        assert_eq!(&first, b"GET");
    }

    #[test]
    fn a_listener_and_a_file_are_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(matches!(own().look(&unread(&listener)), Ok(Look::Another)));
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        assert!(own().look(&unread(&file)).is_err());
    }
}
