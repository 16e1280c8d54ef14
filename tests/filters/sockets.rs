//! Sockets of every kind that filters distinguish, and how ss and closewait print them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use serde_json::Value;

use crate::lab::{once_possible, run, sockets_of};

/// The sockets stay open as long as this value lives.
pub struct Sockets {
    _listeners: Vec<TcpListener>,
    _streams: Vec<TcpStream>,
}

impl Sockets {
    /// Opens them in the network namespace of the thread, which must be its own.
    pub fn open() -> Sockets {
        for addr in ["10.1.0.1/24", "2001:db8::1/64", "fe80::1/64"] {
            let mut ip = std::process::Command::new("ip");
            ip.args(["addr", "add", addr, "dev", "lo"]);
            if addr.contains("::") {
                // Otherwise the address is tentative for a moment and cannot be bound.
                ip.arg("nodad");
            }
            let added = run(&mut ip);
            assert_eq!(added.code, 0, "{addr}: {}", added.stderr);
        }
        let mut sockets = Sockets {
            _listeners: Vec::new(),
            _streams: Vec::new(),
        };
        let local = "127.0.0.1:8080";
        let listener = sockets.listen(local);
        sockets.connect(&listener, local);
        let (client, server) = sockets.connect(&listener, local);
        // FIN_WAIT2 here, CLOSE_WAIT there.
        client.shutdown(std::net::Shutdown::Write).unwrap();
        drop(server);
        // TIME_WAIT.
        let client = TcpStream::connect(local).unwrap();
        let server = listener.accept().unwrap().0;
        drop(client);
        std::io::copy(&mut &server, &mut std::io::sink()).unwrap();
        drop(server);

        let listener = sockets.listen("0.0.0.0:80");
        sockets.connect(&listener, "10.1.0.1:80");
        let (client, _) = sockets.connect(&listener, "127.0.0.1:80");
        set(&client, libc::SO_MARK, &0x21u32.to_ne_bytes());

        let listener = sockets.listen("[::1]:8081");
        sockets.connect(&listener, "[::1]:8081");
        // Both families, so that there are clients with IPv4-mapped addresses.
        let listener = sockets.listen("[::]:443");
        for to in ["127.0.0.1:443", "10.1.0.1:443", "[2001:db8::1]:443"] {
            sockets.connect(&listener, to);
        }
        let listener = sockets.listen("[fe80::1%1]:6000");
        sockets.connect(&listener, "[fe80::1%1]:6000");

        let listener = sockets.listen("10.1.0.1:7000");
        set(&listener, libc::SO_BINDTODEVICE, b"lo");
        let listener = sockets.listen("127.0.0.1:7001");
        set(&listener, libc::SO_MARK, &5u32.to_ne_bytes());
        sockets.listen("127.0.0.1:0");
        sockets
    }

    fn listen(&mut self, at: &str) -> TcpListener {
        let at: SocketAddr = at.parse().unwrap();
        let listener = once_possible(|| TcpListener::bind(at));
        self._listeners.push(listener.try_clone().unwrap());
        listener
    }

    fn connect(&mut self, listener: &TcpListener, to: &str) -> (TcpStream, TcpStream) {
        let to: SocketAddr = to.parse().unwrap();
        let client = once_possible(|| TcpStream::connect(to));
        let server = listener.accept().unwrap().0;
        self._streams.push(client.try_clone().unwrap());
        self._streams.push(server.try_clone().unwrap());
        (client, server)
    }
}

fn set(socket: &impl AsRawFd, option: i32, value: &[u8]) {
    let length = libc::socklen_t::try_from(value.len()).unwrap();
    // SAFETY: the kernel reads `length` bytes at the pointer, which is the size of `value`.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            value.as_ptr().cast(),
            length,
        )
    };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
}

/// A socket as both print it: by its two ends, which are unique. (ss omits the state if only one
/// state is asked for.)
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen((IpAddr, u16), (IpAddr, u16));

impl Seen {
    /// The lines of `ss -tanH`: `[state] recv-q send-q local remote`.
    pub fn of_ss(text: &str) -> BTreeSet<Seen> {
        text.lines()
            .map(|line| {
                let fields: Vec<&str> = line.split_ascii_whitespace().collect();
                let queues = usize::from(fields[0].parse::<u32>().is_err());
                Seen(end(fields[queues + 2]), end(fields[queues + 3]))
            })
            .collect()
    }

    /// The output of `closewait list --json`.
    pub fn of_closewait(list: &Value) -> BTreeSet<Seen> {
        let end = |end: &Value| {
            let addr = end["addr"].as_str().unwrap().parse().unwrap();
            (addr, u16::try_from(end["port"].as_u64().unwrap()).unwrap())
        };
        sockets_of(list)
            .map(|socket| Seen(end(&socket["local"]), end(&socket["remote"])))
            .collect()
    }
}

/// `[fe80::1]%lo:6000`, `*:443`, `0.0.0.0:*`
fn end(text: &str) -> (IpAddr, u16) {
    let (addr, port) = text.rsplit_once(':').unwrap();
    let addr = addr.split('%').next().unwrap();
    let addr = match addr.trim_start_matches('[').trim_end_matches(']') {
        "*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        addr => addr.parse().unwrap(),
    };
    (
        addr,
        if port == "*" {
            0
        } else {
            port.parse().unwrap()
        },
    )
}
