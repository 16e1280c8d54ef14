//! The accept queue of a listener.

use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::renderer::findings::evidence::{Lines, Rank};
use crate::renderer::{names, units};

pub(super) fn lines(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
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
                "fullest of the {sockets} accept queues of {local}: {now} of {limit}{full}; over \
                 all of them, {close_wait} of {unaccepted} connections are in CLOSE_WAIT"
            ),
        },
    );
    if queue.unmatched > 0 {
        lines.add(
            Rank::Decisive,
            format!(
                "{} of them came to another port, through transparent proxying (TPROXY) or an \
                 sk_lookup program",
                units::count(queue.unmatched)
            ),
        );
    } else if queue.unaccepted == 0 {
        lines.add(
            Rank::Decisive,
            "none of its connections was seen: they may have come to another port, through \
             transparent proxying (TPROXY) or an sk_lookup program"
                .to_owned(),
        );
    }
    if queue.is_cut_short() {
        lines.add(
            Rank::Decisive,
            format!(
                "the limit is net.core.somaxconn = {}: a larger backlog is capped at it",
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
            "since the namespace was created, all its listeners: ListenOverflows {}, ListenDrops \
             {}",
            units::count(overflows),
            units::count(drops)
        ));
    }
}
