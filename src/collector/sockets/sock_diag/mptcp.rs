//! MPTCP in sock_diag: the `struct mptcp_info` of a connection, and the attribute that marks a TCP socket as
//! a subflow. Pure.
//!
//! For the layouts, see `include/uapi/linux/mptcp.h` and `inet_diag.h`,
//! `net/mptcp/mptcp_diag.c` and `net/mptcp/diag.c`, `subflow_get_info`.

use std::num::NonZeroU32;

use netlink_packet_core::NlasIterator;

use crate::model::socket::{u32_at, u64_at};
use crate::model::{Socket, State, TcpInfo};

/// Attributes within INET_DIAG_ULP_INFO, and within its MPTCP part.
const INET_ULP_INFO_NAME: u16 = 1;
const INET_ULP_INFO_MPTCP: u16 = 3;
const MPTCP_SUBFLOW_ATTR_TOKEN_LOC: u16 = 2;

/// Adds the facts in a `struct mptcp_info`, of any length, to a connection.
pub fn add_info(socket: &mut Socket, info: &[u8]) {
    // That of a listener is all zeros.
    if socket.state == State::Listen {
        return;
    }
    socket.token = u32_at(info, 12).and_then(NonZeroU32::new);
    // `idiag_wqueue` is always 0, even with unacknowledged data.
    if let (Some(written), Some(acknowledged)) = (u64_at(info, 16), u64_at(info, 24)) {
        let outstanding = written.wrapping_sub(acknowledged);
        socket.send_q = u32::try_from(outstanding).unwrap_or(u32::MAX);
    }
    // Linux 6.10.
    if let (Some(sent), Some(received), Some(acked)) =
        (u32_at(info, 84), u32_at(info, 88), u32_at(info, 92))
    {
        socket.tcp = Some(TcpInfo::of_times(sent, received, acked));
    }
}

/// The subflow in an INET_DIAG_ULP_INFO; `None` if that is about another protocol, such as kTLS.
pub fn subflow(value: &[u8]) -> Option<Subflow> {
    let mut is_subflow = false;
    let mut token = None;
    for part in NlasIterator::new(value).map_while(Result::ok) {
        match part.kind() {
            INET_ULP_INFO_NAME => is_subflow = part.value().starts_with(b"mptcp\0"),
            INET_ULP_INFO_MPTCP => {
                let mut parts = NlasIterator::new(part.value()).map_while(Result::ok);
                let found = parts.find(|part| part.kind() == MPTCP_SUBFLOW_ATTR_TOKEN_LOC);
                token = found.and_then(|found| NonZeroU32::new(u32_at(found.value(), 0)?));
            }
            _ => {}
        }
    }
    is_subflow.then_some(Subflow { token })
}

/// A TCP socket that is a subflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subflow {
    /// The token of its connection; a listener has none.
    pub token: Option<NonZeroU32>,
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::model::{Endpoint, Protocol};

    fn connection(state: State) -> Socket {
        let end = Endpoint::new(Ipv4Addr::LOCALHOST, 80);
        Socket {
            protocol: Protocol::Mptcp,
            ..Socket::bare(state, end, end)
        }
    }

    /// As long as Linux 6.18 sends it.
    fn info() -> [u8; 96] {
        let mut info = [0; 96];
        info[12..16].copy_from_slice(&0xba51_ca91u32.to_ne_bytes());
        info[16..24].copy_from_slice(&5u64.to_ne_bytes());
        info[24..32].copy_from_slice(&(u64::MAX - 4).to_ne_bytes());
        for (at, time) in [(84, 10u32), (88, 2000), (92, 300)] {
            info[at..at + 4].copy_from_slice(&time.to_ne_bytes());
        }
        info
    }

    #[test]
    fn a_connection_tells_its_token_what_is_not_acknowledged_and_its_times() {
        let mut socket = connection(State::CloseWait);
        add_info(&mut socket, &info());
        assert_eq!(socket.token.map(u32::from), Some(0xba51_ca91));
        assert_eq!(socket.send_q, 10);
        let times = socket.tcp.unwrap();
        assert!(times.last_data_recv().is_some() && times.last_ack_recv().is_some());
        assert_eq!((times.backoff(), times.bytes_acked()), (None, None));
        assert_eq!((times.data_segs_out(), times.bytes_sent()), (None, None));
    }

    #[test]
    fn what_an_older_kernel_does_not_send_is_unknown() {
        for length in 0..96 {
            let mut socket = connection(State::CloseWait);
            add_info(&mut socket, &info()[..length]);
            assert_eq!(socket.tcp, None, "{length} bytes");
            assert_eq!(socket.token.is_some(), length >= 16, "{length} bytes");
        }
        let mut listener = connection(State::Listen);
        listener.send_q = 128;
        add_info(&mut listener, &info());
        assert_eq!((listener.send_q, listener.tcp), (128, None));
    }

    #[test]
    fn a_subflow_is_known_by_the_name_of_its_protocol() {
        let attribute = |kind: u16, value: &[u8]| {
            let length = u16::try_from(value.len() + 4).unwrap();
            let mut bytes = [&length.to_ne_bytes(), &kind.to_ne_bytes(), value].concat();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let name = attribute(1, b"mptcp\0");
        let tokens = [
            attribute(1, &[0; 4]),
            attribute(2, &7u32.to_ne_bytes()),
            attribute(9, &[0]),
        ];
        let whole = [name.clone(), attribute(3, &tokens.concat())].concat();
        let token = NonZeroU32::new(7);
        assert_eq!(subflow(&whole), Some(Subflow { token }));
        assert_eq!(subflow(&name), Some(Subflow { token: None }));
        assert_eq!(subflow(&attribute(1, b"tls\0")), None);
        for length in 0..whole.len() {
            let _ = subflow(&whole[..length]);
        }
    }
}
