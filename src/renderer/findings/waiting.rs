//! The words of FIN_WAIT2 sockets that a process holds: the remote end has to close them.

use crate::classifier::Report;
use crate::classifier::service::ServedAt;
use crate::classifier::service::ServiceEnd;
use crate::classifier::socket_set::SocketSet;
use crate::classifier::waiting::Waiting;
use crate::model::Side;
use crate::renderer::names::process;
use crate::renderer::units;

/// What it means, in a sentence or two.
pub(super) fn meaning(set: &SocketSet, waiting: &Waiting) -> String {
    if set.is_age_missing() {
        let since = set.at_most_ms.map_or(String::new(), |most| {
            format!(", at most {} ago", units::duration(most))
        });
        return format!(
            "This side has closed and the remote end has not. Replies to keepalive probes hide \
             when: it was after the last byte{since}. Look again after the grace period: sockets \
             that are still there wait for the remote end."
        );
    }
    if waiting.unread == set.sockets {
        return "This side has closed its direction and does not read what the remote end sends: \
                consistent with a program that has forgotten these connections."
            .to_owned();
    }
    if waiting.asking == set.sockets {
        return "This side has sent its requests and closed its direction. The remote end has not \
             answered yet: consistent with requests that it is working on."
            .to_owned();
    }
    let owes = match (set.end.side(), waiting.unanswered) {
        (Some(Side::Client), Some(unanswered)) if unanswered == set.sockets => {
            "has neither answered nor closed"
        }
        _ => "has not closed its direction",
    };
    let who = match set.end {
        ServiceEnd::One(service) => match service.at {
            ServedAt::Remote(remote) if remote.port > 0 => remote.to_string(),
            ServedAt::Remote(_) | ServedAt::Unknown(_) => "the remote end".to_owned(),
            ServedAt::Local(_) => "the clients' end".to_owned(),
        },
        ServiceEnd::Several(..) => "the remote end".to_owned(),
    };
    let who = if set.peers.waiting == set.sockets {
        format!("{who}, on this host,")
    } else {
        who
    };
    format!(
        "This side has closed its direction; {who} has acknowledged that and {owes}. At that end \
         the connections are in CLOSE_WAIT: the fault is there. While the process here holds the \
         sockets, the kernel sets no time limit."
    )
}

/// The facts that point at the remote end, the most informative first.
pub(super) fn lines(report: &Report<'_>, set: &SocketSet, waiting: &Waiting) -> Vec<String> {
    let all = units::count(set.sockets);
    let mut lines = Vec::new();
    if waiting.unread > 0 {
        lines.push(format!(
            "Recv-Q is above 0 on {} of {all}: the process has not read what arrived",
            units::count(waiting.unread)
        ));
        if waiting.unread == set.sockets {
            return lines;
        }
    }
    if set.peers.waiting > 0 {
        let names: Vec<String> = set
            .peers
            .pids
            .iter()
            .take(3)
            .map(|pid| process(report, *pid))
            .collect();
        let whose = match names.as_slice() {
            [] => "of a process".to_owned(),
            names => format!("of {}", names.join(", ")),
        };
        lines.push(format!(
            "the other ends of {} of {all} are on this host: CLOSE_WAIT {whose}",
            units::count(set.peers.waiting)
        ));
    }
    if let Some(unanswered) = waiting.unanswered
        && set.end.side() == Some(Side::Client)
    {
        lines.push(match unanswered {
            0 => "every request had been answered".to_owned(),
            some => format!(
                "{} of {all} have had no answer since this side last sent",
                units::count(some)
            ),
        });
    }
    if waiting.asking > 0 && waiting.asking < set.sockets {
        lines.push(format!(
            "{} of {all} closed right after their request and may still get an answer: not counted",
            units::count(waiting.asking)
        ));
    }
    if !matches!(set.end, ServiceEnd::One(service) if service.side() == Some(Side::Client)) {
        let remotes = waiting.remotes.iter().take(3);
        let each = remotes.map(|(addr, count)| format!("{addr} ({})", units::count(*count)));
        let each: Vec<String> = each.collect();
        let more = match waiting.remotes.len().saturating_sub(each.len()) {
            0 => String::new(),
            more => format!(" and {} more", units::count(more as u64)),
        };
        lines.push(format!("the remote ends: {}{more}", each.join(", ")));
    }
    lines
}

/// What ends them.
pub(super) fn outlook(set: &SocketSet) -> String {
    match set.next_probe_ms {
        None => {
            "no timer runs: nothing ends this until the remote end closes or the process gives up"
                .to_owned()
        }
        Some(next) => format!(
            "keepalive runs on {}, next probe in {}: it ends only connections whose remote host is \
             gone",
            units::count(set.keepalive),
            units::duration(next.into())
        ),
    }
}
