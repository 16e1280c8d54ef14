//! Ages: how long a socket has been idle, by the times in tcp_info.

use std::num::NonZeroU64;

use rustc_hash::FxHashMap;

use crate::model::{Idle, Snapshot, Socket, State};

/// Sightings: sockets that an earlier reading saw in CLOSE_WAIT or FIN_WAIT2, and how many
/// milliseconds ago. They have been in that state at least that long, whatever their last
/// acknowledgement shows.
#[derive(Debug, Clone, Default)]
pub struct Sightings(FxHashMap<Identity, u64>);

/// The inode of the network namespace (or its position), and the cookie.
type Identity = (u64, NonZeroU64);

impl Sightings {
    /// From the CLOSE_WAIT and FIN_WAIT2 sockets of an earlier reading, which ended `ago_ms` before
    /// the next one began.
    pub fn of<'a>(
        snapshot: &Snapshot,
        sockets: impl IntoIterator<Item = &'a Socket>,
        ago_ms: u64,
    ) -> Sightings {
        let seen = sockets
            .into_iter()
            .filter(|socket| matches!(socket.state, State::CloseWait | State::FinWait2))
            .filter_map(|socket| Some((identity(snapshot, socket)?, ago_ms)));
        Sightings(seen.collect())
    }

    /// Merges both. For a socket in both, the longer time counts.
    pub fn and(mut self, other: Sightings) -> Sightings {
        for (identity, ago_ms) in other.0 {
            let known = self.0.entry(identity).or_default();
            *known = (*known).max(ago_ms);
        }
        self
    }

    /// How long ago the socket was first seen; 0 if it was not.
    fn ago_ms(&self, snapshot: &Snapshot, socket: &Socket) -> u64 {
        if self.0.is_empty() {
            return 0;
        }
        let seen = identity(snapshot, socket).and_then(|identity| self.0.get(&identity));
        seen.copied().unwrap_or(0)
    }
}

fn identity(snapshot: &Snapshot, socket: &Socket) -> Option<Identity> {
    let inode = snapshot.namespace(socket).inode;
    Some((inode.unwrap_or(socket.netns.into()), socket.cookie?))
}

/// The bounds of a socket's idle time; `None` if unknown.
///
/// On CLOSE_WAIT this is the time since the FIN. A FIN carries an acknowledgement, which updates
/// `last_ack_recv`, but no data, which would update `last_data_recv` (`net/ipv4/tcp_input.c`,
/// `tcp_ack` and `tcp_event_data_recv`). So the FIN came between the two. A later acknowledgement,
/// such as the answer to a keepalive probe, lowers the lower bound; an earlier reading that saw the
/// socket in CLOSE_WAIT raises it.
pub fn idle(snapshot: &Snapshot, socket: &Socket, seen: &Sightings) -> Option<Idle> {
    let tcp = socket.tcp?;
    let received = tcp.last_data_recv()?;
    match socket.state {
        State::CloseWait => {
            let idle = tcp.last_ack_recv()?.idle_since(received);
            Some(idle.at_least(seen.ago_ms(snapshot, socket)))
        }
        State::Established
        | State::FinWait1
        | State::FinWait2
        | State::Closing
        | State::LastAck => {
            let sent = tcp.last_data_sent()?;
            Some(received.latest(sent).idle())
        }
        State::Listen
        | State::SynSent
        | State::SynRecv
        | State::TimeWait
        | State::Close
        | State::BoundInactive => None,
    }
}

/// How long nothing was received from the remote end of a FIN_WAIT2 socket, neither the
/// acknowledgement of the FIN nor data; `None` if unknown.
///
/// The FIN was sent after the last byte, and acknowledged no later than the last acknowledgement.
/// Data that arrives afterwards updates both times. So the silence is at least the time since the
/// last acknowledgement, and at most the time since the last byte in either direction. Answers to
/// keepalive probes lower the lower bound; an earlier reading that saw the socket in FIN_WAIT2
/// raises it, up to the time since the last byte.
pub fn silence(snapshot: &Snapshot, socket: &Socket, seen: &Sightings) -> Option<Idle> {
    let tcp = socket.tcp.filter(|_| socket.state == State::FinWait2)?;
    let last_byte = tcp.last_data_recv()?.latest(tcp.last_data_sent()?);
    let silence = tcp.last_ack_recv()?.idle_since(last_byte);
    let seen_ms = seen.ago_ms(snapshot, socket);
    let at_least_ms = silence.at_most_ms.map_or(seen_ms, |most| most.min(seen_ms));
    Some(silence.at_least(at_least_ms))
}
