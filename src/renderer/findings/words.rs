//! What a finding is and what it means, in a sentence or two.

use super::super::{escape, groups, units};
use crate::classifier::Report;
use crate::classifier::finding::{Finding, Set};
use crate::classifier::group::Service;
use crate::model::{Cause, Endpoint, Pid, Runtime, Side, WaitTarget};

/// The share of a limit, in percent, from which on the limit is as good as reached.
pub(super) const LIMIT_PERCENT: u64 = 90;
/// The share of one processor, in percent, from which on a thread is spinning: a sample is a few
/// ticks long, and one may be lost.
pub(super) const SPINNING_PERCENT: f64 = 85.0;
/// A close_notify alert of TLS: 24 bytes with TLS 1.3, up to 53 before, and some with a MAC.
pub(super) const CLOSE_NOTIFY: std::ops::RangeInclusive<u32> = 24..=70;

/// One line: how many, whose, where, since when.
pub fn summary(report: &Report<'_>, finding: &Finding) -> String {
    let set = &finding.set;
    let count = units::count(set.sockets);
    let owner = owner(report, finding);
    let end = service(set.service);
    let age = match set.idle {
        Some(idle) => format!(", ≥ {}", units::duration(idle.p50_ms)),
        None => String::new(),
    };
    let plural = if set.sockets == 1 { "" } else { "s" };
    match (&finding.queue, set.cause) {
        (Some(queue), Cause::NotAccepted) => {
            let limit = queue
                .limit
                .map_or("?".to_owned(), |limit| units::count(limit.into()));
            let waited = queue.oldest_ms.map_or(String::new(), |oldest| {
                format!(", the oldest ≥ {}", units::duration(oldest))
            });
            format!(
                "{owner} has not accepted {} connection{} {end}: accept queue {} of {limit}, {} already given up{waited}",
                units::count(queue.unaccepted),
                if queue.unaccepted == 1 { "" } else { "s" },
                units::count(queue.now.into()),
                units::count(queue.close_wait),
            )
        }
        _ => format!("{count} CLOSE_WAIT socket{plural} of {owner} {end}{age}"),
    }
}

pub(super) fn owner(report: &Report<'_>, finding: &Finding) -> String {
    match groups::owner_of(report, &finding.set.owner).as_str() {
        "-" if finding.set.owner.kind.is_none() => "a process (owners were not read)".to_owned(),
        text if text.starts_with('?') => "a process that may not be seen".to_owned(),
        text => text.trim_end_matches(" (not accepted)").to_owned(),
    }
}

pub(super) fn service(service: Service) -> String {
    match service {
        Service::Local(port) => format!("on :{port}"),
        Service::Remote(remote) => format!("to {remote}"),
    }
}

/// What the cause means, in a sentence or two.
pub fn meaning(finding: &Finding) -> String {
    let set = &finding.set;
    match set.cause {
        Cause::Transient => "Normal teardown: the peer closed a moment ago.".to_owned(),
        Cause::NotAccepted => {
            if emfile(finding) {
                "The process has no file descriptors left, so accept() fails: consistent with EMFILE. The peers gave up in the queue.".to_owned()
            } else {
                "The program does not call accept() in time; peers give up while still queued. Consistent with a slow or blocked accept loop, or a backlog longer than it can serve.".to_owned()
            }
        }
        Cause::HalfClose => {
            "Legitimate: the peer closed one direction only, and this side still sends.".to_owned()
        }
        Cause::SendStuck => "The last answer is not being taken by the peer: the kernel retransmits or probes, and gives up after tcp_retries2 attempts.".to_owned(),
        Cause::Inherited => "More than one process holds these sockets, or one that is younger than they are: consistent with descriptors inherited by fork. Closing one copy does not close the connection.".to_owned(),
        Cause::NeverClosed if set.unanswered == Some(set.sockets) => {
            "End-of-file was read and close() has not come. Nothing was sent since the last byte came in: consistent with a leak, or with handlers that still work for peers that have gone.".to_owned()
        }
        Cause::NeverClosed => "End-of-file was read and close() never came: consistent with a leak, such as an error path that does not close.".to_owned(),
        Cause::StalePool => "Consistent with a pool of idle connections that the server has closed: harmless until one is reused, and bounded by the pool's size.".to_owned(),
        Cause::SlowHandler if all_silent(set) => "The peers connected, sent nothing and left, and the program has not looked since: consistent with workers that are all busy.".to_owned(),
        Cause::SlowHandler if awaited(finding).is_some() => "The peers gave up while their request was being worked on, and most threads wait for another service: consistent with a slow service behind this one.".to_owned(),
        Cause::SlowHandler => "The peers gave up while their request was being worked on: consistent with slow responses, or a timeout set too small.".to_owned(),
        Cause::Abandoned => "The last request was answered, then nobody looked at the socket again: consistent with a connection dropped from the event loop, or a keep-alive that is never read.".to_owned(),
        Cause::NotReading if close_notify(set) => "The same few bytes lie unread on each: consistent with a TLS close_notify that a pool does not read.".to_owned(),
        Cause::NotReading if spinning(finding).is_some() => "Data lies unread while a thread uses a whole processor: consistent with a dead loop.".to_owned(),
        Cause::NotReading if awaited(finding).is_some() => "Data lies unread while most threads wait for another service: consistent with workers that are all taken by a slow service behind this one.".to_owned(),
        Cause::NotReading => "Data lies unread: the application is stalled, or its workers are all busy.".to_owned(),
        Cause::Unclear => "The facts that would decide are missing: no tcp_info came with these sockets. Read them through sock_diag (as root, without --source procfs).".to_owned(),
    }
}

pub(super) fn all_silent(set: &Set) -> bool {
    set.silent == Some(set.sockets)
}

pub(super) fn close_notify(set: &Set) -> bool {
    let unread = set.recv_q.max.saturating_sub(1);
    set.recv_q_min == set.recv_q.max
        && CLOSE_NOTIFY.contains(&unread)
        && set.service.side() == Side::Client
}

pub(super) fn emfile(finding: &Finding) -> bool {
    finding.evidence.iter().any(|evidence| {
        evidence
            .open_fds
            .zip(evidence.fd_limit.flatten())
            .is_some_and(|(open, limit)| open * 100 >= limit * LIMIT_PERCENT)
    })
}

pub(super) fn spinning(finding: &Finding) -> Option<(Pid, f64)> {
    finding
        .evidence
        .iter()
        .filter_map(|evidence| evidence.cpu.as_ref()?.busiest)
        .find(|(_, percent)| *percent >= SPINNING_PERCENT)
}

/// The remote end that most of the threads of an owner wait for.
pub(super) fn awaited(finding: &Finding) -> Option<Endpoint> {
    finding.evidence.iter().find_map(|evidence| {
        let total = evidence.threads?.total;
        let wait = evidence.waits.as_ref()?.first()?;
        let most = wait.threads > 1 && wait.threads * 2 > total;
        match wait.target {
            Some(WaitTarget::Remote(remote)) if most => Some(remote),
            _ => None,
        }
    })
}

/// `java[1234]`, made safe for a terminal.
pub(super) fn process(report: &Report<'_>, pid: Pid) -> String {
    match report.holders().name(pid) {
        Some(name) => format!("{}[{pid}]", escape::text(name.bytes())),
        None => format!("process {pid}"),
    }
}

/// The name in JSON and in words.
pub fn runtime_name(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Java => "java",
        Runtime::Python => "python",
        Runtime::Node => "node",
        Runtime::Go => "go",
        Runtime::Ruby => "ruby",
        Runtime::Php => "php",
        Runtime::Nginx => "nginx",
        Runtime::Native => "native",
    }
}
