//! The floor, or bare scan: the least that any tool must do to know every TCP socket and its owner.
//!
//! One sock_diag dump of all TCP sockets, with the tcp_info that ages need, and one readlink of
//! every file descriptor of every process. The results are counted and thrown away: no parsing, no
//! index, no output. Other tools are measured in multiples of this.

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_SOCK_DIAG};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat, readlinkat_raw};
use std::mem::MaybeUninit;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How the dump and the scan share the processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// The first thread dumps while the others scan, then helps: the shortest wall time
    Overlapped,
    /// The dump first, then the scan on all threads
    Sequential,
    /// The dump of CLOSE_WAIT alone, and no scan
    CloseWait,
}

/// What one bare scan saw.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub sockets: u64,
    pub close_wait: u64,
    pub processes: u64,
    pub files: u64,
    /// Files that are sockets, of any protocol.
    pub socket_files: u64,
    /// Processes whose files may not be listed: not root.
    pub refused: u64,
}

/// The command that runs the floor, as a process of its own like all that it is compared with.
pub fn command(order: Order) -> Result<Vec<String>> {
    let this = std::env::current_exe()?;
    let order = match order {
        Order::Overlapped => "overlapped",
        Order::Sequential => "sequential",
        Order::CloseWait => "close-wait",
    };
    Ok(vec![
        this.display().to_string(),
        "floor".into(),
        order.into(),
    ])
}

/// Run the floor once, and read what it counted.
pub fn tally(order: Order) -> Result<Tally> {
    let argv = command(order)?;
    let output = Command::new(&argv[0]).args(&argv[1..]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text.split_whitespace().flat_map(str::parse).collect();
    let &[sockets, close_wait, processes, files, socket_files, refused] = numbers.as_slice() else {
        bail!(
            "the floor failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    };
    Ok(Tally {
        sockets,
        close_wait,
        processes,
        files,
        socket_files,
        refused,
    })
}

/// The `floor` role.
pub fn run(order: Order) -> Result<()> {
    let proc = openat(
        CWD,
        "/proc",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .context("could not open /proc")?;
    let pids = pids(&proc)?;
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism()?.get();

    let mut sum = Tally::default();
    match order {
        Order::Sequential => dump(ALL_STATES, &mut sum)?,
        Order::Overlapped => {}
        Order::CloseWait => {
            dump(1 << CLOSE_WAIT, &mut sum)?;
            return sum.print();
        }
    }
    std::thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (1..threads)
            .map(|_| scope.spawn(|| scan(proc.as_fd(), &pids, &next)))
            .collect();
        if order == Order::Overlapped {
            dump(ALL_STATES, &mut sum)?;
        }
        sum.add(scan(proc.as_fd(), &pids, &next));
        for worker in workers {
            match worker.join() {
                Ok(part) => sum.add(part),
                Err(_) => bail!("a scanning thread failed"),
            }
        }
        Ok(())
    })?;
    sum.print()
}

impl Tally {
    /// Hands the figures to [`tally`].
    fn print(&self) -> Result<()> {
        println!(
            "{} {} {} {} {} {}",
            self.sockets,
            self.close_wait,
            self.processes,
            self.files,
            self.socket_files,
            self.refused
        );
        Ok(())
    }

    fn add(&mut self, part: Tally) {
        self.sockets += part.sockets;
        self.close_wait += part.close_wait;
        self.processes += part.processes;
        self.files += part.files;
        self.socket_files += part.socket_files;
        self.refused += part.refused;
    }
}

// linux/netlink.h and linux/inet_diag.h.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x001 | 0x300;
/// The old request type: it walks the hash table once for IPv4 and IPv6 together.
const TCPDIAG_GETSOCK: u16 = 18;
/// `INET_DIAG_INFO` (2) as a bit of `idiag_ext`: send tcp_info.
const WITH_TCP_INFO: u8 = 1 << 1;
/// Every state that has a bit below `TCP_MAX_STATES`, as ss asks for.
const ALL_STATES: u32 = 0xfff;
const CLOSE_WAIT: u8 = 8;
const HEADER: usize = 16;
const REQUEST: usize = HEADER + 60;

/// The kernel fills what it is given up to 32 KiB; with less the dump takes more calls.
const RECEIVE_BUFFER: usize = 32 * 1024;

/// Dump the TCP sockets of this network namespace in some states, and count the messages.
fn dump(states: u32, tally: &mut Tally) -> Result<()> {
    let mut request = [0u8; REQUEST];
    request[..4].copy_from_slice(&(REQUEST as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&TCPDIAG_GETSOCK.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
    // struct inet_diag_req: family, lengths and ext in 4 bytes, 48 of socket id, states, tables.
    request[HEADER + 3] = WITH_TCP_INFO;
    request[HEADER + 52..HEADER + 56].copy_from_slice(&states.to_ne_bytes());

    let socket = Socket::new(NETLINK_SOCK_DIAG).context("could not open a sock_diag socket")?;
    socket
        .send_to(&request, &SocketAddr::new(0, 0), 0)
        .context("could not send the sock_diag request")?;
    let mut buffer = Vec::with_capacity(RECEIVE_BUFFER);
    loop {
        buffer.clear();
        socket
            .recv(&mut buffer, 0)
            .context("could not read the sock_diag dump")?;
        if count(&buffer, tally)? {
            return Ok(());
        }
    }
}

/// Count the messages of one datagram; true when the dump is done.
fn count(mut datagram: &[u8], tally: &mut Tally) -> Result<bool> {
    while let Some((length, kind)) = message(datagram) {
        ensure!(
            (HEADER..=datagram.len()).contains(&length),
            "sock_diag sent a message of {length} bytes in {}",
            datagram.len()
        );
        match kind {
            NLMSG_DONE | NLMSG_ERROR => {
                let error = datagram[HEADER..length]
                    .first_chunk()
                    .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                ensure!(error == 0, "sock_diag refused the dump: errno {}", -error);
                return Ok(true);
            }
            _ => {
                tally.sockets += 1;
                // struct inet_diag_msg begins with family and state.
                let state = datagram[HEADER..length].get(1);
                tally.close_wait += u64::from(state == Some(&CLOSE_WAIT));
            }
        }
        datagram = &datagram[length.next_multiple_of(4).min(datagram.len())..];
    }
    Ok(false)
}

/// Length and type from a netlink header; none at the end of the datagram.
fn message(datagram: &[u8]) -> Option<(usize, u16)> {
    let header = datagram.first_chunk::<HEADER>()?;
    let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
    Some((length as usize, u16::from_ne_bytes([header[4], header[5]])))
}

const DIRECTORY_BUFFER: usize = 32 * 1024;

/// The processes there are.
fn pids(proc: &OwnedFd) -> Result<Vec<u32>> {
    let mut buffer = [MaybeUninit::uninit(); DIRECTORY_BUFFER];
    let mut entries = RawDir::new(proc, &mut buffer);
    let mut pids = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry.context("could not list /proc")?;
        pids.extend(
            entry
                .file_name()
                .to_str()
                .ok()
                .and_then(|name| name.parse::<u32>().ok()),
        );
    }
    Ok(pids)
}

/// Take processes until none is left, and read the link of each of their descriptors.
fn scan(proc: BorrowedFd<'_>, pids: &[u32], next: &AtomicUsize) -> Tally {
    let mut tally = Tally::default();
    let mut buffer = [MaybeUninit::uninit(); DIRECTORY_BUFFER];
    while let Some(pid) = pids.get(next.fetch_add(1, Ordering::Relaxed)) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(directory) = openat(proc, format!("{pid}/fd"), flags, Mode::empty()) else {
            // Gone, or not ours; which one makes no difference to the cost.
            tally.refused += 1;
            continue;
        };
        tally.processes += 1;
        let mut entries = RawDir::new(&directory, &mut buffer);
        while let Some(Ok(entry)) = entries.next() {
            if entry.file_name().to_bytes().starts_with(b".") {
                continue;
            }
            // A longer link is cut, and is no socket's.
            let mut link = [0u8; 64];
            if let Ok(length) = readlinkat_raw(&directory, entry.file_name(), &mut link) {
                tally.files += 1;
                tally.socket_files += u64::from(link[..length].starts_with(b"socket:["));
            }
        }
    }
    tally
}
