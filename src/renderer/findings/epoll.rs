//! Event loops: whether the sockets are in epoll sets, and what a runtime reads ahead.

use crate::classifier::finding::Finding;
use crate::classifier::service::ServedAt;
use crate::classifier::service::ServiceEnd;
use crate::classifier::socket_set::SocketSet;
use crate::classifier::stacks::serves_http;
use crate::model::{Cause, Epoll, Evidence, Runtime, Side, WaitKind};
use crate::renderer::units;

/// Whether the sockets are in epoll sets, if that is informative. That a socket is in no set is
/// informative only if other connections of the same service are in one: many programs wait for
/// connections in another way, or only for the next byte. Go keeps every connection in its set.
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
    (others > 0).then(|| {
        format!("none of {which} is registered; other connections of the same service are")
    })
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

/// Which runtime read end-of-file, if the code that must close may not know of it.
pub(super) fn read_ahead(finding: &Finding) -> Option<&'static str> {
    // A program that passed the close on has seen it.
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
            match serves_http(evidence) {
                Some(true) => {
                    Some("by net/http while a handler works: the handler may not know of it")
                }
                Some(false) => None,
                None => Some(
                    "(if it serves HTTP, by net/http while a handler works, which may not know of it)",
                ),
            }
        }
        Runtime::Node => Some("by Node before the program reads: the program may not know of it"),
        Runtime::Python if loops() => {
            Some("by asyncio before a coroutine reads: the coroutine may not know of it")
        }
        _ => None,
    }
}
