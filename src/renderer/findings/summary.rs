//! A finding in one line: how many sockets, of which process, where, and for how long.

use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::classifier::queue::Queue;
use crate::classifier::service::Service;
use crate::classifier::service::ServiceEnd;
use crate::classifier::socket_set::{SocketSet, SumKey};
use crate::model::Cause;
use crate::renderer::findings::set::{all_half_closed, end_on, service};
use crate::renderer::names;
use crate::renderer::units::{self, plural};

/// One line: how many sockets, of which process, where, and for how long.
pub fn summary(report: &Report<'_>, finding: &Finding) -> String {
    let set = &finding.set;
    let count = units::count(set.sockets);
    let owner = owner(report, finding);
    let on = match set.end {
        ServiceEnd::One(service) => on(report, set.netns, service),
        ServiceEnd::Several(..) => String::new(),
    };
    let mut end = end_on(set.end, &on);
    let is_somewhere = set.cause != Cause::DeadDescriptors;
    if is_somewhere && report.snapshot.only_namespace().is_none() {
        end.push_str(&format!(" in {}", names::netns_of(report, set.netns)));
    }
    let age = age(set);
    let plural = plural(set.sockets);
    let one = match (&finding.queue, set.cause) {
        (_, Cause::DeadDescriptors) => {
            format!("{count} TCP descriptor{plural} of {owner} without a connection")
        }
        (Some(queue), Cause::NotAccepted) => unaccepted(set, queue, &owner, &end),
        (_, Cause::PeerNotClosed) => {
            let verb = if set.sockets == 1 { "waits" } else { "wait" };
            let dead = match finding.dead {
                0 => String::new(),
                dead => format!("; {} descriptors without a connection", units::count(dead)),
            };
            format!(
                "{count} FIN_WAIT2 socket{plural} of {owner} {end} {verb} for the remote end to \
                 close{age}{dead}"
            )
        }
        _ => {
            let behind = match (set.fin_wait2(), set.far_end()) {
                (0, _) | (_, None) => String::new(),
                (behind, Some(far)) => format!(
                    " and {} FIN_WAIT2 {}",
                    units::count(behind),
                    end_on(far, "")
                ),
            };
            format!("{count} CLOSE_WAIT socket{plural} of {owner} {end}{behind}{age}")
        }
    };
    match &finding.sum {
        Some(sum) => format!(
            "{one}; {} in all {}",
            units::count(sum.sockets),
            whole(report, set.netns, &sum.of)
        ),
        None if !finding.parts.is_empty() => {
            let parts: u64 = finding.parts.iter().map(|part| part.sockets).sum();
            let all = units::count(set.sockets.saturating_add(parts));
            format!("{one}; {all} in all {end}")
        }
        None => one,
    }
}

/// `, for ≥13m`, by the median.
fn age(set: &SocketSet) -> String {
    match set.idle {
        Some(_) if set.is_age_missing() && set.uncounted_fins > 0 => {
            ", age unknown (MPTCP)".to_owned()
        }
        Some(_) if set.is_age_missing() => ", age unknown (keepalive)".to_owned(),
        Some(idle) => format!(", for ≥{}", units::duration(idle.p50_ms)),
        None => String::new(),
    }
}

/// The summary of connections that wait in an accept queue.
fn unaccepted(set: &SocketSet, queue: &Queue, owner: &str, end: &str) -> String {
    let limit = queue.limit.map(|limit| units::count(limit.into()));
    let limit = limit.unwrap_or("?".to_owned());
    let given_up = match (queue.unaccepted, queue.close_wait) {
        (0, _) => String::new(),
        (_, 0) => ", no peer has given up yet".to_owned(),
        (_, some) if all_half_closed(set) => {
            format!(", {} of them in CLOSE_WAIT", units::count(some))
        }
        (_, some) => format!(
            ", {} peer{} already gave up",
            units::count(some),
            plural(some)
        ),
    };
    let waited = queue.oldest_ms.map_or(String::new(), |oldest| {
        format!("; the oldest has waited ≥ {}", units::duration(oldest))
    });
    let fullest = if queue.sockets > 1 { "fullest " } else { "" };
    let (waiting, now) = (queue.waiting(), units::count(queue.now.into()));
    format!(
        "{owner} has not accepted {} connection{} {end}: {fullest}accept queue {now} of \
         {limit}{given_up}{waited}",
        units::count(waiting),
        plural(waiting),
    )
}

/// `on :5432`, `of postgres`.
fn whole(report: &Report<'_>, netns: u16, whole: &SumKey) -> String {
    match whole {
        SumKey::Service(of) => service(*of, &on(report, netns, *of)),
        SumKey::Program(of) => format!("of {}", of.name),
    }
}

pub(super) fn owner(report: &Report<'_>, finding: &Finding) -> String {
    match names::owner_of(report, &finding.set.owner).as_str() {
        "-" if finding.set.owner.kind.is_none() => "a process (owners were not read)".to_owned(),
        "-" => "no process".to_owned(),
        text if text.starts_with('?') => "a process that cannot be seen".to_owned(),
        text => text.trim_end_matches(" (not accepted)").to_owned(),
    }
}

/// `%eth0`, or nothing.
fn on(report: &Report<'_>, netns: u16, service: Service) -> String {
    names::on_device(
        report
            .snapshot
            .netns(netns)
            .device(service.device)
            .as_deref(),
    )
}
