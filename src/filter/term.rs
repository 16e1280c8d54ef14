//! The single conditions of a filter, and what they are decided by.

use std::time::Duration;

use super::Network;
use crate::model::{Cause, Family, Holders, Idle, Owner, Pid, Side, Socket, State, StateSet};

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    State(StateSet),
    Family(Family),
    Port(PortEnd, u16),
    /// The remote address lies in the network.
    Peer(Network),
    /// A process that owns the socket, or the listener that has not accepted it yet.
    Pid(Pid),
    /// The name of such a process, whole.
    Program(Vec<u8>),
    /// Idle for at least this long.
    OlderThan(Duration),
    Cause(Cause),
}

/// Which end's port a term is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortEnd {
    Local,
    Remote,
    Either,
}

/// What is known of a socket when a filter is applied. `None` is "not known yet".
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub socket: &'a Socket,
    pub side: Option<Side>,
    pub owner: Option<(Owner<'a>, &'a Holders)>,
    pub idle: Option<Idle>,
    /// `Some(None)`: it is known to have no cause, not being in CLOSE_WAIT.
    pub cause: Option<Option<Cause>>,
}

impl<'a> Known<'a> {
    /// The socket alone, as it came from the kernel.
    pub fn of(socket: &'a Socket) -> Known<'a> {
        Known {
            socket,
            side: None,
            owner: None,
            idle: None,
            cause: None,
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
            Term::Family(family) => Some(socket.family == *family),
            Term::Port(end, port) => {
                let local = socket.local.port == *port;
                let remote = socket.remote.port == *port;
                Some(match end {
                    PortEnd::Local => local,
                    PortEnd::Remote => remote,
                    PortEnd::Either => local || remote,
                })
            }
            Term::Peer(network) => Some(network.contains(socket.remote.addr)),
            Term::Pid(pid) => owned_by(known, |_, holder| holder == *pid),
            Term::Program(name) => owned_by(known, |holders, holder| {
                holders
                    .name(holder)
                    .is_some_and(|comm| is_named(comm.bytes(), name))
            }),
            Term::OlderThan(_) if !has_age(socket) => Some(false),
            Term::OlderThan(age) => known
                .idle
                .map(|idle| u128::from(idle.at_least_ms) >= age.as_millis()),
            Term::Cause(cause) => known.cause.map(|found| found == Some(*cause)),
        }
    }

    /// Whether the term needs to know who holds the socket.
    pub fn needs_owner(&self) -> bool {
        matches!(self, Term::Pid(_) | Term::Program(_) | Term::Cause(_))
    }

    /// Whether the term needs tcp_info.
    pub fn needs_age(&self) -> bool {
        matches!(self, Term::OlderThan(_) | Term::Cause(_))
    }
}

/// Whether the kernel keeps the times of a socket's last bytes in this state. One that has none
/// is not idle, however long it lasts: listeners, and what is a minisocket only.
fn has_age(socket: &Socket) -> bool {
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
        let socket = |state| Socket {
            family: Family::Inet,
            state,
            local: crate::model::Endpoint::new([127, 0, 0, 1], 1),
            remote: crate::model::Endpoint::new([127, 0, 0, 1], 2),
            recv_q: 0,
            send_q: 0,
            timer: None,
            uid: 0,
            inode: 0,
            cookie: None,
            interface: 0,
            v6only: None,
            tcp: None,
        };
        let older =
            |state| Term::OlderThan(Duration::from_secs(1)).decide(&Known::of(&socket(state)));
        for state in [State::Listen, State::TimeWait, State::FinWait2] {
            assert_eq!(older(state), Some(false), "{state}");
        }
        assert_eq!(older(State::CloseWait), None);
    }

    #[test]
    fn a_name_longer_than_the_kernel_keeps_still_finds_its_process() {
        assert!(is_named(b"java", b"java"));
        assert!(!is_named(b"java", b"javac"));
        assert!(is_named(b"a-very-long-nam", b"a-very-long-name-indeed"));
        assert!(!is_named(b"a-very-long-nam", b"a-very-long-nose"));
    }
}
