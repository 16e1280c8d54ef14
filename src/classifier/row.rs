//! Row: one socket with all conclusions about it.

use super::change::Presence;
use super::service::Service;
use super::side::Sides;
use crate::model::{Cause, Idle, Missing, Owner, Protocol, Side, Socket, State};

/// One socket with all conclusions about it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub socket: &'a Socket,
    pub(super) sides: &'a Sides<'a>,
    pub owner: Owner<'a>,
    pub idle: Option<Idle>,
    /// Only for CLOSE_WAIT.
    pub cause: Option<Cause>,
    /// Why the cause is unclear.
    pub missing: Option<Missing>,
    /// Whether it is in both of two readings; `None` if that is unknown, or there is only one.
    pub change: Option<Presence>,
}

impl Row<'_> {
    /// The side, if known; never known for UDP.
    pub fn side(&self) -> Option<Side> {
        self.sides.side(self.socket)
    }

    /// The service that it is connected to.
    pub fn service(&self) -> Service {
        self.sides.service(self.socket)
    }

    /// Whether a CLOSE_WAIT socket lasts longer than a healthy close and is not in use; `None` in
    /// other states, or if it is unknown whether it is older than the grace.
    pub fn lingers(&self) -> Option<bool> {
        match (self.cause?, self.missing) {
            (cause, _) if !cause.is_fault() => Some(false),
            (_, Some(Missing::Age(_))) => None,
            _ => Some(true),
        }
    }

    /// Whether accept(2) or connect(2) gave the connection to a process; `None` for listeners and
    /// sockets of the kernel.
    pub fn accepted(&self) -> Option<bool> {
        let socket = self.socket;
        if matches!(socket.protocol, Protocol::Udp | Protocol::Subflow) {
            return None;
        }
        if socket.is_unaccepted() {
            return Some(false);
        }
        (socket.inode != 0 && socket.state != State::Listen).then_some(true)
    }
}
