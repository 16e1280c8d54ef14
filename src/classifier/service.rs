//! Services: what a connection is to, named by the address and port of the serving end.

use std::net::IpAddr;

use crate::model::{Endpoint, Side};

/// The service that a connection is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    pub at: ServedAt,
    /// The interface that its sockets are bound to; 0 for none.
    pub device: u32,
}

/// The end of a connection that names the service, never an ephemeral port. Port 0 stands for
/// several ports that are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServedAt {
    /// This host serves it, on this port.
    Local(u16),
    /// The remote end serves it.
    Remote(Endpoint),
    /// The serving end is unknown: all connections with that address.
    Unknown(IpAddr),
}

impl Service {
    pub fn side(self) -> Option<Side> {
        match self.at {
            ServedAt::Local(_) => Some(Side::Server),
            ServedAt::Remote(_) => Some(Side::Client),
            ServedAt::Unknown(_) => None,
        }
    }

    /// Its port; `None` if it has no meaningful one.
    pub fn port(self) -> Option<u16> {
        let port = match self.at {
            ServedAt::Local(port) => port,
            ServedAt::Remote(remote) => remote.port,
            ServedAt::Unknown(_) => 0,
        };
        (port > 0).then_some(port)
    }

    /// The service on any port.
    pub fn without_port(self) -> Service {
        let at = match self.at {
            ServedAt::Local(_) => ServedAt::Local(0),
            ServedAt::Remote(remote) => ServedAt::Remote(Endpoint { port: 0, ..remote }),
            ServedAt::Unknown(addr) => ServedAt::Unknown(addr),
        };
        Service { at, ..self }
    }
}

/// The service or services of a set of sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceEnd {
    One(Service),
    /// Several services on one side, and their number.
    Several(Option<Side>, u32),
}

impl ServiceEnd {
    pub fn side(self) -> Option<Side> {
        match self {
            ServiceEnd::One(service) => service.side(),
            ServiceEnd::Several(side, _) => side,
        }
    }
}
