//! How fast the sockets of a finding grow, and when their owner has no descriptor left; and how fast
//! they came, by their ages.

use crate::classifier::Report;
use crate::classifier::arrivals::{Arrivals, Recent};
use crate::classifier::finding::Finding;
use crate::classifier::socket_set::SocketSet;
use crate::model::FdLimit;
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::{growth, names, units};

pub(super) fn lines(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    let Some(of_set) = &finding.growth else {
        return;
    };
    let of_whom = match &finding.queue {
        Some(_) => "connections whose peers gave up: ",
        None => "",
    };
    lines.add(
        Rank::Decisive,
        format!("{of_whom}{}", growth::of_set(of_set)),
    );
    for evidence in &finding.evidence {
        let (Some(open), Some(FdLimit::Files(limit))) = (evidence.open_fds, evidence.fd_limit)
        else {
            continue;
        };
        if let Some(full_in_ms) = of_set.full_in_ms(evidence.pid, open, limit) {
            let name = names::process(report, evidence.pid);
            let (limit, time) = (units::count(limit), growth::about(full_in_ms));
            // Descriptors without a connection take places too, and how fast is unknown.
            let about = match evidence.dead_sockets.is_some_and(|dead| dead > 0) {
                true => "less than",
                false => "about",
            };
            lines.add(
                Rank::Decisive,
                format!(
                    "at this rate, {name} reaches its limit of {limit} open files in {about} {time}"
                ),
            );
        }
    }
}

/// The most sockets that are told one by one.
const FEW: u64 = 9;

/// When the others came: `, half of them for at most 20m; 12/min came in the last 10 minutes`. As far as the
/// bounds of their ages show it.
pub(super) fn arrivals(set: &SocketSet) -> Option<String> {
    let Arrivals {
        oldest_ms,
        half_ms,
        recent,
    } = set.arrivals?;
    // If half of them are nearly as old as the oldest, that is no news.
    let half_ms = half_ms
        .map(units::rounded_up)
        .filter(|half| half.saturating_mul(4) <= oldest_ms.saturating_mul(3));
    let half = half_ms.map_or(String::new(), |half| {
        format!(", half of them for at most {}", units::duration(half))
    });
    // The time pattern of a pool has the rate.
    let recent = recent.filter(|_| set.pool.is_none_or(|pool| pool.pattern.is_none()));
    let recent = recent.map_or(String::new(), |recent| {
        let Recent {
            window_ms,
            at_least,
            at_most,
            ..
        } = recent;
        let window = match window_ms / 60_000 {
            1 => "minute".to_owned(),
            minutes => format!("{minutes} minutes"),
        };
        let least = if at_least == at_most { "" } else { "at least " };
        match at_least {
            _ if at_most == 0 => format!("; none of them came in the last {window}"),
            0 => String::new(),
            1..=FEW => format!("; {least}{at_least} came in the last {window}"),
            _ => {
                let [rate, _] = recent.per_minute().map(growth::rate);
                let rate = rate.trim_start_matches('+');
                format!("; {least}{rate}/min came in the last {window}")
            }
        }
    });
    Some(half + &recent)
}
