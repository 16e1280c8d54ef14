//! What must hold for any text as a filter. The fuzz target and the property test share it.

use std::net::IpAddr;
use std::num::NonZeroU64;

use closewait::collector::sockets::sock_diag::bytecode::{Dialect, compile};
use closewait::filter::{self, Filter, Known, Names};
use closewait::model::{Endpoint, Family, PortRange, Socket, State};

use self::interpreter::{accepts, passes_audit};

// The fuzz target includes this file from elsewhere.
#[path = "interpreter.rs"]
pub mod interpreter;

/// A host that knows one name of every kind.
pub struct Host;

impl Names for Host {
    fn service(&self, name: &str) -> Option<u16> {
        (name == "http").then_some(80)
    }

    fn hosts(&self, name: &str) -> Vec<IpAddr> {
        let addrs = ["10.1.0.1".parse(), "::1".parse()];
        let found = addrs.into_iter().flatten().collect();
        if name == "vm" { found } else { Vec::new() }
    }

    fn interface(&self, name: &str) -> Option<u32> {
        (name == "lo").then_some(1)
    }

    fn user(&self, name: &str) -> Option<u32> {
        (name == "root").then_some(0)
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        (path == "/a").then_some(7)
    }

    fn ephemeral(&self) -> Option<PortRange> {
        Some(PortRange {
            first: 32768,
            last: 60999,
        })
    }
}

/// The first bytes describe a socket, the rest is the filter.
pub fn check(bytes: &[u8]) {
    let Some((seed, text)) = bytes.split_at_checked(12) else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    match filter::parse(text, &Host) {
        Ok(filter) => compiles_soundly(&filter, seed),
        Err(error) => {
            let at = error.span();
            assert!(text.get(at).is_some(), "{error:?}");
            let shown = error.to_string();
            assert!(shown.ends_with('^'), "{shown}");
            assert!(!error.problem().is_empty(), "{shown}");
        }
    }
}

fn compiles_soundly(filter: &Filter, seed: &[u8]) {
    for socket in [socket(seed), socket(&reversed(seed))] {
        let answer = filter.decide(&Known::of(&socket));
        if answer == Some(true) {
            assert!(filter.states().contains(socket.state), "{filter:?}");
        }
        for dialect in [Dialect::Full, Dialect::Early] {
            if let Some(program) = compile(filter, dialect) {
                assert!(passes_audit(&program), "{filter:?} {program:?}");
                if answer == Some(true) {
                    assert!(accepts(&program, &socket), "{filter:?} {socket:?}");
                }
            }
        }
    }
}

fn reversed(seed: &[u8]) -> Vec<u8> {
    seed.iter().rev().copied().collect()
}

/// A socket with ends that filters are likely to name.
fn socket(seed: &[u8]) -> Socket {
    const ADDRS: [&str; 8] = [
        "10.1.0.1",
        "127.0.0.1",
        "0.0.0.0",
        "10.255.0.1",
        "::ffff:10.1.0.1",
        "::1",
        "::",
        "2001:db8::1",
    ];
    const PORTS: [u16; 8] = [80, 443, 0, 1, 8080, 32768, 60999, u16::MAX];
    let pick = |at: usize| usize::from(seed[at]);
    let inet6 = pick(0) % 2;
    let addr = |at: usize| {
        let addr = ADDRS[inet6 * 4 + pick(at) % 4];
        addr.parse::<IpAddr>()
            .unwrap_or(IpAddr::from([127, 0, 0, 1]))
    };
    let family = [Family::Inet, Family::Inet6][inet6];
    let kernel = pick(9) % 2 == 0;
    Socket {
        protocol: closewait::model::Protocol::Tcp,
        netns: 0,
        family,
        state: State::ALL[pick(1) % State::ALL.len()],
        local: Endpoint::new(addr(2), PORTS[pick(3) % 8]),
        remote: Endpoint::new(addr(4), PORTS[pick(5) % 8]),
        recv_q: u32::from(seed[6]),
        send_q: u32::from(seed[7]),
        unmeasured: false,
        timer: None,
        uid: u32::from(seed[8]) % 3,
        inode: u32::from(seed[10]) % 3,
        cookie: if kernel { NonZeroU64::new(1) } else { None },
        interface: u32::from(seed[11]) % 3,
        v6only: None,
        mark: kernel.then_some(u32::from(seed[8])),
        cgroup: NonZeroU64::new(u64::from(seed[9]) % 9),
        tcp: None,
        token: None,
        detail: None,
    }
}
