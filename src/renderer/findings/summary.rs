//! A finding in a sentence: how many sockets, of which process, where, and for how long.

use crate::classifier::Report;
use crate::classifier::change::SetGrowth;
use crate::classifier::finding::Finding;
use crate::classifier::queue::Queue;
use crate::classifier::service::Service;
use crate::classifier::service::ServiceEnd;
use crate::classifier::socket_set::{SocketSet, SumKey};
use crate::model::Cause;
use crate::renderer::findings::owner::{owner, short_owner};
use crate::renderer::findings::set::{all_half_closed, end_on, service};
use crate::renderer::units::{self, plural};
use crate::renderer::{growth, names};

/// One line: how many sockets, of which process, where, and for how long.
pub fn summary(report: &Report<'_>, finding: &Finding) -> String {
    let set = &finding.set;
    let count = units::count(set.sockets);
    let owner = owner(report, finding);
    let end = end(report, finding);
    let age = age(set, "for ");
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
    let one = one + &growing(finding);
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

/// Fewer words than [`summary`] has, so that a finding is one line on a terminal.
pub fn brief(report: &Report<'_>, finding: &Finding) -> String {
    let set = &finding.set;
    let kind = match set.cause {
        Cause::DeadDescriptors => return summary(report, finding),
        Cause::PeerNotClosed => "FIN_WAIT2 socket",
        _ => "socket",
    };
    let place = place(report, finding);
    let one = match (&finding.queue, set.cause) {
        (Some(queue), Cause::NotAccepted) => format!("{place}, accept queue {}", fill(queue)),
        _ => {
            let of = match is_owner_read(finding) {
                true => " of",
                false => "",
            };
            let (count, plural) = (units::count(set.sockets), plural(set.sockets));
            let age = age(set, "");
            format!("{count} {kind}{plural}{of} {place}{age}")
        }
    };
    let one = one + &growing(finding);
    match &finding.sum {
        Some(sum) => {
            let of = whole(report, set.netns, &sum.of);
            format!("{one}; {} in all {of}", units::count(sum.sockets))
        }
        None => one,
    }
}

/// Which process, and where, short enough to begin lines with: `python3[3225] on :8084`.
pub fn subject(report: &Report<'_>, finding: &Finding) -> String {
    let process = finding.set.owner.pids.first();
    match (process, finding.set.cause) {
        (None, _) => place(report, finding),
        (Some(pid), Cause::DeadDescriptors) => names::process(report, *pid),
        (Some(pid), _) => format!("{} {}", names::process(report, *pid), end(report, finding)),
    }
}

/// Which processes, and where: `python3[3225] +1 (app.py) on :8084`; `on :8084` if owners were not
/// read.
pub fn place(report: &Report<'_>, finding: &Finding) -> String {
    let owner = match names::owner_of(report, &finding.set.owner) {
        text if text.starts_with('?') => "a hidden process".to_owned(),
        _ => short_owner(report, finding),
    };
    match finding.set.cause {
        Cause::DeadDescriptors => owner,
        _ if is_owner_read(finding) => format!("{owner} {}", end(report, finding)),
        _ => end(report, finding),
    }
}

fn is_owner_read(finding: &Finding) -> bool {
    finding.set.owner.kind.is_some()
}

/// Where: `on :8084`, with the namespace if there are several.
fn end(report: &Report<'_>, finding: &Finding) -> String {
    let set = &finding.set;
    let on = match set.end {
        ServiceEnd::One(service) => on(report, set.netns, service),
        ServiceEnd::Several(..) => String::new(),
    };
    let mut end = end_on(set.end, &on);
    let is_somewhere = set.cause != Cause::DeadDescriptors;
    if is_somewhere && report.snapshot.only_namespace().is_none() {
        end.push_str(&format!(" in {}", names::netns_of(report, set.netns)));
    }
    end
}

/// `, +294/min`, unless it is 0 or unknown.
fn growing(finding: &Finding) -> String {
    // Of a queue it would be the growth of those that gave up.
    let growth = finding.growth.as_ref().filter(|_| finding.queue.is_none());
    match growth.and_then(SetGrowth::per_minute) {
        Some(per_minute) if per_minute != 0.0 => format!(", {}/min", growth::rate(per_minute)),
        _ => String::new(),
    }
}

/// `, for ≥13m`, `, half of them for ≥13m`, with the word before the time.
fn age(set: &SocketSet, word: &str) -> String {
    match set.idle {
        Some(_) if set.is_age_missing() && set.uncounted_fins > 0 => {
            ", age unknown (MPTCP)".to_owned()
        }
        Some(_) if set.is_age_missing() => ", age unknown (keepalive)".to_owned(),
        Some(idle) => {
            let [least, median] = [idle.min_ms, idle.p50_ms].map(units::duration);
            // The others may be young.
            let half = match least == median {
                true => "",
                false => "half of them ",
            };
            format!(", {half}{word}≥{median}")
        }
        None => String::new(),
    }
}

/// The summary of connections that wait in an accept queue.
fn unaccepted(set: &SocketSet, queue: &Queue, owner: &str, end: &str) -> String {
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
        format!("; the oldest has waited ≥{}", units::duration(oldest))
    });
    let fullest = if queue.sockets > 1 { "fullest " } else { "" };
    let waiting = queue.waiting();
    format!(
        "{owner} has not accepted {} connection{} {end}: {fullest}accept queue \
         {}{given_up}{waited}",
        units::count(waiting),
        plural(waiting),
        fill(queue),
    )
}

/// `9 of 8`.
fn fill(queue: &Queue) -> String {
    let now = units::count(queue.now.into());
    let limit = queue.limit.map(|limit| units::count(limit.into()));
    format!("{now} of {}", limit.unwrap_or("?".to_owned()))
}

/// `on :5432`, `of postgres`.
fn whole(report: &Report<'_>, netns: u16, whole: &SumKey) -> String {
    match whole {
        SumKey::Service(of) => service(*of, &on(report, netns, *of)),
        SumKey::Program(of) => format!("of {}", of.name),
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
