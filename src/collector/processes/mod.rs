//! Evidence from the few processes that findings name.
//!
//! Read once they are suspected, and only theirs: limits, threads, processor use between two
//! readings, the system call that each thread is in, epoll sets. See proc_pid_task(5),
//! proc_pid_syscall(5) and proc_pid_fdinfo(5).

mod halt;
mod inside;
mod locks;
mod runtime;
mod threads;
mod titles;
pub(super) mod waits;

use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use procfs::process::Stat;
use rustix::fs::CWD;
use serde::{Deserialize, Serialize};

use crate::collector::file;
use crate::collector::hang;
use crate::collector::holders::UNMATCHED_FEW;
use crate::collector::namespaces::sknet::Sockets;
use crate::collector::processes::halt::{Asked, Hierarchies};
use crate::collector::processes::inside::inside;
use crate::collector::processes::runtime::runtime;
use crate::collector::processes::threads::{Ticks, cpu, lasting, ticks};
use crate::collector::procfs::socket_inode;
use crate::model::{Endpoint, Epoll, Evidence, FdLimit, Halt, Pid, Scanned, Socket, State};

/// The clock of /proc/PID/stat: `USER_HZ`, 100 on every architecture that Rust runs on.
pub(crate) const TICK_MS: u64 = 10;
/// More entries than this of an epoll set are not read.
const EPOLL_MAX: usize = 200_000;
/// So many connections in epoll sets tell as much as all.
const POLLED_MAX: usize = 64;

/// What is asked about one process.
#[derive(Debug, Clone)]
pub struct Suspect {
    pub pid: Pid,
    /// The inodes of its sockets that a finding is about, ordered.
    pub stuck: Vec<u32>,
}

/// What one process said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// All but what is said of certain sockets.
    evidence: Evidence,
    epoll: Option<EpollSets>,
}

/// The inodes of the sockets that were asked about in the epoll sets of a process, ordered.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct EpollSets {
    /// Watched for input.
    watched: Vec<u32>,
    /// Of those, the ones that are told of once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    edge: Vec<u32>,
    /// Registered, but not for input.
    muted: Vec<u32>,
}

impl ProcessFacts {
    pub fn pid(&self) -> Pid {
        self.evidence.pid
    }

    /// How many files it might have open.
    pub(crate) fn fd_limit(&self) -> Option<FdLimit> {
        self.evidence.fd_limit
    }

    /// How many of its descriptors have lost their connections.
    pub(crate) fn dead_sockets(&self) -> Option<u64> {
        self.evidence.dead_sockets
    }

    /// What it said of these sockets, which were among those that it was asked about.
    pub fn about(&self, stuck: &[u32]) -> Evidence {
        let among = |inodes: &[u32]| {
            let is_stuck = |inode: &&u32| stuck.binary_search(inode).is_ok();
            inodes.iter().filter(is_stuck).count()
        };
        let told = self.epoll.as_ref().filter(|_| !stuck.is_empty());
        let epoll = told.map(|sets| {
            let (watched, muted) = (among(&sets.watched), among(&sets.muted));
            Epoll {
                watched: watched as u64,
                edge: among(&sets.edge) as u64,
                muted: muted as u64,
                absent: stuck.len().saturating_sub(watched + muted) as u64,
            }
        });
        Evidence {
            epoll,
            ..self.evidence.clone()
        }
    }

    /// All but what is said of certain sockets, to be changed.
    pub(crate) fn evidence_mut(&mut self) -> &mut Evidence {
        &mut self.evidence
    }
}

/// Examines the suspects. Between the two readings of processor time the rest is read, and what
/// remains of `sample` is slept; with a zero `sample` there is one reading and no processor use.
pub fn examine(
    proc_root: &Path,
    suspects: &[Suspect],
    scanned: &[Scanned],
    sockets: &[Socket],
    sample: Duration,
) -> Vec<ProcessFacts> {
    let uptime_ms = uptime_ms(proc_root);
    let open: Vec<Option<OwnedFd>> = suspects
        .iter()
        .map(|suspect| open(proc_root, suspect.pid))
        .collect();
    let root = |suspect: &Suspect| proc_root.join(suspect.pid.to_string());
    let hierarchies = Hierarchies::read(proc_root);
    let groups: Vec<halt::Before> = suspects
        .iter()
        .map(|suspect| halt::before(&root(suspect), &hierarchies))
        .collect();
    let look = || -> Vec<Ticks> {
        let processes = suspects.iter().zip(&open);
        processes
            .map(|(suspect, process)| ticks(process.as_ref(), &root(suspect)))
            .collect()
    };
    let before = look();
    // From here on, or a host that stalls while the first reading is made shortens the sample.
    let start = Instant::now();
    let ends = Ends::of(sockets);
    let mut all_facts: Vec<ProcessFacts> = suspects
        .iter()
        .zip(&open)
        .zip(&before)
        .map(|((suspect, process), before)| {
            let scanned = scanned.iter().find(|scanned| scanned.pid == suspect.pid);
            let reading = Reading {
                root: root(suspect),
                suspect,
                scanned,
                ends: &ends,
            };
            match process {
                Some(process) => {
                    let (epoll, polled) = reading.epoll().unzip();
                    ProcessFacts {
                        evidence: Evidence {
                            polled: polled.unwrap_or_default(),
                            ..reading.evidence(process, before, uptime_ms)
                        },
                        epoll,
                    }
                }
                None => ProcessFacts {
                    evidence: Evidence {
                        pid: suspect.pid,
                        unread: vec!["it ended, or may not be read".into()],
                        ..Evidence::default()
                    },
                    epoll: None,
                },
            }
        })
        .collect();
    let stats = open.iter().map(|process| stat(process.as_ref()?));
    let told = all_facts.iter_mut().map(ProcessFacts::evidence_mut);
    titles::add_siblings(proc_root, told.zip(stats));
    let after = (!sample.is_zero() && !suspects.is_empty()).then(|| {
        thread::sleep(sample.saturating_sub(start.elapsed()));
        look()
    });
    for (at, (facts, groups)) in all_facts.iter_mut().zip(groups).enumerate() {
        let (Some(before), Some(_)) = (before.get(at), open.get(at).and_then(Option::as_ref))
        else {
            continue;
        };
        let evidence = &mut facts.evidence;
        let after = after.as_ref().and_then(|after| after.get(at));
        if let Some(after) = after {
            evidence.cpu = cpu(before, after);
            evidence.threads = evidence.threads.map(|_| lasting(before, after));
        }
        let asked = Asked {
            proc_root,
            pid: evidence.pid,
            root: &proc_root.join(evidence.pid.to_string()),
            before: groups,
            waits: evidence.waits.as_deref(),
            uptime_ms,
        };
        evidence.halt = asked.halt(before, after);
    }
    all_facts
}

/// The directory of a process: what has its number later is not taken for it.
fn open(proc_root: &Path, pid: Pid) -> Option<OwnedFd> {
    file::directory(CWD, proc_root.join(pid.to_string())).ok()
}

fn stat(process: &OwnedFd) -> Option<Stat> {
    file::parsed_at(process, "stat")
}

/// How long the host has been up, in milliseconds.
pub fn uptime_ms(proc_root: &Path) -> Option<u64> {
    let uptime: procfs::Uptime = file::parsed_at(CWD, &proc_root.join("uptime"))?;
    Some((uptime.uptime * 1000.0) as u64)
}

/// The soft limit of open files of a process, by its directory in /proc; see proc_pid_limits(5).
pub(crate) fn fd_limit(root: &Path) -> Option<FdLimit> {
    parse_fd_limit(&file::text(&root.join("limits")).ok()?)
}

/// The soft limit in a line such as `Max open files            1024                 4096    files`.
fn parse_fd_limit(text: &str) -> Option<FdLimit> {
    let mut lines = text.lines();
    let rest = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    match rest.split_ascii_whitespace().next()? {
        "unlimited" => Some(FdLimit::Unlimited),
        files => files.parse().ok().map(FdLimit::Files),
    }
}

/// One process while it is examined.
struct Reading<'a> {
    /// `/proc/PID`.
    root: PathBuf,
    suspect: &'a Suspect,
    scanned: Option<&'a Scanned>,
    ends: &'a Ends<'a>,
}

impl Reading<'_> {
    fn evidence(&self, process: &OwnedFd, ticks: &Ticks, uptime_ms: Option<u64>) -> Evidence {
        let mut unread = Vec::new();
        let fd_limit = fd_limit(&self.root);
        if fd_limit.is_none() {
            unread.push("its limits may not be read".into());
        }
        let mut threads: Vec<Pid> = ticks.by_thread.keys().copied().collect();
        threads.sort_unstable();
        let waiting = waits::of(&self.root, &threads, self.ends);
        if waiting.is_none() && !ticks.by_thread.is_empty() {
            unread.push("what its threads wait for may not be read (needs root)".into());
        }
        if !ticks.complete {
            unread.push(format!("only {} threads were read", ticks.by_thread.len()).into());
        }
        let stat = stat(process);
        if stat.is_none() {
            unread.push("its stat could not be read".into());
        }
        let may_be_read = waiting.is_some();
        let waiting = waiting.unwrap_or_default();
        Evidence {
            pid: self.suspect.pid,
            age_ms: stat.as_ref().zip(uptime_ms).and_then(|(stat, uptime)| {
                uptime.checked_sub(stat.starttime.saturating_mul(TICK_MS))
            }),
            runtime: runtime(&self.root),
            open_fds: self.scanned.map(|scanned| scanned.fds),
            fd_limit,
            dead_sockets: self.dead_sockets(),
            threads: (ticks.threads.total > 0).then_some(ticks.threads),
            cpu: None,
            halt: Halt::default(),
            waits: may_be_read.then_some(waiting.waits),
            thread_names: waiting.thread_names,
            locks: waiting.locks,
            epoll: None,
            polled: Vec::new(),
            inside: inside(&self.root),
            title: stat.as_ref().and_then(|stat| titles::of(&self.root, stat)),
            siblings: Vec::new(),
            unread,
        }
    }

    /// Descriptors that were unmatched when /proc was scanned, are TCP, and still the same: each has
    /// lost its connection. A socket that was made after the dump is looked up by
    /// [`Ends::knows`], for which the caller reads the table again; one in a namespace that could
    /// not be read is asked itself. `None` where one may not be asked.
    fn dead_sockets(&self) -> Option<u64> {
        let unmatched = self.scanned?.unmatched.as_ref()?;
        let mut dead = 0;
        let mut sockets = None;
        for (fd, inode) in unmatched {
            let path = self.root.join("fd").join(fd.to_string());
            if self.ends.knows(*inode) || !is_tcp(&path) || link_inode(&path) != Some(*inode) {
                continue;
            }
            let sockets = sockets.get_or_insert_with(|| Sockets::of(self.suspect.pid).ok());
            dead += u64::from(sockets.as_ref()?.is_dead(*fd, *inode)?);
        }
        Some(dead)
    }

    /// Which of the stuck sockets stand in the process's epoll sets, and some of the connections
    /// there that are well and have an end in common with them.
    fn epoll(&self) -> Option<(EpollSets, Vec<(Endpoint, Endpoint)>)> {
        let scanned = self.scanned?;
        if scanned.epolls.is_empty() || self.suspect.stuck.is_empty() {
            return None;
        }
        let mut watched = HashSet::new();
        let mut edge = HashSet::new();
        let mut muted = HashSet::new();
        let stuck = self.suspect.stuck.iter();
        let ends = stuck.filter_map(|inode| self.ends.find(*inode));
        let (ports, remotes): (HashSet<u16>, HashSet<Endpoint>) = ends
            .map(|socket| (socket.local.port, socket.remote))
            .unzip();
        let mut polled = Vec::new();
        for fd in &scanned.epolls {
            let path = self.root.join("fdinfo").join(fd.to_string());
            for line in file::lines(&path).ok()?.take(EPOLL_MAX) {
                // An inode that is no 32-bit number is no socket's.
                let Some((events, inode)) = parse_tfd(&line.ok()?) else {
                    continue;
                };
                if self.suspect.stuck.binary_search(&inode).is_ok() {
                    let set = if events & INPUT != 0 {
                        &mut watched
                    } else {
                        &mut muted
                    };
                    set.insert(inode);
                    if events & EDGE != 0 {
                        edge.insert(inode);
                    }
                } else if polled.len() < POLLED_MAX
                    && let Some(socket) = self.ends.find(inode)
                    && socket.state == State::Established
                    && (ports.contains(&socket.local.port) || remotes.contains(&socket.remote))
                {
                    polled.push((socket.local.canonical(), socket.remote.canonical()));
                }
            }
        }
        muted.retain(|inode| !watched.contains(inode));
        let ordered = |set: HashSet<u32>| {
            let mut inodes: Vec<u32> = set.into_iter().collect();
            inodes.sort_unstable();
            inodes
        };
        let sets = EpollSets {
            watched: ordered(watched),
            edge: ordered(edge),
            muted: ordered(muted),
        };
        Some((sets, polled))
    }
}

/// EPOLLET: what is there is told once.
const EDGE: u32 = 1 << 31;
/// EPOLLIN and EPOLLRDHUP: either tells of an end-of-file.
const INPUT: u32 = 0x2001;

/// The events and the inode of a line such as
/// `tfd:        8 events:       19 data:  …  pos:0 ino:61af sdev:7`.
fn parse_tfd(line: &str) -> Option<(u32, u32)> {
    let mut words = line.split_ascii_whitespace();
    if words.next()? != "tfd:" {
        return None;
    }
    let mut words = words.skip_while(|word| *word != "events:").skip(1);
    let events = u32::from_str_radix(words.next()?, 16).ok()?;
    let inode = words.find_map(|word| word.strip_prefix("ino:"))?;
    Some((events, u32::from_str_radix(inode, 16).ok()?))
}

/// The sockets of the table by inode.
pub(crate) struct Ends<'a> {
    by_inode: Vec<(u32, &'a Socket)>,
}

impl<'a> Ends<'a> {
    fn of(sockets: &'a [Socket]) -> Ends<'a> {
        let mut by_inode: Vec<(u32, &Socket)> = sockets
            .iter()
            .filter(|socket| socket.inode != 0)
            .map(|socket| (socket.inode, socket))
            .collect();
        by_inode.sort_unstable_by_key(|(inode, _)| *inode);
        Ends { by_inode }
    }

    pub(crate) fn find(&self, inode: u32) -> Option<&'a Socket> {
        let at = self
            .by_inode
            .binary_search_by_key(&inode, |(inode, _)| *inode)
            .ok()?;
        self.by_inode.get(at).map(|(_, socket)| *socket)
    }

    fn knows(&self, inode: u32) -> bool {
        self.find(inode).is_some()
    }
}

fn link_inode(path: &Path) -> Option<u32> {
    use std::os::unix::ffi::OsStrExt;
    socket_inode(file::link(path).ok()?.as_os_str().as_bytes())
}

/// Whether a descriptor is a TCP socket: every socket names its protocol in an extended attribute
/// (`net/socket.c`, `sockfs_xattr_get`).
fn is_tcp(path: &Path) -> bool {
    let mut protocol = [0; 32];
    rustix::fs::getxattr(path, c"system.sockprotoname", &mut protocol).is_ok_and(|length| {
        let name = protocol.get(..length).unwrap_or_default();
        name.starts_with(b"TCP") || name.starts_with(b"MPTCP")
    })
}

/// Whether many of the unmatched of a process are TCP sockets; `None` where that takes more looks than
/// are left.
pub(crate) fn has_many_unmatched_tcp(
    proc_root: &Path,
    scanned: &Scanned,
    looks: &mut usize,
) -> Option<bool> {
    let descriptors = proc_root.join(scanned.pid.to_string()).join("fd");
    let mut many = 0;
    for (fd, _) in scanned.unmatched.iter().flatten() {
        *looks = looks.checked_sub(1)?;
        many += usize::from(is_tcp(&descriptors.join(fd.to_string())));
        if many == UNMATCHED_FEW {
            return Some(true);
        }
    }
    Some(false)
}

pub(crate) fn is_32_bit(root: &Path) -> bool {
    const CLASS: usize = 4;
    const CLASS_32: u8 = 1;
    let exe = root.join("exe");
    let head = hang::abroad(move || file::head(&exe, CLASS as u64 + 1));
    head.is_ok_and(|head| head.get(CLASS) == Some(&CLASS_32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoll_entry_tells_its_events_and_inode() {
        let line = "tfd:        8 events:     2019 data:                8  pos:0 ino:61af sdev:7";
        assert_eq!(parse_tfd(line), Some((0x2019, 0x61af)));
        assert_eq!(parse_tfd("pos:\t0"), None);
        assert_eq!(parse_tfd("tfd: 8 events: zz"), None);
    }

    #[test]
    fn a_limit_of_open_files_is_read_whatever_the_line_looks_like() {
        let text = "Limit    Soft Limit  Hard Limit  Units\nMax open files   1024   4096   files\n";
        assert_eq!(parse_fd_limit(text), Some(FdLimit::Files(1024)));
        let unlimited = "Max open files   unlimited   unlimited   files";
        assert_eq!(parse_fd_limit(unlimited), Some(FdLimit::Unlimited));
        for odd in [
            "",
            "Max open",
            "Max open files",
            "Max open files -1 2",
            "Max open files x",
        ] {
            assert_eq!(parse_fd_limit(odd), None, "{odd}");
        }
    }

    #[test]
    fn our_own_threads_and_limits_can_be_read() {
        let pid = Pid(std::process::id());
        let suspect = Suspect {
            pid,
            stuck: Vec::new(),
        };
        let sample = Duration::from_millis(1);
        let found = examine(Path::new("/proc"), &[suspect], &[], &[], sample);
        let found: Vec<Evidence> = found.iter().map(|said| said.about(&[])).collect();
        let threads = found[0].threads.unwrap();
        assert!(threads.total >= 1);
        assert!(found[0].fd_limit.is_some());
        assert!(found[0].age_ms.is_some());
        assert!(found[0].cpu.is_some());
    }
}
