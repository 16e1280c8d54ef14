//! Everything that touches the system: one [`collect`] turns a [`Request`] into a [`Snapshot`].
//!
//! sockets (sock_diag, or /proc/net/tcp where that is not to be had) → host facts → owners.
//! What could not be read is a gap in the snapshot, never an empty answer.

pub mod host;
pub mod netns;
pub mod owners;
pub mod proc_net;
pub mod process;
pub mod sock_diag;
pub mod syscalls;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::netns::{Netns, NetnsError, NetnsName};
use self::owners::{Progress, Wanted};
use self::process::Suspect;
use self::sock_diag::wire::{Families, Query};
use self::sock_diag::{Dump, DumpError, Reader, bytecode};
use crate::filter::{Filter, Known, Term};
use crate::model::{
    Evidence, Family, Gap, GapKind, Holders, Host, Pid, Scan, Snapshot, Socket, Source, State,
    StateSet, Step,
};

/// What a run needs to see.
#[derive(Debug, Clone)]
pub struct Request {
    pub source: SourceChoice,
    /// Where procfs is mounted.
    pub proc_root: PathBuf,
    pub netns: Option<NetnsName>,
    pub families: Families,
    pub filter: Filter,
    /// Read who holds the sockets.
    pub owners: bool,
    /// Ask for tcp_info: ages and causes rest on it.
    pub tcp_info: bool,
}

impl Request {
    /// Whether every TCP socket of the namespace is read.
    fn sees_all(&self) -> bool {
        let whole = |part: &Filter| {
            matches!(part, Filter::Term(Term::State(states))
                if states.intersection(StateSet::ALL) == StateSet::ALL)
        };
        let unfiltered = match &self.filter {
            Filter::And(parts) => parts.iter().all(whole),
            other => whole(other),
        };
        unfiltered && self.families == Families::Both
    }
}

/// Where the user wants the sockets from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SourceChoice {
    /// sock_diag, and /proc/net/tcp where that is not to be had
    Auto,
    /// sock_diag or an error
    Netlink,
    /// /proc/net/tcp and tcp6
    Procfs,
}

/// Why nothing could be read. The message says the reason, so there is no source.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    #[error(transparent)]
    Netns(#[from] NetnsError),
    #[error("could not read sockets through sock_diag: {0}; try --source procfs")]
    Netlink(DumpError),
    #[error("could not read {}: {reason}{hint}", path.display())]
    Procfs {
        path: PathBuf,
        reason: io::Error,
        hint: String,
    },
}

/// Reads everything that the request asks for.
///
/// # Errors
/// When no socket table could be read. Everything less is a gap.
pub fn collect(request: &Request, progress: &Progress) -> Result<Snapshot, CollectError> {
    let taken_at_ns = jiff::Timestamp::now().as_nanosecond();
    let mut steps = Steps::default();
    let (netns, table) = read_namespace(request, &mut steps)?;
    let Table {
        sockets,
        source,
        host,
        gaps,
    } = table;
    let mut snapshot = Snapshot {
        host,
        netns,
        netns_asked: request.netns.as_ref().map(|name| name.0.clone()),
        taken_at_ns,
        source,
        sockets,
        holders: None,
        scan: Scan::default(),
        scanned: Vec::new(),
        gaps,
        steps: Vec::new(),
    };
    if request.owners {
        read_owners(request, &mut snapshot, progress, &mut steps);
    }
    snapshot.steps = steps.done;
    Ok(snapshot)
}

/// Reads what the suspects can tell about themselves; see [`process::examine`]. Its times go to
/// the snapshot's steps.
pub fn examine(
    request: &Request,
    snapshot: &Snapshot,
    suspects: &[Suspect],
    sample: Duration,
) -> (Vec<Evidence>, Step) {
    let start = Instant::now();
    let strays = snapshot.scanned.iter().any(|scanned| {
        let suspected = suspects.iter().any(|suspect| suspect.pid == scanned.pid);
        suspected
            && scanned
                .strays
                .as_ref()
                .is_some_and(|strays| !strays.is_empty())
    });
    // A stray may be a connection that was made after the dump, and a thread may wait for one
    // that is not selected: only the whole table, as it is now, can tell.
    let now = if suspects.is_empty() || (request.sees_all() && !strays) {
        None
    } else {
        read_all_again(request)
    };
    let sockets = now.as_deref().unwrap_or(&snapshot.sockets);
    let evidence = process::examine(
        &request.proc_root,
        suspects,
        &snapshot.scanned,
        sockets,
        sample,
    );
    let step = Step {
        what: format!("evidence of {} processes", suspects.len()),
        took: start.elapsed(),
    };
    (evidence, step)
}

/// The whole table without tcp_info; `None` when it cannot be had.
fn read_all_again(request: &Request) -> Option<Vec<Socket>> {
    let everything = Request {
        families: Families::Both,
        filter: Filter::everything(),
        owners: false,
        tcp_info: false,
        ..request.clone()
    };
    let (_, table) = read_namespace(&everything, &mut Steps::default()).ok()?;
    Some(table.sockets)
}

/// The sockets of a namespace, and the facts that are the namespace's own.
struct Table {
    sockets: Vec<Socket>,
    source: Source,
    host: Host,
    gaps: Vec<Gap>,
}

/// Enters the namespace that was asked for, and reads there. Where it may not be entered, a
/// process's own /proc/PID/net is open to all.
fn read_namespace(
    request: &Request,
    steps: &mut Steps,
) -> Result<(Option<String>, Table), CollectError> {
    let root = &request.proc_root;
    let Some(name) = &request.netns else {
        let table = read_table(request, None, steps)?;
        return Ok((netns::current().map(netns_label), table));
    };
    let entered =
        Netns::open(name, root).and_then(|netns| netns.within(|| read_table(request, None, steps)));
    match entered {
        Ok(table) => Ok((Some(name.0.clone()), table?)),
        Err(error) => {
            let net = root.join(&name.0).join("net");
            let is_process = name.0.parse::<u32>().is_ok();
            if request.source == SourceChoice::Netlink || !is_process || !net.join("tcp").exists() {
                return Err(error.into());
            }
            let mut table = read_table(request, Some(&net), steps)?;
            table.gaps.push(Gap {
                kind: GapKind::ProcSource,
                count: 1,
                detail: format!("{error}: read {} instead", net.display()),
                hint: "run as root for ages, cookies and accept queue limits".into(),
            });
            Ok((Some(name.0.clone()), table))
        }
    }
}

fn netns_label(inode: u64) -> String {
    format!("net:[{inode}]")
}

/// Reads the sockets of the calling thread's namespace, or those in the files of `net`.
fn read_table(
    request: &Request,
    net: Option<&Path>,
    steps: &mut Steps,
) -> Result<Table, CollectError> {
    let host = host::read(&request.proc_root);
    let mut gaps = Vec::new();
    let mut sockets = Vec::new();
    if net.is_none() && request.source != SourceChoice::Procfs {
        match read_netlink(request, &mut sockets, steps) {
            Ok(dump) => {
                gaps.extend(dump_gaps(dump));
                gaps.extend(age_gap(request, &sockets));
                return Ok(Table {
                    sockets,
                    source: Source::Netlink,
                    host,
                    gaps,
                });
            }
            Err(error) if request.source == SourceChoice::Netlink => {
                return Err(CollectError::Netlink(error));
            }
            Err(error) => {
                sockets.clear();
                gaps.push(Gap {
                    kind: GapKind::ProcSource,
                    count: 1,
                    detail: format!("{error}: read /proc/net/tcp instead, which has no ages"),
                    hint: "load the tcp_diag module, or allow NETLINK_SOCK_DIAG".into(),
                });
            }
        }
    } else if net.is_none() {
        gaps.push(Gap {
            kind: GapKind::ProcSource,
            count: 1,
            detail: "/proc/net/tcp was read as asked: it has no ages and no accept queue limits"
                .to_owned(),
            hint: "leave --source procfs away".into(),
        });
    }
    let found = net.map_or_else(|| net_dir(&request.proc_root), Path::to_path_buf);
    read_procfs(request, &found, &mut sockets, &mut gaps, steps)?;
    Ok(Table {
        sockets,
        source: Source::Procfs,
        host,
        gaps,
    })
}

/// The directory that shows the calling thread's namespace: `net` alone is the main thread's.
fn net_dir(proc_root: &Path) -> PathBuf {
    let of_thread = proc_root.join("thread-self/net");
    if of_thread.join("tcp").exists() {
        of_thread
    } else {
        proc_root.join("net")
    }
}

fn read_netlink(
    request: &Request,
    sockets: &mut Vec<Socket>,
    steps: &mut Steps,
) -> Result<Dump, DumpError> {
    let start = Instant::now();
    let mut reader = Reader::open()?;
    // Listeners decide the side of every other socket, whatever is selected. They are in a hash
    // table of their own, so asking for them alone does not walk the large one.
    let listen = StateSet::of(State::Listen);
    let mut keep = |socket: &Socket| may_matter(&request.filter, socket);
    let listeners = Query {
        families: request.families,
        states: listen,
        tcp_info: false,
        bytecode: None,
    };
    let mut dump = reader.read(&listeners, &mut keep, sockets)?;
    let states = request.filter.states().minus(listen);
    if !states.is_empty() {
        let others = Query {
            families: request.families,
            states,
            tcp_info: request.tcp_info,
            bytecode: bytecode::compile(&request.filter),
        };
        let rest = reader.read(&others, &mut keep, sockets)?;
        dump.malformed += rest.malformed;
        dump.repeated += rest.repeated;
        dump.interrupted |= rest.interrupted;
    }
    let mut what = format!("sock_diag dump: {} sockets kept", sockets.len());
    if dump.repeated > 0 {
        what.push_str(&format!(", {} seen twice", dump.repeated));
    }
    steps.add(what, start);
    Ok(dump)
}

/// Whether a socket may be selected, or is one that others are judged by.
fn may_matter(filter: &Filter, socket: &Socket) -> bool {
    socket.state == State::Listen || filter.decide(&Known::of(socket)) != Some(false)
}

fn dump_gaps(dump: Dump) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if dump.interrupted {
        gaps.push(Gap {
            kind: GapKind::DumpInterrupted,
            count: 1,
            detail: "the socket table changed under every dump: some sockets may be missing"
                .to_owned(),
            hint: "run it again".into(),
        });
    }
    if dump.malformed > 0 {
        gaps.push(Gap {
            kind: GapKind::Malformed,
            count: dump.malformed,
            detail: format!(
                "{} sock_diag messages could not be understood",
                dump.malformed
            ),
            hint: "report the kernel's version".into(),
        });
    }
    gaps
}

/// CLOSE_WAIT sockets without tcp_info, where it was asked for.
fn age_gap(request: &Request, sockets: &[Socket]) -> Option<Gap> {
    let missing = sockets
        .iter()
        .filter(|socket| socket.state == State::CloseWait && socket.tcp.is_none())
        .count() as u64;
    (request.tcp_info && missing > 0).then(|| Gap {
        kind: GapKind::AgesMissing,
        count: missing,
        detail: format!(
            "the kernel sent no tcp_info with {missing} CLOSE_WAIT sockets: their age is unknown"
        ),
        hint: "".into(),
    })
}

fn read_procfs(
    request: &Request,
    net: &Path,
    sockets: &mut Vec<Socket>,
    gaps: &mut Vec<Gap>,
    steps: &mut Steps,
) -> Result<(), CollectError> {
    let start = Instant::now();
    let families: &[Family] = match &request.families {
        Families::Both => &[Family::Inet, Family::Inet6],
        Families::One(family) => std::slice::from_ref(family),
    };
    let mut malformed = 0;
    for &family in families {
        let path = net.join(match family {
            Family::Inet => "tcp",
            Family::Inet6 => "tcp6",
        });
        let mut keep = |socket: &Socket| may_matter(&request.filter, socket);
        let reading =
            File::open(&path).and_then(|text| proc_net::read(text, family, &mut keep, sockets));
        match reading {
            Ok(reading) => malformed += reading.malformed,
            // A kernel without IPv6 has no such file, and no such sockets.
            Err(error) if family == Family::Inet6 && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if family == Family::Inet6 && families.len() > 1 => gaps.push(Gap {
                kind: GapKind::FamilyUnread,
                count: 1,
                detail: format!("could not read {}: {error}", path.display()),
                hint: "IPv6 sockets are missing".into(),
            }),
            Err(reason) => {
                let hint = if request.proc_root == Path::new("/proc") {
                    "; is /proc mounted?".to_owned()
                } else {
                    format!("; is {} a procfs?", request.proc_root.display())
                };
                return Err(CollectError::Procfs { path, reason, hint });
            }
        }
    }
    if malformed > 0 {
        gaps.push(Gap {
            kind: GapKind::Malformed,
            count: malformed,
            detail: format!(
                "{malformed} lines of {}/tcp or tcp6 could not be understood",
                net.display()
            ),
            hint: "compare with the file itself".into(),
        });
    }
    steps.add(
        format!(
            "{}/tcp, tcp6: {} sockets kept",
            net.display(),
            sockets.len()
        ),
        start,
    );
    Ok(())
}

/// Finds the holders of the sockets that may be selected, and of the listeners that unaccepted
/// ones wait for. Where no such socket has an inode, nothing is read.
fn read_owners(request: &Request, snapshot: &mut Snapshot, progress: &Progress, steps: &mut Steps) {
    let start = Instant::now();
    let sockets = &snapshot.sockets;
    let selectable = |socket: &Socket| request.filter.decide(&Known::of(socket)) != Some(false);
    let unaccepted = sockets
        .iter()
        .any(|socket| socket.is_unaccepted() && selectable(socket));
    let inodes = sockets
        .iter()
        .filter(|socket| selectable(socket) || (unaccepted && socket.state == State::Listen))
        .map(|socket| socket.inode);
    let wanted = Wanted::new(inodes, request.sees_all());
    if wanted.is_empty() {
        snapshot.holders = Some(Holders::default());
        return;
    }
    match owners::scan(&request.proc_root, &wanted, progress) {
        Ok(mut found) => {
            steps.add(
                format!(
                    "owners: {} of {} processes, {} open files",
                    found.scan.processes_read, found.scan.processes_seen, found.scan.fds_read
                ),
                start,
            );
            found.scanned.sort_unstable_by_key(|scanned| scanned.pid);
            let mut holders = Holders::new(found.holders, found.processes);
            read_ages(&request.proc_root, &snapshot.sockets, &mut holders);
            snapshot.scan = found.scan;
            snapshot.scanned = found.scanned;
            snapshot.holders = Some(holders);
        }
        Err(error) => {
            snapshot.holders = Some(Holders::default());
            snapshot.gaps.push(Gap {
                kind: GapKind::ProcessesUnlisted,
                count: 1,
                detail: format!(
                    "could not list the processes of {}: {error}: no owner is known",
                    request.proc_root.display()
                ),
                hint: "give the right --proc, or leave owners out with --no-owners".into(),
            });
        }
    }
}

/// Reads when the holders of CLOSE_WAIT sockets started: a socket that is older than its holder
/// was inherited.
fn read_ages(proc_root: &Path, sockets: &[Socket], holders: &mut Holders) {
    let mut pids: Vec<Pid> = sockets
        .iter()
        .filter(|socket| socket.state == State::CloseWait)
        .flat_map(|socket| holders.of(socket.inode))
        .map(|holder| holder.pid)
        .collect();
    pids.sort_unstable();
    pids.dedup();
    let Some(uptime_ms) = process::uptime_ms(proc_root) else {
        return;
    };
    for process in holders.processes_mut() {
        if pids.binary_search(&process.pid).is_ok() {
            process.age_ms = process::age_ms(proc_root, process.pid, uptime_ms);
        }
    }
}

/// The steps done so far, with their times.
#[derive(Default)]
struct Steps {
    done: Vec<Step>,
}

impl Steps {
    fn add(&mut self, what: String, start: Instant) {
        self.done.push(Step {
            what,
            took: start.elapsed(),
        });
    }
}
