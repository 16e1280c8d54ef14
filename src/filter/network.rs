//! A range of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Addresses that share their first `length` bits with `addr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    addr: IpAddr,
    length: u8,
}

impl Network {
    /// `None` if the address has fewer bits than `length`.
    pub fn new(addr: IpAddr, length: u8) -> Option<Network> {
        (length <= width(addr)).then_some(Network { addr, length })
    }

    /// One address.
    pub fn host(addr: IpAddr) -> Network {
        let length = width(addr);
        Network { addr, length }
    }

    pub fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The number of leading bits that its addresses share.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether the network contains the address. An IPv4 network also contains the IPv4-mapped IPv6
    /// addresses of its members: those are the IPv4 clients of a dual-stack listener.
    pub fn contains(&self, addr: IpAddr) -> bool {
        let (network, addr, width) = match (self.addr, addr) {
            (IpAddr::V6(network), IpAddr::V6(addr)) => (network.to_bits(), addr.to_bits(), 128),
            (IpAddr::V4(network), addr) => match addr.to_canonical() {
                IpAddr::V4(addr) => (network.to_bits().into(), addr.to_bits().into(), 32),
                IpAddr::V6(_) => return false,
            },
            (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        let differing: u128 = network ^ addr;
        differing
            .checked_shr(width - u32::from(self.length))
            .is_none_or(|prefix| prefix == 0)
    }
}

fn width(addr: IpAddr) -> u8 {
    if addr.is_ipv4() { 32 } else { 128 }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.length)
    }
}

/// A text that is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    #[error("invalid address {0:?}: try 10.1.2.3, 10.0.0.0/8 or 2001:db8::/32")]
    Address(String),
    #[error("prefix length {length:?} is not a number from 0 to {most}")]
    Length { length: String, most: u8 },
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let (addr, length) = match text.split_once('/') {
            Some((addr, length)) => (addr, Some(length)),
            None => (text, None),
        };
        let bare = addr
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(addr);
        let short = || length.and_then(|_| abbreviated(bare));
        let addr: IpAddr = bare
            .parse()
            .ok()
            .or_else(short)
            .ok_or_else(|| NetworkError::Address(text.to_owned()))?;
        let most = width(addr);
        let length = match length {
            None => most,
            Some(length) => length
                .parse()
                .ok()
                .filter(|number| *number <= most)
                .ok_or_else(|| NetworkError::Length {
                    length: length.to_owned(),
                    most,
                })?,
        };
        Ok(Network { addr, length })
    }
}

/// The first numbers of an IPv4 address, the others being 0, as in `10/8` (ip-address(8)).
fn abbreviated(text: &str) -> Option<IpAddr> {
    let mut octets = [0; 4];
    let mut numbers = text.split('.');
    for (octet, number) in octets.iter_mut().zip(numbers.by_ref()) {
        *octet = number.parse().ok()?;
    }
    numbers.next().is_none().then(|| IpAddr::from(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, addr: &str) -> bool {
        network
            .parse::<Network>()
            .unwrap()
            .contains(addr.parse().unwrap())
    }

    #[test]
    fn a_range_holds_the_addresses_that_share_its_prefix() {
        assert!(holds("10.0.0.0/8", "10.255.0.1"));
        assert!(!holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "255.255.255.255"));
        assert!(holds("10.1.2.3", "10.1.2.3"));
        assert!(!holds("10.1.2.3", "10.1.2.4"));
        assert!(holds("2001:db8::/32", "2001:db8:1::9"));
        assert!(holds("::/0", "2001:db8::"));
        assert!(holds("[::1]", "::1"));
        assert!(holds("10/8", "10.255.0.1"));
        assert!(holds("192.168/16", "192.168.3.4"));
        assert!(!holds("10/8", "11.0.0.1"));
        assert!("10".parse::<Network>().is_err());
        assert!("1.2.3.4.5/8".parse::<Network>().is_err());
    }

    #[test]
    fn an_ipv4_range_holds_the_mapped_form_and_no_other_ipv6() {
        assert!(holds("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(!holds("::/0", "10.0.0.1"));
        assert!(holds("::/0", "::ffff:10.0.0.1"));
    }

    #[test]
    fn what_is_no_range_is_an_error_that_names_it() {
        assert!(matches!(
            "10.0.0".parse::<Network>(),
            Err(NetworkError::Address(_))
        ));
        assert!(matches!(
            "::1/129".parse::<Network>(),
            Err(NetworkError::Length { .. })
        ));
        assert!(matches!(
            "10.0.0.0/-1".parse::<Network>(),
            Err(NetworkError::Length { .. })
        ));
    }
}
