//! The facts that led to a finding, each a short line.

use crate::classifier::Report;
use crate::classifier::culprit::Descriptors;
use crate::classifier::finding::{Finding, SocketSet};
use crate::classifier::halt::HaltReason;
use crate::classifier::pairs::{LegState, Legs};
use crate::model::{Cause, Evidence, FdLimit, Runtime, Side, State, StateSet};
use crate::renderer::findings::epoll::{epoll_line, read_ahead};
use crate::renderer::findings::far;
use crate::renderer::findings::halt;
use crate::renderer::findings::reload;
use crate::renderer::findings::spin;
use crate::renderer::findings::waiting;
use crate::renderer::findings::waits::wait_lines;
use crate::renderer::findings::words::{all_silent, end, holders_line};
use crate::renderer::names::{self, process};
use crate::renderer::units;

/// How much a line of evidence tells: the screen has room for a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// It points at the fault.
    Decisive,
    /// The cause rests on it, or it narrows it down.
    Telling,
    /// Good to know.
    Plain,
}

/// Lines of evidence with their ranks.
#[derive(Default)]
pub(super) struct Lines(Vec<(Rank, String)>);

impl Lines {
    pub(super) fn add(&mut self, rank: Rank, line: impl Into<String>) {
        self.0.push((rank, line.into()));
    }
}

/// The facts that led there, each a short line, those that tell most first.
pub fn evidence(report: &Report<'_>, finding: &Finding) -> Vec<String> {
    let set = &finding.set;
    let mut lines = Lines::default();
    if finding.queue.is_some() {
        queue_lines(report, finding, &mut lines);
    }
    if let Some(awaited) = &set.waiting {
        for line in waiting::lines(report, set, awaited) {
            lines.add(Rank::Decisive, line);
        }
    } else if set.cause != Cause::DeadDescriptors {
        queue_of_bytes(finding, &mut lines);
    }
    if set.cause == Cause::Inherited {
        lines.add(Rank::Decisive, holders_line(report, set));
    }
    if let Some(idle) = set.idle.filter(|_| !set.is_age_missing()) {
        // A small difference would come and go with rounding.
        let apart = idle.max_ms.saturating_sub(idle.p50_ms);
        if apart > 0 && apart.saturating_mul(10) >= idle.max_ms {
            let oldest = units::duration(idle.max_ms);
            lines.add(
                Rank::Telling,
                match &set.waiting {
                    None => format!("the oldest has been in CLOSE_WAIT for at least {oldest}"),
                    Some(_) => format!("the oldest has waited for at least {oldest}"),
                },
            );
        }
    }
    wait_lines(report, finding, &mut lines);
    far::lines(report, finding, &mut lines);
    reload::lines(report, finding, &mut lines);
    half_closed_lines(set, &mut lines);
    parts_line(report, finding, &mut lines);
    patience_line(set, &mut lines);
    crate::renderer::findings::pool::lines(set, &mut lines);
    for evidence in &finding.evidence {
        process_lines(report, finding, evidence, &mut lines);
    }
    if let Some(far) = set.relayed_to {
        lines.add(
            Rank::Decisive,
            format!(
                "connections in FIN_WAIT2 of the same program {} were closed in step with these: that \
                 was acknowledged, and the remote end has not closed",
                end(far)
            ),
        );
    }
    if let Some(legs) = &set.legs {
        lines.add(Rank::Decisive, legs_line(set, legs));
    }
    if set.waiting.is_some() {
        lines.add(Rank::Telling, waiting::outlook(set));
    } else {
        peer_lines(report, set, &mut lines);
        outlook_line(set, &mut lines);
    }
    let Lines(mut lines) = lines;
    lines.sort_by_key(|(rank, _)| *rank);
    lines.into_iter().map(|(_, line)| line).collect()
}

fn legs_line(set: &SocketSet, legs: &Legs) -> String {
    let state = match legs.leg_state {
        LegState::Kept | LegState::Unanswered => State::Established,
        LegState::PassedOn => State::FinWait2,
    };
    let meaning = match (legs.leg_state, legs.other.side()) {
        (LegState::Kept, _) => "consistent with a proxy that does not pass on the close",
        (LegState::Unanswered, _) => "nothing has come back since the last bytes were passed on",
        (LegState::PassedOn, Some(Side::Client) | None) => {
            "the close was passed on and acknowledged, and the remote end has not closed"
        }
        (LegState::PassedOn, Some(Side::Server)) => {
            "the close was passed on and acknowledged, and the clients have not closed"
        }
    };
    format!(
        "{} of {}{} pair with a connection in {state} of the same program {} that carried the \
         same bytes: {meaning}",
        units::count(legs.pairs),
        units::count(legs.looked_at),
        if legs.looked_at < set.sockets {
            " looked at"
        } else {
            ""
        },
        end(legs.other),
    )
}

/// What else the same fact explains.
fn parts_line(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    if finding.parts.is_empty() {
        return;
    }
    let whole = &finding.set.owner;
    let each: Vec<String> = finding
        .parts
        .iter()
        .map(|part| {
            let count = units::count(part.sockets);
            match part.owner.pids == whole.pids {
                true => format!("{count} more ({})", part.cause),
                false => {
                    let owner = names::owner_of(report, &part.owner);
                    let owner = owner.trim_end_matches(" (not accepted)");
                    format!("{count} more ({}) of {owner}", part.cause)
                }
            }
        })
        .collect();
    lines.add(
        Rank::Decisive,
        format!("the same explains {}", each.join(", ")),
    );
}

fn queue_of_bytes(finding: &Finding, lines: &mut Lines) {
    let set = &finding.set;
    let queue = set.recv_q;
    if set.sockets == 0 || set.unmeasured {
        return;
    }
    let same = set.recv_q_min == queue.max;
    let words = match (set.recv_q_min, queue.max) {
        (0, 0) if set.uncounted_fins > 0 => {
            "Recv-Q 0: every byte was read; MPTCP does not show whether end-of-file was".to_owned()
        }
        (min, max) if set.uncounted_fins > 0 => format!(
            "Recv-Q {} to {}: for MPTCP, the memory that unread bytes take",
            units::count(min.into()),
            units::count(max.into())
        ),
        (0, 0) => match read_ahead(finding) {
            Some(words) => format!("Recv-Q 0: end-of-file was read, {words}"),
            None => "Recv-Q 0: end-of-file was read".to_owned(),
        },
        (1, 1) => "Recv-Q 1: every byte was read, end-of-file was not".to_owned(),
        (_, max) if set.cause == Cause::StalePool && same => format!(
            "Recv-Q {max} on every socket: {} byte{} that came with the FIN, unasked",
            units::count((max - 1).into()),
            if max == 2 { "" } else { "s" }
        ),
        (min, max) if set.cause == Cause::StalePool => {
            format!("Recv-Q {min} to {max}: what lies unread beside the FIN came with it, unasked")
        }
        (_, max) if same => format!(
            "Recv-Q {max} on every socket: {} byte{} unread on each, and the FIN",
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
                "up to {} bytes written and not acknowledged",
                units::count(set.send_q_max.into())
            ),
        );
    }
    match set.silent {
        Some(silent) if silent > 0 => lines.add(
            Rank::Telling,
            format!(
                "{} of {} never received a byte but the FIN",
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
                    "{} of {all} were sent nothing since their last byte came in",
                    units::count(some)
                ),
            },
        );
    }
}

/// What shows of peers that may have closed one direction only.
fn half_closed_lines(set: &SocketSet, lines: &mut Lines) {
    let of = set.half_closed;
    let all = units::count(set.sockets);
    if of.shut > 0 {
        let (shut, longest) = (units::count(of.shut), units::duration(of.shut_ms));
        lines.add(
            Rank::Decisive,
            match set.sockets {
                1 => format!("the peer's window has been shut for {longest}; it answers probes"),
                _ => format!(
                    "the windows of {shut} of {all} peers are shut, the longest for {longest}; \
                     they answer probes"
                ),
            },
        );
    }
    if of.unanswered > 0 && set.peers.waiting == 0 {
        lines.add(
            Rank::Telling,
            format!(
                "{} of {all} sent their FIN along with their last byte",
                units::count(of.unanswered)
            ),
        );
    }
}

fn patience_line(set: &SocketSet, lines: &mut Lines) {
    if set.half_closed.unanswered == set.sockets {
        // Who has asked and waits did not hang up.
        return;
    }
    let Some(patience) = set.patience else { return };
    let seconds = |ms: u32| format!("{:.1} s", f64::from(ms) / 1000.0);
    let (p50, p90) = (seconds(patience.p50_ms), seconds(patience.p90_ms));
    let (who, since) = match set.end.side() {
        Some(Side::Server) if all_silent(set) => ("peers", "connecting"),
        side => match (side, set.unanswered == Some(set.sockets)) {
            (Some(Side::Client), true) => ("the server", "its last byte"),
            (Some(Side::Client), false) => ("the server", "the last byte either way"),
            (_, true) => ("peers", "their last byte"),
            (_, false) => ("peers", "the last byte either way"),
        },
    };
    let distribution = format!("{who} hung up p50 {p50}, p90 {p90} after {since}");
    // Who was answered, or is a server, did not wait for this side.
    let answered = set.cause == Cause::Abandoned || set.unanswered == Some(0);
    let timeout = match set.end.side() {
        Some(Side::Client) => "its idle timeout",
        Some(Side::Server) if !answered => "a client timeout",
        _ => "an idle timeout",
    };
    match patience.cluster_ms.map(seconds) {
        Some(cluster) => lines.add(
            Rank::Decisive,
            format!("{distribution}: clustered at {cluster}, consistent with {timeout}"),
        ),
        None => lines.add(Rank::Plain, distribution),
    }
}

fn queue_lines(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    let Some(queue) = &finding.queue else { return };
    let full = match queue.percent() {
        Some(100..) => " (full)".to_owned(),
        Some(percent) => format!(" ({percent} %)"),
        None => String::new(),
    };
    let limit = queue.limit.map_or("an unknown limit".to_owned(), |limit| {
        units::count(limit.into())
    });
    let now = units::count(queue.now.into());
    let given_up = match queue.unaccepted {
        0 => String::new(),
        _ => format!(", {} of them in CLOSE_WAIT", units::count(queue.close_wait)),
    };
    let close_wait = units::count(queue.close_wait);
    let local = names::listener_of(report, &queue.bound);
    let unaccepted = units::count(queue.unaccepted);
    lines.add(
        Rank::Decisive,
        match queue.sockets {
            ..=1 => format!("accept queue of {local}: {now} of {limit}{full}{given_up}"),
            sockets => format!(
                "fullest of the {sockets} accept queues of {local}: {now} of {limit}{full}; \
                 {close_wait} of the {unaccepted} connections in all are in CLOSE_WAIT"
            ),
        },
    );
    if queue.unmatched > 0 {
        lines.add(
            Rank::Decisive,
            format!(
                "{} of them came to another port: by transparent proxying (TPROXY) or an sk_lookup \
                 program",
                units::count(queue.unmatched)
            ),
        );
    } else if queue.unaccepted == 0 {
        lines.add(
            Rank::Decisive,
            "none of its connections was seen: they may have come to another port, by transparent \
             proxying (TPROXY) or an sk_lookup program"
                .to_owned(),
        );
    }
    if queue.is_cut_short() {
        lines.add(
            Rank::Decisive,
            format!(
                "the limit is net.core.somaxconn = {}: a larger backlog is cut to it",
                queue.limit.unwrap_or_default()
            ),
        );
    }
    if let Some(half_open) = queue.syn_recv.filter(|count| *count > 0) {
        lines.add(
            Rank::Telling,
            format!("{} connections are in SYN_RECV", units::count(half_open)),
        );
    }
    let settings = &report.snapshot.netns(queue.bound.netns).settings;
    if let Some((overflows, drops)) = settings.listen_overflows.zip(settings.listen_drops)
        && (overflows, drops) != (0, 0)
    {
        lines.add(Rank::Plain, format!(
            "since boot, all listeners of the namespace together: ListenOverflows {}, ListenDrops {}",
            units::count(overflows),
            units::count(drops)
        ));
    }
}

fn process_lines(report: &Report<'_>, finding: &Finding, evidence: &Evidence, lines: &mut Lines) {
    let name = process(report, evidence.pid);
    for line in halt::lines(report, evidence) {
        lines.add(Rank::Decisive, line);
    }
    let runs = !matches!(
        HaltReason::of(evidence),
        Some(HaltReason::Frozen | HaltReason::Traced | HaltReason::Stopped)
    );
    if let Some(cpu) = evidence.cpu.as_ref().filter(|_| runs) {
        let (never_rests, line) = spin::line(&name, evidence, cpu);
        let rank = if never_rests {
            Rank::Decisive
        } else {
            Rank::Plain
        };
        lines.add(rank, line);
    }
    if let (Some(open), Some(FdLimit::Files(limit))) = (evidence.open_fds, evidence.fd_limit) {
        let (rank, near) = match Descriptors::of(evidence) {
            Some(Descriptors::Gone) => (Rank::Decisive, ": accept() and open() fail (EMFILE)"),
            Some(Descriptors::Short) => (Rank::Decisive, ": nearly all of them, EMFILE is near"),
            Some(Descriptors::Enough) | None => (Rank::Plain, ""),
        };
        let what = match finding.set.cause {
            Cause::DeadDescriptors => "descriptors",
            _ => "sockets",
        };
        let held = match finding.fd_percent {
            Some(percent @ 1..) => format!("; these {what} are {percent} % of the limit"),
            _ => String::new(),
        };
        let rank = if held.is_empty() {
            rank
        } else {
            rank.min(Rank::Telling)
        };
        lines.add(
            rank,
            format!(
                "{name} has {} of {} files open{near}{held}",
                units::count(open),
                units::count(limit)
            ),
        );
    }
    if let Some(dead) = evidence.dead_sockets.filter(|dead| *dead > 0) {
        let (rank, also) = match finding.set.cause {
            Cause::DeadDescriptors => (Rank::Decisive, ""),
            _ if finding.dead > 0 => (Rank::Decisive, "also "),
            _ => (Rank::Telling, "also "),
        };
        let (plural, are) = if dead == 1 { ("", "is") } else { ("s", "are") };
        let why = match finding.dead {
            0 => "reset, reaped or never connected, and not closed",
            _ => "consistent with the other legs of these, whose hosts have let go of them",
        };
        lines.add(
            rank,
            format!(
                "{name} {also}holds {} TCP socket{plural} that {are} in no table: {why}",
                units::count(dead)
            ),
        );
    }
    if let Some(words) = epoll_line(finding, evidence) {
        let whose = match finding.set.owner.pids.len() {
            1 => String::new(),
            _ => format!(" of {name}"),
        };
        lines.add(Rank::Telling, format!("epoll{whose}: {words}"));
    }
    if let Some(age) = evidence.age_ms {
        lines.add(
            Rank::Plain,
            format!(
                "{name} started {} ago{}",
                units::duration(age),
                match evidence.runtime {
                    Runtime::Native => String::new(),
                    runtime => format!(" ({})", names::runtime(runtime)),
                }
            ),
        );
    }
    for unread in &evidence.unread {
        lines.add(Rank::Plain, format!("not known of {name}: {unread}"));
    }
}

fn peer_lines(report: &Report<'_>, set: &SocketSet, lines: &mut Lines) {
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
fn outlook_line(set: &SocketSet, lines: &mut Lines) {
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
