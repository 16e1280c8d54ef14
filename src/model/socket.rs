//! A TCP, MPTCP or UDP socket as the kernel reports it.

use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};

use super::{Ago, DetailRef, Endpoint, State, StateSet};

/// One socket. A host may have a million, so it keeps nothing on the heap.
#[derive(Debug, Clone, PartialEq)]
pub struct Socket {
    pub protocol: Protocol,
    pub family: Family,
    pub state: State,
    /// The position of its network namespace in [`Snapshot::namespaces`].
    ///
    /// [`Snapshot::namespaces`]: super::Snapshot::namespaces
    pub netns: u16,
    pub local: Endpoint,
    pub remote: Endpoint,
    /// Unread bytes; a FIN counts as one. For LISTEN, connections in the accept queue. For MPTCP, the
    /// memory of unread data in bytes, without the FIN.
    pub recv_q: u32,
    /// Bytes sent or queued and not acknowledged. For LISTEN, the limit of the accept queue, which
    /// /proc/net/tcp does not report (0 there; see [`Source::reports_backlog`]).
    ///
    /// [`Source::reports_backlog`]: super::Source::tells_backlog
    pub send_q: u32,
    /// The kernel reports 0 for both queues whatever they contain. Recognized by a congestion window of
    /// 0, which every connection has in gVisor and none in Linux.
    pub unmeasured: bool,
    pub timer: Option<Timer>,
    /// The user who owns the socket; meaningless (0) for TIME_WAIT and SYN_RECV: see [`Socket::user`].
    pub uid: u32,
    /// The socket's inode; 0 when no file refers to it: not accepted yet, orphaned, or a
    /// minisocket.
    pub inode: u32,
    /// The kernel's identifier for the socket's whole life; `None` where /proc was the source.
    pub cookie: Option<NonZeroU64>,
    /// The index of the interface that the socket is bound to; 0 if it is not bound.
    pub interface: u32,
    /// `IPV6_V6ONLY` of an IPv6 listener; `None` if unknown.
    pub v6only: Option<bool>,
    /// `SO_MARK`; `None` if unknown: the kernel reports it only to those who may set it.
    pub mark: Option<u32>,
    /// The kernel's id of the cgroup (version 2) in which the socket was created.
    pub cgroup: Option<NonZeroU64>,
    pub tcp: Option<TcpInfo>,
    /// Identifies an MPTCP connection within its namespace; its subflows have the same.
    pub token: Option<NonZeroU32>,
    /// The position of its details; `None` if they were not read.
    pub detail: Option<DetailRef>,
}

impl Socket {
    /// A socket with only a state and two ends: empty queues, no timer, no inode. The family is that of
    /// the local address.
    pub fn bare(state: State, local: Endpoint, remote: Endpoint) -> Socket {
        Socket {
            family: if local.addr.is_ipv4() {
                Family::Inet
            } else {
                Family::Inet6
            },
            state,
            protocol: Protocol::Tcp,
            netns: 0,
            local,
            remote,
            recv_q: 0,
            send_q: 0,
            unmeasured: false,
            timer: None,
            uid: 0,
            inode: 0,
            cookie: None,
            interface: 0,
            v6only: None,
            mark: None,
            cgroup: None,
            tcp: None,
            token: None,
            detail: None,
        }
    }

    /// The user who owns the socket; `None` if no file refers to it, because the uid is then 0 or the
    /// listener's, depending on the state and the source.
    pub fn user(&self) -> Option<u32> {
        (self.inode != 0).then_some(self.uid)
    }

    /// How many bytes the program has not read; for MPTCP, about how much memory they take.
    pub fn unread(&self) -> u32 {
        let fin = self.state == State::CloseWait && self.protocol != Protocol::Mptcp;
        match self.state {
            State::Listen => 0,
            _ => self.recv_q.saturating_sub(u32::from(fin)),
        }
    }

    /// Whether this end closed first and waits for the other.
    pub fn closed_first(&self) -> bool {
        StateSet::CLOSED_FIRST.contains(self.state)
    }

    /// The bytes that the program has read from the connection and written to it; `None` if unknown or
    /// both are 0.
    pub fn passed(&self) -> Option<(u64, u64)> {
        let tcp = self.tcp?;
        // On CLOSE_WAIT the FIN counts as one byte received, and as one in Recv-Q until it is read.
        let fin = u32::from(self.state == State::CloseWait);
        let unread = u64::from(self.recv_q.max(fin));
        let read = tcp.bytes_received()?.checked_sub(unread)?;
        let sent = tcp.bytes_sent()?.checked_sub(tcp.bytes_retrans()?)?;
        let written = sent.checked_add(tcp.notsent()?.into())?;
        (read > 0 || written > 0).then_some((read, written))
    }

    /// Whether the state is one in which a connection without an inode waits to be accepted.
    ///
    /// A connection gets its inode in accept(2) (`net/ipv4/inet_connection_sock.c`,
    /// `sock_graft`); one that lost its process is no longer in these states.
    pub fn is_unaccepted(&self) -> bool {
        self.protocol != Protocol::Udp
            && self.inode == 0
            && matches!(self.state, State::Established | State::CloseWait)
    }

    /// The name in netstat's first column.
    pub fn proto(&self) -> &'static str {
        match (self.protocol, self.family) {
            (Protocol::Tcp, Family::Inet) => "tcp",
            (Protocol::Tcp, Family::Inet6) => "tcp6",
            (Protocol::Mptcp, Family::Inet) => "mptcp",
            (Protocol::Mptcp, Family::Inet6) => "mptcp6",
            (Protocol::Subflow, Family::Inet) => "subflow",
            (Protocol::Subflow, Family::Inet6) => "subflow6",
            (Protocol::Udp, Family::Inet) => "udp",
            (Protocol::Udp, Family::Inet6) => "udp6",
        }
    }

    /// Whether it is a UDP socket without a peer.
    pub fn is_unconnected(&self) -> bool {
        self.protocol == Protocol::Udp && self.state == State::Close
    }

    /// The state's name; a UDP socket without a peer is UNCONN, as in ss.
    pub fn state_name(&self) -> &'static str {
        self.protocol.state_name(self.state)
    }

    /// Identifies the socket within its namespace at one moment.
    pub fn key(&self) -> (Endpoint, Endpoint, u32) {
        (self.local, self.remote, self.inode)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    Tcp,
    /// A connection or a listener of MPTCP, which is what the program holds.
    Mptcp,
    /// A TCP socket that carries an MPTCP connection, or accepts them for a listener. The program
    /// never sees it.
    Subflow,
    /// Its states are ESTABLISHED, with a peer, and CLOSE, without.
    Udp,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Mptcp => "mptcp",
            Protocol::Subflow => "subflow",
            Protocol::Udp => "udp",
        }
    }

    /// The protocol that the user asks for to get this one: `-t` includes MPTCP.
    pub fn asked_as(self) -> Protocol {
        match self {
            Protocol::Tcp | Protocol::Mptcp | Protocol::Subflow => Protocol::Tcp,
            Protocol::Udp => Protocol::Udp,
        }
    }

    /// The name of a state for this protocol.
    pub fn state_name(self, state: State) -> &'static str {
        match (self, state) {
            (Protocol::Udp, State::Close) => "UNCONN",
            _ => state.name(),
        }
    }
}

/// Which protocols are read: TCP (with MPTCP), UDP, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    One(Protocol),
    Both,
}

impl Protocols {
    pub fn contains(self, protocol: Protocol) -> bool {
        match self {
            Protocols::One(one) => one == protocol.asked_as(),
            Protocols::Both => true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    Inet,
    Inet6,
}

impl Family {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Family::Inet => "ipv4",
            Family::Inet6 => "ipv6",
        }
    }
}

/// The families that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    Both,
    One(Family),
}

/// The timer that is running on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timer {
    pub kind: TimerKind,
    /// The time until it expires, in milliseconds.
    pub expires_ms: u32,
    /// Retransmissions, or unanswered probes, so far.
    pub retransmits: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TimerKind {
    Retransmit = 1,
    Keepalive = 2,
    TimeWait = 3,
    Probe = 4,
    /// An acknowledgement is delayed so that data can carry it. Newer kernels report it, and only if
    /// no other timer runs.
    DelayedAck = 5,
}

impl TimerKind {
    /// The timer for a value of `idiag_timer` or of the `tr` column in /proc/net/tcp
    /// (`net/ipv4/inet_diag.c`, `inet_sk_diag_fill`).
    pub fn from_kernel(number: u8) -> Option<TimerKind> {
        match number {
            1 => Some(TimerKind::Retransmit),
            2 => Some(TimerKind::Keepalive),
            3 => Some(TimerKind::TimeWait),
            4 => Some(TimerKind::Probe),
            5 => Some(TimerKind::DelayedAck),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            TimerKind::Retransmit => "retransmit",
            TimerKind::Keepalive => "keepalive",
            TimerKind::TimeWait => "timewait",
            TimerKind::Probe => "probe",
            TimerKind::DelayedAck => "delack",
        }
    }
}

/// The fields of `struct tcp_info` (`include/uapi/linux/tcp.h`) that causes depend on.
///
/// Newer kernels append fields to the structure. A field beyond the bytes that the kernel sent is
/// unknown, not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpInfo {
    /// One more than the number of bytes received: never 0, so that `Option<TcpInfo>` is no larger.
    end: NonZeroU16,
    backoff: Option<u8>,
    last_data_sent: u32,
    last_data_recv: u32,
    last_ack_recv: u32,
    data_segs_out: u32,
    bytes_acked: u64,
    bytes_received: u64,
    bytes_sent: u64,
    bytes_retrans: u64,
    notsent: u32,
}

/// The offset after the last of the times in `struct tcp_info`.
const TIMES_END: u16 = 60;

impl TcpInfo {
    /// Reads a `struct tcp_info` of any length.
    pub fn from_prefix(bytes: &[u8]) -> TcpInfo {
        TcpInfo {
            end: NonZeroU16::MIN.saturating_add(u16::try_from(bytes.len()).unwrap_or(u16::MAX)),
            backoff: bytes.get(4).copied(),
            last_data_sent: u32_at(bytes, 44).unwrap_or(0),
            last_data_recv: u32_at(bytes, 52).unwrap_or(0),
            last_ack_recv: u32_at(bytes, 56).unwrap_or(0),
            bytes_acked: u64_at(bytes, 120).unwrap_or(0),
            bytes_received: u64_at(bytes, 128).unwrap_or(0),
            data_segs_out: u32_at(bytes, 156).unwrap_or(0),
            bytes_sent: u64_at(bytes, 200).unwrap_or(0),
            bytes_retrans: u64_at(bytes, 208).unwrap_or(0),
            notsent: u32_at(bytes, 144).unwrap_or(0),
        }
    }

    /// A `TcpInfo` with times and nothing else.
    pub fn of_times(last_data_sent: u32, last_data_recv: u32, last_ack_recv: u32) -> TcpInfo {
        TcpInfo {
            end: NonZeroU16::MIN.saturating_add(TIMES_END),
            last_data_sent,
            last_data_recv,
            last_ack_recv,
            ..TcpInfo::from_prefix(&[])
        }
    }

    /// How often the running timer was doubled because nothing was acknowledged. Above 0, a
    /// retransmission or probe had no effect.
    pub fn backoff(&self) -> Option<u8> {
        self.backoff
    }

    /// When data was last sent, retransmissions included; if never, when the connection was opened.
    pub fn last_data_sent(&self) -> Option<Ago> {
        self.reaches(48)
            .then_some(Ago::from_kernel(self.last_data_sent))
    }

    /// When data was last received (a FIN is no data); if never, when the connection was opened.
    pub fn last_data_recv(&self) -> Option<Ago> {
        self.reaches(56)
            .then_some(Ago::from_kernel(self.last_data_recv))
    }

    /// When the last acknowledgement was received; a FIN carries one.
    pub fn last_ack_recv(&self) -> Option<Ago> {
        self.reaches(TIMES_END)
            .then_some(Ago::from_kernel(self.last_ack_recv))
    }

    /// Bytes that the peer has acknowledged; on the connecting side the SYN counts as one (Linux 4.1).
    pub fn bytes_acked(&self) -> Option<u64> {
        self.reaches(128).then_some(self.bytes_acked)
    }

    /// Bytes received; a FIN counts as one (Linux 4.1).
    pub fn bytes_received(&self) -> Option<u64> {
        self.reaches(136).then_some(self.bytes_received)
    }

    /// Segments with data sent, retransmissions included (Linux 4.6).
    pub fn data_segs_out(&self) -> Option<u32> {
        self.reaches(160).then_some(self.data_segs_out)
    }

    /// Bytes sent, retransmissions included (Linux 4.19).
    pub fn bytes_sent(&self) -> Option<u64> {
        self.reaches(208).then_some(self.bytes_sent)
    }

    /// Bytes retransmitted (Linux 4.19).
    pub fn bytes_retrans(&self) -> Option<u64> {
        self.reaches(216).then_some(self.bytes_retrans)
    }

    /// Bytes queued and not sent yet; a FIN after them counts as one (Linux 4.6).
    pub fn notsent(&self) -> Option<u32> {
        self.reaches(148).then_some(self.notsent)
    }

    fn reaches(&self, end: u16) -> bool {
        self.end.get() > end
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at + 4)?;
    field.try_into().ok().map(u32::from_ne_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at + 8)?;
    field.try_into().ok().map(u64::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_tcp_info_of_an_older_kernel_is_taken_as_far_as_it_goes() {
        let mut bytes = vec![0u8; 104];
        bytes[52..56].copy_from_slice(&5000u32.to_ne_bytes());
        let info = TcpInfo::from_prefix(&bytes);
        let received = info.last_data_recv().map(Ago::idle);
        assert_eq!(received.map(|idle| idle.at_least_ms), Some(5000));
        assert_eq!(info.bytes_received(), None);
        assert_eq!(info.bytes_sent(), None);
        let nothing = TcpInfo::from_prefix(&[]);
        assert!(nothing.last_data_recv().is_none());
    }

    #[test]
    fn a_socket_stays_small_enough_for_a_million_of_them() {
        assert!(
            std::mem::size_of::<Socket>() <= 168,
            "{}",
            std::mem::size_of::<Socket>()
        );
    }
}
