//! Redaction: addresses and names are replaced, each by the same other one throughout, so that the
//! judgement stays what it was. Nothing that is not known to be harmless is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::{DUMPS_MAX, Recording, RecordingError, facts_of};
use crate::collector::sockets::capture::{self, ATTRIBUTES, Capture, Dump};
use crate::collector::sockets::proc_net;
use crate::collector::sockets::sock_diag::wire;
use crate::model::{
    BlindSpot, Cgroup, Container, Endpoint, Evidence, Family, Halt, Name, NamedThreads, Namespace,
    Socket, Title, Users, WaitTarget,
};

/// Where the addresses stand in a `struct inet_diag_msg` (`idiag_src`, `idiag_dst`), 16 bytes
/// each.
const SOURCE: usize = 8;
const DESTINATION: usize = 24;
/// The fields of a line of /proc/net/tcp that are read: all up to the inode.
const FIELDS: usize = 10;

impl Recording {
    /// The same with others in the place of addresses, and of the names of hosts, users, programs,
    /// units, containers, control groups and namespaces. Ports, numbers and times stay, and so do
    /// the addresses that every host has: the loopback and the unspecified ones.
    ///
    /// # Errors
    /// When a dump cannot be read.
    pub fn redacted(&self) -> Result<Recording, RecordingError> {
        let mut masks = Masks::new(self)?;
        let mut recording = self.clone();
        recording.dumps = self.redacted_dumps(&mut masks)?;
        let facts = &mut recording.facts;
        facts.redacted = true;
        facts.dumps = facts_of(&recording.dumps);
        let host = &mut facts.host;
        // What is random tells hosts apart still.
        let boot = host.boot_id.as_ref().and_then(|id| id.bytes().get(..8));
        host.name = Name::new([b"host-", boot.unwrap_or(b"1")].concat());
        host.kernel = host.kernel.as_ref().map(|kernel| version(&kernel.lossy()));
        host.users = Users::new(
            host.users
                .all()
                .iter()
                .map(|(uid, name)| (*uid, masks.name("user", name)))
                .collect(),
        );
        for namespace in &mut facts.namespaces {
            masks.namespace(namespace);
        }
        let holdings = facts.scan.blind_spots.iter_mut();
        for holding in holdings.filter_map(BlindSpot::holding_mut) {
            let name = holding.name.take();
            holding.name = name.as_ref().map(|name| masks.name("program", name));
        }
        for gap in &mut facts.gaps {
            // Its words may have names.
            gap.detail =
                format!("{}: {}, the words are redacted", gap.kind.name(), gap.count).into();
        }
        for process in &mut recording.owners.processes {
            process.name = process
                .name
                .as_ref()
                .map(|name| masks.name("program", name));
            for (_, name) in &mut process.ancestors {
                *name = masks.name("program", name);
            }
        }
        let groups = &mut recording.cgroups;
        let of_processes = groups.processes.iter_mut().map(|(_, cgroup)| cgroup);
        for cgroup in of_processes.chain(groups.numbers.iter_mut().map(|(_, cgroup)| cgroup)) {
            masks.cgroup(cgroup);
        }
        for facts in &mut recording.evidence {
            masks.evidence(facts.evidence_mut());
        }
        Ok(recording)
    }

    fn redacted_dumps(&self, masks: &mut Masks) -> Result<Vec<Dump>, RecordingError> {
        let mut room = DUMPS_MAX;
        let mut dumps = Vec::new();
        for dump in &self.dumps {
            let mut capture = Capture::default();
            capture.begin(dump.form);
            match dump.form.text_family() {
                Some(family) => {
                    for line in lines(dump, &mut room)? {
                        capture.text(&masks.line(&line, dump, family));
                    }
                }
                None => dump.messages(&mut room, |message| {
                    match wire::socket(message, dump.form.protocol()) {
                        Ok(socket) => capture.message(&masks.message(message, &socket)),
                        // Not understood still.
                        Err(_) => capture.message(&[]),
                    }
                })?,
            }
            capture.end();
            capture.place(dump.netns);
            dumps.extend(capture.into_dumps());
        }
        Ok(dumps)
    }

    /// Every address of every socket, and those that threads wait for.
    fn addresses(&self) -> Result<BTreeSet<IpAddr>, RecordingError> {
        let mut addresses = BTreeSet::new();
        let mut room = DUMPS_MAX;
        for dump in &self.dumps {
            let mut add = |socket: &Socket| {
                addresses.extend(
                    [socket.local.addr, socket.remote.addr].map(|addr| addr.to_canonical()),
                );
            };
            let protocol = dump.form.protocol();
            match dump.form.text_family() {
                Some(family) => {
                    for line in lines(dump, &mut room)? {
                        proc_net::socket(&line, protocol, family)
                            .iter()
                            .for_each(&mut add);
                    }
                }
                None => dump.messages(&mut room, |message| {
                    wire::socket(message, protocol).iter().for_each(&mut add);
                })?,
            }
        }
        Ok(addresses)
    }
}

fn lines(dump: &Dump, room: &mut u64) -> Result<Vec<Vec<u8>>, RecordingError> {
    let text = BufReader::new(dump.content(room));
    Ok(text.split(b'\n').collect::<Result<_, _>>()?)
}

/// `6.18.5` of `6.18.5-acme-prod`: the rest is chosen by whoever built the kernel.
fn version(release: &str) -> Name {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    release
        .split(|c| !is_number(c))
        .next()
        .unwrap_or_default()
        .into()
}

/// What stands for what.
struct Masks {
    originals: BTreeSet<IpAddr>,
    addresses: BTreeMap<IpAddr, IpAddr>,
    /// How many addresses of each class have been given out.
    given: BTreeMap<(Class, bool), u32>,
    names: BTreeMap<&'static str, BTreeMap<Vec<u8>, String>>,
}

/// What an address tells by itself, which its replacement tells too.
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
    fn new(recording: &Recording) -> Result<Masks, RecordingError> {
        Ok(Masks {
            originals: recording.addresses()?,
            addresses: BTreeMap::new(),
            given: BTreeMap::new(),
            names: BTreeMap::new(),
        })
    }

    /// The address that stands for another one; a mapped one stays mapped.
    fn address(&mut self, addr: IpAddr) -> IpAddr {
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

    /// An address that stands for none yet, and is none that was met: it would look like what it
    /// is not.
    fn next(&mut self, class: Class, is_ipv4: bool) -> IpAddr {
        let mut class = class;
        loop {
            let given = self.given.entry((class, is_ipv4)).or_default();
            *given = given.saturating_add(1);
            match class.nth(*given, is_ipv4) {
                Some(other) if !self.originals.contains(&other) => return other,
                Some(_) => {}
                // There are more of these than such addresses.
                None => class = Class::Public,
            }
        }
    }

    fn endpoint(&mut self, end: Endpoint) -> Endpoint {
        Endpoint::new(self.address(end.addr), end.port)
    }

    fn name(&mut self, kind: &'static str, name: &Name) -> Name {
        Name::new(self.mask(kind, name.bytes()).into_bytes())
    }

    fn mask(&mut self, kind: &'static str, name: &[u8]) -> String {
        let names = self.names.entry(kind).or_default();
        let next = names.len().saturating_add(1);
        let other = names.entry(name.to_vec());
        other.or_insert_with(|| format!("{kind}-{next}")).clone()
    }

    fn namespace(&mut self, namespace: &mut Namespace) {
        for text in [&mut namespace.label, &mut namespace.asked] {
            // `net:[4026531840]`, and the numbers of processes, tell no name.
            let harmless = |text: &str| {
                let number = text
                    .strip_prefix("net:[")
                    .and_then(|rest| rest.strip_suffix(']'));
                number
                    .unwrap_or(text)
                    .bytes()
                    .all(|byte| byte.is_ascii_digit())
            };
            if let Some(text) = text.as_mut().filter(|text| !harmless(&text.lossy())) {
                *text = self.name("netns", text);
            }
        }
    }

    fn cgroup(&mut self, cgroup: &mut Cgroup) {
        if cgroup.path.bytes() != b"/" {
            let path = format!("/{}", self.mask("group", cgroup.path.bytes()));
            cgroup.path = Name::new(path.into_bytes());
        }
        cgroup.unit = cgroup.unit.as_ref().map(|unit| self.unit(unit));
        let container = cgroup.container.as_ref();
        cgroup.container = container.map(|container| self.name("container", container));
    }

    fn unit(&mut self, unit: &Name) -> Name {
        let last = unit.bytes().rsplit(|byte| *byte == b'.').next();
        let kinds = ["service", "scope", "socket", "mount", "swap"];
        let kind = kinds.into_iter().find(|kind| Some(kind.as_bytes()) == last);
        let masked = self.mask("unit", unit.bytes());
        Name::new(format!("{masked}.{}", kind.unwrap_or("service")).into_bytes())
    }

    fn title(&mut self, title: &mut Title) {
        // What others do not say may be a name.
        if !title.is_common() {
            title.says = self.name("title", &title.says);
        }
    }

    fn evidence(&mut self, evidence: &mut Evidence) {
        self.halt(&mut evidence.halt);
        let inside = &mut evidence.inside;
        for path in [&mut inside.exe, &mut inside.jcmd].into_iter().flatten() {
            *path = self.name("file", path);
        }
        for (local, remote) in &mut evidence.polled {
            (*local, *remote) = (self.endpoint(*local), self.endpoint(*remote));
        }
        let siblings = evidence
            .siblings
            .iter_mut()
            .map(|sibling| &mut sibling.title);
        for title in evidence.title.iter_mut().chain(siblings) {
            self.title(title);
        }
        for wait in evidence.waits.iter_mut().flatten() {
            self.thread_names(&mut wait.thread_names);
            self.target(wait.target.as_mut());
        }
        self.thread_names(&mut evidence.thread_names);
        for lock in &mut evidence.locks {
            self.thread_names(&mut lock.thread_names);
            if let Some(held_by) = &mut lock.held_by {
                held_by.name = held_by.name.as_ref().map(|name| self.name("program", name));
                self.target(held_by.target.as_mut());
            }
        }
    }

    fn thread_names(&mut self, thread_names: &mut [NamedThreads]) {
        for thread_name in thread_names {
            thread_name.name = self.name("program", &thread_name.name);
        }
    }

    fn target(&mut self, target: Option<&mut WaitTarget>) {
        match target {
            Some(WaitTarget::Remote(end) | WaitTarget::Listener(end)) => *end = self.endpoint(*end),
            Some(WaitTarget::File(name)) => {
                let kinds: [&[u8]; 3] = [b"socket:[", b"pipe:[", b"anon_inode:"];
                if !kinds.iter().any(|kind| name.bytes().starts_with(kind)) {
                    *name = self.name("file", name);
                }
            }
            None => {}
        }
    }

    fn halt(&mut self, halt: &mut Halt) {
        if let Some(freezer) = &mut halt.freezer {
            if let Some(directory) = &mut freezer.directory {
                *directory = self.directory(directory);
            }
            freezer.unit = freezer.unit.as_ref().map(|unit| self.unit(unit));
            self.container(freezer.container.as_mut());
        }
        if let Some(quota) = &mut halt.quota {
            quota.directory = self.directory(&quota.directory);
            quota.unit = quota.unit.as_ref().map(|unit| self.unit(unit));
            self.container(quota.container.as_mut());
        }
        let of_tracer = halt.tracer.iter_mut().map(|tracer| &mut tracer.name);
        let of_child = halt.vfork.iter_mut().map(|vfork| &mut vfork.name);
        let of_holders = halt.locks.iter_mut().map(|lock| &mut lock.name);
        for name in of_tracer.chain(of_child).chain(of_holders) {
            *name = name.as_ref().map(|name| self.name("program", name));
        }
    }

    fn directory(&mut self, directory: &Name) -> Name {
        Name::new(format!("/{}", self.mask("group", directory.bytes())).into_bytes())
    }

    fn container(&mut self, container: Option<&mut Container>) {
        if let Some(container) = container {
            container.id = self.name("container", &container.id);
        }
    }

    /// A message of sock_diag with other addresses, and with attributes that are known to be
    /// harmless.
    fn message(&mut self, message: &[u8], socket: &Socket) -> Vec<u8> {
        let mut masked = message.get(..ATTRIBUTES).unwrap_or(message).to_vec();
        for (at, end) in [(SOURCE, socket.local), (DESTINATION, socket.remote)] {
            let mut bytes = [0; 16];
            match self.address(end.addr) {
                IpAddr::V4(addr) => bytes[..4].copy_from_slice(&addr.octets()),
                IpAddr::V6(addr) => bytes = addr.octets(),
            }
            if let Some(place) = masked.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
                *place = bytes;
            }
        }
        let attributes = message.get(ATTRIBUTES..).unwrap_or_default();
        for (_, attribute) in capture::harmless(attributes) {
            masked.extend(attribute);
        }
        masked
    }

    /// A line of /proc/net/tcp with other addresses, as far as it is read; a mark in the place of one
    /// that is not understood.
    fn line(&mut self, line: &[u8], dump: &Dump, family: Family) -> String {
        let Some(socket) = proc_net::socket(line, dump.form.protocol(), family) else {
            // The heading is the kernel's own. What is not understood is not understood still.
            return String::from(if proc_net::is_heading(line) {
                "  sl  local_address rem_address\n"
            } else if line.trim_ascii().is_empty() {
                ""
            } else {
                "?\n"
            });
        };
        let text = String::from_utf8_lossy(line);
        let mut fields: Vec<String> = text
            .split_ascii_whitespace()
            .take(FIELDS)
            .map(str::to_owned)
            .collect();
        for (field, end) in fields.iter_mut().skip(1).zip([socket.local, socket.remote]) {
            let octets = match self.address(end.addr) {
                IpAddr::V4(addr) => addr.octets().to_vec(),
                IpAddr::V6(addr) => addr.octets().to_vec(),
            };
            let words = octets.chunks_exact(4).map(|word| {
                let word = word.try_into().map_or(0, u32::from_ne_bytes);
                format!("{word:08X}")
            });
            *field = format!("{}:{:04X}", words.collect::<String>(), end.port);
        }
        format!("{}\n", fields.join(" "))
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

    /// The nth address that stands for one of this class. The public ones are of blocks that
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
            addresses: BTreeMap::new(),
            given: BTreeMap::new(),
            names: BTreeMap::new(),
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

    #[test]
    fn a_release_tells_its_numbers_alone() {
        assert_eq!(version("6.18.5-acme-prod").bytes(), b"6.18.5");
        assert_eq!(version("weird").bytes(), b"");
    }

    #[test]
    fn a_line_of_text_has_other_addresses_and_nothing_that_is_not_read() {
        let dump = Dump {
            netns: 0,
            form: crate::collector::sockets::capture::Form::ProcTcp,
            stored: Vec::new(),
        };
        let mut masks = masks(&[]);
        let line = b"   3: 5D4DD60A:1F90 0100007F:D431 08 00000003:00000001 02:000000C8 00000000  1000        2 4711 2 ffff888001234567 20 4 30 10 -1";
        let masked = masks.line(line, &dump, Family::Inet);
        assert_eq!(
            masked,
            "3: 0100000A:1F90 0100007F:D431 08 00000003:00000001 02:000000C8 00000000 1000 2 4711\n"
        );
        assert_eq!(
            masks.line(b"10.214.77.93 secret", &dump, Family::Inet),
            "?\n"
        );
    }
}
