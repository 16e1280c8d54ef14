//! What to do about FIN_WAIT2 sockets that a process holds.

use crate::classifier::Report;
use crate::classifier::culprit::Culprit;
use crate::classifier::finding::Finding;
use crate::model::{Name, Side};
use crate::renderer::findings::steps::place::closewait;
use crate::renderer::findings::steps::step::Step;

/// The holders of the other ends, and what frees the descriptors here.
pub(super) fn steps(report: &Report<'_>, finding: &Finding) -> Vec<Step> {
    let set = &finding.set;
    let waits = set.waiting.is_some() || !set.fin_wait2_sets.is_empty();
    let Some(Culprit::FarEnd(end)) = finding.culprit.filter(|_| waits) else {
        return Vec::new();
    };
    let other = set.peers.pids.first().filter(|_| set.waiting.is_some());
    let other = other
        .map(|pid| Step::run(format!("{} --pid {pid}", closewait(report))).with("the other end"));
    let name = set.by_weight.first();
    let name = name.and_then(|pid| report.holders().name(*pid));
    let name = name.map(Name::to_string);
    let relief = match (name.as_deref(), end.side()) {
        (Some("haproxy"), Some(Side::Client)) => {
            "set \"timeout server-fin\" in haproxy.cfg".to_owned()
        }
        (Some("haproxy"), _) => "set \"timeout client-fin\" in haproxy.cfg".to_owned(),
        (name, _) => format!(
            "set a timeout for {} after its own close, if it has such an option",
            name.unwrap_or("the program")
        ),
    };
    let relief = Step::advice(format!("as a workaround here, {relief}"));
    other.into_iter().chain([relief]).collect()
}
