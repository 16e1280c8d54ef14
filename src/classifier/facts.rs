//! Facts: what is known of one connection, as far as the cause of its CLOSE_WAIT rests on it.

use crate::model::{Ago, Idle, Side, Tick, Timer};

/// A FIN that comes so soon after the last byte comes with it: two packets, or a busy peer.
const WITH_FIN_MS: u64 = 100;

/// What is known of one CLOSE_WAIT socket. `None` is unknown, and never taken for a no.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// What the times are known to.
    pub tick: Tick,
    pub side: Option<Side>,
    /// It has an inode: accept(2) or connect(2) has given it to a process.
    pub accepted: bool,
    pub recv_q: u32,
    /// Whether `recv_q` counts a FIN that was not read, so that 0 means that end-of-file was: not on
    /// MPTCP connections, nor on their subflows, which the kernel reads itself.
    pub counts_fin: bool,
    pub send_q: u32,
    pub timer: Option<Timer>,
    /// How often that timer has been doubled.
    pub backoff: Option<u8>,
    pub idle: Option<Idle>,
    /// When this side last sent data.
    pub sent: Option<Ago>,
    /// When data last came in.
    pub received: Option<Ago>,
    /// When the last acknowledgement came in.
    pub acked: Option<Ago>,
    /// Whether this side has ever sent data.
    pub ever_sent: Option<bool>,
    /// In how many segments, those that were sent again included.
    pub pieces: Option<u32>,
    /// Whether a byte but the FIN ever came in.
    pub ever_received: Option<bool>,
    /// Whether something was read before what lies unread came in.
    pub read_before: Option<bool>,
    /// The near end of the same connection, where it is on this host.
    pub peer: Option<PeerEnd>,
    /// Whether more processes hold it than the one that serves it, or only a later one.
    pub inherited: Option<bool>,
    /// The kernel fills in neither queues nor counts.
    pub unmeasured: bool,
}

/// What became of the end that sent the FIN, where both ends are on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerEnd {
    /// FIN_WAIT1 or FIN_WAIT2 with an inode: a process still holds it, so it closed one direction
    /// only (shutdown(2)) and waits.
    Waiting,
    /// FIN_WAIT1 or FIN_WAIT2 without one: closed for good, kept by the kernel for a while.
    Orphaned,
}

impl Facts {
    /// Whether the FIN came together with the last byte.
    pub fn ends_with_data(&self) -> bool {
        let near =
            |(received, acked): (Ago, Ago)| received.may_be_within(WITH_FIN_MS, acked, self.tick);
        self.received.zip(self.acked).is_some_and(near)
    }

    /// Whether anything was sent since the last byte came in. Bytes decide first; `None` where they
    /// do not, and the two times lie within a tick.
    pub fn answered_after_last_byte(&self) -> Option<bool> {
        match (self.ever_sent, self.ever_received) {
            (Some(false), _) => return Some(false),
            (Some(true), Some(false)) => return Some(true),
            _ => {}
        }
        self.sent?.is_after(self.received?, self.tick)
    }
}
