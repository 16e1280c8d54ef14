//! Everything that touches the system: one [`collect`] turns a [`Request`] into a [`Snapshot`].
//!
//! It reads the sockets of the chosen network namespaces, finds their holders, and looks up the
//! control groups of these. What could not be read is a gap in the snapshot, never an empty answer.

// Tests make files of their own.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
// Everything read here comes from outside: no length or index is taken on trust.
#![warn(clippy::indexing_slicing, clippy::string_slice)]

mod access;
pub mod error;
pub mod evidence;
mod file;
pub mod holders;
pub mod host;
mod kernel;
mod mountinfo;
pub mod names;
pub mod namespaces;
mod owners;
pub mod peek;
pub mod placement;
pub mod processes;
mod procfs;
pub mod request;
pub mod resolve;
pub mod sockets;
pub(crate) mod stacks;
mod steps;
pub mod syscalls;
mod tables;
mod thread_names;
mod tools;
pub mod watchdog;

use std::time::Instant;

use self::error::CollectError;
use self::holders::{Progress, Search};
use self::owners::Owners;
use self::request::Request;
use self::sockets::capture::Capture;
use self::steps::Steps;
use crate::model::{Cgroups, Host, Namespace, OtherNamespaces, Snapshot};

/// Reads everything that the request asks for, and returns the raw dumps too if it asks for them.
///
/// # Errors
/// When no socket table could be read. Everything less is a gap.
pub fn collect(
    request: &Request,
    progress: &Progress,
) -> Result<(Snapshot, Capture), CollectError> {
    let root = &request.proc_root;
    let taken_at_ns = jiff::Timestamp::now().as_nanosecond();
    let search = request.owners.then(|| Search::new(request.scan, root));
    let begin = || search.iter().for_each(Search::begin);
    let mut steps = Steps::starting(&begin);

    // The sockets of each network namespace. The first one that may be held begins the search for
    // holders.
    let start = Instant::now();
    let chosen = namespaces::choose(request)?;
    let tables = tables::read(chosen, request, &mut steps)?;
    let reading_ms = u64::try_from(start.elapsed().as_millis() + 1).ok();
    let found = tables.found;
    let mut steps = Steps::from(steps.done());

    // Who holds them, and in which control groups.
    let sockets = (found.sockets.as_slice(), found.subflows.as_slice());
    let owners = match search {
        Some(search) => owners::find(request, sockets, search, progress, &mut steps)?,
        None => Owners::none("not needed, not read", &mut steps),
    };
    let holders = owners.holders.as_ref();
    let cgroups = request.cgroups.then(|| {
        let start = Instant::now();
        let cgroups = placement::read(root, holders, sockets.0, request.captured);
        steps.add(cgroup_step(&cgroups), start);
        cgroups
    });

    // What else there is.
    let others = if request.others {
        other_namespaces(request, &tables.namespaces, &mut steps)
    } else {
        None
    };
    let snapshot = Snapshot {
        host: read_host(request),
        namespaces: tables.namespaces,
        others,
        taken_at_ns,
        reading_ms,
        sockets: found.sockets,
        subflows: found.subflows,
        details: found.details,
        holders: owners.holders,
        cgroups,
        scan: owners.scan,
        scanned: owners.scanned,
        gaps: tables.gaps.into_iter().chain(owners.gap).collect(),
        steps: steps.done(),
        recorded: false,
    };
    Ok((snapshot, found.capture.unwrap_or_default()))
}

/// Facts about the host; with findings, also the tools that their next steps may name.
fn read_host(request: &Request) -> Host {
    let mut host = host::read(&request.proc_root);
    if request.findings || request.captured {
        // The tools of another host, or of the host of this container, are unknown.
        if !host.has_other_pids {
            host.tools = tools::present();
        }
        host.this = tools::this();
    }
    host
}

fn other_namespaces(
    request: &Request,
    read: &[Namespace],
    steps: &mut Steps<'_>,
) -> Option<OtherNamespaces> {
    let start = Instant::now();
    let others = namespaces::others(request, read);
    let what = match &others {
        Some(others) => format!("other network namespaces: {} found", others.namespaces),
        None => "other network namespaces: all were read".to_owned(),
    };
    steps.add(what, start);
    others
}

fn cgroup_step(cgroups: &Cgroups) -> String {
    let (processes, others) = (cgroups.of_process.len(), cgroups.by_id.len());
    format!("cgroups: of {processes} processes, {others} of sockets without one")
}
