//! Facts: what is known of one CLOSE_WAIT connection and decides its cause.

use crate::model::{Ago, Idle, Side, Tick, Timer};

/// A FIN within this time of the last byte, in milliseconds, came with it: in a second packet, or
/// from a busy peer.
const WITH_FIN_MS: u64 = 100;

/// What is known of one CLOSE_WAIT socket. `None` is unknown and never treated as no.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// The precision of the times.
    pub tick: Tick,
    pub side: Option<Side>,
    /// Whether it has an inode: accept(2) or connect(2) gave it to a process.
    pub accepted: bool,
    pub recv_q: u32,
    /// Whether `recv_q` counts an unread FIN, so that 0 means that end-of-file was read. It does
    /// not on MPTCP connections, and on their subflows, which the kernel reads itself.
    pub counts_fin: bool,
    pub send_q: u32,
    pub timer: Option<Timer>,
    /// How often that timer was doubled.
    pub backoff: Option<u8>,
    pub idle: Option<Idle>,
    /// When this side last sent data.
    pub sent: Option<Ago>,
    /// When data was last received.
    pub received: Option<Ago>,
    /// When the last acknowledgement was received.
    pub acked: Option<Ago>,
    /// Whether this side has ever sent data.
    pub ever_sent: Option<bool>,
    /// The number of segments with data sent, retransmissions included.
    pub pieces: Option<u32>,
    /// Whether anything but the FIN was ever received.
    pub ever_received: Option<bool>,
    /// Whether anything was read before the unread data arrived.
    pub read_before: Option<bool>,
    /// The other end of the connection, if it is on this host and closed first.
    pub peer: Option<PeerEnd>,
    /// Whether a process holds it that inherited it: besides the one that serves it, or alone.
    pub inherited: Option<bool>,
    /// Whether the kernel reports neither queues nor counts.
    pub unmeasured: bool,
}

/// What became of the end that sent the FIN, if both ends are on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerEnd {
    /// FIN_WAIT1 or FIN_WAIT2 with an inode: a process still holds it, so it closed one direction
    /// only (shutdown(2)) and waits.
    Waiting,
    /// FIN_WAIT1 or FIN_WAIT2 without an inode: closed entirely, and kept by the kernel for a
    /// while.
    Orphaned,
}

impl Facts {
    /// Whether the FIN came together with the last byte.
    pub fn ends_with_data(&self) -> bool {
        let near =
            |(received, acked): (Ago, Ago)| received.may_be_within(WITH_FIN_MS, acked, self.tick);
        self.received.zip(self.acked).is_some_and(near)
    }

    /// Whether anything was sent since the last byte was received. Byte counts decide first; `None`
    /// if they do not decide and the two times are within a tick.
    pub fn answered_after_last_byte(&self) -> Option<bool> {
        match (self.ever_sent, self.ever_received) {
            (Some(false), _) => return Some(false),
            (Some(true), Some(false)) => return Some(true),
            _ => {}
        }
        self.sent?.is_after(self.received?, self.tick)
    }
}
