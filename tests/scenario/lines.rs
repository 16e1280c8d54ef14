//! The one-line syntax of sockets and listeners, and what the kernel would report of them.

use std::net::IpAddr;

use closewait::model::{Endpoint, Protocol, Socket, State, StateSet, TcpInfo, Timer};

use super::file::Source;
use super::syntax::{self, End, HOST_V4, HOST_V6, Owner};

/// Ports of connecting sockets start here, as the kernel's default range does.
const EPHEMERAL: u16 = 32_768;
/// Bytes of a struct tcp_info of Linux 6.x.
const TCP_INFO: usize = 248;

/// Sockets that a line describes: alike but for a port, and their times where a step is given.
#[derive(Debug)]
pub struct Line {
    pub sockets: Vec<Socket>,
    pub holders: Vec<Owner>,
    /// Each socket gets an inode; without one, no process holds it.
    pub has_inode: bool,
    /// It was closed while holders were looked for.
    pub closed: bool,
}

/// `200x CLOSE_WAIT :8080 <- 10.0.0.9 java[1234] recvq=1 sent=never received=12m acked=12m`.
pub fn socket(text: &str, source: Source, next_port: &mut u16) -> Result<Line, String> {
    let (count, rest) = syntax::count(text);
    let mut words = rest.split_whitespace();
    let name = words.next().ok_or("an empty line")?;
    let states: StateSet = name.parse().map_err(|error| format!("{error}"))?;
    let mut states = states.iter();
    let (Some(state), None) = (states.next(), states.next()) else {
        return Err(format!("{name} is not one state"));
    };
    let mut ends = Vec::new();
    let mut arrow = None;
    let mut holders = Vec::new();
    let mut nobody = None;
    let mut facts = Facts::default();
    for word in words {
        if let Some(owner) = syntax::owner(word).filter(|_| arrow.is_some() && !ends.is_empty()) {
            holders.push(owner);
        } else if let Some((key, value)) = syntax::pair(word) {
            facts.set(key, value)?;
        } else if matches!(word, "->" | "<-") {
            arrow = Some((word == "<-", ends.len()));
        } else if matches!(word, "unaccepted" | "orphan" | "hidden" | "closed") {
            nobody = Some(word);
        } else {
            ends.push(syntax::end(word)?);
        }
    }
    let (local, remote, serves) = match (arrow, ends.as_slice()) {
        (Some((serves, 1)), [local, remote]) => (Some(*local), *remote, serves),
        (Some((false, 0)), [remote]) => (None, *remote, false),
        _ => return Err("needs LOCAL <- REMOTE, LOCAL -> REMOTE or -> REMOTE".to_owned()),
    };
    let kernels = matches!(state, State::TimeWait | State::SynRecv);
    if holders.is_empty() && nobody.is_none() && !kernels {
        return Err("whose? name[pid], hidden, closed, unaccepted or orphan".to_owned());
    }
    facts.check(state, source)?;
    let mut sockets = Vec::new();
    for at in 0..count {
        let mut ports = |end: Option<End>| match end.and_then(|end| end.port) {
            Some(port) => port + u16::try_from(at).unwrap_or(u16::MAX),
            None => {
                *next_port = next_port.checked_add(1).unwrap_or(EPHEMERAL);
                *next_port
            }
        };
        let fixed = |end: Option<End>| {
            end.and_then(|end| end.port)
                .ok_or("the service's end needs a port".to_owned())
        };
        let (local_port, remote_port) = if serves {
            (fixed(local)?, ports(Some(remote)))
        } else {
            (ports(local), fixed(Some(remote))?)
        };
        let remote_addr = remote.addr.unwrap_or(IpAddr::V4(HOST_V4));
        let local_addr = local.and_then(|local| local.addr).unwrap_or({
            if remote_addr.is_ipv4() {
                HOST_V4.into()
            } else {
                HOST_V6.into()
            }
        });
        // An IPv4 client of a dual-stack listener: both ends are mapped.
        let remote_addr = match (local_addr, remote_addr) {
            (IpAddr::V6(_), IpAddr::V4(addr)) => addr.to_ipv6_mapped().into(),
            (_, addr) => addr,
        };
        let mut socket = plain(
            state,
            Endpoint::new(local_addr, local_port),
            Endpoint::new(remote_addr, remote_port),
        );
        facts.fill(&mut socket, serves, u64::from(at));
        sockets.push(socket);
    }
    Ok(Line {
        sockets,
        has_inode: !holders.is_empty() || matches!(nobody, Some("hidden" | "closed")),
        closed: nobody == Some("closed"),
        holders,
    })
}

/// `:8080 java[1234] queue=3/128`, `[::]:8080 java[1234] nginx[7] v6only`.
pub fn listener(text: &str, source: Source) -> Result<Line, String> {
    let mut words = text.split_whitespace();
    let end = syntax::end(words.next().ok_or("an empty line")?)?;
    let addr = end.addr.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let port = end.port.ok_or("a listener needs a port")?;
    let unspecified = match addr {
        IpAddr::V4(_) => IpAddr::from([0u8; 4]),
        IpAddr::V6(_) => IpAddr::from([0u8; 16]),
    };
    let mut socket = plain(
        State::Listen,
        Endpoint::new(addr, port),
        Endpoint::new(unspecified, 0),
    );
    socket.v6only = addr.is_ipv6().then_some(false);
    socket.send_q = 128;
    let mut line = Line {
        sockets: Vec::new(),
        holders: Vec::new(),
        has_inode: true,
        closed: false,
    };
    for word in words {
        if let Some(owner) = syntax::owner(word) {
            line.holders.push(owner);
        } else if let Some(queue) = word.strip_prefix("queue=") {
            let (now, limit) = queue.split_once('/').ok_or("queue=NOW/LIMIT")?;
            socket.recv_q = syntax::number("queue", now)?;
            socket.send_q = syntax::number("queue", limit)?;
        } else if let Some(device) = word.strip_prefix("dev=") {
            socket.interface = syntax::number("dev", device)?;
        } else if word == "v6only" {
            socket.v6only = Some(true);
        } else if word != "hidden" {
            return Err(format!("{word:?} is not understood"));
        }
    }
    if source == Source::Procfs {
        // /proc/net/tcp does not have the limit.
        socket.send_q = 0;
    }
    line.sockets.push(socket);
    Ok(line)
}

fn plain(state: State, local: Endpoint, remote: Endpoint) -> Socket {
    Socket::bare(state, local, remote)
}

/// The `key=value` words of a socket line.
#[derive(Debug, Default)]
struct Facts {
    recv_q: u32,
    send_q: u32,
    timer: Option<Timer>,
    sent: Option<Time>,
    received: Option<Time>,
    acked: Option<u64>,
    age: Option<u64>,
    step: u64,
    /// Bytes of data that came in, and that were sent.
    bytes_in: Option<u64>,
    bytes_out: Option<u64>,
    /// Segments with data that were sent.
    segments: Option<u32>,
    /// The kernel fills in neither queue.
    unmeasured: bool,
    /// How many bytes of tcp_info came.
    tcp_info: Option<usize>,
    /// The counters do not show which end opened the connection.
    opener_untold: bool,
    /// A connection of MPTCP, which has no tcp_info and its own times.
    mptcp: bool,
    device: u32,
}

#[derive(Debug, Clone, Copy)]
enum Time {
    Never,
    Ago(u64),
}

impl Time {
    fn read(text: &str) -> Result<Time, String> {
        Ok(match text {
            "never" => Time::Never,
            text => Time::Ago(syntax::duration(text)?),
        })
    }

    fn or(self, age: u64) -> u64 {
        match self {
            Time::Never => age,
            Time::Ago(ago) => ago,
        }
    }
}

impl Facts {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "recvq" => self.recv_q = syntax::number(key, value)?,
            "sendq" => self.send_q = syntax::number(key, value)?,
            "timer" => self.timer = Some(syntax::timer(value)?),
            "sent" => self.sent = Some(Time::read(value)?),
            "received" => self.received = Some(Time::read(value)?),
            "acked" => self.acked = Some(syntax::duration(value)?),
            "age" => self.age = Some(syntax::duration(value)?),
            "in" => self.bytes_in = Some(syntax::number(key, value)?.into()),
            "out" => self.bytes_out = Some(syntax::number(key, value)?.into()),
            "segments" => self.segments = Some(syntax::number(key, value)?),
            "step" => self.step = syntax::duration(value)?,
            "dev" => self.device = syntax::number(key, value)?,
            "opener" if value == "untold" => self.opener_untold = true,
            "protocol" if value == "mptcp" => self.mptcp = true,
            "queues" if value == "untold" => self.unmeasured = true,
            "tcpinfo" if value == "none" => self.tcp_info = Some(0),
            "tcpinfo" => self.tcp_info = Some(syntax::number(key, value)? as usize),
            _ => return Err(format!("unknown key {key:?}")),
        }
        Ok(())
    }

    fn check(&self, state: State, source: Source) -> Result<(), String> {
        let timed = [
            self.sent.is_some(),
            self.received.is_some(),
            self.acked.is_some(),
        ];
        let untold = source == Source::Procfs || self.tcp_info == Some(0);
        let needed = state == State::CloseWait && !untold;
        if untold && timed.contains(&true) {
            return Err("times come with tcp_info, and there is none".to_owned());
        }
        if timed.contains(&false) && (needed || timed.contains(&true)) {
            return Err("needs sent=, received= and acked= (or tcpinfo=none)".to_owned());
        }
        Ok(())
    }

    /// Fills in what the kernel reports of socket number `at` of its line.
    fn fill(&self, socket: &mut Socket, serves: bool, at: u64) {
        socket.interface = self.device;
        socket.recv_q = self.recv_q;
        socket.send_q = self.send_q;
        socket.timer = self.timer;
        if self.mptcp {
            socket.protocol = Protocol::Mptcp;
        }
        socket.unmeasured = self.unmeasured;
        let (Some(sent), Some(received), Some(acked)) = (self.sent, self.received, self.acked)
        else {
            return;
        };
        // Where nothing was ever sent or received, the kernel shows the time of the connection
        // (tcp_create_openreq_child, tcp_finish_connect).
        let oldest = [sent.or(0), received.or(0), acked].into_iter().max();
        let age = self.age.unwrap_or(oldest.unwrap_or(0) + 1);
        let later = self.step * at;
        if self.mptcp {
            let [sent, received, acked] =
                [sent.or(age), received.or(age), acked].map(|time| (time + later) as u32);
            socket.tcp = Some(TcpInfo::of_times(sent, received, acked));
            return;
        }
        let mut bytes = vec![0u8; TCP_INFO];
        let mut put = |at: usize, milliseconds: u64| {
            // The kernel counts milliseconds in 32 bits.
            let wrapped = (milliseconds + later) as u32;
            bytes[at..at + 4].copy_from_slice(&wrapped.to_ne_bytes());
        };
        put(44, sent.or(age));
        put(52, received.or(age));
        put(56, acked);
        if let Time::Ago(_) = sent {
            let segments = self.segments.unwrap_or(2);
            bytes[156..160].copy_from_slice(&segments.to_ne_bytes());
        }
        self.count(socket, serves, sent, &mut bytes);
        // The FIN counts as one.
        let fin = u64::from(socket.state == State::CloseWait);
        let data = match received {
            Time::Never => 0,
            Time::Ago(_) => self
                .bytes_in
                .unwrap_or(300.max(u64::from(self.recv_q).saturating_sub(fin))),
        };
        bytes[128..136].copy_from_slice(&(data + fin).to_ne_bytes());
        bytes.truncate(self.tcp_info.unwrap_or(TCP_INFO));
        socket.tcp = Some(TcpInfo::from_prefix(&bytes));
    }

    /// Counts the bytes that were sent and acknowledged as the kernel does: the SYN of the side
    /// that connects is acknowledged as a byte, and so is a FIN. Send-Q is under way, or was never
    /// sent where nothing was.
    fn count(&self, socket: &Socket, serves: bool, sent: Time, bytes: &mut [u8]) {
        let queued = u64::from(self.send_q);
        let (sent, unsent) = match sent {
            Time::Never => (0, queued),
            Time::Ago(_) => (self.bytes_out.unwrap_or(500).max(queued), 0),
        };
        let fin = match socket.state {
            State::FinWait2 => 1,
            State::FinWait1 | State::Closing | State::LastAck => u64::from(unsent == 0),
            _ => 0,
        };
        let under_way = queued - unsent;
        let acked = (sent + fin + u64::from(!serves)).saturating_sub(under_way);
        // Bytes that were refused on this host, and counted all the same.
        let refused = if self.opener_untold { 7 } else { 0 };
        bytes[120..128].copy_from_slice(&acked.to_ne_bytes());
        bytes[144..148].copy_from_slice(&(unsent as u32).to_ne_bytes());
        bytes[200..208].copy_from_slice(&(sent + refused).to_ne_bytes());
    }
}
