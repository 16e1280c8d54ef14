//! The single conditions of a filter, and what they are decided by.

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
    /// The address of an end lies in the network.
    Host(End, Network),
    /// The socket is bound to the interface with this index; 0: to none.
    Interface(u32),
    /// The socket's mark, as far as the mask goes, is the value.
    Mark {
        value: u32,
        mask: u32,
    },
    /// The kernel's number of the cgroup that the socket was made in.
    Cgroup(u64),
    Inode(u32),
    User(u32),
    /// Bytes not read; of a listener, connections not accepted.
    RecvQ(RangeInclusive<u32>),
    /// Bytes not acknowledged; of a listener, the limit of its queue.
    SendQ(RangeInclusive<u32>),
    Side(Side),
    /// A process that owns the socket, or the listener that has not accepted it yet.
    Pid(Pid),
    /// The name of such a process, whole.
    Program(Vec<u8>),
    /// The same, by a pattern.
    ProgramLike(Pattern),
    /// How many milliseconds the socket has been idle at least.
    Idle(RangeInclusive<u64>),
    Cause(Cause),
    /// The unit of a process that owns the socket; `nginx` is `nginx.service` too.
    Unit(Vec<u8>),
    UnitLike(Pattern),
    /// The container of such a process: its name, or the beginning of its id.
    Container(Vec<u8>),
    ContainerLike(Pattern),
    /// The name of the socket's network namespace, `net:[N]`, or N.
    Netns(String),
}

/// Which end of the socket a term is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Local,
    Remote,
    Either,
}

impl End {
    /// Whether something holds of that end; of one of both where it is either.
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
    /// Why the text is no regular expression, in one line.
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

/// What is known of a socket when a filter is applied. `None` is "not known yet".
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub socket: &'a Socket,
    pub side: Option<Side>,
    pub owner: Option<(Owner<'a>, &'a Holders)>,
    pub idle: Option<Idle>,
    /// What renews the lower bound of the idle time leaves the whole bracket open.
    pub is_renewed: bool,
    /// `Some(None)`: it is known to have no cause, not being in CLOSE_WAIT.
    pub cause: Option<Option<Cause>>,
    /// The causes that it may have as well, by what is not known of it.
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

/// The length at which the kernel cuts a process's name (`TASK_COMM_LEN` less the NUL).
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
            // What /proc does not tell stands at 0 there.
            Term::Interface(index) => is_from_kernel(socket).then_some(socket.interface == *index),
            Term::Mark { value, mask } => socket.mark.map(|mark| mark & mask == *value),
            Term::Cgroup(id) => match socket.cgroup {
                Some(found) => Some(found.get() == *id),
                // A minisocket is in none.
                None if is_from_kernel(socket) && socket.inode == 0 => Some(false),
                None => None,
            },
            Term::Inode(inode) => Some(socket.inode == *inode),
            Term::User(uid) => Some(socket.user() == Some(*uid)),
            Term::RecvQ(bytes) => Some(bytes.contains(&socket.recv_q)),
            Term::SendQ(bytes) => {
                let told = socket.state != State::Listen || is_from_kernel(socket);
                told.then_some(bytes.contains(&socket.send_q))
            }
            // Nothing tells which end of UDP serves, and what is only bound has no other end.
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

    /// Whether the term names processes, or what they are in.
    pub(super) fn names_processes(&self) -> bool {
        matches!(self, Term::Pid(_)) || self.needs_cgroup()
    }

    /// Whether the term names a process, which is in a control group; of other terms never.
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

    /// The one port, program or process that it asks for; `None` of every other condition.
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

    /// Whether the term needs to know who holds the socket.
    pub fn needs_owner(&self) -> bool {
        matches!(
            self,
            Term::Pid(_) | Term::Program(_) | Term::ProgramLike(_) | Term::Cause(_)
        ) || self.needs_cgroup()
    }

    /// Whether the term needs to know in which control group the holders are.
    pub fn needs_cgroup(&self) -> bool {
        matches!(
            self,
            Term::Unit(_) | Term::UnitLike(_) | Term::Container(_) | Term::ContainerLike(_)
        )
    }

    /// Whether the term needs tcp_info.
    pub fn needs_tcp_info(&self) -> bool {
        matches!(self, Term::Idle(_) | Term::Cause(_) | Term::Side(_))
    }
}

/// Whether the kernel keeps the times of a socket's last bytes in this state. One that has none
/// is not idle, however long it lasts: listeners, and what is a minisocket only.
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

/// Whether a socket has been idle for a time in the range; `None` where that is not known.
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

/// Whether sock_diag was the source, which gives every socket a cookie.
fn is_from_kernel(socket: &Socket) -> bool {
    socket.cookie.is_some()
}

/// Whether a process whose name satisfies `wanted` owns the socket.
fn program(known: &Known<'_>, wanted: impl Fn(&[u8]) -> bool) -> Option<bool> {
    let named = |holders: &Holders, holder| holders.name(holder).map(|comm| wanted(comm.bytes()));
    let is_owned = owned_by(known, |holders, holder| {
        named(holders, holder) == Some(true)
    })?;
    // One whose name could not be read may be it.
    let is_untold = owned_by(known, |holders, holder| named(holders, holder).is_none())?;
    (is_owned || !is_untold).then_some(is_owned)
}

/// Whether a process that satisfies `wanted` owns the socket. Unknown while owners are not read,
/// or hidden.
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

/// Whether a process in a unit that is `wanted` owns the socket. One that is in no unit is in none
/// that is wanted.
fn unit(known: &Known<'_>, wanted: impl Fn(&[u8]) -> bool) -> Option<bool> {
    known.cgroups?.any(known.socket, &known.owner?.0, |cgroup| {
        cgroup
            .unit
            .as_ref()
            .is_some_and(|unit| wanted(unit.bytes()))
    })
}

/// The same of containers.
fn container(known: &Known<'_>, wanted: impl Fn(&[u8]) -> bool) -> Option<bool> {
    known.cgroups?.any(known.socket, &known.owner?.0, |cgroup| {
        let container = cgroup.container.as_ref();
        container.is_some_and(|container| wanted(container.bytes()))
    })
}

/// Whether a unit is the one that the user calls `name`: as for systemctl(1), a service where no
/// kind is given.
fn is_unit(unit: &[u8], name: &[u8]) -> bool {
    unit == name || unit.strip_suffix(b".service") == Some(name)
}

/// Whether a container is the one that the user calls `name`; of an id any beginning will do.
fn is_container(container: &[u8], name: &[u8]) -> bool {
    let is_id = container.len() >= 12 && container.iter().all(u8::is_ascii_hexdigit);
    container == name || (is_id && !name.is_empty() && container.starts_with(name))
}

/// Whether a namespace goes by a name, by `net:[N]` or by N; `None` where nothing is known of it
/// that could tell.
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
        // Which name belongs to which namespace is told by the inode.
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
