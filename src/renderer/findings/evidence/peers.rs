//! The other ends on this host, and what ends the sockets.

use crate::classifier::Report;
use crate::classifier::socket_set::SocketSet;
use crate::model::{Cause, State, StateSet};
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::names::process;
use crate::renderer::units;

pub(super) fn lines(report: &Report<'_>, set: &SocketSet, lines: &mut Lines) {
    let peers = &set.peers;
    if peers.waiting > 0 {
        let names: Vec<String> = peers
            .pids
            .iter()
            .take(3)
            .map(|pid| process(report, *pid))
            .collect();
        let who = match peers.pids.len() - names.len() {
            _ if names.is_empty() => "a process".to_owned(),
            0 => names.join(", "),
            more => format!("{} +{more}", names.join(", ")),
        };
        let verb = match peers.pids.len() {
            ..=1 => "waits",
            _ => "wait",
        };
        lines.add(
            Rank::Telling,
            format!(
                "{}: {who} closed one direction only and {verb} ({})",
                other_ends(peers.waiting),
                states(peers.waiting_in),
            ),
        );
    }
    if peers.orphaned > 0 {
        lines.add(
            Rank::Telling,
            format!(
                "{} and closed for good ({} without a process)",
                other_ends(peers.orphaned),
                states(peers.orphaned_in),
            ),
        );
    }
}

/// `the other ends of 20 are on this host`.
pub(in crate::renderer::findings) fn other_ends(count: u64) -> String {
    match count {
        1 => "the other end of 1 is on this host".to_owned(),
        _ => format!("the other ends of {} are on this host", units::count(count)),
    }
}

/// `FIN_WAIT1 or FIN_WAIT2`.
fn states(states: StateSet) -> String {
    let names: Vec<&str> = states.iter().map(State::name).collect();
    names.join(" or ")
}

/// What ends the sockets without the program.
pub(super) fn outlook(set: &SocketSet, lines: &mut Lines) {
    if matches!(
        set.cause,
        Cause::Transient | Cause::HalfClose | Cause::DeadDescriptors
    ) {
        return;
    }
    match set.no_timer {
        0 => {}
        all if all == set.sockets => {
            lines.add(
                Rank::Plain,
                "no timer runs: nothing ends this until the process closes or exits",
            );
        }
        some => lines.add(
            Rank::Plain,
            format!(
                "no timer runs on {}: nothing ends those until the process closes or exits",
                units::count(some)
            ),
        ),
    }
    if let Some(next) = set.next_probe_ms {
        lines.add(Rank::Plain, format!(
            "keepalive runs on {}, next probe in {}: it ends connections whose peer is gone, but \
             frees no descriptor",
            units::count(set.keepalive),
            units::duration(next.into())
        ));
    }
}
