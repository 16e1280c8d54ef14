//! Services: what a connection is to, by the address and port of the end that serves it.

use std::net::IpAddr;

use crate::model::{Endpoint, Side};

/// The service that a connection is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    pub at: ServedAt,
    /// The interface that its sockets are bound to; 0 for none.
    pub device: u32,
}

/// The end of a connection that names the service: never an ephemeral port. Port 0 stands for
/// several that tell nothing each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServedAt {
    /// Served here, on this port.
    Local(u16),
    /// Served there.
    Remote(Endpoint),
    /// Nothing tells which end serves: all connections with that address.
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

    /// Its port; `None` where it has none that says anything.
    pub fn port(self) -> Option<u16> {
        let port = match self.at {
            ServedAt::Local(port) => port,
            ServedAt::Remote(remote) => remote.port,
            ServedAt::Unknown(_) => 0,
        };
        (port > 0).then_some(port)
    }

    /// The same at any port.
    pub fn without_port(self) -> Service {
        let at = match self.at {
            ServedAt::Local(_) => ServedAt::Local(0),
            ServedAt::Remote(remote) => ServedAt::Remote(Endpoint { port: 0, ..remote }),
            ServedAt::Unknown(addr) => ServedAt::Unknown(addr),
        };
        Service { at, ..self }
    }
}

/// The service end, or ends, of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServiceEnd {
    One(Service),
    /// So many that each alone says little.
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
