//! Counts by chosen dimensions: how many of the selected sockets share a state, a peer, a program …
//!
//! Every socket is counted once. One that several programs hold counts for the set of them, so
//! that the shares add up.

use std::net::IpAddr;
use std::str::FromStr;

use rustc_hash::FxHashMap;

use super::group::GroupOwner;
use super::{Report, Row};
use crate::model::{Cause, Cgroup, Name, Owner, Pid, Placed, Protocol, Side, Snapshot, State};

/// What sockets can be counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    Protocol,
    State,
    Side,
    /// The port of the service's end, as in groups.
    Port,
    /// The remote address.
    Peer,
    /// The names of the programs that hold the socket, or the listener that has not accepted it.
    Program,
    /// The processes that hold it, or the listener's.
    Pid,
    User,
    /// The systemd unit of the first of those who hold it.
    Unit,
    Container,
    Netns,
    Cause,
}

impl Dimension {
    pub const ALL: [Dimension; 12] = [
        Dimension::Protocol,
        Dimension::State,
        Dimension::Side,
        Dimension::Port,
        Dimension::Peer,
        Dimension::Program,
        Dimension::Pid,
        Dimension::User,
        Dimension::Unit,
        Dimension::Container,
        Dimension::Netns,
        Dimension::Cause,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Dimension::Protocol => "protocol",
            Dimension::State => "state",
            Dimension::Side => "side",
            Dimension::Port => "port",
            Dimension::Peer => "peer",
            Dimension::Program => "program",
            Dimension::Pid => "pid",
            Dimension::User => "user",
            Dimension::Unit => "unit",
            Dimension::Container => "container",
            Dimension::Netns => "netns",
            Dimension::Cause => "cause",
        }
    }

    /// Whether it is told by who holds the socket; a cause rests on that as well.
    pub fn needs_owner(self) -> bool {
        matches!(self, Dimension::Cause) || self.is_by_owner()
    }

    /// Whether the kernel's own sockets have none, and hidden owners leave it unknown.
    pub fn is_by_owner(self) -> bool {
        matches!(self, Dimension::Program | Dimension::Pid) || self.needs_cgroup()
    }

    /// Whether it needs to know in which control group the holders are.
    pub fn needs_cgroup(self) -> bool {
        matches!(self, Dimension::Unit | Dimension::Container)
    }

    /// Whether it needs tcp_info.
    pub fn needs_tcp_info(self) -> bool {
        matches!(self, Dimension::Cause | Dimension::Side | Dimension::Port)
    }
}

/// A word that names no dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoDimension;

impl FromStr for Dimension {
    type Err = NoDimension;

    fn from_str(name: &str) -> Result<Dimension, NoDimension> {
        let plain = name.to_ascii_lowercase();
        Dimension::ALL
            .into_iter()
            .find(|dimension| dimension.name() == plain)
            .ok_or(NoDimension)
    }
}

/// What a socket has in one dimension.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Protocol(Protocol),
    State(State),
    /// UDP without a peer.
    Unconnected,
    Side(Side),
    Port(u16),
    Peer(IpAddr),
    /// Each name once, ordered.
    Programs(Vec<Name>),
    /// Each once, ordered.
    Pids(Vec<Pid>),
    User(u32),
    /// A unit or a container.
    Scope(Name),
    /// It is in no unit or container.
    Outside,
    /// As [`Socket::netns`](crate::model::Socket::netns).
    Netns(u16),
    Cause(Cause),
    /// It has none: the kernel's own, a listener's peer, the cause of what is not in CLOSE_WAIT.
    None,
    /// It has one that is not known.
    Unknown,
}

/// What a value says, apart from the snapshot that it was read in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueText {
    Number(u64),
    /// Any text, as it was read.
    Text(Name),
    /// In no unit or container.
    Outside,
    None,
    Unknown,
}

impl Value {
    /// What it says of the snapshot that it was read in.
    pub fn text(&self, snapshot: &Snapshot) -> ValueText {
        ValueText::Text(match self {
            Value::Protocol(protocol) => protocol.name().into(),
            Value::State(state) => state.name().into(),
            Value::Unconnected => Protocol::Udp.state_name(State::Close).into(),
            Value::Side(side) => side.name().into(),
            Value::Port(port) => return ValueText::Number((*port).into()),
            Value::Peer(addr) => addr.to_string().into(),
            Value::Programs(names) => joined(names),
            Value::Pids(pids) => match pids.as_slice() {
                [only] => return ValueText::Number(only.0.into()),
                several => {
                    let pids: Vec<String> = several.iter().map(Pid::to_string).collect();
                    pids.join(",").into()
                }
            },
            Value::User(uid) => match snapshot.host.users.name(*uid) {
                Some(name) => name.clone(),
                None => uid.to_string().into(),
            },
            Value::Scope(name) => name.clone(),
            Value::Netns(at) => match &snapshot.netns(*at).label {
                Some(label) => label.clone(),
                None => return ValueText::Unknown,
            },
            Value::Cause(cause) => Cause::name(*cause).into(),
            Value::Outside => return ValueText::Outside,
            Value::None => return ValueText::None,
            Value::Unknown => return ValueText::Unknown,
        })
    }
}

/// The names of a set of programs, joined by commas.
fn joined(names: &[Name]) -> Name {
    let names: Vec<&[u8]> = names.iter().map(Name::bytes).collect();
    Name::new(names.join(&b','))
}

/// The sockets that have the same values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// In the order of the dimensions.
    pub values: Vec<Value>,
    pub sockets: u64,
    /// How many of them are in CLOSE_WAIT.
    pub close_wait: u64,
}

/// The value of each dimension as a number, in the order asked for.
type Key = [u32; Dimension::ALL.len()];
const NONE: u32 = u32::MAX;
const UNKNOWN: u32 = u32::MAX - 1;
const OUTSIDE: u32 = u32::MAX - 2;
const UNCONNECTED: u32 = u32::MAX - 3;

/// Tells for each selected socket on which line it stands, by numbers from 0.
pub struct Sorter<'a> {
    values: Values<'a>,
    dimensions: &'a [Dimension],
    keys: Interned<Key>,
}

impl<'a> Sorter<'a> {
    pub fn new(report: &'a Report<'a>, dimensions: &'a [Dimension]) -> Sorter<'a> {
        Sorter {
            values: Values::of(report),
            dimensions,
            keys: Interned::default(),
        }
    }

    /// The line of a socket of the report. Costs an allocation for a new line or a new value, and
    /// none for a socket.
    pub fn line(&mut self, row: &Row<'_>) -> usize {
        let key = self.values.key(self.dimensions, row);
        self.keys.number(key) as usize
    }

    /// The values of each line.
    pub fn lines(&self) -> Vec<Vec<Value>> {
        let keys = self.keys.things.iter();
        keys.map(|key| self.values.of_key(self.dimensions, key))
            .collect()
    }
}

/// Counts the selected sockets, the most frequent first.
pub fn tally(report: &Report<'_>, dimensions: &[Dimension]) -> Vec<Line> {
    let mut sorter = Sorter::new(report, dimensions);
    let mut counts: Vec<(u64, u64)> = Vec::new();
    for row in report.rows() {
        let line = sorter.line(&row);
        if counts.len() <= line {
            counts.resize(line + 1, (0, 0));
        }
        if let Some((sockets, close_wait)) = counts.get_mut(line) {
            *sockets += 1;
            *close_wait += u64::from(row.socket.state == State::CloseWait);
        }
    }
    let mut lines: Vec<Line> = sorter
        .lines()
        .into_iter()
        .zip(counts)
        .map(|(values, (sockets, close_wait))| Line {
            values,
            sockets,
            close_wait,
        })
        .collect();
    lines
        .sort_unstable_by(|a, b| (b.sockets.cmp(&a.sockets)).then_with(|| a.values.cmp(&b.values)));
    lines
}

/// Things by number, in the order in which they were met.
struct Interned<T> {
    numbers: FxHashMap<T, u32>,
    things: Vec<T>,
}

impl<T> Default for Interned<T> {
    fn default() -> Interned<T> {
        Interned {
            numbers: FxHashMap::default(),
            things: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Interned<T> {
    fn number(&mut self, thing: T) -> u32 {
        if let Some(number) = self.numbers.get(&thing) {
            return *number;
        }
        let number = u32::try_from(self.things.len()).unwrap_or(UNKNOWN);
        self.numbers.insert(thing.clone(), number);
        self.things.push(thing);
        number
    }

    /// The same, without making a copy of what is known.
    fn number_of(&mut self, thing: &T) -> u32 {
        match self.numbers.get(thing) {
            Some(number) => *number,
            None => self.number(thing.clone()),
        }
    }

    fn thing(&self, number: u32) -> Option<&T> {
        self.things.get(usize::try_from(number).ok()?)
    }
}

struct Values<'a> {
    report: &'a Report<'a>,
    peers: Interned<IpAddr>,
    programs: Interned<Vec<Name>>,
    pids: Interned<Vec<Pid>>,
    /// Units and containers.
    scopes: Interned<Name>,
    /// The number of the program of a process that is the only holder.
    of_process: FxHashMap<Pid, u32>,
    /// The number of a process that is the only holder, among `pids`.
    of_pid: FxHashMap<Pid, u32>,
    last_pids: Option<(GroupOwner, u32)>,
    /// The several holders of the last socket that had such: they come in runs.
    last: Option<(GroupOwner, u32)>,
}

impl<'a> Values<'a> {
    fn of(report: &'a Report<'a>) -> Values<'a> {
        Values {
            report,
            peers: Interned::default(),
            programs: Interned::default(),
            pids: Interned::default(),
            scopes: Interned::default(),
            of_process: FxHashMap::default(),
            of_pid: FxHashMap::default(),
            last_pids: None,
            last: None,
        }
    }

    fn key(&mut self, dimensions: &[Dimension], row: &Row<'_>) -> Key {
        let mut key = Key::default();
        for (part, dimension) in key.iter_mut().zip(dimensions) {
            *part = self.number(*dimension, row);
        }
        key
    }

    fn of_key(&self, dimensions: &[Dimension], key: &Key) -> Vec<Value> {
        let parts = key.iter().zip(dimensions);
        parts
            .map(|(number, dimension)| self.value(*dimension, *number))
            .collect()
    }

    fn number(&mut self, dimension: Dimension, row: &Row<'_>) -> u32 {
        let socket = row.socket;
        match dimension {
            Dimension::Protocol => socket.protocol as u32,
            Dimension::State if socket.is_unconnected() => UNCONNECTED,
            Dimension::State => socket.state as u32,
            Dimension::Side => row.side().map_or(UNKNOWN, |side| side as u32),
            Dimension::Port => row.service().port().map_or(UNKNOWN, u32::from),
            Dimension::Peer if socket.remote.port == 0 => NONE,
            Dimension::Peer => self.peers.number(socket.remote.canonical().addr),
            Dimension::Program => self.program(&row.owner),
            Dimension::Pid => self.pids(&row.owner),
            // -1 is no user's: setuid(2) takes it for "none".
            Dimension::User => socket.user().unwrap_or(NONE),
            Dimension::Unit => self.scope(row, |cgroup| cgroup.unit.as_ref()),
            Dimension::Container => self.scope(row, |cgroup| cgroup.container.as_ref()),
            Dimension::Netns => socket.netns.into(),
            Dimension::Cause => row.cause.map_or(NONE, |cause| cause as u32),
        }
    }

    fn scope(&mut self, row: &Row<'_>, of: fn(&Cgroup) -> Option<&Name>) -> u32 {
        let Some(cgroups) = &self.report.snapshot.cgroups else {
            return UNKNOWN;
        };
        match cgroups.of(row.socket, &row.owner) {
            Placed::In(cgroup) => of(cgroup).map_or(OUTSIDE, |name| self.scopes.number_of(name)),
            Placed::Nowhere => NONE,
            Placed::Unknown => UNKNOWN,
        }
    }

    fn pids(&mut self, owner: &Owner<'_>) -> u32 {
        let holders = owner.holders();
        let Some(first) = holders.first() else {
            return match owner {
                Owner::Kernel => NONE,
                _ => UNKNOWN,
            };
        };
        if holders.iter().any(|holder| holder.pid != first.pid) {
            if let Some((last, number)) = &self.last_pids
                && last.is(owner)
            {
                return *number;
            }
            let several = GroupOwner::of(owner);
            let number = self.pids.number(several.pids.clone());
            self.last_pids = Some((several, number));
            return number;
        }
        if let Some(number) = self.of_pid.get(&first.pid) {
            return *number;
        }
        let number = self.pids.number(vec![first.pid]);
        self.of_pid.insert(first.pid, number);
        number
    }

    fn program(&mut self, owner: &Owner<'_>) -> u32 {
        let holders = owner.holders();
        let Some(first) = holders.first() else {
            return match owner {
                Owner::Kernel => NONE,
                _ => UNKNOWN,
            };
        };
        if holders.iter().all(|holder| holder.pid == first.pid) {
            if let Some(number) = self.of_process.get(&first.pid) {
                return *number;
            }
            let number = self.programs.number(vec![self.name(first.pid)]);
            self.of_process.insert(first.pid, number);
            return number;
        }
        if let Some((last, number)) = &self.last
            && last.is(owner)
        {
            return *number;
        }
        let several = GroupOwner::of(owner);
        let mut names: Vec<Name> = several.pids.iter().map(|pid| self.name(*pid)).collect();
        names.sort_unstable();
        names.dedup();
        let number = self.programs.number(names);
        self.last = Some((several, number));
        number
    }

    fn name(&self, pid: Pid) -> Name {
        let name = self.report.holders().name(pid);
        // It ended before its name was read.
        name.cloned().unwrap_or_else(|| Name::new(*b"?"))
    }

    fn value(&self, dimension: Dimension, number: u32) -> Value {
        let narrow = u16::try_from(number).ok();
        let value = match (dimension, number) {
            (_, NONE) => return Value::None,
            (_, UNKNOWN) => return Value::Unknown,
            (Dimension::Protocol, _) => [Protocol::Tcp, Protocol::Mptcp, Protocol::Udp]
                .into_iter()
                .find(|protocol| *protocol as u32 == number)
                .map(Value::Protocol),
            (Dimension::State, UNCONNECTED) => Some(Value::Unconnected),
            (Dimension::State, _) => State::ALL
                .into_iter()
                .find(|state| *state as u32 == number)
                .map(Value::State),
            (Dimension::Side, _) => [Side::Server, Side::Client]
                .into_iter()
                .find(|side| *side as u32 == number)
                .map(Value::Side),
            (Dimension::Cause, _) => Cause::ALL
                .into_iter()
                .find(|cause| *cause as u32 == number)
                .map(Value::Cause),
            (Dimension::Port, _) => narrow.map(Value::Port),
            (Dimension::Netns, _) => narrow.map(Value::Netns),
            (Dimension::User, _) => Some(Value::User(number)),
            (Dimension::Peer, _) => self.peers.thing(number).copied().map(Value::Peer),
            (Dimension::Unit | Dimension::Container, OUTSIDE) => Some(Value::Outside),
            (Dimension::Unit | Dimension::Container, _) => {
                self.scopes.thing(number).cloned().map(Value::Scope)
            }
            (Dimension::Pid, _) => self.pids.thing(number).cloned().map(Value::Pids),
            (Dimension::Program, _) => self.programs.thing(number).cloned().map(Value::Programs),
        };
        value.unwrap_or(Value::Unknown)
    }
}
