//! Connections that a server closed, in words: a pool at rest, one that is exhausted, or a leak.

use crate::classifier::close_notify::is_close_notify;
use crate::classifier::finding::Finding;
use crate::classifier::pool::{Pool, PoolVerdict, TimeBasis};
use crate::classifier::severity::Severity;
use crate::classifier::socket_set::SocketSet;
use crate::classifier::time_pattern::{Pattern, TimePattern};
use crate::model::Cause;
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::findings::set::end;
use crate::renderer::units;

/// What a set of pooled connections is consistent with; `None` if the cause says more.
pub(super) fn meaning(finding: &Finding) -> Option<String> {
    let set = &finding.set;
    let pool = set.pool.as_ref()?;
    let words = match set.pool_verdict? {
        PoolVerdict::AtRest => {
            "The server closed these idle connections together, and the program has not read them \
             since: consistent with a pool at rest, harmless until one is reused."
                .to_owned()
        }
        PoolVerdict::Leak if pool.leaks_otherwise() => {
            "The server closed these connections, and the program has left most of its other \
             connections to that service unread, or read but not closed: consistent with the same \
             leak."
                .to_owned()
        }
        PoolVerdict::Leak => {
            "The server closed these connections one after the other ever since the program \
             started, and the program closes none: consistent with a leak, such as responses \
             that are not closed, or connections that are never returned to a pool."
                .to_owned()
        }
        PoolVerdict::Exhausted => format!(
            "No connection {} is left open, and clients of the program wait: consistent with an \
             exhausted pool, where responses are not closed or connections are never returned. The \
             stacks of the waiting threads show whether it is.",
            end(set.end)
        ),
        PoolVerdict::Blocked => {
            "The program's event loop watches these connections, and no thread waits for events: \
             consistent with a blocked event loop. As a pool at rest they are harmless."
                .to_owned()
        }
        PoolVerdict::Ambiguous => ambiguous(finding, pool),
    };
    Some(match last_words(finding) {
        Some(more) => format!("{words} {more}"),
        None => words,
    })
}

/// What it means if nothing decides. A few connections are most likely a pool between two uses.
pub(super) fn either(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Info => {
            "The server closed these idle connections, and the program has not read them since: \
             consistent with a pool of idle connections. A pool does not grow without end: look \
             again in a few minutes."
        }
        Severity::Warning | Severity::Critical => {
            "The server closed these connections, and the program has not read them since: \
             consistent with a pool of idle connections, or with a leak. Look again in a few \
             minutes: a leak grows."
        }
    }
}

fn ambiguous(finding: &Finding, pool: &Pool) -> String {
    let set = &finding.set;
    let Some(pattern) = pool.pattern else {
        return either(finding).to_owned();
    };
    let oldest = units::duration(pattern.oldest_ms);
    let least = units::count(pattern.events);
    match pattern.kind {
        Pattern::Burst if pool.is_all_gone() => format!(
            "The server closed these connections together, none {} is left open, and clients of \
             the program wait: consistent with a pool at rest beside another fault, or with an \
             exhausted pool. The stacks of the waiting threads show which.",
            end(set.end)
        ),
        Pattern::Burst => {
            "The server closed these connections together: consistent with a pool at rest, if the \
             program has one of this size, or with connections that leaked until the server \
             restarted. Look again in a few minutes: a leak grows."
                .to_owned()
        }
        Pattern::Spread if finding.severity > Severity::Info => format!(
            "The server closed these connections one after the other until now: consistent with a \
             leak that began {oldest} ago, unless this is a pool of {least} or more connections \
             that are all replaced within that time. Look again: a leak will have grown."
        ),
        Pattern::Spread => format!(
            "The server closed these connections one after the other until now: consistent with a \
             pool of {least} or more connections that are all replaced within {oldest}. A pool \
             does not grow without end: look again in a minute."
        ),
        Pattern::Mixed | Pattern::Few => either(finding).to_owned(),
    }
}

/// What the server sent as it closed.
fn last_words(finding: &Finding) -> Option<&'static str> {
    let set = &finding.set;
    if set.cause != Cause::StalePool || set.recv_q.max <= 1 {
        return None;
    }
    Some(if is_close_notify(finding) {
        "The unread bytes came with the FIN: consistent with a TLS close_notify."
    } else {
        "The unread bytes came with the FIN, unrequested: consistent with a message in which the \
         server gives its reason, such as an idle timeout."
    })
}

/// When the server closed them, and the program's other connections to it.
pub(super) fn lines(set: &SocketSet, lines: &mut Lines) {
    let Some(pool) = &set.pool else { return };
    if let Some(words) = pool
        .pattern
        .and_then(|pattern| pattern_words(set, pool, &pattern))
    {
        lines.add(Rank::Decisive, words);
    }
    if set.pool_verdict.is_none() {
        return;
    }
    match pool.open {
        Some(0) => lines.add(
            Rank::Telling,
            format!("no connection of the program {} is open", end(set.end)),
        ),
        Some(open) => lines.add(
            Rank::Telling,
            format!(
                "{} connection{} of the program {} {} open",
                units::count(open),
                units::plural(open),
                end(set.end),
                if open == 1 { "is" } else { "are" },
            ),
        ),
        None => {}
    }
    if let Some(callers) = pool.callers.filter(|_| pool.is_all_gone()) {
        lines.add(
            Rank::Decisive,
            format!(
                "{} clients of the program wait for an answer, or gave up",
                units::count(callers)
            ),
        );
    }
}

fn pattern_words(set: &SocketSet, pool: &Pool, pattern: &TimePattern) -> Option<String> {
    let them = match pattern.events == set.sockets {
        true => "them".to_owned(),
        false => format!("all {} connections to it", units::count(pattern.events)),
    };
    let what = match pool.basis {
        TimeBasis::Closed => format!("the server closed {them}"),
        TimeBasis::Used => format!("the program last used {them}"),
    };
    let newest = units::duration(pattern.newest_ms);
    let oldest = units::duration(pattern.oldest_ms);
    Some(match pattern.kind {
        Pattern::Few => return None,
        Pattern::Burst if newest == oldest => format!("{what} at the same time, {newest} ago"),
        Pattern::Burst => format!("{what} at about the same time, {newest} to {oldest} ago"),
        Pattern::Mixed => format!("{what} between {oldest} and {newest} ago"),
        Pattern::Spread => {
            let rate = rate(pattern.per_minute()?);
            format!("{what} one after the other: about {rate} for the last {oldest}")
        }
    })
}

/// `150 a minute`, in the unit of time that gives a number above 1.
fn rate(per_minute: f64) -> String {
    let all = [(1.0, "minute"), (60.0, "hour"), (1_440.0, "day")];
    let (times, unit) = all
        .into_iter()
        .find(|(times, _)| per_minute * times >= 1.0)
        .unwrap_or(all[2]);
    format!(
        "{} a{} {unit}",
        units::count((per_minute * times).round() as u64),
        if unit == "hour" { "n" } else { "" }
    )
}
