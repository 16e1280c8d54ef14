//! How long a socket has been idle, from the times in tcp_info.

use std::num::NonZeroU64;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Idle, Snapshot, Socket, State};

/// Sockets that an earlier reading saw in CLOSE_WAIT, and how many milliseconds ago: they have been
/// in it at least as long, whatever renews their last acknowledgement.
#[derive(Debug, Clone, Default)]
pub struct Sightings(FxHashMap<Identity, u64>);

/// The network namespace, by its inode or else its position, and the cookie.
type Identity = (u64, NonZeroU64);

impl Sightings {
    /// From the CLOSE_WAIT sockets of an earlier reading, which ended `ago_ms` before the next one
    /// began.
    pub fn of<'a>(
        snapshot: &Snapshot,
        sockets: impl IntoIterator<Item = &'a Socket>,
        ago_ms: u64,
    ) -> Sightings {
        let seen = sockets
            .into_iter()
            .filter(|socket| socket.state == State::CloseWait)
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
