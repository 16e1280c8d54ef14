//! The other ends on this host, and what ends the sockets.

use crate::classifier::Report;
use crate::classifier::finding::SocketSet;
use crate::model::Cause;
use crate::model::State;
use crate::model::StateSet;
use crate::renderer::findings::evidence::Lines;
use crate::renderer::findings::evidence::Rank;
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
        lines.add(Rank::Telling, format!(
            "the other end of {} is on this host: {who} closed one direction only and {verb} ({})",
            units::count(peers.waiting),
            states(peers.waiting_in),
        ));
    }
    if peers.orphaned > 0 {
        lines.add(
            Rank::Telling,
            format!(
                "the other end of {} is on this host and closed for good ({} without a process)",
                units::count(peers.orphaned),
                states(peers.orphaned_in),
            ),
        );
    }
}

/// `FIN_WAIT1 or FIN_WAIT2`.
fn states(states: StateSet) -> String {
    let names: Vec<&str> = states.iter().map(State::name).collect();
    names.join(" or ")
}

/// What will happen by itself.
pub(super) fn outlook(set: &SocketSet, lines: &mut Lines) {
    if matches!(
        set.cause,
        Cause::Transient | Cause::HalfClose | Cause::DeadDescriptors
    ) {
        return;
    }
    let ending = "until the process closes or exits nothing ends";
    match set.no_timer {
        0 => {}
        all if all == set.sockets => {
            lines.add(Rank::Plain, format!("no timer runs: {ending} this"));
        }
        some => lines.add(
            Rank::Plain,
            format!("no timer runs on {}: {ending} those", units::count(some)),
        ),
    }
    if let Some(next) = set.next_probe_ms {
        lines.add(Rank::Plain, format!(
            "keepalive runs on {}, the next probe in {}: it ends those whose peer is gone, and frees no descriptor",
            units::count(set.keepalive),
            units::duration(next.into())
        ));
    }
}
