//! Key: what sockets are counted together by.
use crate::classifier::listeners::Bound;
use crate::classifier::owner::GroupOwner;
use crate::classifier::program::Program;
use crate::classifier::service::Service;

/// What sockets are counted together by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Total,
    Program(u16, Program),
    /// Sockets without a program: unaccepted, or with an unknown owner.
    Owner(u16, GroupOwner),
    Port(u16, Service),
    /// `None` for sockets without a listener.
    Listener(u16, Option<Bound>),
}

impl Key {
    /// The same, in the network namespace of this number.
    pub(super) fn in_netns(&self, netns: u16) -> Key {
        match self.clone() {
            Key::Total => Key::Total,
            Key::Program(_, program) => Key::Program(netns, program),
            Key::Owner(_, owner) => Key::Owner(netns, owner),
            Key::Port(_, service) => Key::Port(netns, service),
            Key::Listener(_, bound) => {
                Key::Listener(netns, bound.map(|bound| Bound { netns, ..bound }))
            }
        }
    }
}

pub(super) fn order(key: &Key) -> (u8, String) {
    let kind = match key {
        Key::Program(..) => 0,
        Key::Owner(..) => 1,
        Key::Total | Key::Port(..) | Key::Listener(..) => 2,
    };
    (kind, format!("{key:?}"))
}
