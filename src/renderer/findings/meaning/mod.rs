//! What a finding means, in a sentence or two.

mod cause;
mod culprit;

pub(super) use self::culprit::is_helper;

use crate::classifier::culprit::Culprit;
use crate::classifier::finding::Finding;
use crate::classifier::spin::Spin;
use crate::model::{Cause, Missing};
use crate::renderer::findings::set::all_silent;
use crate::renderer::findings::{halt, pool, reload, spin, stacks, waiting};
use crate::renderer::units;

/// What the cause means, in a sentence or two.
pub fn meaning(finding: &Finding) -> String {
    if let Some(awaited) = &finding.set.waiting {
        return waiting::meaning(&finding.set, awaited);
    }
    match finding.set.missing.as_slice() {
        [] => {
            let words = of_cause(finding, finding.set.cause);
            let where_it_waits = stacks::sentence(finding).filter(|_| is_at_work(finding));
            let of_reload = reload::meaning(finding).map(str::to_owned);
            let more = [where_it_waits, of_reload];
            let sentences = [Some(words)].into_iter().chain(more).flatten();
            sentences.collect::<Vec<String>>().join(" ")
        }
        // A process that cannot run does nothing, whatever else is unknown.
        _ if !finding.set.is_age_missing()
            && let Some(Culprit::Halted(_, hold)) = finding.culprit =>
        {
            halt::meaning(hold, finding.halted)
        }
        _ if !finding.set.is_age_missing()
            && let Some(Culprit::Spinning(_, Spin::Idle)) = finding.culprit =>
        {
            spin::meaning("The program no longer reads these connections", Spin::Idle)
        }
        missing => unclear(finding, missing),
    }
}

/// Whether the cause is about work that is not done, so that it matters where the work waits.
pub(super) fn is_at_work(finding: &Finding) -> bool {
    match finding.set.cause {
        Cause::SlowHandler | Cause::NotAccepted | Cause::NotReading => true,
        // A handler may still be at work on them.
        Cause::NeverClosed => finding.set.unanswered == Some(finding.set.sockets),
        // Or all of its connections are in use.
        Cause::StalePool => matches!(finding.culprit, Some(Culprit::Exhausted(_))),
        _ => false,
    }
}

/// Which facts are missing, and what they would show.
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
            Some(causes) => format!("are {causes}"),
            None => "linger".to_owned(),
        };
        let renewed = match set.uncounted_fins {
            0 => "Replies to keepalive probes",
            _ => "Acknowledgements on subflows",
        };
        sentences.push(format!(
            "{renewed} hide the age: the peers may have closed a moment ago, as in a normal close, \
             or at any time since their last byte, {since}. Look again after the grace period: \
             sockets that are still there {then}."
        ));
    } else if let Some(causes) = causes(&otherwise) {
        let words = match otherwise.as_slice() {
            [(cause, _)] => format!(": {}", of_cause(finding, *cause)),
            _ => ".".to_owned(),
        };
        sentences.push(format!(
            "The holders of these sockets were not seen, so inherited copies cannot be ruled out. \
             If there are none, the cause is {causes}{words}"
        ));
    }
    let other = missing.iter().filter_map(|(missing, _)| fact(*missing));
    sentences.extend(other.map(str::to_owned));
    sentences.join(" ")
}

/// What a missing fact leaves open; `None` for an age and an owner.
fn fact(missing: Missing) -> Option<&'static str> {
    match missing {
        Missing::Age(_) | Missing::Owner(_) => None,
        Missing::Order => Some(
            "The last bytes in and out came within one tick of the kernel's clock, so it is \
             unknown whether the last request was answered.",
        ),
        Missing::Side => Some(
            "It is unknown which end opened these connections: idle pooled connections that the \
             server closed look the same as requests that were not answered.",
        ),
        Missing::Eof => Some(
            "MPTCP does not show whether end-of-file was read: consistent with a leak, or with \
             connections that the program no longer reads. Either way, the program does not close \
             the sockets that remain.",
        ),
        Missing::Times => Some(
            "The cause cannot be determined: no tcp_info came with these sockets. Read them \
             through sock_diag (without --source procfs).",
        ),
        Missing::Queues => Some(
            "This kernel reports neither unread nor unsent bytes (gVisor reports 0 for both), so \
             only the state is known. Look into the program itself.",
        ),
    }
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

fn of_cause(finding: &Finding, cause: Cause) -> String {
    let set = &finding.set;
    if let Some(words) = finding
        .culprit
        .and_then(|culprit| culprit::words(finding, cause, culprit))
    {
        return words;
    }
    if let Some(words) = pool::meaning(finding) {
        return words;
    }
    let words = match cause {
        Cause::Transient => {
            "Younger than the grace period: consistent with a normal close that is under way."
        }
        Cause::NotAccepted => return cause::not_accepted(finding),
        Cause::HalfClose => cause::half_close(set),
        Cause::SendStuck if set.half_closed.shut == set.sockets => {
            "The peers have accepted no data for minutes: their receive windows are closed, and \
             they answer window probes. Consistent with peers that no longer read. Nothing ends \
             this by itself."
        }
        Cause::SendStuck => {
            "The peer does not accept the last answer. Retransmissions without an answer end by \
             themselves (tcp_retries2); a closed window whose probes are answered does not."
        }
        Cause::Inherited => return cause::inherited(set),
        Cause::NeverClosed => cause::never_closed(finding),
        Cause::SlowHandler => cause::slow_handler(finding),
        Cause::Abandoned if all_silent(set) => {
            "This side sent first, no byte ever came in, and the program has not read the socket \
             since: consistent with port scans or health checks that the program does not notice."
        }
        Cause::Abandoned => {
            "The last request was answered, and the program has not read the socket since: \
             consistent with a connection dropped from the event loop, or a keep-alive connection \
             that is never read."
        }
        Cause::NotReading => cause::not_reading(finding),
        Cause::StalePool => return pool::either(finding).to_owned(),
        Cause::Unclear => "A fact that is needed to determine the cause is missing.",
        Cause::PeerNotClosed => "The remote end has not closed.",
        Cause::DeadDescriptors => {
            "The sockets of these descriptors are in no socket table: their connections were \
             reset, timed out or were never made. The program has not closed the descriptors: \
             consistent with a leak that no socket listing shows."
        }
    };
    words.to_owned()
}
