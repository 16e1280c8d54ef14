//! What lies in the queues of bytes, and how long peers waited.

use crate::classifier::finding::{Finding, SocketSet};
use crate::model::{Cause, Side};
use crate::renderer::findings::epoll::read_ahead;
use crate::renderer::findings::evidence::{Lines, Rank};
use crate::renderer::findings::meaning::all_silent;
use crate::renderer::units;

pub(super) fn queues(finding: &Finding, lines: &mut Lines) {
    let set = &finding.set;
    let queue = set.recv_q;
    if set.sockets == 0 || set.unmeasured {
        return;
    }
    let same = set.recv_q_min == queue.max;
    let words = match (set.recv_q_min, queue.max) {
        (0, 0) if set.uncounted_fins > 0 => {
            "Recv-Q 0: every byte was read; MPTCP does not show whether end-of-file was read"
                .to_owned()
        }
        (min, max) if set.uncounted_fins > 0 => format!(
            "Recv-Q {} to {}: for MPTCP, the memory used by unread bytes",
            units::count(min.into()),
            units::count(max.into())
        ),
        (0, 0) => match read_ahead(finding) {
            Some(words) => format!("Recv-Q 0: end-of-file was read {words}"),
            None => "Recv-Q 0: end-of-file was read".to_owned(),
        },
        (1, 1) => "Recv-Q 1: every byte was read, end-of-file was not".to_owned(),
        (_, max) if set.cause == Cause::StalePool && same => format!(
            "Recv-Q {max} on every socket: {} byte{} that came with the FIN, unrequested",
            units::count((max - 1).into()),
            if max == 2 { "" } else { "s" }
        ),
        (min, max) if set.cause == Cause::StalePool => {
            format!("Recv-Q {min} to {max}: the unread bytes came with the FIN, unrequested")
        }
        (_, max) if same => format!(
            "Recv-Q {max} on every socket: {} unread byte{} and the FIN",
            units::count((max - 1).into()),
            if max == 2 { "" } else { "s" }
        ),
        (min, max) => format!(
            "Recv-Q {} to {}",
            units::count(min.into()),
            units::count(max.into())
        ),
    };
    lines.add(Rank::Telling, words);
    if set.send_q_max > 0 {
        lines.add(
            Rank::Telling,
            format!(
                "up to {} bytes written but not acknowledged",
                units::count(set.send_q_max.into())
            ),
        );
    }
    match set.silent {
        Some(silent) if silent > 0 => lines.add(
            Rank::Telling,
            format!(
                "{} of {} received nothing but the FIN",
                units::count(silent),
                units::count(set.sockets)
            ),
        ),
        _ => {}
    }
    if let Some(unanswered) = set.unanswered
        && matches!(
            set.cause,
            Cause::NeverClosed | Cause::NotReading | Cause::HalfClose
        )
        && (set.cause != Cause::HalfClose || unanswered > 0)
        && set.end.side() == Some(Side::Server)
    {
        let all = units::count(set.sockets);
        lines.add(
            Rank::Telling,
            match unanswered {
                0 => "all were answered after their last byte came in".to_owned(),
                some => format!(
                    "nothing was sent on {} of {all} since their last byte came in",
                    units::count(some)
                ),
            },
        );
    }
}

/// Facts about peers that may have closed one direction only.
pub(super) fn half_closed(set: &SocketSet, lines: &mut Lines) {
    let of = set.half_closed;
    let all = units::count(set.sockets);
    if of.shut > 0 {
        let (shut, longest) = (units::count(of.shut), units::duration(of.shut_ms));
        lines.add(
            Rank::Decisive,
            match set.sockets {
                1 => format!(
                    "the peer's receive window has been closed for {longest}; the peer answers \
                     probes"
                ),
                _ => format!(
                    "the receive windows of {shut} of {all} peers are closed, the longest for \
                     {longest}; the peers answer probes"
                ),
            },
        );
    }
    if of.unanswered > 0 && set.peers.waiting == 0 {
        lines.add(
            Rank::Telling,
            format!(
                "{} of {all} sent their FIN together with their last byte",
                units::count(of.unanswered)
            ),
        );
    }
}

pub(super) fn patience(set: &SocketSet, lines: &mut Lines) {
    if set.half_closed.unanswered == set.sockets {
        // A peer that sent a request and waits did not hang up.
        return;
    }
    let Some(patience) = set.patience else { return };
    let seconds = |ms: u32| format!("{:.1} s", f64::from(ms) / 1000.0);
    let (p50, p90) = (seconds(patience.p50_ms), seconds(patience.p90_ms));
    let (who, since) = match set.end.side() {
        Some(Side::Server) if all_silent(set) => ("peers", "connecting"),
        side => match (side, set.unanswered == Some(set.sockets)) {
            (Some(Side::Client), true) => ("the server", "its last byte"),
            (Some(Side::Client), false) => ("the server", "the last byte in either direction"),
            (_, true) => ("peers", "their last byte"),
            (_, false) => ("peers", "the last byte in either direction"),
        },
    };
    let distribution = format!("{who} hung up after {since}: p50 {p50}, p90 {p90}");
    // A peer that was answered, or that is a server, did not wait for this side.
    let answered = set.cause == Cause::Abandoned || set.unanswered == Some(0);
    let timeout = match set.end.side() {
        Some(Side::Client) => "its idle timeout",
        Some(Side::Server) if !answered => "a client timeout",
        _ => "an idle timeout",
    };
    match patience.cluster_ms.map(seconds) {
        Some(cluster) => lines.add(
            Rank::Decisive,
            format!("{distribution}; clustered at {cluster}, consistent with {timeout}"),
        ),
        None => lines.add(Rank::Plain, distribution),
    }
}
