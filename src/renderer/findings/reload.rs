//! Old workers that a reload has replaced.

use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::renderer::findings::lines::{Lines, Rank};
use crate::renderer::names::process;
use crate::renderer::units;

/// The facts that show that holders are old workers.
pub(super) fn lines(report: &Report<'_>, finding: &Finding, lines: &mut Lines) {
    let Some(retired) = &finding.old_workers else {
        return;
    };
    let [first, more @ ..] = retired.pids.as_slice() else {
        return;
    };
    let more = match more.len() {
        0 => String::new(),
        more => format!(" +{}", units::count(more as u64)),
    };
    let mut facts = vec!["holds no listener on this port".to_owned()];
    if let Some(successor) = retired.successor {
        facts.push(format!(
            "{}, which does, is younger",
            process(report, successor)
        ));
    }
    if retired.says_so {
        facts.push("its title contains \"is shutting down\"".to_owned());
    }
    lines.add(
        Rank::Decisive,
        format!(
            "{}{more} {}: consistent with an old worker after a reload",
            process(report, *first),
            facts.join("; ")
        ),
    );
}

/// What it means that all holders are old workers.
pub(super) fn meaning(finding: &Finding) -> Option<&'static str> {
    let retired = finding.old_workers.as_ref()?;
    let all = retired.pids.len() == finding.set.by_weight.len();
    all.then_some(
        "The holder accepts no new connections and exits once these are closed. Until then, each \
         reload leaves another old worker.",
    )
}
