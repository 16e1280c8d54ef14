//! Reverse DNS lookups: PTR questions to one name server over UDP.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, TYPE};

use crate::model::Resolved;

/// The most questions that are open at once, so that a name server does not see a flood.
const QUESTIONS_MAX: usize = 64;

/// Questions to one server, and its answers.
pub(super) struct Exchange {
    socket: UdpSocket,
    end: Instant,
    pending: Pending,
    ids: RandomState,
    count: u64,
}

/// The addresses of the questions that are not answered yet, by message ID.
#[derive(Debug, Default)]
pub(crate) struct Pending(pub(crate) FxHashMap<u16, IpAddr>);

impl Exchange {
    pub(super) fn new(server: SocketAddr, end: Instant) -> io::Result<Exchange> {
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        // From now on the kernel delivers only what comes from the server.
        socket.connect(server)?;
        Ok(Exchange {
            socket,
            end,
            pending: Pending::default(),
            ids: RandomState::new(),
            count: 0,
        })
    }

    /// Asks for the names of all addresses, and returns those that were not answered.
    pub(super) fn run(
        mut self,
        addresses: &[IpAddr],
        timeout: Duration,
        resolved: &mut Resolved,
    ) -> Vec<IpAddr> {
        let mut rest = addresses.iter();
        let mut buffer = [0; 4096];
        let mut heard = Instant::now();
        loop {
            while self.pending.0.len() < QUESTIONS_MAX
                && let Some(addr) = rest.next()
            {
                if self.ask(*addr).is_err() {
                    break;
                }
            }
            let now = Instant::now();
            let until = heard
                .checked_add(timeout)
                .map_or(self.end, |until| until.min(self.end));
            let Some(left) = until
                .checked_duration_since(now)
                .filter(|left| !left.is_zero())
            else {
                break;
            };
            if self.pending.0.is_empty() || self.socket.set_read_timeout(Some(left)).is_err() {
                break;
            }
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    if let Some(answer) = buffer.get(..length)
                        && self.pending.take(answer, resolved)
                    {
                        heard = Instant::now();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The time is up, or there is no server at that address.
                Err(_) => break,
            }
        }
        let mut open: Vec<IpAddr> = self.pending.0.into_values().collect();
        open.extend(rest);
        open
    }

    /// An unused message ID that others cannot guess.
    fn id(&mut self) -> u16 {
        loop {
            self.count = self.count.wrapping_add(1);
            let id = self.ids.hash_one(self.count) as u16;
            if !self.pending.0.contains_key(&id) {
                return id;
            }
        }
    }

    fn ask(&mut self, addr: IpAddr) -> io::Result<()> {
        let id = self.id();
        let name = reverse(addr);
        let malformed = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(Question::new(
            Name::new(&name).map_err(malformed)?,
            QTYPE::TYPE(TYPE::PTR),
            QCLASS::CLASS(CLASS::IN),
            false,
        ));
        let bytes = packet.build_bytes_vec().map_err(malformed)?;
        self.pending.0.insert(id, addr);
        self.socket.send(&bytes)?;
        Ok(())
    }
}

impl Pending {
    /// Takes an answer, which may be without a name. False if it answers none of our questions.
    pub(crate) fn take(&mut self, bytes: &[u8], resolved: &mut Resolved) -> bool {
        let Ok(packet) = Packet::parse(bytes) else {
            return false;
        };
        let id = packet.id();
        let Some(addr) = self.0.get(&id).copied() else {
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
        self.0.remove(&id);
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

/// The domain name that holds the name of an address: `4.3.2.1.in-addr.arpa`.
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
    use super::*;

    #[test]
    fn an_address_is_asked_about_backwards() {
        assert_eq!(
            reverse(IpAddr::from([192, 0, 2, 1])),
            "1.2.0.192.in-addr.arpa"
        );
        let six = reverse("2001:db8::1".parse().unwrap());
        assert!(
            six.starts_with("1.0.0.0.") && six.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"),
            "{six}"
        );
    }
}
