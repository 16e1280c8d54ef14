//! Values: what a socket has in one dimension.

use crate::model::{Cause, Name, Pid, Protocol, Side, Snapshot, State};
use std::net::IpAddr;

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
