//! Everything that touches the system: one [`collect`] turns a [`Request`] into a [`Snapshot`].
//!
//! sockets (sock_diag, or /proc/net/tcp if that is not available) → host facts → owners.
//! What could not be read is a gap in the snapshot, never an empty answer.

// Tests make files of their own.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
// Everything read here comes from outside: no length or index is taken on trust.
#![warn(clippy::indexing_slicing, clippy::string_slice)]

mod access;
mod file;
pub mod hang;
pub mod holders;
pub mod host;
mod kernel;
mod mountinfo;
pub mod names;
pub mod namespaces;
pub mod placement;
pub mod processes;
mod procfs;
pub mod request;
pub mod resolve;
pub mod sockets;
pub mod syscalls;
mod tools;

use std::borrow::Cow;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;
use rustix::io::Errno;

use self::namespaces::Tables;
use self::request::{Missing, NetnsChoice, Request};
use crate::collector::holders::ancestry::Ancestry;
use crate::collector::holders::{
    Found, Progress, ScanError, Search, UNMATCHED_FEW, UNMATCHED_MAX, Wanted,
};
use crate::collector::namespaces::netns::NetnsError;
use crate::collector::processes::{ProcessFacts, Suspect};
use crate::collector::sockets::capture::Capture;
use crate::collector::sockets::netlink::may_be_selected;
use crate::collector::sockets::read_namespaces;
use crate::collector::sockets::sock_diag::DumpError;
use crate::filter::{End, Filter, Term};
use crate::model::{
    Evidence, Gap, GapKind, Holders, Name, Pid, Protocol, Protocols, Scan, Scanned, Snapshot,
    Socket, State, Step,
};
use crate::recording::RecordingError;

/// Why nothing could be read. The message says the reason, so there is no source.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error(transparent)]
    Netns(#[from] NetnsError),
    #[error("no network namespace is as the filter has it: `closewait -A --by netns` shows them")]
    NoNetns,
    #[error("no network namespace was found in {}: is it a procfs?", .0.display())]
    NoNetnsIn(PathBuf),
    #[error(transparent)]
    Missing(#[from] Missing),
    #[error("the recording cannot be used: {0}")]
    Recording(RecordingError),
    #[error("could not read sockets through sock_diag: {0}; try --source procfs")]
    Netlink(DumpError),
    #[error("no socket could be read: {netlink}; {procfs}")]
    Neither {
        netlink: DumpError,
        procfs: Box<CollectError>,
    },
    #[error("{0}; try --scan procfs")]
    Scan(ScanError),
    #[error("could not read {}: {reason}{hint}", path.display())]
    Procfs {
        path: PathBuf,
        reason: io::Error,
        hint: String,
    },
}

impl CollectError {
    /// What the system said, where it was asked.
    pub(crate) fn errno(&self) -> Option<Errno> {
        let of = Errno::from_io_error;
        match self {
            CollectError::Netns(error) => error.errno(),
            CollectError::Procfs { reason, .. } => of(reason),
            CollectError::Neither { procfs, .. } => procfs.errno(),
            CollectError::Netlink(
                DumpError::Open(reason) | DumpError::Send(reason) | DumpError::Receive(reason),
            ) => of(reason),
            CollectError::Netlink(DumpError::Refused(errno) | DumpError::Failed(errno)) => {
                Some(*errno)
            }
            _ => None,
        }
    }

    /// What a reading of /proc failed with, after sock_diag may have refused.
    fn after(self, refused: Option<DumpError>) -> CollectError {
        match refused {
            Some(netlink) => CollectError::Neither {
                netlink,
                procfs: Box::new(self),
            },
            None => self,
        }
    }
}

impl From<RecordingError> for CollectError {
    fn from(error: RecordingError) -> CollectError {
        CollectError::Recording(error)
    }
}

/// Reads everything that the request asks for.
///
/// # Errors
/// When no socket table could be read. Everything less is a gap.
pub fn collect(request: &Request, progress: &Progress) -> Result<Snapshot, CollectError> {
    let mut steps = Steps::default();
    if let Some(recording) = &request.from {
        let mut snapshot = recording.collect(request, &mut steps)?;
        snapshot.steps = steps.done;
        return Ok(snapshot);
    }
    collect_taped(request, progress, steps).map(|(snapshot, _)| snapshot)
}

/// Reads everything that the request asks for, and keeps it as it comes.
///
/// # Errors
/// When no socket table could be read. Everything less is a gap.
pub fn record(request: &Request, progress: &Progress) -> Result<(Snapshot, Capture), CollectError> {
    let request = Request {
        captured: true,
        ..request.clone()
    };
    collect_taped(&request, progress, Steps::default())
}

fn collect_taped(
    request: &Request,
    progress: &Progress,
    mut steps: Steps,
) -> Result<(Snapshot, Capture), CollectError> {
    let taken_at_ns = jiff::Timestamp::now().as_nanosecond();
    steps.search = request
        .owners
        .then(|| Search::new(request.scan, &request.proc_root));
    let start = Instant::now();
    let Tables {
        namespaces,
        found,
        gaps,
    } = read_namespaces(request, &mut steps)?;
    let reading_ms = u64::try_from(start.elapsed().as_millis() + 1).ok();
    let mut snapshot = Snapshot {
        host: host::read(&request.proc_root),
        namespaces,
        others: None,
        taken_at_ns,
        reading_ms,
        sockets: found.sockets,
        subflows: found.subflows,
        details: found.details,
        holders: None,
        cgroups: None,
        scan: Scan::default(),
        scanned: Vec::new(),
        gaps,
        steps: Vec::new(),
        recorded: false,
    };
    let capture = found.capture.unwrap_or_default();
    match steps.search.take() {
        Some(search) => read_owners(request, &mut snapshot, search, progress, &mut steps)?,
        None => steps.add("owners: not needed, not read".to_owned(), Instant::now()),
    }
    if request.findings || request.captured {
        snapshot.host.tools = tools::present();
        snapshot.host.this = tools::this();
    }
    if request.others {
        let start = Instant::now();
        let others = namespaces::others(request, &snapshot.namespaces);
        let what = match &others {
            Some(others) => format!("other network namespaces: {} found", others.namespaces),
            None => "other network namespaces: all were read".to_owned(),
        };
        steps.add(what, start);
        snapshot.others = others;
    }
    if request.cgroups {
        let start = Instant::now();
        let holders = snapshot.holders.as_ref();
        let cgroups = placement::read(
            &request.proc_root,
            holders,
            &snapshot.sockets,
            request.captured,
        );
        let (processes, others) = (cgroups.of_process.len(), cgroups.by_id.len());
        steps.add(
            format!("cgroups: of {processes} processes, {others} of sockets without one"),
            start,
        );
        snapshot.cgroups = Some(cgroups);
    }
    snapshot.steps = steps.done;
    Ok((snapshot, capture))
}

/// What the suspects tell of their stuck sockets, in no order. Those of whom a recording has
/// nothing are missing.
pub fn examine(
    request: &Request,
    snapshot: &Snapshot,
    suspects: &[Suspect],
    sample: Duration,
) -> (Vec<Evidence>, Step) {
    if let Some(recording) = &request.from {
        let start = Instant::now();
        let evidence = recording.examine(request, suspects);
        let step = Step {
            what: format!("recorded evidence of {} processes", evidence.len()).into(),
            took: start.elapsed(),
        };
        return (evidence, step);
    }
    let (all_facts, step) = facts_of_suspects(request, snapshot, suspects, sample);
    let evidence = all_facts
        .iter()
        .zip(suspects)
        .map(|(facts, suspect)| facts.about(&suspect.stuck))
        .collect();
    (evidence, step)
}

/// What the processes of a service behind tell, but for what takes a second reading: their use of
/// the processor, and what became of sockets that are in no table. Nothing of those that have
/// ended, or of whom a recording has nothing.
pub fn follow(request: &Request, snapshot: &Snapshot, pids: &[Pid]) -> Vec<Evidence> {
    let all_facts = match &request.from {
        _ if pids.is_empty() => return Vec::new(),
        Some(recording) => recording.told_by(pids),
        None => facts_of(request, snapshot, pids),
    };
    let alone = |facts: &ProcessFacts| Evidence {
        cpu: None,
        dead_sockets: None,
        ..facts.about(&[])
    };
    all_facts.iter().map(alone).collect()
}

/// The same, as it is recorded.
pub fn facts_of(request: &Request, snapshot: &Snapshot, pids: &[Pid]) -> Vec<ProcessFacts> {
    let suspect = |pid: &Pid| Suspect {
        pid: *pid,
        stuck: Vec::new(),
    };
    let suspects: Vec<Suspect> = pids.iter().map(suspect).collect();
    let (root, sockets) = (&request.proc_root, &snapshot.sockets);
    processes::examine(root, &suspects, &[], sockets, Duration::ZERO)
}

/// The most unmatched that are asked whether they are TCP, some microseconds each: those of any one
/// process, and as many of all others.
const LOOKS_MAX: usize = 2 * UNMATCHED_MAX;
/// The most processes that are asked whether their sockets are dead.
const WITH_DEAD_MAX: usize = 16;

/// The processes that have many TCP sockets open which are in no table that was read, though they
/// live in a namespace that was, those with the most first; and how many others may have some. Only
/// processes that are meant.
pub fn with_dead_sockets(
    request: &Request,
    snapshot: &Snapshot,
    is_meant: impl Fn(Pid) -> bool,
) -> (Vec<Pid>, u64) {
    if let Some(recording) = &request.from {
        let mut recorded = recording.with_dead_sockets(request);
        recorded.retain(|pid| is_meant(*pid));
        return (recorded, 0);
    }
    let unmatched = |scanned: &Scanned| scanned.unmatched.as_ref().map_or(0, Vec::len);
    let lives_here = |pid: Pid| {
        let path = request.proc_root.join(pid.to_string()).join("ns/net");
        let inode = file::metadata(&path).ok().map(|namespace| namespace.ino());
        let mut namespaces = snapshot.namespaces.iter();
        namespaces.any(|namespace| namespace.inode.is_none() || namespace.inode == inode)
    };
    let scanned = snapshot.scanned.iter();
    let mut with_many: Vec<&Scanned> = scanned
        .filter(|scanned| unmatched(scanned) >= UNMATCHED_FEW)
        .filter(|scanned| is_meant(scanned.pid) && lives_here(scanned.pid))
        .collect();
    // One with very many, which may be of any kind, leaves no looks for others.
    with_many.sort_by_key(|scanned| (unmatched(scanned), scanned.pid));
    let mut looks = LOOKS_MAX;
    let mut left_out = 0;
    with_many.retain(|scanned| {
        let many =
            processes::has_unmatched_tcp(&request.proc_root, scanned, UNMATCHED_FEW, &mut looks);
        left_out += u64::from(many.is_none());
        many == Some(true)
    });
    left_out += with_many.len().saturating_sub(WITH_DEAD_MAX) as u64;
    let most = with_many.iter().rev().take(WITH_DEAD_MAX);
    (most.map(|scanned| scanned.pid).collect(), left_out)
}

/// Asks the suspects for what they can tell about themselves; see [`processes::examine`].
pub fn facts_of_suspects(
    request: &Request,
    snapshot: &Snapshot,
    suspects: &[Suspect],
    sample: Duration,
) -> (Vec<ProcessFacts>, Step) {
    let start = Instant::now();
    let unmatched = snapshot.scanned.iter().any(|scanned| {
        let suspected = suspects.iter().any(|suspect| suspect.pid == scanned.pid);
        suspected
            && scanned
                .unmatched
                .as_ref()
                .is_some_and(|unmatched| !unmatched.is_empty())
    });
    // A unmatched may be a connection that was made after the dump, or in another namespace, and a
    // thread may wait for one that is not selected: only the whole tables, as they are now, can
    // tell.
    let now = if suspects.is_empty() || (request.sees_all() && !unmatched) {
        None
    } else {
        read_all_again(request, unmatched)
    };
    let told = !unmatched || now.as_ref().is_some_and(|(_, whole)| *whole);
    let sockets = now
        .as_ref()
        .map_or(&snapshot.sockets, |(sockets, _)| sockets);
    let mut scanned = Cow::Borrowed(snapshot.scanned.as_slice());
    if !told {
        for scanned in scanned.to_mut() {
            scanned.unmatched = None;
        }
    }
    let all_facts = processes::examine(&request.proc_root, suspects, &scanned, sockets, sample);
    let step = Step {
        what: format!("evidence of {} processes", suspects.len()).into(),
        took: start.elapsed(),
    };
    (all_facts, step)
}

/// The whole table without tcp_info, of all namespaces where it is asked for, and whether nothing
/// is missing from it; `None` when it cannot be had.
fn read_all_again(request: &Request, everywhere: bool) -> Option<(Vec<Socket>, bool)> {
    let everything = Request {
        protocols: Protocols::One(Protocol::Tcp),
        netns: if everywhere {
            NetnsChoice::All
        } else {
            request.netns.clone()
        },
        ..request.for_sockets(Filter::everything())
    };
    let tables = read_namespaces(&everything, &mut Steps::default()).ok()?;
    let whole = !tables.gaps.iter().any(misses_sockets);
    Some((tables.found.sockets, whole))
}

/// Finds the holders of the sockets that may be selected, and of those that tell about them:
/// listeners, and the other ends of CLOSE_WAIT. Where no such socket has an inode, nothing is read
/// but for findings, which are about what is in no table too.
///
/// # Errors
/// When they cannot be found in the way that was asked for.
fn read_owners(
    request: &Request,
    snapshot: &mut Snapshot,
    search: Search,
    progress: &Progress,
    steps: &mut Steps,
) -> Result<(), CollectError> {
    let start = Instant::now();
    let sockets = &snapshot.sockets;
    let selectable = |socket: &Socket| may_be_selected(&request.filter, socket);
    let unaccepted = sockets
        .iter()
        .any(|socket| socket.is_unaccepted() && selectable(socket));
    let waits = sockets
        .iter()
        .any(|socket| socket.state == State::CloseWait && selectable(socket));
    // What is neither selected nor a listener was kept for what it tells of a CLOSE_WAIT.
    let tells_of_another = |socket: &Socket| match socket.state {
        State::Listen => unaccepted || waits,
        _ => waits,
    };
    let inodes = sockets
        .iter()
        .chain(&snapshot.subflows)
        .filter(|socket| selectable(socket) || tells_of_another(socket))
        .map(|socket| socket.inode);
    let wanted = Wanted::new(inodes, request.sees_all());
    // Descriptors that lost their connections are in no table.
    let finds_dead = (request.findings || request.captured) && request.sees_all();
    if wanted.is_empty() && !finds_dead {
        steps.add("owners: no selected socket has one".to_owned(), start);
        snapshot.holders = Some(Holders::default());
        return Ok(());
    }
    match search.find(&wanted, progress) {
        Ok(mut found) => {
            let closed = look_behind(request, snapshot, &wanted, &mut found);
            steps.add(
                format!(
                    "owners: {} of {} processes, {} open files, by {}",
                    found.scan.processes_read,
                    found.scan.processes_seen,
                    found.scan.fds_read,
                    found.method
                ),
                start,
            );
            found.scanned.sort_unstable_by_key(|scanned| scanned.pid);
            if request.limits {
                found.scanned.retain_mut(|scanned| {
                    let root = request.proc_root.join(scanned.pid.to_string());
                    scanned.fd_limit = processes::fd_limit(&root);
                    // One that has ended has no files, and no limit.
                    scanned.fd_limit.is_some() || root.exists()
                });
            }
            let mut holders = Holders::new(found.holders, found.processes).with_closed(closed);
            read_ages(&request.proc_root, &snapshot.sockets, &mut holders);
            // Whoever reads a procfs is in it, but for another PID namespace's.
            if found.scan.processes_seen == 0 {
                snapshot.gaps.push(Gap {
                    kind: GapKind::ProcessesUnlisted,
                    count: 1,
                    detail: format!(
                        "no process in {}: no owner is known",
                        request.proc_root.display()
                    )
                    .into(),
                    hint: "give the right --proc, or leave owners out with --no-owners".into(),
                });
            }
            snapshot.scan = found.scan;
            snapshot.scanned = found.scanned;
            snapshot.holders = Some(holders);
        }
        Err(error @ ScanError::Bpf(_)) => return Err(CollectError::Scan(error)),
        Err(error @ ScanError::Unlisted { .. }) => {
            snapshot.holders = Some(Holders::default());
            snapshot.gaps.push(Gap {
                kind: GapKind::ProcessesUnlisted,
                count: 1,
                detail: format!("{error}: no owner is known").into(),
                hint: "give the right --proc, or leave owners out with --no-owners".into(),
            });
        }
    }
    Ok(())
}

/// Where sockets are left without a holder, looks for one where no table of descriptors shows it,
/// and for what it may be behind. Returns the inodes of those that are closed by now.
fn look_behind(
    request: &Request,
    snapshot: &Snapshot,
    wanted: &Wanted,
    found: &mut Found,
) -> Vec<u32> {
    let mut left = wanted.without(&found.holders);
    if left.is_empty() {
        return Vec::new();
    }
    let closed: Vec<u32> = match open_by_now(request, &snapshot.sockets, &left) {
        Some(open) => left.difference(&open).copied().collect(),
        None => Vec::new(),
    };
    for inode in &closed {
        left.remove(inode);
    }
    holders::find_hidden(&request.proc_root, left, found);
    closed
}

/// Which of these inodes the tables have now; `None` if the tables cannot be read whole.
fn open_by_now(
    request: &Request,
    sockets: &[Socket],
    inodes: &FxHashSet<u32>,
) -> Option<FxHashSet<u32>> {
    /// For so few, the kernel is asked for their ends.
    const FEW: usize = 32;
    let asked = sockets
        .iter()
        .filter(|socket| inodes.contains(&socket.inode));
    let ends = |socket: &Socket| {
        let is = |end, port| Filter::Term(Term::Port(end, port..=port));
        Filter::And(vec![
            is(End::Local, socket.local.port),
            is(End::Remote, socket.remote.port),
        ])
    };
    let again = request.for_sockets(if inodes.len() <= FEW {
        Filter::Or(asked.map(ends).collect())
    } else {
        Filter::everything()
    });
    let tables = read_namespaces(&again, &mut Steps::default()).ok()?;
    let whole = !tables.gaps.iter().any(misses_sockets);
    let sockets = tables.found.sockets.iter();
    whole.then(|| sockets.map(|socket| socket.inode).collect())
}

/// Whether sockets may be missing from the tables.
fn misses_sockets(gap: &Gap) -> bool {
    matches!(
        gap.kind,
        GapKind::NetnsUnread
            | GapKind::DumpInterrupted
            | GapKind::FamilyUnread
            | GapKind::MptcpUnread
    )
}

/// Reads when the holders of CLOSE_WAIT sockets started, and from whom: a socket that is older than
/// its holder was inherited. The same of those who hold a listener with a queue; others of the same
/// name may be workers of the same program.
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

/// The steps done so far, with their times, and what goes on beside them.
#[derive(Default)]
pub(crate) struct Steps {
    pub(crate) done: Vec<Step>,
    /// The search for holders, where they are asked for.
    search: Option<Search>,
}

impl Steps {
    /// A socket came that will be shown or counted: if it is held, it will be asked by whom.
    fn selected(&self, socket: &Socket) {
        if let Some(search) = self.search.as_ref().filter(|_| socket.inode != 0) {
            search.begin();
        }
    }

    pub(crate) fn add(&mut self, what: String, start: Instant) {
        self.done.push(Step {
            what: what.into(),
            took: start.elapsed(),
        });
    }
}
