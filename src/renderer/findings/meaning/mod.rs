//! What a finding means, in a sentence or two.

mod cause;
mod culprit;

pub(super) use self::cause::{all_half_closed, all_silent};
pub(super) use self::culprit::is_helper;

use crate::classifier::culprit::Culprit;
use crate::classifier::finding::Finding;
use crate::classifier::spin::Spin;
use crate::model::Cause;
use crate::model::Missing;
use crate::renderer::findings::halt;
use crate::renderer::findings::pool;
use crate::renderer::findings::reload;
use crate::renderer::findings::spin;
use crate::renderer::findings::waiting;
use crate::renderer::units;

/// What the cause means, in a sentence or two.
pub fn meaning(finding: &Finding) -> String {
    if let Some(awaited) = &finding.set.waiting {
        return waiting::meaning(&finding.set, awaited);
    }
    match finding.set.missing.as_slice() {
        [] => {
            let words = of_cause(finding, finding.set.cause);
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
            [(cause, _)] => format!(": {}", of_cause(finding, *cause)),
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
        Cause::Transient => "Normal teardown: the peer closed a moment ago.",
        Cause::NotAccepted => return cause::not_accepted(finding),
        Cause::HalfClose => cause::half_close(set),
        Cause::SendStuck if set.half_closed.shut == set.sockets => {
            "The peers have taken nothing for minutes: they have no room, and say so whenever they \
             are asked. Consistent with peers that do not read any more. Nothing ends this by itself."
        }
        Cause::SendStuck => {
            "The last answer is not being taken by the peer. Unanswered retransmissions end by \
             themselves (tcp_retries2); a closed window that answers probes never does."
        }
        Cause::Inherited => return cause::inherited(set),
        Cause::NeverClosed => cause::never_closed(finding),
        Cause::SlowHandler => cause::slow_handler(finding),
        Cause::Abandoned if all_silent(set) => {
            "This side spoke first, no byte ever came in, and nobody looked at the socket again: \
             consistent with port scans or health checks that the program does not notice."
        }
        Cause::Abandoned => {
            "The last request was answered, then nobody looked at the socket again: consistent \
             with a connection dropped from the event loop, or a keep-alive that is never read."
        }
        Cause::NotReading => cause::not_reading(finding),
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
