//! Evidence from the few processes that findings name.
//!
//! Read only for suspects: limits, threads, processor use between two readings, the system call that
//! each thread is in, epoll sets. See proc_pid_task(5), proc_pid_syscall(5) and
//! proc_pid_fdinfo(5).

mod by_inode;
mod calls;
mod command;
mod dead;
mod epoll;
mod halt;
mod inside;
mod locks;
mod manager;
mod origin;
mod package;
mod runtime;
mod threads;
mod titles;
mod waits;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use procfs::process::Stat;
use rustix::fs::CWD;
use serde::{Deserialize, Serialize};

use crate::collector::file;
use crate::collector::processes::by_inode::SocketsByInode;
use crate::collector::processes::calls::Process;
use crate::collector::processes::command::command;
use crate::collector::processes::epoll::EpollSets;
use crate::collector::processes::halt::{FirstReading, Hierarchies, Readings};
use crate::collector::processes::inside::inside;
use crate::collector::processes::origin::Origins;
use crate::collector::processes::runtime::runtime;
use crate::collector::processes::threads::{Ticks, cpu, lasting, ticks};
use crate::collector::procfs::{TICK_MS, open_process};
use crate::collector::stacks::{self, Budget, Threads};
use crate::model::{Evidence, FdLimit, Halt, Origin, Pid, Scanned, Socket};

pub(crate) use crate::collector::processes::dead::has_unmatched_tcp;

/// A process to examine.
#[derive(Debug, Clone)]
pub struct Suspect {
    pub pid: Pid,
    /// The inodes of its sockets that a finding is about, in ascending order.
    pub stuck: Vec<u32>,
    /// Read its stacks, if any are read.
    pub stacks: bool,
}

/// What was read of one process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// All except what concerns certain sockets.
    evidence: Evidence,
    epoll: Option<EpollSets>,
}

impl ProcessFacts {
    pub fn pid(&self) -> Pid {
        self.evidence.pid
    }

    /// The limit of its open files.
    pub(crate) fn fd_limit(&self) -> Option<FdLimit> {
        self.evidence.fd_limit
    }

    /// How many of its descriptors have lost their connections.
    pub(crate) fn dead_sockets(&self) -> Option<u64> {
        self.evidence.dead_sockets
    }

    /// The evidence, with what concerns these sockets. They are some of [`Suspect::stuck`], in
    /// ascending order.
    pub fn about(&self, stuck: &[u32]) -> Evidence {
        let sets = self.epoll.as_ref().filter(|_| !stuck.is_empty());
        let epoll = sets.map(|sets| sets.count(stuck));
        Evidence {
            epoll,
            ..self.evidence.clone()
        }
    }

    /// All except what concerns certain sockets, for redaction.
    pub(crate) fn evidence_mut(&mut self) -> &mut Evidence {
        &mut self.evidence
    }
}

/// Examines the suspects. Processor use takes two readings, `sample` apart; the rest is read between
/// them. With a zero `sample` there is one reading and no processor use. Stacks are read if `stacks` says so,
/// of the suspects that ask for it, as long as there is time.
pub fn examine(
    proc_root: &Path,
    suspects: &[Suspect],
    scanned: &[Scanned],
    sockets: &[Socket],
    sample: Duration,
    stacks: bool,
) -> Vec<ProcessFacts> {
    let mut budget = stacks.then(Budget::of_a_run);
    let uptime_ms = uptime_ms(proc_root);
    let open: Vec<Option<OwnedFd>> = suspects
        .iter()
        .map(|suspect| open_process(proc_root, suspect.pid))
        .collect();
    let root = |suspect: &Suspect| proc_root.join(suspect.pid.to_string());
    let hierarchies = Hierarchies::read(proc_root);
    let first_readings: Vec<FirstReading> = suspects
        .iter()
        .map(|suspect| FirstReading::of(&root(suspect), &hierarchies))
        .collect();
    let read_ticks = || -> Vec<Ticks> {
        let processes = suspects.iter().zip(&open);
        processes
            .map(|(suspect, process)| ticks(process.as_ref(), &root(suspect)))
            .collect()
    };
    let before = read_ticks();
    // The sample begins here: a host that stalled during the first reading would shorten it.
    let start = Instant::now();
    let sockets = SocketsByInode::new(sockets);
    let mut all_facts: Vec<ProcessFacts> = suspects
        .iter()
        .zip(&open)
        .zip(&before)
        .map(|((suspect, process), before)| match process {
            Some(process) => {
                let scanned = scanned.iter().find(|scanned| scanned.pid == suspect.pid);
                let reader = Reader {
                    root: root(suspect),
                    suspect,
                    scanned,
                    sockets: &sockets,
                };
                let budget = budget.as_mut().filter(|_| suspect.stacks);
                reader.facts(process, before, uptime_ms, budget)
            }
            None => ProcessFacts {
                evidence: Evidence {
                    pid: suspect.pid,
                    unread: vec!["the process ended, or permission was denied".into()],
                    ..Evidence::default()
                },
                epoll: None,
            },
        })
        .collect();
    let stats = open.iter().map(|process| stat(process.as_ref()?));
    let all_evidence = all_facts.iter_mut().map(ProcessFacts::evidence_mut);
    titles::add_siblings(proc_root, all_evidence.zip(stats));
    let mut origins = Origins::new(proc_root, uptime_ms);
    for (facts, process) in all_facts.iter_mut().zip(&open) {
        if process.is_some() {
            facts.evidence.origin = origins.of(&facts.evidence);
        }
    }
    let after = (!sample.is_zero() && !suspects.is_empty()).then(|| {
        thread::sleep(sample.saturating_sub(start.elapsed()));
        read_ticks()
    });
    for (at, (facts, first)) in all_facts.iter_mut().zip(first_readings).enumerate() {
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
        let readings = Readings {
            proc_root,
            pid: evidence.pid,
            root: &proc_root.join(evidence.pid.to_string()),
            first,
            waits: evidence.waits.as_deref(),
            uptime_ms,
        };
        evidence.halt = readings.halt(before, after);
    }
    all_facts
}

fn stat(process: &OwnedFd) -> Option<Stat> {
    file::parsed_at(process, "stat")
}

/// How long the host has been up, in milliseconds; see proc_uptime(5).
pub fn uptime_ms(proc_root: &Path) -> Option<u64> {
    let uptime: procfs::Uptime = file::parsed_at(CWD, &proc_root.join("uptime"))?;
    Some((uptime.uptime * 1000.0) as u64)
}

/// The soft limit of open files of a process, from its directory in /proc; see proc_pid_limits(5).
pub(crate) fn fd_limit(root: &Path) -> Option<FdLimit> {
    parse_fd_limit(&file::text(&root.join("limits")).ok()?)
}

/// The soft limit in the line `Max open files            1024                 4096    files`.
fn parse_fd_limit(text: &str) -> Option<FdLimit> {
    let mut lines = text.lines();
    let rest = lines.find_map(|line| line.strip_prefix("Max open files"))?;
    match rest.split_ascii_whitespace().next()? {
        "unlimited" => Some(FdLimit::Unlimited),
        files => files.parse().ok().map(FdLimit::Files),
    }
}

/// Reads one process.
struct Reader<'a> {
    /// `/proc/PID`.
    root: PathBuf,
    suspect: &'a Suspect,
    scanned: Option<&'a Scanned>,
    sockets: &'a SocketsByInode<'a>,
}

impl Reader<'_> {
    fn facts(
        &self,
        process: &OwnedFd,
        ticks: &Ticks,
        uptime_ms: Option<u64>,
        budget: Option<&mut Budget>,
    ) -> ProcessFacts {
        let epolls = self.scanned.map(|scanned| scanned.epolls.as_slice());
        let stuck = &self.suspect.stuck;
        let (epoll, polled) =
            epoll::read(&self.root, epolls.unwrap_or_default(), stuck, self.sockets).unzip();
        ProcessFacts {
            evidence: Evidence {
                polled: polled.unwrap_or_default(),
                ..self.evidence(process, ticks, uptime_ms, budget)
            },
            epoll,
        }
    }

    /// Everything but epoll sets and what takes a second reading.
    fn evidence(
        &self,
        process: &OwnedFd,
        ticks: &Ticks,
        uptime_ms: Option<u64>,
        budget: Option<&mut Budget>,
    ) -> Evidence {
        let mut unread = Vec::new();
        let fd_limit = fd_limit(&self.root);
        if fd_limit.is_none() {
            unread.push("its limits could not be read".into());
        }
        let mut threads: Vec<Pid> = ticks.by_thread.keys().copied().collect();
        threads.sort_unstable();
        let waiting = waits::of(&self.root, &threads, self.sockets);
        if waiting.is_none() && !ticks.by_thread.is_empty() {
            unread.push("the system calls of its threads could not be read (needs root)".into());
        }
        if !ticks.complete {
            unread.push(format!("only {} of its threads were read", ticks.by_thread.len()).into());
        }
        let stat = stat(process);
        if stat.is_none() {
            unread.push("its stat could not be read".into());
        }
        let may_be_read = waiting.is_some();
        let waiting = waiting.unwrap_or_default();
        let runtime = runtime(&self.root);
        let calls = Process::open(&self.root, self.sockets);
        let stacks = budget.filter(|_| may_be_read).map(|budget| {
            let target = |fd| calls.target(fd);
            let threads = Threads {
                waiting: waiting.threads,
                others: waiting.others,
            };
            stacks::of(&self.root, threads, runtime, budget, target)
        });
        Evidence {
            pid: self.suspect.pid,
            age_ms: stat.as_ref().zip(uptime_ms).and_then(|(stat, uptime)| {
                uptime.checked_sub(stat.starttime.saturating_mul(TICK_MS))
            }),
            runtime,
            open_fds: self.scanned.map(|scanned| scanned.fds),
            fd_limit,
            dead_sockets: self
                .scanned
                .and_then(|scanned| dead::count(&self.root, scanned, self.sockets)),
            threads: (ticks.threads.total > 0).then_some(ticks.threads),
            cpu: None,
            halt: Halt::default(),
            waits: may_be_read.then_some(waiting.waits),
            thread_names: waiting.thread_names,
            locks: waiting.locks,
            stacks,
            epoll: None,
            polled: Vec::new(),
            inside: inside(&self.root),
            origin: Origin::default(),
            command: command(&self.root, stat.as_ref()),
            title: stat.as_ref().and_then(|stat| titles::of(&self.root, stat)),
            siblings: Vec::new(),
            peeked: Vec::new(),
            unread,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            stacks: true,
        };
        let sample = Duration::from_millis(1);
        let found = examine(Path::new("/proc"), &[suspect], &[], &[], sample, true);
        let found: Vec<Evidence> = found.iter().map(|said| said.about(&[])).collect();
        let threads = found[0].threads.unwrap();
        assert!(threads.total >= 1);
        assert!(found[0].fd_limit.is_some());
        assert!(found[0].age_ms.is_some());
        assert!(found[0].cpu.is_some());
        // At least the thread that reads runs, and so has no stack.
        assert!(found[0].stacks.as_ref().unwrap().moved >= 1);
    }
}
