//! Facts about the processes that findings name, read while the findings are drawn up: of suspects,
//! of the processes that serve them, and who may have sockets without a connection.

use std::borrow::Cow;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use super::file;
use super::holders::{UNMATCHED_FEW, UNMATCHED_MAX};
use super::processes::{self, ProcessFacts, Suspect};
use super::request::{NetnsChoice, Request};
use super::steps::Steps;
use super::{namespaces, tables};
use crate::filter::Filter;
use crate::model::{Pid, Protocol, Protocols, Scanned, Snapshot, Socket, Step};

/// How many unmatched descriptors are checked for being TCP, a few microseconds each: all of any one
/// process, and as many of all others together.
const CHECKS_MAX: usize = 2 * UNMATCHED_MAX;
/// The most processes that are asked whether their sockets are dead.
const WITH_DEAD_MAX: usize = 16;

/// The facts about each suspect, with two readings of its processor use that lie `sample` apart;
/// see [`processes::examine`].
pub fn of_suspects(
    request: &Request,
    snapshot: &Snapshot,
    suspects: &[Suspect],
    sample: Duration,
) -> (Vec<ProcessFacts>, Step) {
    let start = Instant::now();
    let is_suspect = |pid: Pid| suspects.iter().any(|suspect| suspect.pid == pid);
    let is_some = |unmatched: &Vec<_>| !unmatched.is_empty();
    let unmatched = snapshot
        .scanned
        .iter()
        .any(|scanned| is_suspect(scanned.pid) && scanned.unmatched.as_ref().is_some_and(is_some));
    // An unmatched descriptor may be a connection made after the dump, or in another namespace; and
    // a thread may wait for a connection that is not selected. Only the complete tables, read now,
    // can tell.
    let now = if suspects.is_empty() || (request.sees_all() && !unmatched) {
        None
    } else {
        read_all_again(request, unmatched)
    };
    let sockets = now
        .as_ref()
        .map_or(&snapshot.sockets, |(sockets, _)| sockets);
    let mut scanned = Cow::Borrowed(snapshot.scanned.as_slice());
    if unmatched && now.as_ref().is_none_or(|(_, complete)| !complete) {
        for scanned in scanned.to_mut() {
            scanned.unmatched = None;
        }
    }
    let root = &request.proc_root;
    let stacks = request.stacks;
    let facts = processes::examine(root, suspects, &scanned, sockets, sample, stacks);
    let step = Step {
        what: format!("evidence of {} processes", suspects.len()).into(),
        took: start.elapsed(),
    };
    (facts, step)
}

/// The facts about processes that suspects wait for, without a second reading of processor use.
pub fn of_processes(request: &Request, snapshot: &Snapshot, pids: &[Pid]) -> Vec<ProcessFacts> {
    if pids.is_empty() {
        return Vec::new();
    }
    let suspect = |pid: &Pid| Suspect {
        pid: *pid,
        stuck: Vec::new(),
        stacks: false,
    };
    let suspects: Vec<Suspect> = pids.iter().map(suspect).collect();
    let (root, sockets) = (&request.proc_root, &snapshot.sockets);
    processes::examine(root, &suspects, &[], sockets, Duration::ZERO, false)
}

/// The processes with many open TCP sockets that are in no table that was read, though the process
/// is in a namespace that was; those with the most first. Only processes for which `is_meant`. And
/// how many other processes may have such sockets.
pub fn with_dead_sockets(
    request: &Request,
    snapshot: &Snapshot,
    is_meant: impl Fn(Pid) -> bool,
) -> (Vec<Pid>, u64) {
    let unmatched = |scanned: &Scanned| scanned.unmatched.as_ref().map_or(0, Vec::len);
    let is_in_one_read = |pid: Pid| {
        let path = request.proc_root.join(pid.to_string()).join("ns/net");
        let inode = file::metadata(&path).ok().map(|namespace| namespace.ino());
        let mut namespaces = snapshot.namespaces.iter();
        namespaces.any(|namespace| namespace.inode.is_none() || namespace.inode == inode)
    };
    let mut with_many: Vec<&Scanned> = snapshot
        .scanned
        .iter()
        .filter(|scanned| unmatched(scanned) >= UNMATCHED_FEW)
        .filter(|scanned| is_meant(scanned.pid) && is_in_one_read(scanned.pid))
        .collect();
    // One process with very many, of whatever kind, must not use up the checks for all others.
    with_many.sort_by_key(|scanned| (unmatched(scanned), scanned.pid));
    let mut checks = CHECKS_MAX;
    let mut left_out = 0;
    with_many.retain(|scanned| {
        let (root, few) = (&request.proc_root, UNMATCHED_FEW);
        let many = processes::has_unmatched_tcp(root, scanned, few, &mut checks);
        left_out += u64::from(many.is_none());
        many == Some(true)
    });
    left_out += with_many.len().saturating_sub(WITH_DEAD_MAX) as u64;
    let most = with_many.iter().rev().take(WITH_DEAD_MAX);
    (most.map(|scanned| scanned.pid).collect(), left_out)
}

/// All TCP sockets as they are now, without tcp_info: of every namespace, or of those that the
/// request names; and whether none is missing. `None` when they cannot be read.
fn read_all_again(request: &Request, of_all_namespaces: bool) -> Option<(Vec<Socket>, bool)> {
    let mut everything = request.for_sockets(Filter::everything());
    everything.protocols = Protocols::One(Protocol::Tcp);
    if of_all_namespaces {
        everything.netns = NetnsChoice::All;
    }
    let chosen = namespaces::choose(&everything).ok()?;
    let tables = tables::read(chosen, &everything, &mut Steps::default()).ok()?;
    let complete = tables.is_complete();
    Some((tables.found.sockets, complete))
}
