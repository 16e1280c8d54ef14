//! How fast the sockets of a finding grow, and when their owner has no descriptor left.

use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::model::FdLimit;
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::{growth, names, units};

pub(super) fn lines(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    let Some(of_set) = &finding.growth else {
        return;
    };
    lines.add(Rank::Decisive, growth::of_set(of_set));
    for evidence in &finding.evidence {
        let (Some(open), Some(FdLimit::Files(limit))) = (evidence.open_fds, evidence.fd_limit)
        else {
            continue;
        };
        if let Some(full_in_ms) = of_set.full_in_ms(evidence.pid, open, limit) {
            let name = names::process(report, evidence.pid);
            let (limit, time) = (units::count(limit), growth::about(full_in_ms));
            lines.add(
                Rank::Decisive,
                format!(
                    "at this rate, {name} reaches its limit of {limit} open files in about {time}"
                ),
            );
        }
    }
}
