//! The classifier: what the facts of a snapshot mean. Pure: no files, no clock, no environment.

pub mod age;
pub mod arrivals;
pub mod beginning;
pub mod cause;
pub mod chain;
pub mod change;
mod client_wait;
pub mod close_notify;
mod context;
pub mod culprit;
mod dead_descriptors;
pub mod defaults;
pub mod diff;
pub mod facts;
pub mod fin_wait2;
pub mod finding;
pub mod group;
pub mod growth;
pub mod half_open;
pub mod halt;
mod hidden_owners;
pub mod identity;
mod inheritance;
pub mod listeners;
pub mod local_ports;
pub mod merge;
mod other_legs;
pub mod owner;
pub mod pairs;
pub mod patience;
pub mod peeked;
pub mod pool;
pub mod process;
pub mod program;
pub mod queue;
pub mod range;
mod relayed_close;
pub mod reload;
mod report;
pub mod requests;
mod row;
pub mod rules;
mod selection;
pub mod send_progress;
pub mod service;
pub mod severity;
mod side;
pub mod silent;
pub mod socket_set;
pub mod spin;
pub mod stacks;
mod state_counts;
pub mod tally;
pub mod time_pattern;
pub mod verdict;
pub mod waiting;
pub mod workers;

use rustc_hash::FxHashMap;

use self::context::{Context, OwnerRef, Uncertainty};
use self::hidden_owners::Hidden;
pub use self::hidden_owners::hidden_reason;
pub use self::report::Report;
use self::report::{Selected, connection, hidden_states};
pub use self::row::Row;
pub use self::rules::Rules;
pub use self::state_counts::StateCounts;
use crate::model::{Protocol, Resolved, Snapshot, Socket, State, StateSet};

/// Selects, judges and groups the sockets of a snapshot.
pub fn classify<'a>(snapshot: &'a Snapshot, rules: &Rules) -> Report<'a> {
    let context = Context::new(snapshot, rules);
    let mut selected = Vec::new();
    let mut undecided = 0;
    let mut hidden = Hidden::default();
    let hidden_states = hidden_states(snapshot);
    let none_of = |protocol| {
        let asked = rules.protocols.contains(protocol);
        StateCounts::none_of(if asked {
            rules
                .filter
                .of_protocol(protocol)
                .states()
                .minus(hidden_states)
        } else {
            StateSet::NONE
        })
    };
    let mut states = none_of(Protocol::Tcp);
    let mut udp = none_of(Protocol::Udp);
    for (at, socket) in snapshot.sockets.iter().enumerate() {
        let Ok(number) = u32::try_from(at) else { break };
        let owner = context.owner_ref(socket);
        let (row, uncertainty) = context.row(socket, owner);
        match rules.filter.decide(&context.known(&row, uncertainty)) {
            Some(true) => {
                match socket.protocol {
                    Protocol::Udp => udp.add(socket.state),
                    _ => states.add(socket.state),
                }
                hidden.add(&row, &context.sides.listeners);
                selected.push(Selected {
                    socket: number,
                    cause: row.cause,
                    missing: row.missing,
                    owner,
                });
            }
            Some(false) => {}
            None => undecided += 1,
        }
    }
    selected.sort_by_key(|selected| {
        let socket = &snapshot.sockets[selected.socket as usize];
        (
            socket.netns,
            socket.protocol,
            socket.family,
            socket.state != State::Listen,
        )
    });
    let subflows = subflows(&context, rules);
    let mut gaps = snapshot.gaps.clone();
    gaps.extend(hidden.gaps(snapshot, undecided));
    Report {
        snapshot,
        filter: rules.filter.clone(),
        context,
        selected,
        subflows,
        states,
        udp: rules.protocols.contains(Protocol::Udp).then_some(udp),
        gaps,
        undecided,
        resolved: Resolved::default(),
        changes: Vec::new(),
    }
}

/// Selects subflows. Each has the owner and side of its connection.
fn subflows(context: &Context<'_>, rules: &Rules) -> Vec<Selected> {
    let snapshot = context.snapshot;
    if snapshot.subflows.is_empty() {
        return Vec::new();
    }
    let connections: FxHashMap<_, _> = snapshot
        .sockets
        .iter()
        .filter_map(|socket| Some((connection(socket)?, socket)))
        .collect();
    let select = |(number, subflow): (u32, &Socket)| {
        let connection = connection(subflow).and_then(|key| connections.get(&key).copied());
        let owner = match connection {
            Some(connection) => context.owner_ref(connection),
            // Its connection was opened or closed between the dumps. A closed connection leaves its
            // inode behind.
            None => match context.owner_ref(subflow) {
                OwnerRef::Hidden(_) => OwnerRef::Kernel,
                owner => owner,
            },
        };
        let row = Row {
            cause: None,
            missing: None,
            ..context.row(subflow, owner).0
        };
        let known = context.known(&row, Uncertainty::default());
        let selected = rules.filter.decide(&known) == Some(true);
        selected.then_some(Selected {
            socket: number,
            cause: None,
            missing: None,
            owner,
        })
    };
    (0..).zip(&snapshot.subflows).filter_map(select).collect()
}
