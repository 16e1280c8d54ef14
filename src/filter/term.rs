//! Terms: the single conditions of a filter, and how each is decided.

use std::ops::RangeInclusive;

use regex::bytes::Regex;

use super::Network;
use crate::model::{
    Cause, Causes, Cgroup, Cgroups, Endpoint, Family, Holders, Idle, Name, Namespace, Owner, Pid,
    Protocol, Side, Socket, State, StateSet,
};

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    State(StateSet),
    Protocol(Protocol),
    Family(Family),
    /// The port of an end is one of these.
    Port(End, RangeInclusive<u16>),
    /// The address of an end is in the network.
    Host(End, Network),
    /// The socket is bound to the interface with this index; 0 is not bound.
    Interface(u32),
    /// `SO_MARK & mask == value`.
    Mark {
        value: u32,
        mask: u32,
    },
    /// The kernel's id of the cgroup in which the socket was created.
    Cgroup(u64),
    Inode(u32),
    User(u32),
    /// Unread bytes; for a listener, connections in its accept queue.
    RecvQ(RangeInclusive<u32>),
    /// Unacknowledged bytes; for a listener, the limit of its accept queue.
    SendQ(RangeInclusive<u32>),
    Side(Side),
    /// A process that holds the socket, or the listener if the connection is not accepted yet.
    Pid(Pid),
    /// The full name of such a process.
    Program(Vec<u8>),
    /// A pattern for the name of such a process.
    ProgramLike(Pattern),
    /// The least time that the socket has been idle, in milliseconds.
    Idle(RangeInclusive<u64>),
    Cause(Cause),
    /// The unit of a process that holds the socket; `nginx` also matches `nginx.service`.
    Unit(Vec<u8>),
    UnitLike(Pattern),
    /// The container of such a process: its name, or a prefix of its id.
    Container(Vec<u8>),
    ContainerLike(Pattern),
    /// The socket's network namespace: its name, `net:[INODE]` or INODE.
    Netns(String),
}

/// Which end of the socket a term tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Local,
    Remote,
    Either,
}

impl End {
    /// Whether `of` holds for that end; for `Either`, for at least one end.
    fn holds(self, socket: &Socket, of: impl Fn(Endpoint) -> bool) -> bool {
        match self {
            End::Local => of(socket.local),
            End::Remote => of(socket.remote),
            End::Either => of(socket.local) || of(socket.remote),
        }
    }
}

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// # Errors
    /// What is wrong with the regular expression, on one line.
    pub fn new(text: &str) -> Result<Pattern, String> {
        Regex::new(text).map(Pattern).map_err(|error| {
            let error = error.to_string();
            let last = error.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        })
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// The facts that are known of a socket when a filter is applied. `None` is unknown so far.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub socket: &'a Socket,
    pub side: Option<Side>,
    pub owner: Option<(Owner<'a>, &'a Holders)>,
    pub idle: Option<Idle>,
    /// Something resets the lower bound of the idle time, so the true time may be anywhere in the
    /// bracket.
    pub is_renewed: bool,
    /// `Some(None)`: the socket is not in CLOSE_WAIT and has no cause.
    pub cause: Option<Option<Cause>>,
    /// Causes that it may have instead, depending on unknown facts.
    pub alternatives: Causes,
    pub netns: Option<&'a Namespace>,
    pub cgroups: Option<&'a Cgroups>,
}

impl<'a> Known<'a> {
    /// The socket alone, as it came from the kernel.
    pub fn of(socket: &'a Socket) -> Known<'a> {
        Known {
            socket,
            side: None,
            owner: None,
            idle: None,
            is_renewed: false,
            cause: None,
            alternatives: Causes::NONE,
            netns: None,
            cgroups: None,
        }
    }
}

/// The longest process name that the kernel keeps (`TASK_COMM_LEN` without the NUL).
const COMM_MAX: usize = 15;

impl Term {
    pub fn decide(&self, known: &Known<'_>) -> Option<bool> {
        let socket = known.socket;
        match self {
            Term::State(states) => Some(states.contains(socket.state)),
            Term::Protocol(protocol) => Some(socket.protocol.asked_as() == *protocol),
            Term::Family(family) => Some(socket.family == *family),
            Term::Port(end, ports) => Some(end.holds(socket, |end| ports.contains(&end.port))),
            Term::Host(end, network) => Some(end.holds(socket, |end| network.contains(end.addr))),
            // /proc does not report the interface; it is 0 there.
            Term::Interface(index) => is_from_kernel(socket).then_some(socket.interface == *index),
            Term::Mark { value, mask } => socket.mark.map(|mark| mark & mask == *value),
            Term::Cgroup(id) => match socket.cgroup {
                Some(found) => Some(found.get() == *id),
                // A minisocket is in no cgroup.
                None if is_from_kernel(socket) && socket.inode == 0 => Some(false),
                None => None,
            },
            Term::Inode(inode) => Some(socket.inode == *inode),
            Term::User(uid) => Some(socket.user() == Some(*uid)),
            Term::RecvQ(bytes) => Some(bytes.contains(&socket.recv_q)),
            Term::SendQ(bytes) => {
                let is_known = socket.state != State::Listen || is_from_kernel(socket);
                is_known.then_some(bytes.contains(&socket.send_q))
            }
            // UDP has no server side, and a socket that is only bound has no peer.
            Term::Side(_)
                if socket.protocol == Protocol::Udp || socket.state == State::BoundInactive =>
            {
                Some(false)
            }
            Term::Side(side) => known.side.map(|found| found == *side),
            Term::Pid(pid) => owned_by(known, |_, holder| holder == *pid),
            Term::Program(name) => program(known, |comm| is_named(comm, name)),
            Term::ProgramLike(pattern) => program(known, |comm| pattern.0.is_match(comm)),
            Term::Idle(_) if !has_age(socket) => Some(false),
            Term::Idle(range) => is_idle(known.idle?, known.is_renewed, range),
            Term::Cause(cause) => match known.cause? {
                Some(found) if found == *cause => Some(true),
                Some(_) if known.alternatives.contains(*cause) => None,
                _ => Some(false),
            },
            Term::Unit(name) => unit(known, |unit| is_unit(unit, name)),
            Term::UnitLike(pattern) => unit(known, |unit| pattern.0.is_match(unit)),
            Term::Container(name) => container(known, |container| is_container(container, name)),
            Term::ContainerLike(pattern) => container(known, |found| pattern.0.is_match(found)),
            Term::Netns(wanted) => is_called(known.netns?, wanted),
        }
    }

    /// Whether the term is about processes, or the unit or container that they are in.
    pub(super) fn names_processes(&self) -> bool {
        matches!(self, Term::Pid(_)) || self.needs_cgroup()
    }

    /// Whether the term selects this process, which is in this control group; false for terms that are
    /// not about processes.
    pub fn is_of(&self, pid: Pid, cgroup: Option<&Cgroup>) -> bool {
        let unit = || cgroup.and_then(|cgroup| cgroup.unit.as_ref());
        let container = || cgroup.and_then(|cgroup| cgroup.container.as_ref());
        match self {
            Term::Pid(wanted) => *wanted == pid,
            Term::Unit(name) => unit().is_some_and(|unit| is_unit(unit.bytes(), name)),
            Term::UnitLike(like) => unit().is_some_and(|unit| like.0.is_match(unit.bytes())),
            Term::Container(name) => {
                container().is_some_and(|container| is_container(container.bytes(), name))
            }
            Term::ContainerLike(like) => {
                container().is_some_and(|container| like.0.is_match(container.bytes()))
            }
            _ => false,
        }
    }

    /// The single port, program or process that the term asks for, in words; `None` for other terms.
    pub fn named(&self) -> Option<String> {
        match self {
            Term::Port(_, ports) if ports.start() == ports.end() => {
                Some(format!("port {}", ports.start()))
            }
            Term::Program(name) => Some(format!("program {}", Name::new(name.as_slice()))),
            Term::Pid(pid) => Some(format!("process {pid}")),
            _ => None,
        }
    }

    /// Whether deciding the term requires the holders of the socket.
    pub fn needs_owner(&self) -> bool {
        matches!(
            self,
            Term::Pid(_) | Term::Program(_) | Term::ProgramLike(_) | Term::Cause(_)
        ) || self.needs_cgroup()
    }

    /// Whether deciding the term requires the control groups of the holders.
    pub fn needs_cgroup(&self) -> bool {
        matches!(
            self,
            Term::Unit(_) | Term::UnitLike(_) | Term::Container(_) | Term::ContainerLike(_)
        )
    }

    /// Whether deciding the term requires tcp_info.
    pub fn needs_tcp_info(&self) -> bool {
        matches!(self, Term::Idle(_) | Term::Cause(_) | Term::Side(_))
    }
}

/// Whether the kernel keeps the times of a socket's last bytes in this state. Listeners and
/// minisockets have none and never count as idle.
fn has_age(socket: &Socket) -> bool {
    if socket.protocol == Protocol::Udp {
        return false;
    }
    match socket.state {
        State::Established
        | State::CloseWait
        | State::FinWait1
        | State::Closing
        | State::LastAck => true,
        State::FinWait2 => socket.inode != 0,
        _ => false,
    }
}

/// Whether the idle time is in the range; `None` if that is unknown.
fn is_idle(idle: Idle, is_renewed: bool, range: &RangeInclusive<u64>) -> Option<bool> {
    let (least, most) = (idle.at_least_ms, idle.at_most_ms.unwrap_or(u64::MAX));
    if !is_renewed {
        return Some(range.contains(&least));
    }
    match (range.contains(&least), range.contains(&most)) {
        (true, true) => Some(true),
        _ if most < *range.start() || *range.end() < least => Some(false),
        _ => None,
    }
}

/// Whether the socket came from sock_diag, which reports a cookie for every socket.
fn is_from_kernel(socket: &Socket) -> bool {
    socket.cookie.is_some()
}

/// Whether a process whose name satisfies `wanted` holds the socket.
fn program(known: &Known<'_>, wanted: impl Fn(&[u8]) -> bool) -> Option<bool> {
    let named = |holders: &Holders, holder| holders.name(holder).map(|comm| wanted(comm.bytes()));
    let is_owned = owned_by(known, |holders, holder| {
        named(holders, holder) == Some(true)
    })?;
    // A process whose name could not be read may be the one.
    let is_unnamed = owned_by(known, |holders, holder| named(holders, holder).is_none())?;
    (is_owned || !is_unnamed).then_some(is_owned)
}

/// Whether a process that satisfies `wanted` holds the socket. Unknown if the holders were not read or
/// are hidden.
fn owned_by(known: &Known<'_>, wanted: impl Fn(&Holders, Pid) -> bool) -> Option<bool> {
    let (owner, holders) = known.owner?;
    match owner {
        Owner::Hidden(_) | Owner::Unread => None,
        Owner::Kernel => Some(false),
        Owner::Process(_) | Owner::Listener(_) => Some(
            owner
                .holders()
                .iter()
                .any(|holder| wanted(holders, holder.pid)),
        ),
    }
}

/// Whether a process in a unit that satisfies `wanted` holds the socket. A process without a unit
/// does not match.
fn unit(known: &Known<'_>, wanted: impl Fn(&[u8]) -> bool) -> Option<bool> {
    known.cgroups?.any(known.socket, &known.owner?.0, |cgroup| {
        cgroup
            .unit
            .as_ref()
            .is_some_and(|unit| wanted(unit.bytes()))
    })
}

/// Whether a process in a container that satisfies `wanted` holds the socket.
fn container(known: &Known<'_>, wanted: impl Fn(&[u8]) -> bool) -> Option<bool> {
    known.cgroups?.any(known.socket, &known.owner?.0, |cgroup| {
        let container = cgroup.container.as_ref();
        container.is_some_and(|container| wanted(container.bytes()))
    })
}

/// Whether the unit is the one that the user calls `name`. As in systemctl(1), `.service` may be left
/// out.
fn is_unit(unit: &[u8], name: &[u8]) -> bool {
    unit == name || unit.strip_suffix(b".service") == Some(name)
}

/// Whether the container is the one that the user calls `name`, which may be a prefix of its id.
fn is_container(container: &[u8], name: &[u8]) -> bool {
    let is_id = container.len() >= 12 && container.iter().all(u8::is_ascii_hexdigit);
    container == name || (is_id && !name.is_empty() && container.starts_with(name))
}

/// Whether the namespace has this name, or the inode in `net:[INODE]` or INODE; `None` if its name or
/// inode is unknown.
pub(super) fn is_called(namespace: &Namespace, wanted: &str) -> Option<bool> {
    let label = namespace.label.as_ref();
    let mut names = label.into_iter().chain(&namespace.asked);
    if names.any(|name| *name == *wanted) {
        return Some(true);
    }
    let digits = wanted
        .strip_prefix("net:[")
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(wanted);
    match digits.parse::<u64>() {
        Ok(inode) => namespace.inode.map(|found| found == inode),
        // Without its inode, the namespace may have the name.
        Err(_) => namespace.inode.and(label).map(|_| false),
    }
}

/// Whether a process called `comm` is the one that the user calls `name`: the kernel keeps the
/// first 15 bytes only, and people type the whole.
fn is_named(comm: &[u8], name: &[u8]) -> bool {
    comm == name || (comm.len() == COMM_MAX && name.len() > COMM_MAX && name.starts_with(comm))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_not_idle_and_a_connection_without_times_may_be() {
        let socket = |state| {
            let end = |port| crate::model::Endpoint::new([127, 0, 0, 1], port);
            Socket::bare(state, end(1), end(2))
        };
        let older = |state| Term::Idle(1000..=u64::MAX).decide(&Known::of(&socket(state)));
        for state in [State::Listen, State::TimeWait, State::FinWait2] {
            assert_eq!(older(state), Some(false), "{state}");
        }
        assert_eq!(older(State::CloseWait), None);
    }

    #[test]
    fn an_age_whose_lower_bound_is_renewed_decides_only_with_both_bounds() {
        let idle = Idle {
            at_least_ms: 200,
            at_most_ms: Some(8_000),
        };
        for (range, answer) in [
            (100..=u64::MAX, Some(true)),
            (9_000..=u64::MAX, Some(false)),
            (0..=100, Some(false)),
            (5_000..=u64::MAX, None),
            (0..=5_000, None),
            (300..=400, None),
        ] {
            assert_eq!(is_idle(idle, true, &range), answer, "{range:?}");
        }
        assert_eq!(is_idle(idle, false, &(5_000..=u64::MAX)), Some(false));
    }

    #[test]
    fn a_name_longer_than_the_kernel_keeps_still_finds_its_process() {
        assert!(is_named(b"java", b"java"));
        assert!(!is_named(b"java", b"javac"));
        assert!(is_named(b"a-very-long-nam", b"a-very-long-name-indeed"));
        assert!(!is_named(b"a-very-long-nam", b"a-very-long-nose"));
    }

    #[test]
    fn a_namespace_goes_by_its_names_and_by_its_number() {
        let blue = Namespace {
            label: Some("blue".into()),
            inode: Some(7),
            ..Namespace::UNKNOWN
        };
        for (wanted, answer) in [
            ("blue", Some(true)),
            ("red", Some(false)),
            ("7", Some(true)),
            ("net:[7]", Some(true)),
            ("net:[8]", Some(false)),
            ("net:[x]", Some(false)),
        ] {
            assert_eq!(is_called(&blue, wanted), answer, "{wanted}");
        }
        // One that may not be looked at can be any.
        let closed = Namespace {
            label: Some("/proc/9/ns/net".into()),
            ..Namespace::UNKNOWN
        };
        assert_eq!(is_called(&closed, "blue"), None);
        assert_eq!(is_called(&closed, "7"), None);
        assert_eq!(is_called(&closed, "/proc/9/ns/net"), Some(true));
    }

    #[test]
    fn a_unit_and_a_container_go_by_what_people_type() {
        assert!(is_unit(b"nginx.service", b"nginx"));
        assert!(is_unit(b"nginx.service", b"nginx.service"));
        assert!(!is_unit(b"nginx.scope", b"nginx"));
        assert!(is_container(b"4f9a2c6e8b1d3f5a", b"4f9a"));
        assert!(!is_container(b"4f9a2c6e8b1d3f5a", b"9a"));
        assert!(!is_container(b"4f9a2c6e8b1d3f5a", b""));
        assert!(is_container(b"web", b"web"));
        assert!(!is_container(b"web", b"we"));
    }
}
