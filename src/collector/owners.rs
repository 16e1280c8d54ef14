//! The holders of the sockets that were read: which sockets need one, where else to search when none
//! is found, and when the holders started.

use std::path::Path;
use std::time::Instant;

use rustc_hash::FxHashSet;

use super::holders::ancestry::Ancestry;
use super::holders::{self, Found, Progress, ScanError, Search, Wanted};
use super::processes;
use super::request::Request;
use super::sockets::relevant::may_be_selected;
use super::steps::Steps;
use super::{namespaces, tables};
use crate::filter::{End, Filter, Term};
use crate::model::{Gap, GapKind, Holders, Name, Pid, Scan, Scanned, Socket, State};

/// The holders, and how complete the search was.
#[derive(Default)]
pub(super) struct Owners {
    /// `None` where they are not needed.
    pub(super) holders: Option<Holders>,
    pub(super) scan: Scan,
    pub(super) scanned: Vec<Scanned>,
    /// No process could be listed.
    pub(super) gap: Option<Gap>,
}

impl Owners {
    /// No holders, because no search was made; the reason is for the steps.
    pub(super) fn none(why: &str, steps: &mut Steps<'_>) -> Owners {
        steps.add(format!("owners: {why}"), Instant::now());
        Owners::default()
    }
}

/// Finds the holders of the sockets that may be selected, and of those that explain them: listeners,
/// and the other ends of CLOSE_WAIT. If no such socket has an inode, only findings need a search:
/// they also cover sockets that are in no table.
///
/// # Errors
/// When they cannot be found in the way that was asked for.
pub(super) fn find(
    request: &Request,
    (sockets, subflows): (&[Socket], &[Socket]),
    search: Search,
    progress: &Progress,
    steps: &mut Steps<'_>,
) -> Result<Owners, ScanError> {
    let start = Instant::now();
    let wanted = wanted(request, sockets, subflows);
    // Descriptors whose connection is gone are in no table.
    let finds_dead = (request.findings || request.captured) && request.sees_all();
    if wanted.is_empty() && !finds_dead {
        return Ok(Owners {
            holders: Some(Holders::default()),
            ..Owners::none("no selected socket has one", steps)
        });
    }
    let mut found = match search.find(&wanted, progress) {
        Ok(found) => found,
        Err(error @ ScanError::Bpf(_)) => return Err(error),
        Err(error @ ScanError::Unlisted { .. }) => {
            return Ok(Owners {
                holders: Some(Holders::default()),
                gap: Some(no_process(error.to_string())),
                ..Owners::default()
            });
        }
    };
    let closed = search_elsewhere(request, sockets, &wanted, &mut found);
    steps.add(
        format!(
            "owners: {} of {} processes, {} open files, by {}",
            found.scan.processes_read, found.scan.processes_seen, found.scan.fds_read, found.method
        ),
        start,
    );
    found.scanned.sort_unstable_by_key(|scanned| scanned.pid);
    if request.limits {
        found.scanned.retain_mut(|scanned| {
            let root = request.proc_root.join(scanned.pid.to_string());
            scanned.fd_limit = processes::fd_limit(&root);
            // A process that has ended has no files, and no limit.
            scanned.fd_limit.is_some() || root.exists()
        });
    }
    let mut holders = Holders::new(found.holders, found.processes).with_closed(closed);
    read_ages(&request.proc_root, sockets, &mut holders);
    // A procfs shows at least this process, unless it is of another PID namespace.
    let gap = (found.scan.processes_seen == 0)
        .then(|| no_process(format!("no process in {}", request.proc_root.display())));
    Ok(Owners {
        holders: Some(holders),
        scan: found.scan,
        scanned: found.scanned,
        gap,
    })
}

/// The sockets whose holders are searched.
fn wanted(request: &Request, sockets: &[Socket], subflows: &[Socket]) -> Wanted {
    let selectable = |socket: &Socket| may_be_selected(&request.filter, socket);
    let any = |is: fn(&Socket) -> bool| sockets.iter().any(|each| is(each) && selectable(each));
    let unaccepted = any(Socket::is_unaccepted);
    let waits = any(|socket| socket.state == State::CloseWait);
    // A socket that is neither selected nor a listener was kept because it explains a CLOSE_WAIT.
    let explains_another = |socket: &Socket| match socket.state {
        State::Listen => unaccepted || waits,
        _ => waits,
    };
    let inodes = sockets
        .iter()
        .chain(subflows)
        .filter(|socket| selectable(socket) || explains_another(socket))
        .map(|socket| socket.inode);
    Wanted::new(inodes, request.sees_all())
}

fn no_process(why: String) -> Gap {
    Gap {
        kind: GapKind::ProcessesUnlisted,
        count: 1,
        detail: format!("{why}: no owner is known").into(),
        hint: "give the right --proc, or use --no-owners".into(),
    }
}

/// Searches for the holders of sockets that no table of descriptors shows, and for what may hide
/// them. Returns the inodes of sockets that are closed by now.
fn search_elsewhere(
    request: &Request,
    sockets: &[Socket],
    wanted: &Wanted,
    found: &mut Found,
) -> Vec<u32> {
    let mut left = wanted.without(&found.holders);
    if left.is_empty() {
        return Vec::new();
    }
    let closed: Vec<u32> = match still_open(request, sockets, &left) {
        Some(open) => left.difference(&open).copied().collect(),
        None => Vec::new(),
    };
    for inode in &closed {
        left.remove(inode);
    }
    holders::find_hidden(&request.proc_root, left, found);
    closed
}

/// Which of these inodes the tables have now; `None` if they cannot be read completely.
fn still_open(
    request: &Request,
    sockets: &[Socket],
    inodes: &FxHashSet<u32>,
) -> Option<FxHashSet<u32>> {
    /// So few are selected by their ports, in the kernel.
    const FEW: usize = 32;
    let ports = |socket: &Socket| {
        let is = |end, port| Filter::Term(Term::Port(end, port..=port));
        Filter::And(vec![
            is(End::Local, socket.local.port),
            is(End::Remote, socket.remote.port),
        ])
    };
    let again = request.for_sockets(if inodes.len() <= FEW {
        let these = sockets
            .iter()
            .filter(|socket| inodes.contains(&socket.inode));
        Filter::Or(these.map(ports).collect())
    } else {
        Filter::everything()
    });
    let chosen = namespaces::choose(&again).ok()?;
    let tables = tables::read(chosen, &again, &mut Steps::default()).ok()?;
    let sockets = tables.found.sockets.iter();
    tables
        .is_complete()
        .then(|| sockets.map(|socket| socket.inode).collect())
}

/// Reads when the holders of CLOSE_WAIT sockets were started, and by whom: a socket that is older than
/// its holder was inherited. Also of those that hold a listener with a queue, and of all processes of
/// the same name, which may be workers of the same program.
fn read_ages(proc_root: &Path, sockets: &[Socket], holders: &mut Holders) {
    let is_in_question = |socket: &&Socket| match socket.state {
        State::Listen => socket.recv_q > 0,
        state => state == State::CloseWait,
    };
    let mut pids: Vec<Pid> = sockets
        .iter()
        .filter(is_in_question)
        .flat_map(|socket| holders.of(socket.inode))
        .map(|holder| holder.pid)
        .collect();
    pids.sort_unstable();
    pids.dedup();
    let Some(uptime_ms) = processes::uptime_ms(proc_root) else {
        return;
    };
    let names: FxHashSet<Name> = pids
        .iter()
        .filter_map(|pid| holders.name(*pid).cloned())
        .collect();
    let mut ancestry = Ancestry::new(proc_root, uptime_ms);
    for process in holders.processes_mut() {
        let is_namesake = process
            .name
            .as_ref()
            .is_some_and(|name| names.contains(name));
        if is_namesake || pids.binary_search(&process.pid).is_ok() {
            (process.age_ms, process.ancestors) = ancestry.of(process.pid);
        }
    }
}
