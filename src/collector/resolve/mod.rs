//! Names of addresses and ports, from /etc/services, /etc/hosts, and the name servers of
//! /etc/resolv.conf.
//!
//! The system's resolver is not used: a static binary cannot load the modules of nsswitch.conf(5), so
//! sources such as LDAP and mDNS are left out.

pub(crate) mod dns;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::names::{entries, read};
use crate::collector::resolve::dns::Exchange;
use crate::model::{Protocol, Resolved};

/// The most addresses that are looked up by DNS.
const ADDRESSES_MAX: usize = 4096;
/// How long to wait for an answer before the next server is tried.
const SERVER_TIMEOUT: Duration = Duration::from_millis(500);
/// Longer than any run.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);
/// `MAXNS` of resolv.conf(5).
const SERVERS: usize = 3;

/// The names of this host that carry no domain.
const LOCALHOST: [&str; 5] = [
    "localhost",
    "localhost4",
    "localhost6",
    "ip6-localhost",
    "ip6-loopback",
];

/// Where names are looked up.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The text of hosts(5).
    pub hosts: String,
    /// The text of services(5); empty if ports are to stay numbers.
    pub services: String,
    pub servers: Vec<SocketAddr>,
}

impl Sources {
    /// Those of this host.
    pub fn of_host(with_services: bool) -> Sources {
        Sources {
            hosts: read("/etc/hosts"),
            services: if with_services {
                read("/etc/services")
            } else {
                String::new()
            },
            servers: servers(&read("/etc/resolv.conf")),
        }
    }
}

/// Looks up the services and, as far as the deadline allows, the addresses, each of them once.
pub fn resolve(
    sources: &Sources,
    addresses: impl IntoIterator<Item = IpAddr>,
    deadline: Duration,
) -> Resolved {
    let start = Instant::now();
    // A deadline beyond the range of the clock never comes.
    let end = start.checked_add(deadline).unwrap_or(start + FOREVER);
    let mut resolved = Resolved::default();
    for words in entries(&sources.services) {
        let [name, port, ..] = words.as_slice() else {
            continue;
        };
        let (port, protocol) = match port.split_once('/') {
            Some((port, "tcp")) => (port, Protocol::Tcp),
            Some((port, "udp")) => (port, Protocol::Udp),
            _ => continue,
        };
        if let Ok(port) = port.parse() {
            resolved.name_service(protocol, port, name);
        }
    }
    for (addr, name) in named(&sources.hosts) {
        resolved.name_host(addr, name);
    }
    let mut unknown: Vec<IpAddr> = addresses
        .into_iter()
        .map(|addr| addr.to_canonical())
        .filter(|addr| !addr.is_unspecified() && resolved.host(*addr).is_none())
        .collect();
    unknown.sort_unstable();
    unknown.dedup();
    let left_out = unknown.len().saturating_sub(ADDRESSES_MAX);
    unknown.truncate(ADDRESSES_MAX);
    let mut open = unknown;
    for (at, server) in sources.servers.iter().enumerate() {
        // A silent server leaves time for the next one; the last server has all of it.
        let is_last = at.saturating_add(1) == sources.servers.len();
        let timeout = if is_last { deadline } else { SERVER_TIMEOUT };
        if open.is_empty() || Instant::now() >= end {
            break;
        }
        open = Exchange::new(*server, end).map_or_else(
            |_| open.clone(),
            |exchange| exchange.run(&open, timeout, &mut resolved),
        );
    }
    resolved.unanswered = open.len().saturating_add(left_out);
    resolved
}

/// The addresses in hosts(5), each with its first name. Block lists map the names of other hosts to the
/// unspecified address or to this host. So the unspecified address gets no name, and a loopback address
/// only a name of [`LOCALHOST`] or one that is its only name.
fn named(hosts: &str) -> impl Iterator<Item = (IpAddr, &str)> {
    let lines = || {
        entries(hosts).filter_map(|words| match words.as_slice() {
            [addr, name, ..] => Some((addr.parse::<IpAddr>().ok()?.to_canonical(), *name)),
            _ => None,
        })
    };
    let mut own: FxHashMap<IpAddr, usize> = FxHashMap::default();
    for (addr, _) in lines().filter(|(addr, _)| addr.is_loopback()) {
        *own.entry(addr).or_default() += 1;
    }
    lines().filter(move |(addr, name)| {
        let first = name.split('.').next().unwrap_or_default();
        let is_own = LOCALHOST.iter().any(|own| own.eq_ignore_ascii_case(first));
        let only = own.get(addr).is_none_or(|lines| *lines == 1);
        !addr.is_unspecified() && (only || is_own)
    })
}

/// The servers in resolv.conf(5), or the local one if it has none.
pub(crate) fn servers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let addr = (words.next() == Some("nameserver")).then(|| words.next())??;
        addr.parse::<IpAddr>().ok()
    });
    let mut found: Vec<SocketAddr> = lines
        .take(SERVERS)
        .map(|addr| SocketAddr::new(addr, 53))
        .collect();
    if found.is_empty() {
        found.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
    }
    found
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::thread;

    use simple_dns::rdata::{PTR, RData};
    use simple_dns::{CLASS, Name, Packet, ResourceRecord};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(5);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// A server that sends back what `answer` makes of each question; it ends with the test.
    fn server(answer: impl Fn(Packet<'_>, &str) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let Ok(question) = Packet::parse(&buffer[..length]) else {
                    continue;
                };
                let name = question.questions[0].qname.to_string();
                for bytes in answer(question, &name) {
                    let _ = socket.send_to(&bytes, from);
                }
            }
        });
        addr
    }

    fn reply(question: &Packet<'_>, id: u16, of: &str, name: &str) -> Vec<u8> {
        let mut reply = Packet::new_reply(id);
        reply.questions = question.questions.clone();
        let name = Name::new_unchecked(name);
        let of = Name::new_unchecked(of);
        let record = ResourceRecord::new(of, CLASS::IN, 60, RData::PTR(PTR(name)));
        reply.answers.push(record);
        reply.build_bytes_vec().unwrap()
    }

    fn sources(servers: Vec<SocketAddr>) -> Sources {
        Sources {
            hosts: "192.0.2.9 printer lp\n127.0.0.1 localhost\n".into(),
            services: "http 80/tcp www\ndomain 53/udp\nx y/tcp\n".into(),
            servers,
        }
    }

    #[test]
    fn names_come_from_the_files_and_from_the_server() {
        let at = server(|question, name| {
            let host = format!("host-{}.example", name.split('.').next().unwrap());
            vec![reply(&question, question.id(), name, &host)]
        });
        let asked = (1..=200).map(address);
        let found = resolve(&sources(vec![at]), asked, DEADLINE);
        for last in 1..=200 {
            let expected = match last {
                9 => "printer".to_owned(),
                other => format!("host-{other}.example"),
            };
            assert_eq!(found.host(address(last)), Some(expected.as_str()));
        }
        assert_eq!(found.unanswered, 0);
        assert_eq!(found.service(Protocol::Tcp, 80), Some("http"));
        assert_eq!(found.service(Protocol::Udp, 53), Some("domain"));
        assert_eq!(found.service(Protocol::Tcp, 53), None);
    }

    #[test]
    fn what_answers_no_question_of_ours_is_not_believed() {
        let at = server(|question, name| {
            let id = question.id();
            let mut other = question.clone();
            other.questions[0].qname = Name::new_unchecked("1.1.1.1.in-addr.arpa");
            vec![
                reply(&question, id.wrapping_add(1), name, "wrong.number"),
                reply(&other, id, name, "wrong.question"),
                b"not a packet".to_vec(),
                reply(&question, id, name, "bad\x1b[31mname"),
            ]
        });
        let found = resolve(&sources(vec![at]), [address(1)], DEADLINE);
        assert_eq!(found.host(address(1)), None);
        // The last one was an answer, if not a name.
        assert_eq!(found.unanswered, 0);
    }

    #[test]
    fn a_silent_server_is_given_up_for_the_next_one() {
        let silent = server(|_, _| Vec::new());
        let speaks =
            server(|question, name| vec![reply(&question, question.id(), name, "late.example")]);
        let found = resolve(&sources(vec![silent, speaks]), [address(1)], DEADLINE);
        assert_eq!(found.host(address(1)), Some("late.example"));
        let alone = resolve(
            &sources(vec![silent]),
            [address(1), address(2)],
            Duration::from_millis(50),
        );
        assert_eq!(alone.unanswered, 2);
    }

    #[test]
    fn a_list_of_hosts_to_be_blocked_names_nothing() {
        let named = |text: &str, addr: &str| {
            let sources = Sources {
                hosts: text.to_owned(),
                services: String::new(),
                servers: Vec::new(),
            };
            let found = resolve(&sources, [], Duration::MAX);
            found.host(addr.parse().unwrap()).map(str::to_owned)
        };
        let blocked = "0.0.0.0 ads.example\n:: ads.example\n127.0.0.1 ads.example\n\
                       127.0.0.1 track.example\n::1 ads.example\n::1 track.example\n\
                       127.0.1.1 myhost\n192.0.2.1 db db-alias\n192.0.2.1 other\n";
        for addr in ["0.0.0.0", "::", "::ffff:0.0.0.0", "127.0.0.1", "::1"] {
            assert_eq!(named(blocked, addr), None, "{addr}");
        }
        assert_eq!(named(blocked, "127.0.1.1").unwrap(), "myhost");
        assert_eq!(named(blocked, "192.0.2.1").unwrap(), "db");
        let last = format!("{blocked}127.0.0.1 localhost.localdomain localhost\n::1 localhost\n");
        assert_eq!(named(&last, "127.0.0.1").unwrap(), "localhost.localdomain");
        assert_eq!(named(&last, "::1").unwrap(), "localhost");
        assert_eq!(named("127.0.0.1 me\n", "127.0.0.1").unwrap(), "me");
    }

    #[test]
    fn servers_are_those_of_the_file() {
        let text = "# x\nnameserver 10.0.0.1\nsearch a\nnameserver ::1\nnameserver bad\n";
        let found: Vec<String> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:53", "[::1]:53"]);
        assert_eq!(servers("")[0].to_string(), "127.0.0.1:53");
    }
}
