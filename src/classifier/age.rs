//! How long a socket has been idle, from the times in tcp_info.

use crate::model::{Idle, Socket, State};

/// The bracket of a socket's idle time; `None` where the kernel tells none, and then nobody
/// guesses.
///
/// On CLOSE_WAIT it is the time since the FIN. A FIN carries an acknowledgement, which renews
/// `last_ack_recv`, and no data, which would renew `last_data_recv`
/// (`net/ipv4/tcp_input.c`, `tcp_ack` and `tcp_event_data_recv`), so it lies between the two. A
/// later acknowledgement, such as the answer to a keepalive probe, only lowers the lower bound.
pub fn idle(socket: &Socket) -> Option<Idle> {
    let tcp = socket.tcp?;
    let received = u64::from(tcp.last_data_recv()?);
    match socket.state {
        State::CloseWait => {
            let acked = u64::from(tcp.last_ack_recv()?);
            Some(Idle {
                at_least_ms: acked,
                // Both count milliseconds in 32 bits: past 49.7 days the older one has wrapped.
                at_most_ms: (received >= acked).then_some(received),
            })
        }
        State::Established
        | State::FinWait1
        | State::FinWait2
        | State::Closing
        | State::LastAck => {
            let sent = u64::from(tcp.last_data_sent()?);
            let quiet = received.min(sent);
            Some(Idle {
                at_least_ms: quiet,
                at_most_ms: Some(quiet),
            })
        }
        State::Listen
        | State::SynSent
        | State::SynRecv
        | State::TimeWait
        | State::Close
        | State::BoundInactive => None,
    }
}

/// How long the peer waited between its last byte and its FIN, at the most, in milliseconds; on
/// a socket whose last acknowledgement was the FIN's it is exact.
pub fn patience(idle: Idle) -> Option<u64> {
    Some(idle.at_most_ms? - idle.at_least_ms)
}
