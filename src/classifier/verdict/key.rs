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

pub(super) fn order(key: &Key) -> (u8, String) {
    let kind = match key {
        Key::Program(..) => 0,
        Key::Owner(..) => 1,
        Key::Total | Key::Port(..) | Key::Listener(..) => 2,
    };
    (kind, format!("{key:?}"))
}
