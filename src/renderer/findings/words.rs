//! What a finding is and what it means, in a sentence or two.

use std::net::IpAddr;

use crate::classifier::Report;
use crate::classifier::close_notify::is_close_notify;
use crate::classifier::culprit::{self, Culprit, Descriptors};
use crate::classifier::finding::{Finding, ServiceEnd, SocketSet, SumKey};
use crate::classifier::group::{ServedAt, Service};
use crate::classifier::pairs::LegState;
use crate::classifier::socket_set::Kinship;
use crate::classifier::spin::Spin;
use crate::model::{Cause, Evidence, Missing, Runtime, Side};
use crate::renderer::findings::epoll::is_unwatched;
use crate::renderer::findings::far;
use crate::renderer::findings::halt;
use crate::renderer::findings::pool;
use crate::renderer::findings::reload;
use crate::renderer::findings::spin;
use crate::renderer::findings::waiting;
use crate::renderer::names::{self, process};
use crate::renderer::units;

/// One line: how many, whose, where, since when.
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
    let age = match set.idle {
        Some(_) if set.is_age_missing() => {
            let why = if set.uncounted_fins > 0 {
                "MPTCP"
            } else {
                "keepalive"
            };
            format!(", age unknown ({why})")
        }
        Some(idle) => format!(", ≥ {}", units::duration(idle.p50_ms)),
        None => String::new(),
    };
    let plural = if set.sockets == 1 { "" } else { "s" };
    let one = match (&finding.queue, set.cause) {
        (_, Cause::DeadDescriptors) => {
            format!("{count} TCP descriptor{plural} of {owner} without a connection")
        }
        (Some(queue), Cause::NotAccepted) => {
            let limit = queue
                .limit
                .map_or("?".to_owned(), |limit| units::count(limit.into()));
            let waited = queue.oldest_ms.map_or(String::new(), |oldest| {
                format!("; the oldest has waited ≥ {}", units::duration(oldest))
            });
            let given_up = match (queue.unaccepted, queue.close_wait) {
                (0, _) => String::new(),
                (_, 0) => ", nobody has given up yet".to_owned(),
                (_, some) if all_half_closed(set) => {
                    format!(", {} of them in CLOSE_WAIT", units::count(some))
                }
                (_, some) => format!(", {} already given up", units::count(some)),
            };
            format!(
                "{owner} has not accepted {} connection{} {end}: {}accept queue {} of {limit}{given_up}{waited}",
                units::count(queue.waiting()),
                if queue.waiting() == 1 { "" } else { "s" },
                if queue.sockets > 1 { "fullest " } else { "" },
                units::count(queue.now.into()),
            )
        }
        (_, Cause::PeerNotClosed) => {
            let verb = if set.sockets == 1 { "waits" } else { "wait" };
            let dead = match finding.dead {
                0 => String::new(),
                dead => format!("; {} descriptors without a connection", units::count(dead)),
            };
            format!(
                "{count} FIN_WAIT2 socket{plural} of {owner} {end} {verb} for the other end{age}{dead}"
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
        text if text.starts_with('?') => "a process that may not be seen".to_owned(),
        text => text.trim_end_matches(" (not accepted)").to_owned(),
    }
}

pub(super) fn end(end: ServiceEnd) -> String {
    end_on(end, "")
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

fn end_on(end: ServiceEnd, on: &str) -> String {
    match end {
        ServiceEnd::One(one) => service(one, on),
        ServiceEnd::Several(Some(Side::Server), ports) => {
            format!("on {} ports", units::count(ports.into()))
        }
        ServiceEnd::Several(Some(Side::Client), remotes) => {
            format!("to {} remote ends", units::count(remotes.into()))
        }
        ServiceEnd::Several(None, hosts) => format!("with {} hosts", units::count(hosts.into())),
    }
}

fn service(service: Service, on: &str) -> String {
    match service.at {
        ServedAt::Local(0) => format!("on many ports{on}"),
        ServedAt::Local(port) => format!("on {on}:{port}"),
        ServedAt::Remote(remote) if remote.port == 0 => {
            format!("to many ports of {}{on}", remote.addr)
        }
        ServedAt::Remote(remote) => match remote.addr {
            IpAddr::V4(addr) => format!("to {addr}{on}:{}", remote.port),
            IpAddr::V6(addr) => format!("to [{addr}]{on}:{}", remote.port),
        },
        ServedAt::Unknown(addr) => format!("with {addr}{on}"),
    }
}

/// What the cause means, in a sentence or two.
pub fn meaning(finding: &Finding) -> String {
    if let Some(awaited) = &finding.set.waiting {
        return waiting::meaning(&finding.set, awaited);
    }
    match finding.set.missing.as_slice() {
        [] => {
            let words = meaning_of(finding, finding.set.cause);
            match reload::meaning(finding) {
                Some(more) => format!("{words} {more}"),
                None => words,
            }
        }
        // Who cannot run does nothing, whatever else is not known.
        _ if !finding.set.is_age_missing()
            && let Some(Culprit::Halted(_, hold)) = finding.culprit =>
        {
            halt::meaning(hold, finding.halted)
        }
        _ if !finding.set.is_age_missing()
            && let Some(Culprit::Spinning(_, Spin::Idle)) = finding.culprit =>
        {
            spin::meaning("Nobody has looked at these connections again", Spin::Idle)
        }
        missing => unclear(finding, missing),
    }
}

/// Which facts are missing, and what they would decide.
fn unclear(finding: &Finding, missing: &[(Missing, u64)]) -> String {
    let set = &finding.set;
    let mut sentences = Vec::new();
    let otherwise: Vec<(Cause, u64)> = missing
        .iter()
        .filter_map(|(missing, count)| match missing {
            Missing::Age(cause) | Missing::Owner(cause) => Some((*cause, *count)),
            _ => None,
        })
        .collect();
    if set.is_age_missing() {
        let since = match set.at_most_ms {
            Some(most) => format!("up to {} ago", units::duration(most)),
            None => "long ago".to_owned(),
        };
        let then = match causes(&otherwise) {
            Some(causes) => format!("is {causes}"),
            None => "lingers".to_owned(),
        };
        let renewed = match set.uncounted_fins {
            0 => "Answers to keepalive",
            _ => "Acknowledgements of subflows",
        };
        sentences.push(format!(
            "{renewed} reset the time that would show the age: the peers closed a moment ago, as \
             in any healthy close, or at any time since their last byte, {since}. Look again \
             after the grace: what is still there {then}."
        ));
    } else if let Some(causes) = causes(&otherwise) {
        let words = match otherwise.as_slice() {
            [(cause, _)] => format!(": {}", meaning_of(finding, *cause)),
            _ => ".".to_owned(),
        };
        sentences.push(format!(
            "The holders of these sockets were not seen, and copies that a child inherited look \
             the same. If there are none, the cause is {causes}{words}"
        ));
    }
    let other = missing.iter().filter_map(|(missing, _)| match missing {
        Missing::Age(_) | Missing::Owner(_) => None,
        Missing::Order => Some(
            "The last bytes in and out are within one tick of the kernel's clock: nothing shows \
             whether the last request was answered.",
        ),
        Missing::Side => Some(
            "Nothing shows which end opened these connections: an idle pool that the server closed \
             and requests that nobody answered look alike.",
        ),
        Missing::Eof => Some(
            "MPTCP does not show whether end-of-file was read: consistent with a leak, or with \
             connections that nobody looked at again. Either way, the program does not close what \
             stays.",
        ),
        Missing::Times => Some(
            "The facts that would decide are missing: no tcp_info came with these sockets. Read \
             them through sock_diag (without --source procfs).",
        ),
        Missing::Queues => Some(
            "This kernel shows neither unread bytes nor bytes that wait to be sent (gVisor shows 0 \
             for both): only the state is known. Ask the program.",
        ),
    });
    sentences.extend(other.map(str::to_owned));
    sentences.join(" ")
}

/// `slow-handler`, `slow-handler (120) or abandoned (7)`; `None` where one would be unclear too.
fn causes(causes: &[(Cause, u64)]) -> Option<String> {
    match causes {
        [] | [(Cause::Unclear, _)] => None,
        [(cause, _)] => Some(cause.to_string()),
        several => {
            let each = several
                .iter()
                .map(|(cause, count)| format!("{cause} ({})", units::count(*count)));
            Some(each.collect::<Vec<String>>().join(" or "))
        }
    }
}

fn meaning_of(finding: &Finding, cause: Cause) -> String {
    let set = &finding.set;
    if let Some(words) = finding
        .culprit
        .and_then(|culprit| culprit_words(finding, cause, culprit))
    {
        return words;
    }
    if let Some(words) = pool::meaning(finding) {
        return words;
    }
    let words = match cause {
        Cause::Transient => "Normal teardown: the peer closed a moment ago.",
        Cause::NotAccepted => return not_accepted(finding),
        Cause::HalfClose => half_close(set),
        Cause::SendStuck if set.half_closed.shut == set.sockets => {
            "The peers have taken nothing for minutes: they have no room, and say so whenever they \
             are asked. Consistent with peers that do not read any more. Nothing ends this by itself."
        }
        Cause::SendStuck => {
            "The last answer is not being taken by the peer. Unanswered retransmissions end by \
             themselves (tcp_retries2); a closed window that answers probes never does."
        }
        Cause::Inherited => return inherited(set),
        Cause::NeverClosed => never_closed(finding),
        Cause::SlowHandler => slow_handler(finding),
        Cause::Abandoned if all_silent(set) => {
            "This side spoke first, no byte ever came in, and nobody looked at the socket again: \
             consistent with port scans or health checks that the program does not notice."
        }
        Cause::Abandoned => {
            "The last request was answered, then nobody looked at the socket again: consistent \
             with a connection dropped from the event loop, or a keep-alive that is never read."
        }
        Cause::NotReading => not_reading(finding),
        Cause::StalePool => return pool::either(finding).to_owned(),
        Cause::Unclear => "A fact that would decide is missing.",
        Cause::PeerNotClosed => "The remote end has not closed.",
        Cause::DeadDescriptors => {
            "The sockets of these descriptors are in no table: their connections were reset, timed \
             out or never made. The program has not closed them: consistent with a leak that no \
             socket listing shows."
        }
    };
    words.to_owned()
}

/// What is to be seen of sockets of a cause that somebody else than the program may explain.
fn seen(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::NotAccepted => "The program does not call accept() in time",
        Cause::SlowHandler => "Nothing was sent since the last byte came in",
        Cause::NotReading => "Data lies unread",
        Cause::NeverClosed => "End-of-file was read and close() has not come",
        Cause::Abandoned => "The last request was answered, and end-of-file was not read",
        Cause::StalePool => "The server closed these connections, and end-of-file was not read",
        Cause::HalfClose => "The peers closed one direction only, and wait",
        Cause::Transient
        | Cause::SendStuck
        | Cause::Inherited
        | Cause::Unclear
        | Cause::DeadDescriptors
        | Cause::PeerNotClosed => return None,
    })
}

/// What it means where somebody else explains the cause; the same words for every cause.
fn culprit_words(finding: &Finding, cause: Cause, culprit: Culprit) -> Option<String> {
    let seen = seen(cause)?;
    let words = match culprit {
        Culprit::Halted(_, hold) => halt::meaning(hold, finding.halted),
        Culprit::FileLock(_) => format!(
            "{seen}, and the threads that should serve wait for a lock on a file: whoever holds it \
             keeps them."
        ),
        Culprit::Throttled(_) => format!(
            "{seen}, and the control group of the program used up its share of the processors: \
             consistent with a limit (CPU quota) that is too small for this work."
        ),
        Culprit::NoDescriptors => {
            "The process has no file descriptors left, so accept() fails: consistent with EMFILE."
                .to_owned()
        }
        Culprit::Backend(remote) => {
            let end = far::end(finding).map_or(String::new(), |end| format!(" {end}"));
            format!(
                "{seen}, and {} for {remote}: consistent with a slow service behind this one.{end}",
                who_waits(finding)
            )
        }
        Culprit::Blocked(_) => format!(
            "{seen}, and the event loop that watches the connections does not run: consistent with \
             a call in it that blocks{}.",
            match finding.workers.waits.first() {
                Some(common) => format!(" ({})", common.call),
                None => String::new(),
            }
        ),
        Culprit::Lock(_) => format!(
            "{seen}, and {} for a lock that is not given up: whoever has it must act.",
            who_waits(finding)
        ),
        Culprit::FarEnd(end) if finding.set.relayed_to.is_some() => format!(
            "{seen}. When these peers closed, the program closed its direction of as many \
             connections {}, and waits there: consistent with a proxy whose two legs carry \
             different bytes (TLS, headers). Then the fault is at that end; else close() is missing \
             here.",
            end_on(end, "")
        ),
        Culprit::FarEnd(end) => format!(
            "The program has passed the close on, and waits for the other end of its connections \
             {} to close: the fault is there.{}",
            end_on(end, ""),
            far::end(finding).map_or(String::new(), |end| format!(" {end}"))
        ),
        Culprit::Exhausted(end) => format!(
            "{seen}, and the program has no connection {} left: consistent with a pool that is \
             exhausted. The stacks of the threads that wait tell.",
            end_on(end, "")
        ),
        Culprit::Spinning(_, spin) => spin::meaning(seen, spin),
        Culprit::Sleepers if is_helper(finding) => {
            "The holder of the listener is a program that never listens: consistent with a helper \
             that inherited the listener from a server that is gone. As long as it lives, \
             connections queue up and the port stays taken."
                .to_owned()
        }
        Culprit::Sleepers => {
            "Whoever holds the listener sleeps, and nobody accepts: consistent with a server that \
             sleeps or waits for a child, or with a helper that inherited the listener from a server \
             that is gone."
                .to_owned()
        }
    };
    Some(match cause {
        Cause::NotAccepted => with_those_who_left(finding, words),
        Cause::NeverClosed if may_leak_too(finding, culprit) => {
            format!("{words} Whatever stays once that has answered is a leak.")
        }
        _ => words,
    })
}

/// Whether connections at whose end somebody looked may stay though the service behind answers.
/// Go looks for it while a handler is at work.
fn may_leak_too(finding: &Finding, culprit: Culprit) -> bool {
    matches!(culprit, Culprit::Backend(_))
        && finding.set.all_pair().is_none()
        && !is_of(finding, Runtime::Go)
}

/// `all 4 workers wait`.
fn who_waits(finding: &Finding) -> String {
    let workers = &finding.workers;
    let held_up = match (finding.culprit, workers.backend(), workers.contended_lock()) {
        (Some(Culprit::Backend(remote)), Some((other, common)), _) if remote == other => {
            common.workers
        }
        (Some(Culprit::Lock(_)), _, Some((contended_lock, _))) => contended_lock.workers,
        _ => 0,
    };
    match workers.total {
        2 if held_up == 2 => "both workers wait".to_owned(),
        2.. if held_up == workers.total => format!("all {held_up} workers wait"),
        _ if matches!(finding.culprit, Some(Culprit::Lock(_))) => {
            "most of its threads wait".to_owned()
        }
        _ => "the program waits".to_owned(),
    }
}

/// Whether everybody who holds the listener runs a program that cannot have made it.
pub(super) fn is_helper(finding: &Finding) -> bool {
    /// Shells and tools that never listen.
    const NEVER: [&str; 11] = [
        "bash", "cat", "dash", "logger", "nohup", "sh", "sleep", "su", "sudo", "tail", "tee",
    ];
    let never = |evidence: &Evidence| {
        let exe = evidence.inside.exe.as_ref();
        let name = exe.and_then(|exe| exe.bytes().rsplit(|byte| *byte == b'/').next());
        name.is_some_and(|name| NEVER.iter().any(|never| never.as_bytes() == name))
    };
    !finding.evidence.is_empty() && finding.evidence.iter().all(never)
}

fn not_accepted(finding: &Finding) -> String {
    let fault = match culprit::descriptors(&finding.evidence) {
        Descriptors::Short | Descriptors::Gone => {
            "The program does not call accept() in time, and is nearly out of file descriptors: \
             at the limit accept() fails altogether."
        }
        Descriptors::Enough if finding.workers.are_all_taken() => {
            return with_those_who_left(
                finding,
                format!(
                    "All {} workers are taken up by connections that they have accepted{}, and \
                     none calls accept(): more workers are needed, or faster answers.",
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
             loop, or a backlog longer than it can serve."
        }
    };
    with_those_who_left(finding, fault.to_owned())
}

fn with_those_who_left(finding: &Finding, words: String) -> String {
    match finding.set.sockets {
        0 => words,
        _ if all_half_closed(&finding.set) => {
            format!(
                "{words} These peers sent their FIN along with their last byte: consistent with ones \
                 that have no more to say and wait for an answer."
            )
        }
        _ => format!("{words} These peers gave up while still queued."),
    }
}

/// Whether all sent their FIN along with a request, or are seen to wait: none of them gave up.
fn all_half_closed(set: &SocketSet) -> bool {
    set.sockets > 0 && set.half_closed.unanswered == set.sockets
}

fn inherited(set: &SocketSet) -> String {
    let way = match set.kinship {
        Kinship::Related => "inherited by fork",
        Kinship::Unrelated => "passed on (SCM_RIGHTS)",
        Kinship::Unknown => "inherited by fork or passed on",
    };
    if set.by_weight.len() == 1 {
        return format!(
            "The process that holds these sockets cannot have made them: consistent with \
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

/// By what most of them are in use for.
fn half_close(set: &SocketSet) -> &'static str {
    let of = set.half_closed;
    let most = |some: u64| some.saturating_mul(2) > set.sockets;
    if most(of.unanswered) {
        "No fault: the peers have asked, have no more to say, and wait. Consistent with clients that \
         close one direction only, and an answer that is being worked on."
    } else if most(of.shut) {
        "Legitimate so far: the peers closed one direction only, and have no room for more of the \
         answer. They say so whenever they are asked. Consistent with slow readers."
    } else if of.certain == set.sockets {
        "Legitimate: the peer closed one direction only, and this side still sends."
    } else {
        "Legitimate: an answer is going out, or has just come to its end. Consistent with peers that \
         closed one direction only and take the answer."
    }
}

fn never_closed(finding: &Finding) -> &'static str {
    let set = &finding.set;
    if set.idle.is_none() {
        return "End-of-file was read and close() has not come. Their age is not known (this source \
                does not show it): this may be ordinary teardown. Look twice; what stays is \
                consistent with a leak.";
    }
    if let Some((LegState::Kept, _)) = set.all_pair() {
        return "Each pairs with an open connection of the same program that carried the same \
                bytes: consistent with a proxy that does not pass on the close.";
    }
    if all_half_closed(set) {
        return "The peers have asked, have no more to say, and were sent nothing since: consistent \
                with handlers that hang, take very long, or ended without an answer and without \
                close().";
    }
    if set.peers.waiting == set.sockets {
        return "The peers closed one direction only and wait: consistent with answers that are \
                still being worked on, or with a leak.";
    }
    if finding.workers.are_all_idle() {
        return "End-of-file was read and close() never came, and no thread is at work on them: \
                consistent with a leak, such as an error path that does not close.";
    }
    match (set.end.side(), set.unanswered) {
        (Some(Side::Server), Some(unanswered))
            if unanswered == set.sockets && is_of(finding, Runtime::Go) =>
        {
            "The peers left while their request was being worked on, and the handlers have neither \
             answered nor returned: consistent with handlers that wait, for a lock or for another \
             service, or with a leak. What they do is told by their goroutines."
        }
        (Some(Side::Server), Some(unanswered)) if unanswered == set.sockets => {
            "End-of-file was read and close() has not come. Nothing was sent since the last byte \
             came in: consistent with a leak, or with handlers that still work for peers that \
             have gone."
        }
        _ => {
            "End-of-file was read and close() never came: consistent with a leak, such as an error \
             path that does not close."
        }
    }
}

/// Whether this runs the program. Go reads the end of a connection while its handler works; what
/// Node does it does in its event loop, whatever its other threads wait for.
fn is_of(finding: &Finding, runtime: Runtime) -> bool {
    let mut evidence = finding.evidence.iter();
    evidence.any(|evidence| evidence.runtime == runtime)
}

fn slow_handler(finding: &Finding) -> &'static str {
    let set = &finding.set;
    if all_silent(set) {
        "The peers connected, sent nothing and left, and the program has not looked since: \
         consistent with workers that are all busy."
    } else if all_half_closed(set) {
        "The peers have asked, have no more to say, and were sent nothing since: consistent with \
         handlers that hang or take very long."
    } else if finding.workers.are_all_parked() && !is_of(finding, Runtime::Node) {
        "Nothing was sent since the last byte came in, and no thread runs or waits for another \
         service: consistent with handlers that wait for a lock or sleep, or that nobody is at work \
         on any more."
    } else {
        "Nothing was sent since the last byte came in: consistent with peers that gave up while \
         their request was being worked on (slow responses, or a timeout set too small)."
    }
}

fn not_reading(finding: &Finding) -> &'static str {
    if is_close_notify(finding) {
        "As many bytes lie unread on each: consistent with a TLS close_notify on connections \
         that nobody looked at again."
    } else if finding.set.end.side() == Some(Side::Client) {
        "Data lies unread: consistent with response bodies that are neither read nor closed."
    } else if is_unwatched(finding) {
        "Data lies unread, and the event loop does not watch these connections: consistent with \
         reading that was paused and not taken up again."
    } else if finding.workers.are_all_parked() && !is_of(finding, Runtime::Node) {
        "Data lies unread, and no thread runs or waits for another service: consistent with \
         workers that all wait for a lock, or sleep."
    } else {
        "Data lies unread: consistent with an application that is stalled, or whose workers are \
         all busy."
    }
}

pub(super) fn all_silent(set: &SocketSet) -> bool {
    set.silent == Some(set.sockets)
}

/// Who holds inherited sockets.
pub(super) fn holders_line(report: &Report<'_>, set: &SocketSet) -> String {
    let names: Vec<String> = set
        .by_weight
        .iter()
        .take(3)
        .map(|pid| process(report, *pid))
        .collect();
    let more = match set.by_weight.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" +{more}"),
    };
    match names.as_slice() {
        [name] => {
            format!(
                "held by {name} alone, which the server started, or which began after they had \
                 carried data"
            )
        }
        names => format!("held by {}{more}", names.join(", ")),
    }
}
