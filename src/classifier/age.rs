//! How long a socket has been idle, from the times in tcp_info.

use std::num::NonZeroU64;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Idle, Snapshot, Socket, State};

/// Sockets that an earlier reading saw in CLOSE_WAIT, or in FIN_WAIT2, and how many milliseconds ago:
/// they have been in it at least as long, whatever renews their last acknowledgement.
#[derive(Debug, Clone, Default)]
pub struct Sightings(FxHashMap<Identity, u64>);

/// The network namespace, by its inode or else its position, and the cookie.
type Identity = (u64, NonZeroU64);

impl Sightings {
    /// From the CLOSE_WAIT and FIN_WAIT2 sockets of an earlier reading, which ended `ago_ms` before the next one
    /// began.
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

    /// Both together: for a socket in both, whichever is longer ago.
    pub fn and(mut self, other: Sightings) -> Sightings {
        for (identity, ago_ms) in other.0 {
            let known = self.0.entry(identity).or_default();
            *known = (*known).max(ago_ms);
        }
        self
    }

    /// Those that are among these sockets too.
    pub fn among<'a>(
        mut self,
        snapshot: &Snapshot,
        sockets: impl IntoIterator<Item = &'a Socket>,
    ) -> Sightings {
        let sockets = sockets.into_iter();
        let those: FxHashSet<Identity> = sockets
            .filter_map(|socket| identity(snapshot, socket))
            .collect();
        self.0.retain(|identity, _| those.contains(identity));
        self
    }

    /// How long ago the socket was seen first; 0 where it was not.
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

/// The bracket of a socket's idle time; `None` where nothing tells it, and then nobody guesses.
///
/// On CLOSE_WAIT it is the time since the FIN. A FIN carries an acknowledgement, which renews
/// `last_ack_recv`, and no data, which would renew `last_data_recv`
/// (`net/ipv4/tcp_input.c`, `tcp_ack` and `tcp_event_data_recv`), so it lies between the two. A
/// later acknowledgement, such as the answer to a keepalive probe, only lowers the lower bound; an
/// earlier reading that saw the socket in CLOSE_WAIT raises it.
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

/// How long nothing has come from the remote end of a FIN_WAIT2 socket, neither the acknowledgement
/// of our FIN nor a byte; `None` where nothing tells it.
///
/// The FIN went out after the last byte that was sent, and its acknowledgement came no later than
/// the last one. Bytes that come in after it renew both times. So the silence is at least as long as
/// nothing was acknowledged, and at most as long as no byte went either way. Answers to keepalive
/// probes lower the lower bound; an earlier reading that saw the socket in FIN_WAIT2 raises it, as far
/// as no byte came since.
pub fn silence(snapshot: &Snapshot, socket: &Socket, seen: &Sightings) -> Option<Idle> {
    let tcp = socket.tcp.filter(|_| socket.state == State::FinWait2)?;
    let last_byte = tcp.last_data_recv()?.latest(tcp.last_data_sent()?);
    let silence = tcp.last_ack_recv()?.idle_since(last_byte);
    let seen_ms = seen.ago_ms(snapshot, socket);
    let at_least_ms = silence.at_most_ms.map_or(seen_ms, |most| most.min(seen_ms));
    Some(silence.at_least(at_least_ms))
}
