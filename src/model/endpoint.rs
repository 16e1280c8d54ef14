//! An address and port: one end of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// One end of a socket. Port 0 means none, as at the remote end of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Endpoint {
    pub addr: IpAddr,
    pub port: u16,
}

impl Endpoint {
    pub fn new(addr: impl Into<IpAddr>, port: u16) -> Endpoint {
        Endpoint {
            addr: addr.into(),
            port,
        }
    }

    /// The endpoint with an IPv4-mapped IPv6 address (`::ffff:a.b.c.d`) turned into IPv4, so that the
    /// IPv4 clients of a dual-stack listener compare equal to other IPv4 endpoints.
    pub fn canonical(self) -> Endpoint {
        Endpoint {
            addr: self.addr.to_canonical(),
            port: self.port,
        }
    }

    pub fn is_loopback(self) -> bool {
        self.addr.to_canonical().is_loopback()
    }
}

/// `10.0.0.1:80`, `[2001:db8::1]:80`, `0.0.0.0:*` for port 0.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.addr {
            IpAddr::V4(addr) => write!(f, "{addr}:")?,
            IpAddr::V6(addr) => write!(f, "[{addr}]:")?,
        }
        match self.port {
            0 => f.write_str("*"),
            port => write!(f, "{port}"),
        }
    }
}

/// The unspecified address, `0.0.0.0` or `::`, of the same family.
pub fn is_wildcard(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => addr == Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(addr) => addr == Ipv6Addr::UNSPECIFIED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(addr: &str, port: u16) -> String {
        Endpoint::new(addr.parse::<IpAddr>().unwrap(), port).to_string()
    }

    #[test]
    fn ipv6_is_bracketed_and_no_port_is_a_star() {
        assert_eq!(shown("10.0.0.1", 80), "10.0.0.1:80");
        assert_eq!(shown("::1", 443), "[::1]:443");
        assert_eq!(shown("0.0.0.0", 0), "0.0.0.0:*");
        assert_eq!(shown("::ffff:10.1.2.3", 9), "[::ffff:10.1.2.3]:9");
    }

    #[test]
    fn a_mapped_address_is_compared_as_ipv4() {
        let mapped = Endpoint::new("::ffff:127.0.0.1".parse::<IpAddr>().unwrap(), 1);
        assert_eq!(mapped.canonical().addr, IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert!(mapped.is_loopback());
    }
}
