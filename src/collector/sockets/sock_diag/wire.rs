//! Requests to bytes, and replies to [`Socket`]s. Pure: no netlink socket is opened here.
//!
//! For the layouts, see `include/uapi/linux/inet_diag.h` and `netlink.h`.

use std::num::NonZeroU64;

use netlink_packet_core::{
    DecodeError, Emitable, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NlasIterator,
    Parseable,
};
use netlink_packet_sock_diag::SOCK_DIAG_BY_FAMILY;
use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, INET_DIAG_BBRINFO, INET_DIAG_CONG, INET_DIAG_DCTCPINFO, INET_DIAG_INFO,
    INET_DIAG_SHUTDOWN, INET_DIAG_SKMEMINFO, INET_DIAG_SKV6ONLY, INET_DIAG_TCLASS, INET_DIAG_TOS,
    INET_DIAG_VEGASINFO, IPPROTO_TCP, IPPROTO_UDP,
};
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags,
};

use crate::collector::sockets::sock_diag::mptcp;
use crate::model::{
    Detail, DetailSet, Endpoint, Families, Family, Protocol, Socket, State, StateSet, TcpInfo,
    Timer, TimerKind,
};

/// The request that dumps IPv4 and IPv6 in one walk of the hash table (`TCPDIAG_GETSOCK`).
pub const TCPDIAG_GETSOCK: u16 = 18;
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct inet_diag_msg`.
const MESSAGE: usize = 72;
/// The place of `idiag_expires` in it. The packet crate drops this field for TIME_WAIT.
const EXPIRES: std::ops::Range<usize> = 52..56;
/// The place of `tcpi_snd_cwnd` in `struct tcp_info`.
const CWND: std::ops::Range<usize> = 80..84;
/// The attributes of a request: a filter program, and a protocol that does not fit into a byte.
const INET_DIAG_REQ_BYTECODE: u16 = 1;
const INET_DIAG_REQ_PROTOCOL: u16 = 3;
/// The number of MPTCP, which does not fit into the byte of `struct inet_diag_req_v2`.
const IPPROTO_MPTCP: u32 = 262;
/// The value of that byte in a request for MPTCP. No protocol has this number, so a kernel that does not know
/// the attribute refuses the request.
const IPPROTO_IP: u8 = 0;
/// Attributes of a reply that the packet crate does not name.
const INET_DIAG_MARK: u16 = 15;
const INET_DIAG_ULP_INFO: u16 = 19;
const INET_DIAG_CGROUP_ID: u16 = 21;

/// Which sockets one dump asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub protocol: Protocol,
    pub families: Families,
    pub states: StateSet,
    pub tcp_info: bool,
    /// Ask for the attribute that distinguishes subflows of MPTCP from other TCP sockets.
    pub ulp: bool,
    /// Which details to ask for.
    pub details: DetailSet,
    /// A program in the kernel's filter language; see [`crate::collector::sockets::sock_diag::bytecode`].
    pub bytecode: Option<Vec<u8>>,
}

impl Query {
    /// Whether tcp_info is wanted.
    pub fn wants_times(&self) -> bool {
        self.tcp_info || self.details.contains(DetailSet::INFO)
    }
}

/// The bytes of a dump request, with the sequence number that its replies will have.
pub fn request(query: &Query, sequence: u32) -> Vec<u8> {
    let extensions = extensions(query);
    let (message_type, mut body) = match query.families {
        // The older request is for TCP only.
        Families::Both => (TCPDIAG_GETSOCK, both_families(query.states, extensions)),
        Families::One(family) => (
            SOCK_DIAG_BY_FAMILY,
            one_family(query.protocol, family, query.states, extensions),
        ),
    };
    let mut attribute = |kind: u16, value: &[u8]| {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        body.extend_from_slice(&length.to_ne_bytes());
        body.extend_from_slice(&kind.to_ne_bytes());
        body.extend_from_slice(value);
        body.resize(body.len().next_multiple_of(4), 0);
    };
    if query.protocol == Protocol::Mptcp {
        attribute(INET_DIAG_REQ_PROTOCOL, &IPPROTO_MPTCP.to_ne_bytes());
    }
    if let Some(program) = &query.bytecode {
        attribute(INET_DIAG_REQ_BYTECODE, program);
    }
    let mut header = NetlinkHeader::default();
    header.length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    header.message_type = message_type;
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    header.sequence_number = sequence;
    let mut head = [0; HEADER];
    header.emit(&mut head);
    [&head, body.as_slice()].concat()
}

/// The attributes to ask for; bit n − 1 is attribute n (`include/uapi/linux/inet_diag.h`).
fn extensions(query: &Query) -> ExtensionFlags {
    let attribute = |wanted: bool, number: u16| u8::from(wanted) << (number - 1);
    let details = |set: DetailSet| query.details.contains(set);
    let class = details(DetailSet::CLASS);
    ExtensionFlags::from_bits_retain(
        // With tcp_info, the kernel sends the upper layer protocol too.
        attribute(query.wants_times() || query.ulp, INET_DIAG_INFO)
            | attribute(details(DetailSet::MEMORY), INET_DIAG_SKMEMINFO)
            | attribute(details(DetailSet::CONGESTION), INET_DIAG_CONG)
            // This asks for the data of any congestion control.
            | attribute(details(DetailSet::CONGESTION), INET_DIAG_VEGASINFO)
            | attribute(class, INET_DIAG_TOS)
            | attribute(class, INET_DIAG_TCLASS)
            | attribute(details(DetailSet::SHUTDOWN), INET_DIAG_SHUTDOWN),
    )
}

/// `struct inet_diag_req`: the older request, which is for all families.
fn both_families(states: StateSet, extensions: ExtensionFlags) -> Vec<u8> {
    let id = SocketId::new_v4();
    let mut socket_id = vec![0; id.buffer_len()];
    id.emit(&mut socket_id);
    let mut body = vec![AF_INET, 0, 0, extensions.bits()];
    body.extend_from_slice(&socket_id);
    body.extend_from_slice(&states.kernel_mask().to_ne_bytes());
    body.extend_from_slice(&0u32.to_ne_bytes());
    body
}

/// `struct inet_diag_req_v2`.
fn one_family(
    protocol: Protocol,
    family: Family,
    states: StateSet,
    extensions: ExtensionFlags,
) -> Vec<u8> {
    let (family, socket_id) = match family {
        Family::Inet => (AF_INET, SocketId::new_v4()),
        Family::Inet6 => (AF_INET6, SocketId::new_v6()),
    };
    let request = InetRequest {
        family,
        protocol: match protocol {
            Protocol::Tcp | Protocol::Subflow => IPPROTO_TCP,
            Protocol::Mptcp => IPPROTO_IP,
            Protocol::Udp => IPPROTO_UDP,
        },
        extensions,
        states: StateFlags::from_bits_retain(states.kernel_mask()),
        socket_id,
    };
    let mut body = vec![0; request.buffer_len()];
    request.emit(&mut body);
    body
}

/// One message of a reply.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A `struct inet_diag_msg` with attributes.
    Socket(&'a [u8]),
    /// The end of the dump; 0, or a negative errno.
    Done(i32),
    /// The request was refused; a negative errno.
    Refused(i32),
    /// A message of another request, or of another type.
    Other,
}

/// The messages of one datagram, in order, each with whether the kernel marked the dump as interrupted
/// (`NLM_F_DUMP_INTR`). Ends with an error if a length is wrong.
pub struct Replies<'a> {
    rest: &'a [u8],
    sequence: u32,
    port: u32,
}

const NLM_F_DUMP_INTR: u16 = 0x10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// Splits a datagram into messages. Those with another sequence number or port ID become [`Reply::Other`].
pub fn replies(datagram: &[u8], sequence: u32, port: u32) -> Replies<'_> {
    Replies {
        rest: datagram,
        sequence,
        port,
    }
}

impl<'a> Iterator for Replies<'a> {
    type Item = Result<(Reply<'a>, bool), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = match NetlinkBuffer::new_checked(self.rest) {
            Ok(message) => message,
            Err(error) => {
                self.rest = &[];
                return Some(Err(error));
            }
        };
        let length = (message.length() as usize).next_multiple_of(4);
        self.rest = self.rest.get(length..).unwrap_or(&[]);
        let interrupted = message.flags() & NLM_F_DUMP_INTR != 0;
        if message.sequence_number() != self.sequence || message.port_number() != self.port {
            return Some(Ok((Reply::Other, false)));
        }
        let payload = message.payload();
        let reply = match message.message_type() {
            NLMSG_DONE => Reply::Done(errno(payload)),
            NLMSG_ERROR => Reply::Refused(errno(payload)),
            TCPDIAG_GETSOCK | SOCK_DIAG_BY_FAMILY => Reply::Socket(payload),
            _ => Reply::Other,
        };
        Some(Ok((reply, interrupted)))
    }
}

/// The errno at the start of a DONE or ERROR payload; 0 if there is none.
fn errno(payload: &[u8]) -> i32 {
    payload
        .first_chunk()
        .map_or(0, |bytes| i32::from_ne_bytes(*bytes))
}

/// Why a message cannot be read as a socket.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("state number {0} is not a TCP state")]
    State(u8),
}

/// Reads a `struct inet_diag_msg` and the attributes after it.
///
/// Ignores unknown attributes and accepts a tcp_info of any length. A TCP socket that the kernel marks as a
/// subflow of MPTCP becomes a subflow.
pub fn socket(payload: &[u8], protocol: Protocol) -> Result<Socket, WireError> {
    let header = InetResponseHeader::parse(payload)?;
    let state = State::from_kernel(header.state).ok_or(WireError::State(header.state))?;
    let family = match header.family {
        AF_INET => Family::Inet,
        _ => Family::Inet6,
    };
    let mut info = None;
    let mut subflow = None;
    let mut v6only = None;
    let mut mark = None;
    let mut cgroup = None;
    for attribute in NlasIterator::new(payload.get(MESSAGE..).unwrap_or(&[])) {
        let attribute = attribute?;
        match attribute.kind() {
            INET_DIAG_INFO => info = Some(attribute),
            INET_DIAG_ULP_INFO => subflow = mptcp::subflow(attribute.value()),
            INET_DIAG_SKV6ONLY => v6only = attribute.value().first().map(|flag| *flag != 0),
            INET_DIAG_MARK => {
                let bytes = attribute.value().first_chunk();
                mark = bytes.map(|bytes| u32::from_ne_bytes(*bytes));
            }
            INET_DIAG_CGROUP_ID => {
                let bytes = attribute.value().first_chunk();
                cgroup = bytes.and_then(|bytes| NonZeroU64::new(u64::from_ne_bytes(*bytes)));
            }
            _ => {}
        }
    }
    let id = header.socket_id;
    let mut socket = Socket {
        protocol: match subflow {
            Some(_) => Protocol::Subflow,
            None => protocol,
        },
        netns: 0,
        family,
        state,
        local: Endpoint::new(id.source_address, id.source_port),
        remote: Endpoint::new(id.destination_address, id.destination_port),
        recv_q: header.recv_queue,
        send_q: header.send_queue,
        unmeasured: false,
        timer: timer(payload),
        uid: header.uid,
        inode: header.inode,
        cookie: NonZeroU64::new(u64::from_ne_bytes(id.cookie)),
        interface: id.interface_id,
        v6only,
        mark,
        cgroup,
        tcp: None,
        token: subflow.and_then(|subflow| subflow.token),
        detail: None,
    };
    match info {
        Some(info) if protocol == Protocol::Mptcp => mptcp::add_info(&mut socket, info.value()),
        // The kernel leaves the times of a listener zero (`tcp_get_info`).
        Some(info) if state != State::Listen => {
            socket.tcp = Some(TcpInfo::from_prefix(info.value()));
            socket.unmeasured = info.value().get(CWND) == Some(&[0; 4]);
        }
        _ => {}
    }
    Ok(socket)
}

/// Reads the attributes after a `struct inet_diag_msg` that only some views show. Stops at a malformed one,
/// for which [`socket`] has returned an error.
pub fn detail(payload: &[u8], protocol: Protocol) -> Detail {
    // `inet_diag_msg.idiag_state`. The tcp_info of a listener is zeros; other fields of it hold the queue.
    let listens = payload.get(1).copied().and_then(State::from_kernel) == Some(State::Listen);
    // MPTCP has another structure.
    let has_info = !listens && protocol != Protocol::Mptcp;
    let mut detail = Detail::default();
    let attributes = NlasIterator::new(payload.get(MESSAGE..).unwrap_or(&[]));
    for attribute in attributes.map_while(Result::ok) {
        let value = attribute.value();
        match attribute.kind() {
            INET_DIAG_INFO if has_info => detail.set_info(value),
            INET_DIAG_SKMEMINFO => detail.set_memory(value),
            INET_DIAG_VEGASINFO | INET_DIAG_DCTCPINFO | INET_DIAG_BBRINFO => {
                detail.set_control(attribute.kind(), value);
            }
            INET_DIAG_CONG => detail.set_congestion(value),
            INET_DIAG_TOS => detail.tos = value.first().copied(),
            INET_DIAG_TCLASS => detail.tclass = value.first().copied(),
            INET_DIAG_SHUTDOWN => detail.shutdown = value.first().copied(),
            _ => {}
        }
    }
    detail
}

/// Reads `idiag_timer`, `idiag_retrans` and `idiag_expires`.
fn timer(payload: &[u8]) -> Option<Timer> {
    let kind = TimerKind::from_kernel(*payload.get(2)?)?;
    let expires = payload.get(EXPIRES)?.try_into().ok()?;
    Some(Timer {
        kind,
        expires_ms: u32::from_ne_bytes(expires),
        retransmits: *payload.get(3)?,
    })
}

/// Corrects the state of a socket in a dump of bound sockets: the kernel reports them as CLOSE, and only in
/// such dumps (`inet_diag_dump_icsk`).
pub(crate) fn bound_inactive(socket: Socket) -> Socket {
    match socket.state {
        State::Close => Socket {
            state: State::BoundInactive,
            ..socket
        },
        _ => socket,
    }
}
