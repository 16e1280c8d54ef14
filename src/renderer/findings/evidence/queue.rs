//! The accept queue of a listener.

use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::classifier::queue::Queue;
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::{names, units};

pub(super) fn lines(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    let Some(queue) = &finding.queue else { return };
    lines.add(Rank::Decisive, length(report, queue));
    if queue.unmatched > 0 {
        let unmatched = units::count(queue.unmatched);
        let line = format!("{unmatched} of them came to another port, {REDIRECTED}");
        lines.add(Rank::Decisive, line);
    } else if queue.unaccepted == 0 {
        let line = format!(
            "none of its connections was seen: they may have come to another port, {REDIRECTED}"
        );
        lines.add(Rank::Decisive, line);
    }
    if queue.is_cut_short() {
        let limit = queue.limit.unwrap_or_default();
        let line =
            format!("the limit is net.core.somaxconn = {limit}: a larger backlog is capped at it");
        lines.add(Rank::Decisive, line);
    }
    if let Some(half_open @ 1..) = queue.syn_recv {
        let line = format!("{} connections are in SYN_RECV", units::count(half_open));
        lines.add(Rank::Telling, line);
    }
    let settings = &report.snapshot.netns(queue.bound.netns).settings;
    if let Some((overflows, drops)) = settings.listen_overflows.zip(settings.listen_drops)
        && (overflows, drops) != (0, 0)
    {
        let (overflows, drops) = (units::count(overflows), units::count(drops));
        let line = format!(
            "since the namespace was created, all its listeners: ListenOverflows {overflows}, \
             ListenDrops {drops}"
        );
        lines.add(Rank::Plain, line);
    }
}

/// How a connection gets to a listener of another port.
const REDIRECTED: &str = "through transparent proxying (TPROXY) or an sk_lookup program";

/// `accept queue of 0.0.0.0:8080: 129 of 128 (full), 100 of them in CLOSE_WAIT`.
fn length(report: &Report<'_>, queue: &Queue) -> String {
    let full = match queue.percent() {
        Some(100..) => " (full)".to_owned(),
        Some(percent) => format!(" ({percent} %)"),
        None => String::new(),
    };
    let local = names::listener_of(report, &queue.bound);
    let now = units::count(queue.now.into());
    let limit = queue.limit.map(|limit| units::count(limit.into()));
    let limit = limit.unwrap_or("an unknown limit".to_owned());
    let (close_wait, all) = (
        units::count(queue.close_wait),
        units::count(queue.unaccepted),
    );
    match (queue.sockets, queue.unaccepted) {
        (..=1, 0) => format!("accept queue of {local}: {now} of {limit}{full}"),
        (..=1, _) => format!(
            "accept queue of {local}: {now} of {limit}{full}, {close_wait} of them in CLOSE_WAIT"
        ),
        (sockets, _) => format!(
            "fullest of the {sockets} accept queues of {local}: {now} of {limit}{full}; over all \
             of them, {close_wait} of {all} connections are in CLOSE_WAIT"
        ),
    }
}
