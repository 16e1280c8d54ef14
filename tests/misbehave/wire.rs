//! Sockets for the roles.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
pub const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// A backlog that never fills here.
pub const ROOMY: i32 = 1024;

/// Listens on a free port of 127.0.0.1.
pub fn listen(backlog: i32) -> Result<TcpListener> {
    listen_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), backlog, true)
}

/// Listens on a free port of every address of both families.
pub fn listen_dual(backlog: i32) -> Result<TcpListener> {
    listen_at(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), backlog, false)
}

/// Listens on a free port of ::1.
pub fn listen_v6(backlog: i32) -> Result<TcpListener> {
    listen_at(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)), backlog, true)
}

fn listen_at(address: SocketAddr, backlog: i32, v6only: bool) -> Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, v6only)?;
    }
    rustix::net::bind(&socket, &address).context("could not bind")?;
    rustix::net::listen(&socket, backlog).context("could not listen")?;
    Ok(TcpListener::from(socket))
}

pub fn port(listener: &TcpListener) -> Result<u16> {
    Ok(listener.local_addr()?.port())
}

/// Starts a connection without waiting for it.
pub fn begin_connecting(port: u16) -> Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// Both ends of a new connection to a listener: client and server.
pub fn pair(listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let mut address = listener.local_addr()?;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let client = TcpStream::connect(address).context("could not connect")?;
    let (server, _) = listener.accept()?;
    Ok((client, server))
}

/// The client sends a request, and the server reads all of it.
pub fn ask(mut client: &TcpStream, server: &TcpStream) -> Result<()> {
    client.write_all(REQUEST)?;
    read_request(server)
}

pub fn read_request(mut server: &TcpStream) -> Result<()> {
    server.read_exact(&mut [0; REQUEST.len()])?;
    Ok(())
}

/// The server answers, and the client reads all of it.
pub fn answer(mut server: &TcpStream, client: &TcpStream) -> Result<()> {
    server.write_all(ANSWER)?;
    read_answer(client)
}

pub fn read_answer(mut client: &TcpStream) -> Result<()> {
    client.read_exact(&mut [0; ANSWER.len()])?;
    Ok(())
}

/// Reads the end of file, which must come next.
pub fn read_end(mut stream: &TcpStream) -> Result<()> {
    ensure!(stream.read(&mut [0])? == 0, "more came than was expected");
    Ok(())
}

/// Writes until the peer's receive buffer and our send queue are full.
pub fn fill(mut stream: &TcpStream) -> Result<()> {
    stream.set_nonblocking(true)?;
    let chunk = [b'x'; 16 * 1024];
    let mut full_since = None;
    // The peer's kernel takes a moment to close the window.
    loop {
        match stream.write(&chunk) {
            Ok(_) => full_since = None,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let since = *full_since.get_or_insert_with(Instant::now);
                if since.elapsed() > Duration::from_millis(200) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error.into()),
        }
    }
    stream.set_nonblocking(false)?;
    Ok(())
}

/// Like [`pair`], with small buffers, so that [`fill`] takes less time.
pub fn narrow_pair(listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let flags = SocketFlags::CLOEXEC;
    let client = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    // Before the window is advertised: it must not shrink later.
    sockopt::set_socket_recv_buffer_size(&client, 8 * 1024)?;
    rustix::net::connect(&client, &listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    sockopt::set_socket_send_buffer_size(&server, 32 * 1024)?;
    Ok((TcpStream::from(client), server))
}

/// Shrinks the receive buffer below the advertised window, against RFC 9293.
pub fn shrink(client: &TcpStream) -> Result<()> {
    sockopt::set_socket_recv_buffer_size(client, 8 * 1024)?;
    Ok(())
}

/// Keeps the connections of this listener in SYN_RECV until their first byte comes.
#[allow(unsafe_code)]
pub fn defer_accept(listener: &TcpListener) -> io::Result<()> {
    let seconds: libc::c_int = 60;
    // SAFETY: the option is an int, and pointer and length are those of a live one.
    let answer = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of_val(&seconds) as libc::socklen_t,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
