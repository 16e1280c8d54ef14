//! The names of addresses and ports: /etc/services, /etc/hosts, and the name servers of
//! /etc/resolv.conf, asked by DNS.
//!
//! Not through the system's resolver: a static binary cannot load the modules of
//! nsswitch.conf(5), so that LDAP, mDNS and their like are not asked.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, TYPE};

use super::names::{entries, read};
use crate::model::{Protocol, Resolved};

/// Questions that are under way at once: a name server must not take us for a flood.
const AT_ONCE: usize = 64;
/// Addresses that are asked about in all.
const MOST: usize = 4096;
/// How long an answer is waited for before the next server is asked.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longer than a run lasts.
const FOREVER: Duration = Duration::from_secs(24 * 60 * 60);
/// `MAXNS` of resolv.conf(5).
const SERVERS: usize = 3;

/// What this host is called by itself, before any domain.
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
    /// The text of services(5); empty where ports are to stay numbers.
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

/// Names the services and, as far as the deadline allows, the addresses, each of which is asked
/// about once.
pub fn resolve(
    sources: &Sources,
    addresses: impl IntoIterator<Item = IpAddr>,
    deadline: Duration,
) -> Resolved {
    let start = Instant::now();
    // One that never comes is as good as a day off.
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
    let left_out = unknown.len().saturating_sub(MOST);
    unknown.truncate(MOST);
    let mut open = unknown;
    for (at, server) in sources.servers.iter().enumerate() {
        // Of several, one that is silent must leave time to the next.
        let patience = match at + 1 < sources.servers.len() {
            true => PATIENCE,
            false => deadline,
        };
        if open.is_empty() || Instant::now() >= end {
            break;
        }
        open = Exchange::new(*server, end).map_or_else(
            |_| open.clone(),
            |exchange| exchange.run(&open, patience, &mut resolved),
        );
    }
    resolved.unanswered = open.len() + left_out;
    resolved
}

/// The addresses that hosts(5) gives a name to, each with its first one. Lists of hosts to be blocked
/// send them to the unspecified address or to this host, and name neither: the one has no name, and
/// this host has another only where that is the only one.
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

/// The servers that resolv.conf(5) names; the local one where it names none.
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

/// Questions to one server and its answers.
struct Exchange {
    socket: UdpSocket,
    end: Instant,
    asked: Asked,
    numbers: RandomState,
    count: u64,
}

/// What was asked under each number, and not answered yet.
#[derive(Debug, Default)]
pub(crate) struct Asked(pub(crate) FxHashMap<u16, IpAddr>);

impl Exchange {
    fn new(server: SocketAddr, end: Instant) -> io::Result<Exchange> {
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        // The kernel then passes on what comes from the server alone.
        socket.connect(server)?;
        Ok(Exchange {
            socket,
            end,
            asked: Asked::default(),
            numbers: RandomState::new(),
            count: 0,
        })
    }

    /// Asks about all of them; gives back those that were not answered.
    fn run(
        mut self,
        addresses: &[IpAddr],
        patience: Duration,
        resolved: &mut Resolved,
    ) -> Vec<IpAddr> {
        let mut rest = addresses.iter();
        let mut buffer = [0; 4096];
        let mut heard = Instant::now();
        loop {
            while self.asked.0.len() < AT_ONCE
                && let Some(addr) = rest.next()
            {
                if self.ask(*addr).is_err() {
                    break;
                }
            }
            let now = Instant::now();
            let until = heard
                .checked_add(patience)
                .map_or(self.end, |until| until.min(self.end));
            let Some(left) = until
                .checked_duration_since(now)
                .filter(|left| !left.is_zero())
            else {
                break;
            };
            if self.asked.0.is_empty() || self.socket.set_read_timeout(Some(left)).is_err() {
                break;
            }
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    if let Some(answer) = buffer.get(..length)
                        && self.asked.take(answer, resolved)
                    {
                        heard = Instant::now();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Time is up, or nobody serves there.
                Err(_) => break,
            }
        }
        let mut open: Vec<IpAddr> = self.asked.0.into_values().collect();
        open.extend(rest);
        open
    }

    /// A number that others cannot guess and that is not in use.
    fn number(&mut self) -> u16 {
        loop {
            self.count += 1;
            let number = self.numbers.hash_one(self.count) as u16;
            if !self.asked.0.contains_key(&number) {
                return number;
            }
        }
    }

    fn ask(&mut self, addr: IpAddr) -> io::Result<()> {
        let number = self.number();
        let name = reverse(addr);
        let malformed = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let mut packet = Packet::new_query(number);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(Question::new(
            Name::new(&name).map_err(malformed)?,
            QTYPE::TYPE(TYPE::PTR),
            QCLASS::CLASS(CLASS::IN),
            false,
        ));
        let bytes = packet.build_bytes_vec().map_err(malformed)?;
        self.asked.0.insert(number, addr);
        self.socket.send(&bytes)?;
        Ok(())
    }
}

impl Asked {
    /// Takes an answer; false where it is none to a question of ours. An answer without a name
    /// is one too.
    pub(crate) fn take(&mut self, bytes: &[u8], resolved: &mut Resolved) -> bool {
        let Ok(packet) = Packet::parse(bytes) else {
            return false;
        };
        let number = packet.id();
        let Some(addr) = self.0.get(&number).copied() else {
            return false;
        };
        let name = reverse(addr);
        let repeats = |question: &Question<'_>| {
            question.qname.to_string().eq_ignore_ascii_case(&name)
                && question.qtype == QTYPE::TYPE(TYPE::PTR)
        };
        if !packet.has_flags(PacketFlag::RESPONSE) || !packet.questions.iter().any(repeats) {
            return false;
        }
        self.0.remove(&number);
        let pointer = packet
            .answers
            .iter()
            .find_map(|record| match &record.rdata {
                RData::PTR(pointer) => Some(pointer.0.to_string()),
                _ => None,
            });
        if let Some(pointer) = pointer {
            resolved.name_host(addr, &pointer);
        }
        true
    }
}

/// The name under which an address's own stands: `4.3.2.1.in-addr.arpa`.
fn reverse(addr: IpAddr) -> String {
    match addr {
        IpAddr::V4(addr) => {
            let [a, b, c, d] = addr.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(addr) => {
            let nibbles = addr.octets().into_iter().rev();
            let nibbles = nibbles.flat_map(|octet| [octet & 0xf, octet >> 4]);
            let labels: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            labels + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use simple_dns::ResourceRecord;
    use simple_dns::rdata::PTR;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(5);

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// A server that lets `answer` make what is sent back of each question, as many times as it
    /// says; ends with the test.
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

    #[test]
    fn an_address_is_asked_about_backwards() {
        assert_eq!(reverse(address(1)), "1.2.0.192.in-addr.arpa");
        let six = reverse("2001:db8::1".parse().unwrap());
        assert!(
            six.starts_with("1.0.0.0.") && six.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"),
            "{six}"
        );
    }
}
