//! Event loops: where the sockets stand in epoll sets, and what a runtime reads before it is asked.

use crate::classifier::finding::{Finding, ServiceEnd, SocketSet};
use crate::classifier::group::ServedAt;
use crate::model::{Cause, Epoll, Evidence, Runtime, Side, WaitKind};
use crate::renderer::units;

/// Where the sockets stand in epoll sets, where that tells something. That a socket is in no set does
/// where others of the same service are: many programs wait for their connections otherwise, or only
/// for the next byte. Go has each connection in its set, always.
pub(super) fn epoll_line(finding: &Finding, evidence: &Evidence) -> Option<String> {
    // Unaccepted connections are in no set, and the process may be asked about others too.
    let held = finding.set.holds(evidence.pid).len() as u64;
    let epoll = evidence.epoll.filter(|_| held > 0)?;
    if evidence.runtime == Runtime::Go {
        return None;
    }
    let known = epoll.watched + epoll.muted;
    let which = match known + epoll.absent {
        all if all == held => "these sockets",
        _ => "its sockets in findings",
    };
    if known > 0 {
        let kinds = [
            (epoll.watched, "watched"),
            (epoll.muted, "registered without interest"),
            (epoll.absent, "in no set"),
        ];
        let mut kinds = kinds.into_iter().filter(|(sockets, _)| *sockets > 0);
        let (most, what) = kinds.next()?;
        let are = if most == 1 { "is" } else { "are" };
        let mut words = format!("{} of {which} {are} {what}", units::count(most));
        for (sockets, what) in kinds {
            words.push_str(&format!(", {} {what}", units::count(sockets)));
        }
        return Some(words);
    }
    let others = polled(&finding.set, evidence);
    (others > 0)
        .then(|| format!("none of {which} is in a set, other connections to the same service are"))
}

/// Whether an event loop waits for events and has no interest in these sockets, though it is by
/// epoll that the program learns of its connections.
pub(super) fn is_unwatched(finding: &Finding) -> bool {
    let is_loop = |evidence: &Evidence| {
        let none = |epoll: Epoll| epoll.watched == 0 && epoll.muted + epoll.absent > 0;
        let uses_epoll = evidence.runtime == Runtime::Node || polled(&finding.set, evidence) > 0;
        let mut waits = evidence.waits.iter().flatten();
        evidence.epoll.is_some_and(none)
            && uses_epoll
            && waits.any(|wait| wait.kind == WaitKind::Events)
    };
    !finding.evidence.is_empty() && finding.evidence.iter().all(is_loop)
}

/// How many connections of the same service are in its epoll sets.
fn polled(set: &SocketSet, evidence: &Evidence) -> usize {
    let ServiceEnd::One(service) = set.end else {
        return 0;
    };
    let polled = evidence.polled.iter();
    let alike = polled.filter(|(local, remote)| match service.at {
        ServedAt::Local(port) => local.port == port,
        ServedAt::Remote(end) => *remote == end,
        ServedAt::Unknown(_) => false,
    });
    alike.count()
}

/// Who has read end-of-file, where that may not be the code that must close.
pub(super) fn read_ahead(finding: &Finding) -> Option<&'static str> {
    // Whoever has passed the close on knows of it.
    if finding.set.far_end().is_some() {
        return None;
    }
    let set = &finding.set;
    if set.cause != Cause::NeverClosed || set.end.side() != Some(Side::Server) {
        return None;
    }
    let evidence = finding.evidence.first()?;
    let loops = || {
        let mut waits = evidence.waits.iter().flatten();
        waits.any(|wait| wait.kind == WaitKind::Events)
    };
    match evidence.runtime {
        // Once the handler has returned, net/http closes by itself.
        Runtime::Go if set.unanswered.is_none_or(|unanswered| unanswered > 0) => {
            Some("which net/http does while a handler works: the handler may not know of it")
        }
        Runtime::Node => {
            Some("which Node does before the program asks: the program may not know of it")
        }
        Runtime::Python if loops() => {
            Some("which asyncio does before a coroutine asks: the coroutine may not know of it")
        }
        _ => None,
    }
}
