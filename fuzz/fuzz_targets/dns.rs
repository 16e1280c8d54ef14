//! Any bytes as sources of names: replies of a name server, hosts(5), services(5), resolv.conf(5). The
//! resulting names contain only permitted characters.
//!
//! The texts come first, each ended by a NUL, then replies, each after its length in two bytes. The last
//! length may be too large.

#![no_main]

use std::net::IpAddr;

use closewait::model::Protocol;
use closewait_fuzz as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(4, |byte| *byte == 0);
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default());
    let (hosts, services, servers) = (text(), text(), text());
    let mut rest = parts.next().unwrap_or_default();
    let mut replies = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        let (reply, behind) = behind.split_at(length);
        replies.push(reply);
        rest = behind;
    }
    let asked: [(u16, IpAddr); 3] = [
        (0x4141, IpAddr::from([192, 0, 2, 1])),
        (0x4242, IpAddr::from([127, 0, 0, 1])),
        (0x4343, IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])),
    ];
    let resolved = closewait::fuzz::resolved(&hosts, &services, &asked, &replies);
    let addresses = asked.iter().filter_map(|(_, addr)| resolved.host(*addr));
    let ports = [Protocol::Tcp, Protocol::Udp];
    let ports = ports.into_iter().filter_map(|of| resolved.service(of, 80));
    for name in addresses.chain(ports) {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        assert!(!name.is_empty() && name.len() < 256, "{name:?}");
        assert!(name.bytes().all(letter), "{name:?}");
    }
    let servers = closewait::fuzz::servers(&servers);
    assert!((1..=3).contains(&servers.len()), "{servers:?}");
});
