//! The generator: many TCP sockets, held by a few processes, some of them in CLOSE_WAIT.
//!
//! Each holder is a small server with all of its clients: one listener, and both ends of every
//! connection. Clients come from many addresses, so neither ports nor 4-tuples run out and a tool
//! that groups by peer has work to do.

use crate::options::{Options, Share};
use anyhow::{Context, Result, anyhow, ensure};
use rustix::net::{AddressFamily, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// Descriptors a holder needs besides its connections: stdio, its listener, the loader's leavings.
const SPARE_FILES: u64 = 16;

/// Connections from one client address before the next one is used.
const PER_CLIENT: u32 = 32;

/// The shares of all holders.
#[derive(Debug)]
pub struct Plan {
    pub shares: Vec<Share>,
}

/// What the kernel must show once the workload stands.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    pub sockets: u64,
    pub close_wait: u64,
}

impl Plan {
    /// Both ends of every connection, and one listener a process.
    pub fn expected(&self) -> Expected {
        let sum = |count: fn(&Share) -> u32| self.shares.iter().map(|s| u64::from(count(s))).sum();
        let connections: u64 = sum(|share| share.connections);
        Expected {
            sockets: 2 * connections + self.shares.len() as u64,
            close_wait: sum(|share| share.close_wait),
        }
    }
}

/// Divide the sockets among the processes, and refuse what the file limit does not allow.
pub fn plan(options: &Options) -> Result<Plan> {
    if options.quiet_host {
        return Ok(Plan { shares: Vec::new() });
    }
    let connections = options.sockets / 2;
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let most = u64::from(2 * connections.div_ceil(options.processes)) + SPARE_FILES;
    if most > limit {
        let room = limit.saturating_sub(SPARE_FILES) / 2;
        let advice = match u64::from(connections).div_ceil(room.max(1)) {
            enough @ ..=250 => format!("try --processes {enough}"),
            _ => "raise it, or make fewer sockets".to_owned(),
        };
        return Err(anyhow!(
            "each process would open {most} files, and the limit (ulimit -Hn) is {limit}: {advice}"
        ));
    }
    let close_wait = options.close_wait.min(connections);
    let part = |total: u32, index: u32| {
        total / options.processes + u32::from(index < total % options.processes)
    };
    let shares = (0u8..)
        .zip(0..options.processes)
        .map(|(index, nth)| Share {
            index,
            connections: part(connections, nth),
            close_wait: part(close_wait, nth),
        })
        .collect();
    Ok(Plan { shares })
}

/// The running holders. They end when this is dropped, or when this process ends in any way: each
/// waits for the end of a pipe of which only this process has the other end.
#[derive(Debug)]
pub struct Workload {
    holders: Vec<Holder>,
}

#[derive(Debug)]
struct Holder {
    process: Child,
    leash: Option<ChildStdin>,
}

impl Workload {
    /// Start a holder for every share; returns when all sockets stand.
    pub fn start(plan: &Plan) -> Result<Self> {
        let this = std::env::current_exe()?;
        let mut workload = Workload {
            holders: Vec::new(),
        };
        for share in &plan.shares {
            let Share {
                index,
                connections,
                close_wait,
            } = share;
            let mut process = Command::new(&this)
                .arg("hold")
                .args([u32::from(*index), *connections, *close_wait].map(|n| n.to_string()))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .context("could not start a holder")?;
            let leash = process.stdin.take();
            workload.holders.push(Holder { process, leash });
        }
        for (nth, holder) in workload.holders.iter_mut().enumerate() {
            let pipe = holder.process.stdout.take().context("holder has no pipe")?;
            let mut word = String::new();
            BufReader::new(pipe).read_line(&mut word)?;
            // A holder that fails says why on stderr, which is ours too.
            ensure!(word == "ready\n", "holder {nth} did not get ready");
        }
        Ok(workload)
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        for holder in &mut self.holders {
            holder.leash = None;
        }
        for holder in &mut self.holders {
            // Nothing to do about an error here: there is then no such child.
            let _ = holder.process.wait();
        }
    }
}

/// The `hold` role: make the share's sockets, say "ready", and keep them until stdin closes.
pub fn hold(share: &Share) -> Result<()> {
    // From the start, so that a holder does not outlive its parent even while still connecting.
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).context("could not raise the limit of open files")?;

    let _kept = connect(share).with_context(|| format!("holder {}", share.index))?;
    println!("ready");
    io::stdout().flush()?;
    loop {
        std::thread::park();
    }
}

/// Both ends of every connection of a share, and the listener, which has to stay as well.
fn connect(share: &Share) -> Result<(TcpListener, Vec<[TcpStream; 2]>)> {
    let network = share.index + 1;
    let listener = TcpListener::bind((Ipv4Addr::new(127, network, 0, 1), 0))
        .context("could not listen on loopback")?;
    let port = listener.local_addr()?.port();
    let server = SocketAddrV4::new(Ipv4Addr::new(127, network, 0, 1), port);

    let mut ends = Vec::with_capacity(share.connections as usize);
    for nth in 0..share.connections {
        let client = open(client_address(network, nth), server)
            .with_context(|| format!("could not make connection {nth}"))?;
        let (accepted, _) = listener.accept()?;
        // Closing with a linger of zero resets the connection: no TIME_WAIT is left behind, which on
        // a shared loopback would be there for a minute. Both ends, as an exiting process closes its
        // files in no order to rely on.
        for end in [&client, &accepted] {
            sockopt::set_socket_linger(end, Some(Duration::ZERO))?;
        }
        if nth < share.close_wait {
            // FIN but no close: the client's end stays in FIN_WAIT2 without the timeout of an
            // orphan, and so the server's end stays in CLOSE_WAIT, for as long as we hold them.
            client.shutdown(Shutdown::Write)?;
        }
        ends.push([client, accepted]);
    }
    Ok((listener, ends))
}

/// One client address for every [`PER_CLIENT`] connections: 127.N.1.1, 127.N.1.2, …
fn client_address(network: u8, nth: u32) -> Ipv4Addr {
    let host = nth / PER_CLIENT;
    // At most 2,000,000 sockets: 1,000,000 / 32 hosts, 125 times 250 of them.
    let third = u8::try_from(1 + host / 250).unwrap_or(u8::MAX);
    let fourth = u8::try_from(1 + host % 250).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, network, third, fourth)
}

/// A connection from the given address. std has no bind before connect.
fn open(from: Ipv4Addr, to: SocketAddrV4) -> Result<TcpStream> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    rustix::net::bind(&socket, &SocketAddrV4::new(from, 0))?;
    rustix::net::connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}
