//! The sockets that are recorded: each line of the table in fixtures/README.md is made here.
//!
//! Both ends are in this process and namespace, on loopback addresses. An end that is lost is one
//! with a socket filter that drops every segment which comes in.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// How long a client waits for an answer before it hangs up.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longer than a CLOSE_WAIT may last before it counts.
const LINGER: Duration = Duration::from_secs(7);
/// The user that some of the services are given to.
const SERVICE_UID: u32 = 1000;
const V4: Ipv4Addr = Ipv4Addr::LOCALHOST;
const V6: Ipv6Addr = Ipv6Addr::LOCALHOST;

/// A connection whose two ends are held here.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

/// Every socket that is kept open until the recording is over.
#[derive(Default)]
pub struct Cast {
    kept: Vec<OwnedFd>,
    slow: Vec<Pair>,
    abandoned: Vec<Pair>,
    never_closed: Vec<Pair>,
    not_reading: Vec<Pair>,
    unaccepted: Vec<TcpStream>,
    pool: Vec<Pair>,
    half_closed: Vec<Pair>,
    stuck: Vec<Pair>,
}

impl Cast {
    /// Makes the listeners and the connections that need to grow old, and exchanges their
    /// requests and answers.
    pub fn assemble() -> Result<Cast> {
        let mut cast = Cast::default();
        cast.slow = cast.pairs(6, (V4, 8080))?;
        for pair in &mut cast.slow {
            give_away(&pair.server)?;
            pair.request(64)?;
        }
        cast.abandoned = cast.pairs(2, (V4, 8081))?;
        cast.never_closed = cast.pairs(3, (V6, 8082))?;
        cast.dual_stack()?;
        cast.full_queue()?;
        cast.pool = cast.pairs(3, (V4, 5432))?;
        cast.half_closed = cast.pairs(1, (V4, 8086))?;
        cast.stuck = cast.pairs(1, (V4, 8088))?;
        cast.idle_with_keepalive()?;
        cast.shared_port()?;
        for pair in &mut cast.abandoned {
            pair.request(64)?;
        }
        sleep(Duration::from_millis(100));
        for pair in cast.abandoned.iter_mut().chain(&mut cast.pool) {
            pair.answer(32)?;
        }
        keep_alive(&cast.abandoned[0].server, 60)?;
        Ok(cast)
    }

    /// Lets the peers hang up, time pass, and the short-lived states come up.
    pub fn act(&mut self) -> Result<()> {
        sleep(PATIENCE);
        self.hang_up()?;
        self.stop_taking()?;
        sleep(LINGER);
        self.go_deaf()?;
        self.finish_some()?;
        self.connect_into_nothing()?;
        self.ask_and_wait()?;
        let inactive = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::net::bind(&inactive, &SocketAddr::from((V4, 8099)))?;
        self.keep(inactive);
        // The peer of this one has only just gone.
        for pair in self.pairs(1, (V4, 8087))? {
            drop(pair.client);
            self.keep(pair.server);
        }
        for pair in &mut self.half_closed {
            pair.server.write_all(b"more")?;
            read_exactly(&mut pair.client, 4)?;
        }
        sleep(Duration::from_millis(20));
        Ok(())
    }

    fn keep(&mut self, socket: impl Into<OwnedFd>) {
        self.kept.push(socket.into());
    }

    /// Connections to a new listener, accepted. The listener stays.
    fn pairs(&mut self, count: usize, addr: impl Into<SocketAddr>) -> Result<Vec<Pair>> {
        let listener = listen(addr.into(), 128, |_| Ok(()))?;
        let pairs = (0..count)
            .map(|_| Pair::of(&listener, listener.local_addr()?))
            .collect();
        self.keep(listener);
        pairs
    }

    /// A listener of both families: clients that are not read, and ones that just stay.
    fn dual_stack(&mut self) -> Result<()> {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8443));
        let listener = listen(any, 128, |socket| sockopt::set_ipv6_v6only(socket, false))?;
        for _ in 0..2 {
            let mut pair = Pair::of(&listener, (V4, 8443).into())?;
            pair.client.write_all(&[b'x'; 100])?;
            self.not_reading.push(pair);
        }
        for to in [SocketAddr::from((V4, 8443)), SocketAddr::from((V6, 8443))] {
            let pair = Pair::of(&listener, to)?;
            self.keep(pair.client);
            self.keep(pair.server);
        }
        self.keep(listener);
        Ok(())
    }

    /// A queue of two, which nobody empties, and three connections in it (the kernel lets one
    /// more in than the limit says). And one alone in the queue of an IPv6 listener.
    fn full_queue(&mut self) -> Result<()> {
        let listener = listen((V4, 8084).into(), 2, |_| Ok(()))?;
        give_away(&listener)?;
        for _ in 0..3 {
            self.unaccepted
                .push(TcpStream::connect(listener.local_addr()?)?);
        }
        self.unaccepted[1].write_all(b"0123456789")?;
        self.keep(listener);
        let only = listen((V6, 8085).into(), 16, |socket| {
            sockopt::set_ipv6_v6only(socket, true)
        })?;
        let client = TcpStream::connect(only.local_addr()?)?;
        self.keep(client);
        self.keep(only);
        Ok(())
    }

    fn idle_with_keepalive(&mut self) -> Result<()> {
        for pair in self.pairs(1, (V4, 8092))? {
            keep_alive(&pair.client, 600)?;
            keep_alive(&pair.server, 600)?;
            self.keep(pair.client);
            self.keep(pair.server);
        }
        Ok(())
    }

    /// Two listeners on one port.
    fn shared_port(&mut self) -> Result<()> {
        for _ in 0..2 {
            let listener = listen((V4, 8093).into(), 128, |socket| {
                sockopt::set_socket_reuseport(socket, true)
            })?;
            self.keep(listener);
        }
        Ok(())
    }

    fn hang_up(&mut self) -> Result<()> {
        for pair in self.slow.drain(..).chain(self.abandoned.drain(..)) {
            drop(pair.client);
            self.kept.push(pair.server.into());
        }
        for mut pair in self.never_closed.drain(..) {
            drop(pair.client);
            read_end(&mut pair.server)?;
            self.kept.push(pair.server.into());
        }
        for pair in self.not_reading.drain(..) {
            drop(pair.client);
            self.kept.push(pair.server.into());
        }
        // The first two leave; the third one still waits.
        let waiting = self.unaccepted.split_off(2);
        self.unaccepted.clear();
        self.kept.extend(waiting.into_iter().map(OwnedFd::from));
        for pair in self.pool.drain(..) {
            drop(pair.server);
            self.kept.push(pair.client.into());
        }
        for pair in &mut self.half_closed {
            pair.client.shutdown(Shutdown::Write)?;
            read_end(&mut pair.server)?;
        }
        Ok(())
    }

    /// A client that has said all that it has to say, and no longer reads.
    fn stop_taking(&mut self) -> Result<()> {
        for mut pair in self.stuck.drain(..) {
            pair.client.shutdown(Shutdown::Write)?;
            read_end(&mut pair.server)?;
            fill(&mut pair.server)?;
            self.kept.push(pair.client.into());
            self.kept.push(pair.server.into());
        }
        Ok(())
    }

    /// Connections of which one end, or both, hear nothing any more.
    fn go_deaf(&mut self) -> Result<()> {
        let pairs = self.pairs(4, (V4, 8089))?;
        let [mut unanswered, first, last, both]: [Pair; 4] = pairs
            .try_into()
            .map_err(|_| anyhow::anyhow!("not four connections"))?;
        // ESTABLISHED with a retransmission timer: the data is not acknowledged.
        deafen(&unanswered.client)?;
        unanswered.server.write_all(b"hello?")?;
        // FIN_WAIT1 without a process: the FIN is not acknowledged.
        deafen(&first.client)?;
        drop(first.server);
        self.keep(first.client);
        // LAST_ACK: closed second, and not acknowledged.
        last.server.shutdown(Shutdown::Write)?;
        wait_readable(&last.client)?;
        deafen(&last.server)?;
        drop(last.client);
        self.keep(last.server);
        // CLOSING: the FINs have crossed. The client hears the server's second one, and the
        // server hears nothing.
        deafen(&both.client)?;
        deafen(&both.server)?;
        both.client.shutdown(Shutdown::Write)?;
        both.server.shutdown(Shutdown::Write)?;
        listen_again(&both.client)?;
        wait_readable(&both.client)?;
        for pair in [unanswered, both] {
            self.keep(pair.client);
            self.keep(pair.server);
        }
        Ok(())
    }

    /// TIME_WAIT of IPv4, IPv6 and of an IPv4 client of an IPv6 listener.
    fn finish_some(&mut self) -> Result<()> {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8090));
        let listener = listen(any, 128, |socket| sockopt::set_ipv6_v6only(socket, false))?;
        for to in [SocketAddr::from((V4, 8090)), SocketAddr::from((V6, 8090))] {
            let mut client_first = Pair::of(&listener, to)?;
            client_first.client.shutdown(Shutdown::Write)?;
            read_end(&mut client_first.server)?;
        }
        let mut server_first = Pair::of(&listener, (V4, 8090).into())?;
        server_first.server.shutdown(Shutdown::Write)?;
        read_end(&mut server_first.client)?;
        drop(server_first.client);
        self.keep(listener);
        Ok(())
    }

    /// SYN_SENT: the queue is full, so the SYN is dropped.
    fn connect_into_nothing(&mut self) -> Result<()> {
        let to = SocketAddr::from((V4, 8084));
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            None,
        )?;
        match rustix::net::connect(&socket, &to) {
            Err(Errno::INPROGRESS) => {}
            other => anyhow::bail!("connecting to a full queue: {other:?}"),
        }
        self.keep(socket);
        Ok(())
    }

    /// SYN_RECV: the server wants to see a request before it takes the connection, and the
    /// client says nothing.
    fn ask_and_wait(&mut self) -> Result<()> {
        for addr in [SocketAddr::from((V4, 8091)), SocketAddr::from((V6, 8091))] {
            let listener = listen(addr, 128, |socket| defer_accept(socket, 30))?;
            give_away(&listener)?;
            let client = TcpStream::connect(addr)?;
            self.keep(listener);
            self.keep(client);
        }
        Ok(())
    }
}

impl Pair {
    fn of(listener: &TcpListener, to: SocketAddr) -> Result<Pair> {
        let client = TcpStream::connect(to).with_context(|| format!("connecting to {to}"))?;
        let (server, _) = listener.accept()?;
        Ok(Pair { client, server })
    }

    /// The client sends a request, and the server reads it whole.
    fn request(&mut self, length: usize) -> io::Result<()> {
        self.client.write_all(&vec![b'q'; length])?;
        read_exactly(&mut self.server, length)
    }

    /// The server sends an answer, and the client reads it whole.
    fn answer(&mut self, length: usize) -> io::Result<()> {
        self.server.write_all(&vec![b'a'; length])?;
        read_exactly(&mut self.client, length)
    }
}

fn listen(
    addr: SocketAddr,
    backlog: i32,
    prepare: impl FnOnce(&OwnedFd) -> rustix::io::Result<()>,
) -> Result<TcpListener> {
    let family = match addr {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    prepare(&socket)?;
    rustix::net::bind(&socket, &addr).with_context(|| format!("binding to {addr}"))?;
    rustix::net::listen(&socket, backlog)?;
    Ok(TcpListener::from(socket))
}

/// Makes the socket another user's.
fn give_away(socket: impl AsFd) -> Result<()> {
    Ok(rustix::fs::fchown(
        socket,
        Some(rustix::fs::Uid::from_raw(SERVICE_UID)),
        None,
    )?)
}

fn keep_alive(socket: impl AsFd, after_s: u64) -> Result<()> {
    sockopt::set_tcp_keepidle(&socket, Duration::from_secs(after_s))?;
    sockopt::set_socket_keepalive(&socket, true)?;
    Ok(())
}

/// `TCP_DEFER_ACCEPT`, which rustix does not have.
fn defer_accept(socket: &OwnedFd, seconds: libc::c_int) -> rustix::io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, &seconds)
}

/// Makes an end drop every segment that comes in, by a filter of one instruction: take nothing.
fn deafen(socket: &TcpStream) -> Result<()> {
    let mut take_nothing = libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let program = libc::sock_fprog {
        len: 1,
        filter: &raw mut take_nothing,
    };
    let option = libc::SO_ATTACH_FILTER;
    Ok(set_option(socket, libc::SOL_SOCKET, option, &program)?)
}

fn listen_again(socket: &TcpStream) -> Result<()> {
    let unused: libc::c_int = 0;
    let option = libc::SO_DETACH_FILTER;
    Ok(set_option(socket, libc::SOL_SOCKET, option, &unused)?)
}

/// setsockopt(2) with the value that the option asks for.
fn set_option<T>(
    socket: &impl AsRawFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> rustix::io::Result<()> {
    // SAFETY: `value` is valid for reads of its size, and the kernel only copies from it and,
    // for a filter, from the instruction behind it, which outlives the call.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    match answer {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
    }
}

/// Waits until data or an end-of-file has come in, for a few retransmissions at most.
fn wait_readable(socket: &TcpStream) -> Result<()> {
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.peek(&mut [0]).context("nothing came in")?;
    Ok(())
}

fn read_exactly(socket: &mut TcpStream, length: usize) -> io::Result<()> {
    socket.read_exact(&mut vec![0; length])
}

/// Reads the end-of-file, which must be all that there is.
fn read_end(socket: &mut TcpStream) -> Result<()> {
    ensure!(
        socket.read(&mut [0])? == 0,
        "data where there should be none"
    );
    Ok(())
}

/// Writes until nothing more goes in: the peer's buffer is full, and then ours.
fn fill(socket: &mut TcpStream) -> Result<()> {
    socket.set_nonblocking(true)?;
    let block = vec![b'f'; 64 * 1024];
    loop {
        match socket.write(&block) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error.into()),
        }
    }
    socket.set_nonblocking(false)?;
    Ok(())
}
