//! Lines below the groups, each about one state or service.

use std::io::{self, Write};

use crate::classifier::Report;
use crate::classifier::fin_wait2::FinWait2;
use crate::classifier::finding::Finding;
use crate::classifier::service::ServedAt;
use crate::classifier::silent::silent;
use crate::model::Namespace;
use crate::renderer::style::{Look, NO_MARK};
use crate::renderer::{findings, frame, units};

/// The most services without an answer on the screen.
const SILENT: usize = 3;

/// Writes them, each indented and wrapped.
pub fn notes(
    report: &Report<'_>,
    found: &[Finding],
    look: Look,
    out: &mut impl Write,
) -> io::Result<()> {
    // Services that do not answer programs, and that no finding covers.
    let silent = silent(report, found);
    let silent = silent.iter().take(SILENT);
    let silent = silent.map(|silent| findings::silent(report, silent));
    for line in fin_wait2(report).into_iter().chain(silent) {
        frame::write_wrapped(&line, look.width, NO_MARK.len(), out)?;
    }
    Ok(())
}

/// Which FIN_WAIT2 sockets end by themselves, and when.
fn fin_wait2(report: &Report<'_>) -> Option<String> {
    let FinWait2 {
        orphaned,
        last_ends_ms,
        orphaned_to,
        held,
    } = FinWait2::of(report);
    if orphaned + held == 0 {
        return None;
    }
    let mut parts = Vec::new();
    if orphaned > 0 {
        let timeout = |namespace: &Namespace| namespace.settings.fin_timeout_s;
        let namespaces = &report.snapshot.namespaces;
        let first = namespaces.first().and_then(timeout);
        let shared = first.filter(|_| namespaces.iter().all(|other| timeout(other) == first));
        let bound = match shared {
            Some(seconds) => format!("tcp_fin_timeout {seconds}s"),
            None => "tcp_fin_timeout".to_owned(),
        };
        let ends = last_ends_ms.map_or(String::new(), |ends| {
            format!(", the last in {}", units::duration(ends.into()))
        });
        let end = if orphaned == 1 {
            "ends by itself"
        } else {
            "end by themselves"
        };
        let whose = match orphaned_to.map(|service| service.at) {
            Some(ServedAt::Remote(remote)) if remote.port > 0 => {
                format!(": {remote} has not closed")
            }
            _ => String::new(),
        };
        let orphaned = units::count(orphaned);
        parts.push(format!("{orphaned} {end}{ends} ({bound}){whose}"));
    }
    if held > 0 {
        let are = if held == 1 { "is" } else { "are" };
        parts.push(format!(
            "{} {are} held by a process, without a time limit",
            units::count(held)
        ));
    }
    Some(format!("FIN_WAIT2: {}", parts.join("; ")))
}
