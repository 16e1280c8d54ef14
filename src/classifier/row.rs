//! Row: one socket with everything that is concluded about it.

use super::service::Service;
use super::side::Sides;
use crate::model::{Cause, Idle, Missing, Owner, Protocol, Side, Socket, State};

/// One selected socket with everything that is concluded about it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub socket: &'a Socket,
    pub(super) sides: &'a Sides<'a>,
    pub owner: Owner<'a>,
    pub idle: Option<Idle>,
    /// Of CLOSE_WAIT sockets only.
    pub cause: Option<Cause>,
    /// Why the cause is unclear.
    pub missing: Option<Missing>,
}

impl Row<'_> {
    /// The side, where something tells it: of UDP nothing does.
    pub fn side(&self) -> Option<Side> {
        self.sides.side(self.socket)
    }

    /// The service that it is a connection to.
    pub fn service(&self) -> Service {
        self.sides.service(self.socket)
    }

    /// Whether a CLOSE_WAIT socket lasts longer than a healthy close, and is in nobody's use; `None` of
    /// other states, and where its age is not known to be beyond the grace.
    pub fn lingers(&self) -> Option<bool> {
        match (self.cause?, self.missing) {
            (Cause::Transient | Cause::HalfClose, _) => Some(false),
            (_, Some(Missing::Age(_))) => None,
            _ => Some(true),
        }
    }

    /// Whether accept(2) or connect(2) gave the connection to a process; `None` of what is no
    /// connection of a process: listeners and the kernel's own.
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
