//! The owner of a finding: its processes, and what identifies them if their name does not.

use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::classifier::identity::Identity;
use crate::model::{Manager, Pid};
use crate::renderer::findings::halt::short;
use crate::renderer::{names, style};

/// The most columns of what an interpreter runs.
const MOST: usize = 40;
/// The most programs that are told apart one by one.
const EXAMPLES: usize = 3;

/// `java[1234]`, `python3[7] +3 (app.py, shop.service)`, `python3[7] (app.py) +3` if the others may run
/// something else.
pub(super) fn owner(report: &Report<'_>, finding: &Finding) -> String {
    identified(report, finding, words)
}

/// The same without the directory of what an interpreter runs.
pub(super) fn short_owner(report: &Report<'_>, finding: &Finding) -> String {
    identified(report, finding, |identity| {
        let words = words(identity);
        match words.rsplit_once('/') {
            Some((_, name)) => name.to_owned(),
            None => words,
        }
    })
}

fn identified(
    report: &Report<'_>,
    finding: &Finding,
    words: impl Fn(&Identity) -> String,
) -> String {
    let owner = &finding.set.owner;
    let text = match names::owner_of(report, owner).as_str() {
        "-" if owner.kind.is_none() => return "a process (owners were not read)".to_owned(),
        "-" => return "no process".to_owned(),
        text if text.starts_with('?') => return "a process that cannot be seen".to_owned(),
        text => text.trim_end_matches(" (not accepted)").to_owned(),
    };
    let Some((identity, same)) = finding.identities.beyond_the_name(&owner.pids) else {
        return text;
    };
    let words = words(identity);
    match (text.rsplit_once(" +"), words.is_empty()) {
        (_, true) => text,
        (Some((first, others)), false) if !same => format!("{first} ({words}) +{others}"),
        (_, false) => format!("{text} ({words})"),
    }
}

/// Which owner runs what, if several are known to run different programs.
pub(super) fn line(report: &Report<'_>, finding: &Finding) -> Option<String> {
    let owners = &finding.set.owner.pids;
    let (_, same) = finding.identities.beyond_the_name(owners)?;
    let known = owners.iter().filter_map(|pid| {
        let words = words(finding.identities.of_process(*pid)?);
        (!words.is_empty()).then_some((*pid, words))
    });
    let mut different: Vec<(Pid, String)> = Vec::new();
    for (pid, words) in known {
        if !different.iter().any(|(_, other)| *other == words) {
            different.push((pid, words));
        }
    }
    if same || different.len() < 2 {
        return None;
    }
    let each = different.iter().take(EXAMPLES);
    let each = each.map(|(pid, words)| format!("{} is {words}", names::process(report, *pid)));
    let more = match different.len().saturating_sub(EXAMPLES) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let each = each.collect::<Vec<_>>().join("; ");
    Some(format!("different programs: {each}{more}"))
}

/// `app.py, shop.service`: what runs, and where; empty if neither is known.
fn words(identity: &Identity) -> String {
    let runs = identity.command.as_ref().map(|command| &command.runs);
    let runs = runs.map(|runs| {
        let mut runs = runs.to_string();
        style::cut_start(&mut runs, MOST);
        runs
    });
    let manager = identity.manager.as_ref().map(|manager| match manager {
        Manager::Service { name, .. } => name.to_string(),
        Manager::Container(container) => format!("container {}", short(container)),
    });
    let parts: Vec<String> = runs.into_iter().chain(manager).collect();
    parts.join(", ")
}
