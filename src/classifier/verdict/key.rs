//! By what sockets are counted together.
use crate::classifier::listeners::Bound;
use crate::classifier::owner::GroupOwner;
use crate::classifier::program::Program;
use crate::classifier::service::Service;

/// The sockets that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Total,
    Program(u16, Program),
    /// Those of no program: unaccepted, or with an owner that is not known.
    Owner(u16, GroupOwner),
    Port(u16, Service),
    /// `None` of those that no listener covers.
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
