//! The replacements for addresses and names.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::model::{Endpoint, Name};
use crate::recording::{Recording, RecordingError};

/// The replacements so far.
#[derive(Default)]
pub(super) struct Masks {
    originals: BTreeSet<IpAddr>,
    addresses: BTreeMap<IpAddr, IpAddr>,
    /// How many addresses of each class have been given out.
    given: BTreeMap<(Class, bool), u32>,
    names: BTreeMap<&'static str, BTreeMap<Vec<u8>, String>>,
}

/// What an address alone shows, which its replacement keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// 127.0.0.0/8.
    Loopback,
    /// RFC 1918, RFC 6598, and fc00::/7.
    Private,
    LinkLocal,
    Multicast,
    Public,
}

impl Masks {
    pub(super) fn new(recording: &Recording) -> Result<Masks, RecordingError> {
        Ok(Masks {
            originals: recording.addresses()?,
            ..Masks::default()
        })
    }

    /// The replacement for an address; an IPv4-mapped address stays mapped.
    pub(super) fn address(&mut self, addr: IpAddr) -> IpAddr {
        match (addr, addr.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(inner)) => match self.plain(inner.into()) {
                IpAddr::V4(other) => other.to_ipv6_mapped().into(),
                IpAddr::V6(other) => other.into(),
            },
            (addr, _) => self.plain(addr),
        }
    }

    fn plain(&mut self, addr: IpAddr) -> IpAddr {
        let is_everywhere = addr.is_unspecified()
            || addr == IpAddr::V4(Ipv4Addr::LOCALHOST)
            || addr == IpAddr::V6(Ipv6Addr::LOCALHOST);
        if is_everywhere {
            return addr;
        }
        if let Some(other) = self.addresses.get(&addr) {
            return *other;
        }
        let other = self.next(Class::of(addr), addr.is_ipv4());
        self.addresses.insert(addr, other);
        other
    }

    /// An address that replaces none yet, and is not in the recording: it would look like the original.
    fn next(&mut self, class: Class, is_ipv4: bool) -> IpAddr {
        let mut class = class;
        loop {
            let given = self.given.entry((class, is_ipv4)).or_default();
            *given = given.saturating_add(1);
            match class.nth(*given, is_ipv4) {
                Some(other) if !self.originals.contains(&other) => return other,
                Some(_) => {}
                // The class has no more addresses.
                None => class = Class::Public,
            }
        }
    }

    pub(super) fn endpoint(&mut self, end: Endpoint) -> Endpoint {
        Endpoint::new(self.address(end.addr), end.port)
    }

    pub(super) fn name(&mut self, kind: &'static str, name: &Name) -> Name {
        Name::new(self.mask(kind, name.bytes()).into_bytes())
    }

    pub(super) fn mask(&mut self, kind: &'static str, name: &[u8]) -> String {
        let names = self.names.entry(kind).or_default();
        let next = names.len().saturating_add(1);
        let other = names.entry(name.to_vec());
        other.or_insert_with(|| format!("{kind}-{next}")).clone()
    }
}

impl Class {
    fn of(addr: IpAddr) -> Class {
        match addr {
            IpAddr::V4(addr) => {
                let [first, second, ..] = addr.octets();
                if addr.is_loopback() {
                    Class::Loopback
                } else if addr.is_private() || (first == 100 && second & 0xc0 == 64) {
                    Class::Private
                } else if addr.is_link_local() {
                    Class::LinkLocal
                } else if addr.is_multicast() {
                    Class::Multicast
                } else {
                    Class::Public
                }
            }
            IpAddr::V6(addr) => {
                if addr.is_unique_local() {
                    Class::Private
                } else if addr.is_unicast_link_local() {
                    Class::LinkLocal
                } else if addr.is_multicast() {
                    Class::Multicast
                } else {
                    Class::Public
                }
            }
        }
    }

    /// The nth replacement for an address of this class. Public addresses are replaced from blocks that
    /// nobody has: 240.0.0.0/4 (RFC 1112) and 2001:db8::/32 (RFC 3849).
    fn nth(self, n: u32, is_ipv4: bool) -> Option<IpAddr> {
        let block: RangeInclusive<u32> = match self {
            Class::Loopback => 0x7f01_0000..=0x7fff_ffff,
            Class::Private => 0x0a00_0000..=0x0aff_ffff,
            Class::LinkLocal => 0xa9fe_0000..=0xa9fe_ffff,
            Class::Multicast => 0xef00_0000..=0xefff_ffff,
            Class::Public => 0xf000_0000..=0xffff_fffe,
        };
        if is_ipv4 {
            let other = block.start().checked_add(n)?;
            return block.contains(&other).then(|| Ipv4Addr::from(other).into());
        }
        let first: u16 = match self {
            Class::Private => 0xfd00,
            Class::LinkLocal => 0xfe80,
            Class::Multicast => 0xff0e,
            Class::Loopback | Class::Public => 0x2001,
        };
        let second = if first == 0x2001 { 0xdb8 } else { 0 };
        let other = Ipv6Addr::new(first, second, 0, 0, 0, 0, (n >> 16) as u16, n as u16);
        Some(other.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(originals: &[&str]) -> Masks {
        Masks {
            originals: originals.iter().map(|addr| addr.parse().unwrap()).collect(),
            ..Masks::default()
        }
    }

    #[test]
    fn an_address_keeps_its_class_and_is_always_the_same_other_one() {
        let mut masks = masks(&["10.0.0.1"]);
        for (addr, other) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("0.0.0.0", "0.0.0.0"),
            ("::", "::"),
            ("127.0.0.53", "127.1.0.1"),
            // The first one was met.
            ("192.168.7.9", "10.0.0.2"),
            ("100.64.3.1", "10.0.0.3"),
            ("203.0.113.5", "240.0.0.1"),
            ("169.254.9.9", "169.254.0.1"),
            ("fe80::1234", "fe80::1"),
            ("2a00:1450::8a", "2001:db8::1"),
            ("fd12:3456::1", "fd00::1"),
            ("::ffff:192.168.7.9", "::ffff:10.0.0.2"),
            ("192.168.7.9", "10.0.0.2"),
        ] {
            let masked = masks.address(addr.parse().unwrap());
            assert_eq!(masked.to_string(), other, "{addr}");
        }
    }

    #[test]
    fn more_addresses_than_a_class_has_are_given_others() {
        let mut masks = masks(&[]);
        let mut seen = BTreeSet::new();
        for n in 0..70_000u32 {
            // Of 169.254.0.0/16, as far as it goes.
            let other = masks.next(Class::LinkLocal, true);
            assert!(seen.insert(other), "{n}: {other}");
        }
    }
}
