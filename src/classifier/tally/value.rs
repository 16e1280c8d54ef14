//! Values: what a socket has in a dimension.

use crate::model::{Cause, Name, Pid, Protocol, Side, Snapshot, State};
use std::net::IpAddr;

/// The value of a socket in one dimension.
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
    /// Each process once, ordered.
    Pids(Vec<Pid>),
    User(u32),
    /// The name of a unit or container.
    Scope(Name),
    /// In no unit or container.
    Outside,
    /// As [`Socket::netns`](crate::model::Socket::netns).
    Netns(u16),
    Cause(Cause),
    /// It has none: sockets of the kernel, the peer of a listener, the cause outside CLOSE_WAIT.
    None,
    /// Unknown.
    Unknown,
}

/// A value that is independent of the snapshot it was read in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueText {
    Number(u64),
    /// Raw text.
    Text(Name),
    /// In no unit or container.
    Outside,
    None,
    Unknown,
}

impl Value {
    /// The value, independent of the snapshot it was read in.
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

/// The names of several programs, joined by commas.
fn joined(names: &[Name]) -> Name {
    let names: Vec<&[u8]> = names.iter().map(Name::bytes).collect();
    Name::new(names.join(&b','))
}
