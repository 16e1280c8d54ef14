//! Carrying out a sum over the recordings of many hosts, one after the other: no two of them are
//! in memory at once.

use std::collections::BTreeSet;
use std::io::Write;

use anyhow::{Context, bail};

use crate::classifier::merge::Merged;
use crate::collector::owners::Progress;
use crate::collector::recording::Facts;
use crate::exit::Outcome;
use crate::plan::Merge;
use crate::renderer::merge::Unread;
use crate::{classifier, collector, output, renderer};

/// Sums. A file that cannot be read is said, and the others are summed.
///
/// # Errors
/// When no file can be read, or two are of the same sockets.
pub fn run(plan: &Merge, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let mut merged = Merged::default();
    let mut unread = Vec::new();
    let mut met = Met::default();
    let mut shown = None;
    for file in &plan.files {
        let name = file.to_string_lossy().into_owned();
        let (recording, inspection, by) = match plan.open(file) {
            Ok(opened) => opened,
            Err(error) if error.is_mistake() => return Err(error.into()),
            Err(error) => {
                let reason = error.reason();
                unread.push(Unread { file: name, reason });
                continue;
            }
        };
        let host = met.name(&recording.facts, &name)?;
        let snapshot = match collector::collect(&inspection.request, &Progress::default()) {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let reason = error.to_string();
                unread.push(Unread { file: name, reason });
                continue;
            }
        };
        let report = classifier::classify(&snapshot, &inspection.rules);
        merged.add(host, &report, &by.dimensions);
        shown.get_or_insert((inspection, by));
    }
    let Some((inspection, by)) = shown else {
        let first = unread.first();
        let reason = first.map_or(String::new(), |first| {
            format!(": {}: {}", first.file, first.reason)
        });
        bail!("none of the recordings could be read{reason}");
    };
    let print = |mut out: &mut dyn Write| {
        renderer::merge::render(&merged, &unread, &inspection.view, &by, &mut out)
            .and_then(|()| out.flush())
            .context("could not write the output")
    };
    match &inspection.output {
        None => print(out)?,
        Some(path) => output::replace(path, print)?,
    }
    let is_complete = unread.is_empty() && merged.parts.iter().all(|part| part.complete);
    Ok(
        if !unread.is_empty() || (inspection.strict && !is_complete) {
            Outcome::Partial
        } else {
            Outcome::Done
        },
    )
}

/// The hosts that have been met.
#[derive(Default)]
struct Met {
    names: BTreeSet<String>,
    /// The boot and the network namespace of each reading, where they are known.
    places: BTreeSet<(String, u64)>,
}

impl Met {
    /// What a host is called: by its own name, and with the file's where another has that too.
    fn name(&mut self, facts: &Facts, file: &str) -> anyhow::Result<String> {
        let host = &facts.host;
        for namespace in &facts.namespaces {
            if let (Some(boot), Some(inode)) = (&host.boot_id, namespace.inode)
                && !self.places.insert((boot.clone(), inode))
            {
                bail!(
                    "{file} is a second reading of {}: its sockets would count twice; \
                     `closewait diff` compares two of one host",
                    host.name
                );
            }
        }
        let name = if self.names.contains(&host.name) {
            format!("{} ({file})", host.name)
        } else {
            host.name.clone()
        };
        self.names.insert(name.clone());
        Ok(name)
    }
}
