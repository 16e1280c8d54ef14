//! Resolved names of addresses and ports (`-r`).

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::Protocol;

/// Names of addresses and ports. They contain only characters of host names.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    hosts: FxHashMap<IpAddr, String>,
    services: FxHashMap<(Protocol, u16), String>,
    /// How many lookups were not answered in time.
    pub unanswered: usize,
}

impl Resolved {
    /// Adds the name of an address, unless it has one. Text that is not a host name is ignored: it comes
    /// from a DNS server.
    pub fn name_host(&mut self, addr: IpAddr, name: &str) {
        if is_name(name) {
            let name = name.trim_end_matches('.').to_owned();
            self.hosts.entry(addr.to_canonical()).or_insert(name);
        }
    }

    /// Adds the name of a port, unless it has one.
    pub fn name_service(&mut self, protocol: Protocol, port: u16, name: &str) {
        if is_name(name) {
            let name = name.to_owned();
            self.services.entry((protocol, port)).or_insert(name);
        }
    }

    /// The name of an address; an IPv4-mapped address has the name of the IPv4 address.
    pub fn host(&self, addr: IpAddr) -> Option<&str> {
        self.hosts.get(&addr.to_canonical()).map(String::as_str)
    }

    pub fn service(&self, protocol: Protocol, port: u16) -> Option<&str> {
        let key = (protocol.asked_as(), port);
        self.services.get(&key).map(String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.services.is_empty()
    }
}

/// Whether the text is a host name (RFC 1123), with underscores allowed.
fn is_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=253).contains(&text.len())
        && text.bytes().all(letter)
        && text.bytes().any(|byte| byte != b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_not_taken() {
        let mut resolved = Resolved::default();
        let addr = IpAddr::from([192, 0, 2, 1]);
        for text in ["", ".", "a b", "\x1b[31m", "a\nb", "é", &"a".repeat(254)] {
            resolved.name_host(addr, text);
            assert_eq!(resolved.host(addr), None, "{text:?}");
        }
        resolved.name_host(addr, "db-1.example.");
        resolved.name_host(addr, "other");
        assert_eq!(resolved.host(addr), Some("db-1.example"));
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(resolved.host(mapped), Some("db-1.example"));
    }
}
