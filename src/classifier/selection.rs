//! Selection: what the filter of a report asks for, apart from the sockets that it selects.

use std::collections::BTreeMap;

use super::listeners::Listener;
use super::report::Report;
use crate::filter::{Known, Term};
use crate::model::{
    Cause, Causes, Endpoint, Gap, GapKind, Holder, Idle, Name, Owner, Pid, Side, Socket, State,
    StateSet, nearest,
};

impl Report<'_> {
    /// The ports, programs and processes that the filter names and that have no socket in any
    /// state; without those for which that is uncertain.
    pub fn without_sockets(&self) -> Vec<&Term> {
        let is_unread = |gap: &Gap| gap.kind == GapKind::NetnsUnread;
        if self.snapshot.gaps.iter().any(is_unread) {
            return Vec::new();
        }
        let mut named = self.filter.named();
        named.retain(|term| {
            let may_be = |socket: &Socket| {
                let owner = self.context.owner(socket, self.context.owner_ref(socket));
                let known = Known {
                    owner: Some((owner, self.holders())),
                    ..Known::of(socket)
                };
                term.decide(&known) != Some(false)
            };
            !self.snapshot.sockets.iter().any(may_be)
        });
        named
    }

    /// The name of a holder that is close to that of a program; `None` if a holder has that very name.
    pub fn similar_program(&self, term: &Term) -> Option<&Name> {
        let Term::Program(program) = term else {
            return None;
        };
        let program = Name::new(program.as_slice()).to_string();
        let names: BTreeMap<String, &Name> = (self.holders().processes().iter())
            .filter_map(|process| process.name.as_ref())
            .map(|name| (name.to_string(), name))
            .collect();
        if names.contains_key(&program) {
            return None;
        }
        let meant = nearest(&program, names.keys().map(String::as_str))?;
        names.get(meant).copied()
    }

    /// The ports, programs and processes that the filter names.
    pub fn named(&self) -> Vec<&Term> {
        self.filter.named()
    }

    /// How many sockets the filter selects without its conditions on states; `None` if it has no
    /// other conditions.
    pub fn of_any_state(&self) -> Option<u64> {
        let filter = self.filter.of_any_state();
        if !filter.mentions(|_| true) {
            return None;
        }
        if self.filter.states().intersection(StateSet::ALL) == StateSet::ALL {
            return Some(self.len() as u64);
        }
        let sockets = self.snapshot.sockets.iter();
        let selected = sockets.filter(|socket| {
            let (row, uncertainty) = self.context.row(socket, self.context.owner_ref(socket));
            filter.decide(&self.context.known(&row, uncertainty)) == Some(true)
        });
        Some(selected.count() as u64)
    }

    /// The sockets that could not be matched and that may be younger than the grace.
    pub fn undecided_by_age(&self) -> Vec<&Socket> {
        if self.undecided == 0 {
            return Vec::new();
        }
        let sockets = self.snapshot.sockets.iter();
        let undecided = sockets.filter(|socket| {
            let (row, uncertainty) = self.context.row(socket, self.context.owner_ref(socket));
            let selected = self.filter.decide(&self.context.known(&row, uncertainty));
            selected.is_none() && self.age_uncertainty(&row).is_some()
        });
        undecided.collect()
    }

    /// Whether the filter may select an unaccepted connection: one in the queue, or one that would
    /// be held like the listener itself.
    pub fn asks_about(&self, listener: &Listener, socket: &Socket, waits_ms: Option<u64>) -> bool {
        // A peer that waits in a queue may hang up at any time.
        let connection = Socket {
            state: State::CloseWait,
            ..socket.clone()
        };
        let known = Known {
            socket: &connection,
            side: Some(Side::Server),
            owner: Some((Owner::Listener(&listener.holders), self.holders())),
            idle: waits_ms.map(|waits_ms| Idle {
                at_least_ms: waits_ms,
                at_most_ms: Some(waits_ms),
            }),
            is_renewed: false,
            cause: Some(Some(Cause::NotAccepted)),
            alternatives: Causes::NONE,
            netns: Some(self.snapshot.netns(listener.bound.netns)),
            cgroups: self.snapshot.cgroups.as_ref(),
        };
        self.filter.decide(&known) != Some(false)
    }

    /// Whether the filter may select descriptors of a process that are in no table. They have
    /// neither a port nor a state, so a filter on those selects none of them.
    pub fn asks_about_dead(&self, pid: Pid) -> bool {
        let excludes = |term: &Term| match term {
            Term::State(states) => states.intersection(StateSet::ALL) != StateSet::ALL,
            Term::Pid(_) | Term::Program(_) | Term::ProgramLike(_) | Term::Protocol(_) => false,
            other => !other.needs_cgroup(),
        };
        if self.filter.mentions(excludes) {
            return false;
        }
        let end = Endpoint::new([0, 0, 0, 0], 0);
        let socket = Socket::bare(State::Close, end, end);
        let inode = socket.inode;
        let holder = Holder { inode, pid, fd: 0 };
        let known = Known {
            owner: Some((Owner::Process(&[holder]), self.holders())),
            cgroups: self.snapshot.cgroups.as_ref(),
            ..Known::of(&socket)
        };
        self.filter.decide(&known) == Some(true)
    }

    /// Whether the filter can select sockets in this state.
    pub fn asks_for(&self, state: State) -> bool {
        self.filter.states().contains(state)
    }
}
