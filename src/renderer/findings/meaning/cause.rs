//! What each cause means.

use crate::classifier::close_notify::is_close_notify;
use crate::classifier::finding::Finding;
use crate::classifier::pairs::LegState;
use crate::classifier::process::{Descriptors, descriptors};
use crate::classifier::socket_set::Kinship;
use crate::classifier::socket_set::SocketSet;
use crate::classifier::stacks::serves_http;
use crate::model::{Evidence, Runtime, Side};
use crate::renderer::findings::epoll::is_unwatched;
use crate::renderer::findings::set::{all_half_closed, all_silent};

pub(super) fn not_accepted(finding: &Finding) -> String {
    let fault = match descriptors(&finding.evidence) {
        Descriptors::Short | Descriptors::Gone => {
            "The program does not call accept() in time, and is nearly out of file descriptors: at \
             the limit, accept() fails."
        }
        Descriptors::Enough if finding.workers.are_all_taken() => {
            return with_those_who_left(
                finding,
                format!(
                    "All {} workers are busy with connections that they have accepted{}, and none \
                     calls accept(): more workers or faster answers are needed.",
                    finding.workers.total,
                    if finding.workers.share_a_lock() {
                        ", most of them waiting for one lock"
                    } else {
                        ""
                    }
                ),
            );
        }
        Descriptors::Enough => {
            "The program does not call accept() in time: consistent with a slow or blocked accept \
             loop, or with a backlog that is too long for its speed."
        }
    };
    with_those_who_left(finding, fault.to_owned())
}

pub(super) fn with_those_who_left(finding: &Finding, words: String) -> String {
    match finding.set.sockets {
        0 => words,
        _ if all_half_closed(&finding.set) => {
            format!(
                "{words} These peers sent their FIN together with their last byte: consistent with \
                 clients that have sent everything and wait for an answer."
            )
        }
        _ => format!("{words} These peers gave up while still queued."),
    }
}

pub(super) fn inherited(set: &SocketSet) -> String {
    let way = match set.kinship {
        Kinship::Related => "inherited by fork",
        Kinship::Unrelated => "passed on (SCM_RIGHTS)",
        Kinship::Unknown => "inherited by fork or passed on",
    };
    if set.by_weight.len() == 1 {
        return format!(
            "The process that holds these sockets cannot have created them: consistent with \
             descriptors {way}, whose creator has closed its own copies."
        );
    }
    let kin = match set.kinship {
        Kinship::Unrelated => ", and none of them descends from another",
        Kinship::Related | Kinship::Unknown => "",
    };
    format!(
        "More than one process holds these sockets{kin}: consistent with descriptors {way}. \
         Closing one copy does not close the connection."
    )
}

/// By what most of them are used for.
pub(super) fn half_close(set: &SocketSet) -> &'static str {
    let of = set.half_closed;
    let most = |some: u64| some.saturating_mul(2) > set.sockets;
    if most(of.unanswered) {
        "No fault: the peers have sent their requests, closed their direction, and wait. \
         Consistent with clients that close one direction only, and answers that are being worked \
         on."
    } else if most(of.shut) {
        "Legitimate so far: the peers closed one direction only, and their receive windows are \
         closed. They answer window probes. Consistent with slow readers."
    } else if of.certain == set.sockets {
        "Legitimate: the peer closed one direction only, and this side is still sending."
    } else {
        "Legitimate: an answer is being sent, or has just been sent. Consistent with peers that \
         closed one direction only and still read the answer."
    }
}

pub(super) fn never_closed(finding: &Finding) -> &'static str {
    let set = &finding.set;
    if set.idle.is_none() {
        return "End-of-file was read and close() was not called. The age is unknown (this source does \
             not show it), so this may be normal teardown. Look again: sockets that remain are \
             consistent with a leak.";
    }
    if let Some((LegState::Kept, _)) = set.all_pair() {
        return "Each pairs with an open connection of the same program that carried the same \
                bytes: consistent with a proxy that does not pass on the close.";
    }
    if all_half_closed(set) {
        return "The peers have sent their requests and closed their direction, and nothing was sent \
             to them since: consistent with handlers that hang, take very long, or ended without \
             an answer and without close().";
    }
    if set.peers.waiting == set.sockets {
        return "The peers closed one direction only and wait: consistent with answers that are \
                still being worked on, or with a leak.";
    }
    let is_awaited = set.requests.iter().any(|requests| requests.unanswered > 0);
    let all_idle = finding.workers.are_all_idle() && !is_awaited && !is_of(finding, Runtime::Node);
    if all_idle || finding.stacks.nobody_works {
        return "End-of-file was read, close() was never called, and no thread works on these sockets: \
             consistent with a leak, such as an error path that does not close.";
    }
    match (set.end.side(), set.unanswered) {
        (Some(Side::Server), Some(unanswered))
            if unanswered == set.sockets && may_serve_http(finding) =>
        {
            if finding.stacks.main().is_some() {
                "The peers left while their request was being worked on, and the handlers have \
                 neither answered nor returned: consistent with handlers that wait for a lock or \
                 for another service, or with a leak."
            } else {
                "The peers left while their request was being worked on, and the handlers have \
                 neither answered nor returned: consistent with handlers that wait for a lock or \
                 for another service, or with a leak. The stacks of their goroutines show which."
            }
        }
        (Some(Side::Server), Some(unanswered)) if unanswered == set.sockets => {
            "End-of-file was read and close() was not called. Nothing was sent since the last byte \
             came in: consistent with a leak, or with handlers that still work for peers that have \
             left."
        }
        _ => {
            "End-of-file was read and close() was never called: consistent with a leak, such as an \
             error path that does not close."
        }
    }
}

/// Whether the program has this runtime. Go reads end-of-file while its handler works; Node does
/// all its work in its event loop, whatever its other threads wait for.
pub(super) fn is_of(finding: &Finding, runtime: Runtime) -> bool {
    let mut evidence = finding.evidence.iter();
    evidence.any(|evidence| evidence.runtime == runtime)
}

/// Whether no thread, goroutine or task runs or waits for another service.
fn are_all_inside(finding: &Finding) -> bool {
    finding.workers.are_all_parked()
        && !finding.stacks.await_a_service()
        && !is_of(finding, Runtime::Node)
}

/// Whether a Go program may serve HTTP: net/http reads end-of-file while a handler works.
fn may_serve_http(finding: &Finding) -> bool {
    let mut evidence = finding.evidence.iter();
    let is_of_go = |evidence: &Evidence| evidence.runtime == Runtime::Go;
    evidence.any(|evidence| is_of_go(evidence) && serves_http(evidence) != Some(false))
}

pub(super) fn slow_handler(finding: &Finding) -> &'static str {
    let set = &finding.set;
    if all_silent(set) && finding.workers.all_watch() {
        "The peers connected, sent nothing and left, and the program has not read the connections \
         since, though it waits for connections or events: consistent with connections that it does \
         not watch, or with handlers that wait for something else."
    } else if all_silent(set) {
        "The peers connected, sent nothing and left, and the program has not read the connections \
         since: consistent with workers that are all busy."
    } else if all_half_closed(set) {
        "The peers have sent their requests and closed their direction, and nothing was sent to \
         them since: consistent with handlers that hang or take very long."
    } else if are_all_inside(finding) {
        "Nothing was sent since the last byte came in, and no thread runs or waits for another \
         service: consistent with handlers that wait for a lock or sleep, or with requests that no \
         thread works on any more."
    } else {
        "Nothing was sent since the last byte came in: consistent with peers that gave up while \
         their request was being worked on (slow responses, or a timeout set too small)."
    }
}

pub(super) fn not_reading(finding: &Finding) -> &'static str {
    if is_close_notify(finding) {
        "Each has the same number of unread bytes: consistent with a TLS close_notify on \
         connections that the program has not read since."
    } else if finding.set.end.side() == Some(Side::Client) {
        "Data lies unread: consistent with response bodies that are neither read nor closed."
    } else if is_unwatched(finding) {
        "Data lies unread, and the event loop does not watch these connections: consistent with \
         reading that was paused and not resumed."
    } else if are_all_inside(finding) {
        "Data lies unread, and no thread runs or waits for another service: consistent with \
         workers that all wait for a lock or sleep."
    } else {
        "Data lies unread: consistent with an application that is stalled or whose workers are all \
         busy."
    }
}
