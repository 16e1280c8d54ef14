//! The sockets in other sources: `ss`, and the parser of the procfs crate.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::process::Command;

use procfs::net::{TcpNetEntry, TcpState};
use serde_json::Value;

use crate::lab::{Lack, left_out, run, sockets_of};

/// The facts about a socket that every source has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub local: (IpAddr, u16),
    pub remote: (IpAddr, u16),
    pub state: String,
    pub recv_q: u64,
    /// `None` if the source does not show it.
    pub send_q: Option<u64>,
}

impl Seen {
    pub fn has_port(&self, ports: &[u16]) -> bool {
        ports.contains(&self.local.1) || ports.contains(&self.remote.1)
    }

    /// Whether it is an end of a connection to one of these listeners. The end of another client in TIME_WAIT
    /// may have the same port.
    pub fn is_of(&self, listeners: &[u16]) -> bool {
        self.has_port(listeners)
            && (self.state != "TIME_WAIT" || listeners.contains(&self.remote.1))
    }

    /// Without the limit of a listener's accept queue, which /proc does not show.
    pub fn without_limit(mut self) -> Seen {
        if self.state == "LISTEN" {
            self.send_q = None;
        }
        self
    }
}

/// The number of sockets per state, without states that have none.
pub fn counts(sockets: &[Seen]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for socket in sockets {
        *counts.entry(socket.state.clone()).or_default() += 1;
    }
    counts
}

/// The sockets in `closewait list --json`, sorted.
pub fn of_tool(list: &Value) -> Vec<Seen> {
    let end = |end: &Value| {
        let addr = end["addr"].as_str().unwrap().parse().unwrap();
        (addr, u16::try_from(end["port"].as_u64().unwrap()).unwrap())
    };
    let seen = |socket: &Value| Seen {
        local: end(&socket["local"]),
        remote: end(&socket["remote"]),
        state: socket["state"].as_str().unwrap().to_owned(),
        recv_q: socket["recv_q"].as_u64().unwrap(),
        send_q: socket["send_q"].as_u64(),
    };
    ordered(sockets_of(list).map(seen))
}

/// The sockets in ss, sorted; `None` if there is no ss.
pub fn of_ss() -> Option<Vec<Seen>> {
    if Command::new("ss").arg("-V").output().is_err() {
        left_out(Lack::Program("ss"));
        return None;
    }
    let ss = run(Command::new("ss").args(["-tanH"]));
    assert_eq!(ss.code, 0, "{}", ss.stderr);
    Some(ordered(ss.stdout.lines().map(ss_line)))
}

/// `ESTAB 0 0 127.0.0.1:40000 127.0.0.1:22`
fn ss_line(line: &str) -> Seen {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [state, recv_q, send_q, local, remote, ..] = fields[..] else {
        panic!("ss printed {line:?}");
    };
    Seen {
        local: ss_end(local),
        remote: ss_end(remote),
        state: match state {
            "ESTAB" => "ESTABLISHED".to_owned(),
            "UNCONN" => "CLOSE".to_owned(),
            "FIN-WAIT-1" => "FIN_WAIT1".to_owned(),
            "FIN-WAIT-2" => "FIN_WAIT2".to_owned(),
            other => other.replace('-', "_"),
        },
        recv_q: recv_q.parse().unwrap(),
        send_q: Some(send_q.parse().unwrap()),
    }
}

fn ss_end(text: &str) -> (IpAddr, u16) {
    let (addr, port) = text.rsplit_once(':').unwrap();
    let addr = match addr.trim_start_matches('[').trim_end_matches(']') {
        "*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        addr => addr.parse().unwrap(),
    };
    let port = match port {
        "*" => 0,
        port => port.parse().unwrap(),
    };
    (addr, port)
}

/// The sockets in the namespace of a process, read by the procfs crate, sorted.
pub fn of_procfs_crate(pid: u32) -> Vec<Seen> {
    let process = procfs::process::Process::new(i32::try_from(pid).unwrap()).unwrap();
    let mut entries = process.tcp().unwrap();
    // A kernel without IPv6 has no such file.
    entries.extend(process.tcp6().unwrap_or_default());
    ordered(entries.iter().map(of_entry))
}

fn of_entry(entry: &TcpNetEntry) -> Seen {
    let state = match entry.state {
        TcpState::Established => "ESTABLISHED",
        TcpState::SynSent => "SYN_SENT",
        TcpState::SynRecv | TcpState::NewSynRecv => "SYN_RECV",
        TcpState::FinWait1 => "FIN_WAIT1",
        TcpState::FinWait2 => "FIN_WAIT2",
        TcpState::TimeWait => "TIME_WAIT",
        TcpState::Close => "CLOSE",
        TcpState::CloseWait => "CLOSE_WAIT",
        TcpState::LastAck => "LAST_ACK",
        TcpState::Listen => "LISTEN",
        TcpState::Closing => "CLOSING",
    };
    Seen {
        local: (entry.local_address.ip(), entry.local_address.port()),
        remote: (entry.remote_address.ip(), entry.remote_address.port()),
        state: state.to_owned(),
        recv_q: entry.rx_queue.into(),
        send_q: Some(entry.tx_queue.into()),
    }
    .without_limit()
}

fn ordered(sockets: impl Iterator<Item = Seen>) -> Vec<Seen> {
    let mut sockets: Vec<Seen> = sockets.collect();
    sockets.sort();
    sockets
}
