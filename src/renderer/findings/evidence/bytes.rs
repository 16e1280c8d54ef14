//! What lies in the queues of bytes, and how long peers waited.

use crate::classifier::Report;
use crate::classifier::defaults::{self, Setting};
use crate::classifier::finding::Finding;
use crate::classifier::socket_set::SocketSet;
use crate::model::{Cause, Side};
use crate::renderer::findings::epoll::read_ahead;
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::findings::set::all_silent;
use crate::renderer::units::{self, plural};

/// The most settings whose default a time equals that are named.
const SETTINGS: usize = 3;

pub(super) fn queues(finding: &Finding, lines: &mut Lines) {
    let set = &finding.set;
    if set.sockets == 0 || set.unmeasured {
        return;
    }
    lines.add(Rank::Telling, recv_q(finding));
    if set.send_q_max > 0 {
        let most = units::count(set.send_q_max.into());
        let line = format!("up to {most} bytes written but not acknowledged");
        lines.add(Rank::Telling, line);
    }
    let all = units::count(set.sockets);
    if let Some(silent @ 1..) = set.silent {
        let silent = units::count(silent);
        let line = format!("{silent} of {all} received nothing but the FIN");
        lines.add(Rank::Telling, line);
    }
    let shows_answers = match set.cause {
        Cause::NeverClosed | Cause::NotReading => true,
        Cause::HalfClose => set.unanswered > Some(0),
        _ => false,
    };
    let unanswered = set.unanswered.filter(|_| shows_answers);
    match unanswered.filter(|_| set.end.side() == Some(Side::Server)) {
        Some(0) => lines.add(
            Rank::Telling,
            "all were answered after their last byte came in",
        ),
        Some(some) => {
            let some = units::count(some);
            let line = format!("nothing was sent on {some} of {all} since their last byte came in");
            lines.add(Rank::Telling, line);
        }
        None => {}
    }
}

/// What the receive queues show: what was read, and what is unread.
fn recv_q(finding: &Finding) -> String {
    let set = &finding.set;
    let (min, max) = (set.recv_q_min, set.recv_q.max);
    let range = format!(
        "Recv-Q {} to {}",
        units::count(min.into()),
        units::count(max.into())
    );
    if set.uncounted_fins > 0 {
        return match max {
            0 => "Recv-Q 0: every byte was read; MPTCP does not show whether end-of-file was read"
                .to_owned(),
            _ => format!("{range}: for MPTCP, the memory used by unread bytes"),
        };
    }
    let unread = u64::from(max.saturating_sub(1));
    let (count, s) = (units::count(unread), plural(unread));
    match (min, max, set.cause) {
        (0, 0, _) => match read_ahead(finding) {
            Some(words) => format!("Recv-Q 0: end-of-file was read {words}"),
            None => "Recv-Q 0: end-of-file was read".to_owned(),
        },
        (1, 1, _) => "Recv-Q 1: every byte was read, end-of-file was not".to_owned(),
        (_, _, Cause::StalePool) if min == max => format!(
            "Recv-Q {max} on every socket: {count} byte{s} that came with the FIN, unrequested"
        ),
        (_, _, Cause::StalePool) => {
            format!("{range}: the unread bytes came with the FIN, unrequested")
        }
        _ if min == max => {
            format!("Recv-Q {max} on every socket: {count} unread byte{s} and the FIN")
        }
        _ => range,
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

pub(super) fn patience(report: &Report<'_>, set: &SocketSet, lines: &mut Lines) {
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
            format!(
                "{distribution}; clustered at {cluster}, consistent with {timeout}{}",
                equal(report, set)
            ),
        ),
        None => lines.add(Rank::Plain, distribution),
    }
}

/// The settings whose default the timeout equals: `; 60 s equals the default of nginx
/// proxy_read_timeout`.
fn equal(report: &Report<'_>, set: &SocketSet) -> String {
    let settings = defaults::equal(report, set);
    let Some(Setting { milliseconds, .. }) = settings.first() else {
        return String::new();
    };
    let names: Vec<&str> = settings
        .iter()
        .take(SETTINGS)
        .map(|setting| setting.name)
        .collect();
    let seconds = units::count(u64::from(*milliseconds) / 1_000);
    let more = match settings.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" +{more}"),
    };
    let names = names.join(", ");
    format!("; {seconds} s equals the default of {names}{more}")
}
