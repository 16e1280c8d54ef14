//! Which sockets of a table are kept: those that may be selected, and others by which those are judged:
//! listeners, the other ends of CLOSE_WAIT sockets, and other connections of their owners.

use rustc_hash::FxHashSet;

use super::sock_diag::Dumped;
use crate::collector::request::Request;
use crate::filter::{Filter, Known};
use crate::model::{Endpoint, Socket, State, StateSet};

/// Whether a socket may be selected, once everything is known about it.
pub(crate) fn may_be_selected(filter: &Filter, socket: &Socket) -> bool {
    filter.decide(&Known::of(socket)) != Some(false)
}

/// Whether a TCP socket may be selected, or is a listener, by which others are judged.
pub(crate) fn may_matter(filter: &Filter, socket: &Socket) -> bool {
    socket.state == State::Listen || may_be_selected(filter, socket)
}

/// Whether a socket that is not selected is kept until it is known whether it explains one that is.
pub(crate) fn may_explain(request: &Request, filter: &Filter, socket: &Socket) -> bool {
    filter.states().contains(State::CloseWait) && explaining_states(request).contains(socket.state)
}

/// The states of the sockets that may explain a CLOSE_WAIT.
pub(super) fn explaining_states(request: &Request) -> StateSet {
    if needs_legs(request) {
        StateSet::LEG
    } else {
        StateSet::CLOSED_FIRST
    }
}

/// Whether other connections of the owners are needed, with their byte counts and owners.
fn needs_legs(request: &Request) -> bool {
    request.findings && request.tcp_info && request.owners
}

/// What explains the CLOSE_WAIT sockets that were kept. Their other ends in this namespace: whether one
/// is still held decides what the CLOSE_WAIT is. And connections that a process holds: one may be the
/// other leg of a proxy, or a request that its owner waits for; whose they are is not known yet.
pub(super) struct Explaining {
    ends: FxHashSet<(Endpoint, Endpoint)>,
    /// Something was kept that other connections of its owner may explain.
    needs_legs: bool,
}

impl Explaining {
    pub(super) fn of(request: &Request, found: &Dumped) -> Explaining {
        let kept = || {
            let sockets = found.sockets.iter();
            sockets.filter(|socket| may_be_selected(&request.filter, socket))
        };
        let ends = |socket: &Socket| (socket.remote.canonical(), socket.local.canonical());
        let waits = |socket: &Socket| match socket.state {
            State::Listen => socket.recv_q > 0,
            state => state == State::CloseWait || socket.is_unaccepted(),
        };
        Explaining {
            ends: kept()
                .filter(|socket| socket.state == State::CloseWait)
                .map(ends)
                .collect(),
            needs_legs: needs_legs(request) && kept().any(waits),
        }
    }

    /// Whether anything can be among them.
    pub(super) fn is_needed(&self) -> bool {
        self.needs_legs || !self.ends.is_empty()
    }

    pub(super) fn contains(&self, socket: &Socket) -> bool {
        let ends = || (socket.local.canonical(), socket.remote.canonical());
        let is_leg = StateSet::LEG.contains(socket.state) && socket.inode != 0;
        (is_leg && self.needs_legs) || (socket.closed_first() && self.ends.contains(&ends()))
    }
}

/// Removes sockets that are neither selected nor explain those that are.
pub(crate) fn drop_unrelated(
    request: &Request,
    found: &mut Dumped,
    is_selected: &dyn Fn(&Socket) -> bool,
) {
    let explaining = Explaining::of(request, found);
    found.subflows.retain(is_selected);
    found
        .sockets
        .retain(|socket| is_selected(socket) || explaining.contains(socket));
}
