//! From a scenario file to what the collector would have seen.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use closewait::classifier::Rules;
use closewait::classifier::age::Sightings;
use closewait::classifier::rules::Thresholds;
use closewait::filter::Filter;
use closewait::model::Endpoint;
use closewait::model::{
    self, Command, Cpu, Epoll, Evidence, FdLimit, Holder, Holders, Lock, LockOwner, LockPlace,
    Name, NamedThreads, Pid, PortRange, Runtime, Scan, Sibling, Snapshot, Threads, Tick, Title,
    Wait, WaitKind, WaitTarget,
};

use super::file::{self, Limit, Scenario, Source};
use super::lines::{self, Line};
use super::stacks;
use super::syntax;

/// How long processes are watched for their use of the processor.
const SAMPLE_MS: u64 = 200;
/// The age of a process without one in the scenario: older than anything that wraps.
const OLD_MS: u64 = 100 * 86_400_000;
/// When the sockets are read, in milliseconds since 1970: 2023-11-14 22:13:20 UTC.
const TAKEN_AT_MS: u64 = 1_700_000_000_000;
/// Processes that hold no socket.
const BYSTANDERS: u32 = 100;

/// What the collector would hand over.
pub fn snapshot(scenario: &Scenario) -> Result<Snapshot, String> {
    let netlink = scenario.source == Source::Netlink;
    let mut next_port = 32_767;
    let mut seen = Seen::default();
    for text in &scenario.listeners {
        let line = lines::listener(text, scenario.source);
        seen.add(line.map_err(|error| format!("{text}: {error}"))?, netlink);
    }
    for text in &scenario.sockets {
        let line = lines::socket(text, scenario.source, &mut next_port);
        seen.add(line.map_err(|error| format!("{text}: {error}"))?, netlink);
    }
    let mut processes = Vec::new();
    for (pid, name) in seen.names {
        let described = scenario.process.iter().find(|process| process.is(pid));
        let age = described.and_then(|process| process.age.as_deref());
        processes.push(model::Process {
            pid: Pid(pid),
            name: Some(Name::new(name.into_bytes())),
            age_ms: Some(age.map_or(Ok(OLD_MS), syntax::duration)?),
            ancestors: described
                .into_iter()
                .flat_map(|process| &process.ancestors)
                .map(|text| {
                    let ancestor = syntax::owner(text).ok_or_else(|| format!("{text:?}"))?;
                    Ok((Pid(ancestor.pid), Name::new(ancestor.name.into_bytes())))
                })
                .collect::<Result<_, String>>()?,
        });
    }
    let hidden = scenario.host.unreadable_processes;
    Ok(Snapshot {
        host: model::Host {
            name: "host".into(),
            tick: match &scenario.host.tick {
                Some(text) => Tick::from(syntax::duration(text)?),
                None => Tick::default(),
            },
            tools: scenario.host.tools.clone(),
            ..model::Host::default()
        },
        namespaces: vec![model::Namespace {
            hides_subflows: false,
            label: Some("net:[4026531840]".into()),
            asked: scenario.host.netns.clone().map(Into::into),
            inode: Some(4026531840),
            source: if netlink {
                model::Source::Netlink
            } else {
                model::Source::Procfs
            },
            settings: settings(&scenario.host)?,
        }],
        taken_at_ns: i128::from(TAKEN_AT_MS) * 1_000_000,
        reading_ms: Some(1),
        sockets: seen.sockets,
        subflows: Vec::new(),
        details: model::Details::default(),
        recorded: false,
        scan: Scan {
            processes_seen: BYSTANDERS + hidden,
            processes_read: BYSTANDERS,
            fds_read: seen.holders.len() as u64,
            privileged: hidden == 0,
            root: hidden == 0,
            blind_spots: Vec::new(),
        },
        holders: (scenario.host.owners != Some(false))
            .then(|| Holders::new(seen.holders, processes).with_closed(seen.closed)),
        cgroups: None,
        scanned: Vec::new(),
        others: None,
        gaps: Vec::new(),
        steps: Vec::new(),
    })
}

#[derive(Default)]
struct Seen {
    sockets: Vec<model::Socket>,
    holders: Vec<Holder>,
    names: BTreeMap<u32, String>,
    closed: Vec<u32>,
}

impl Seen {
    fn add(&mut self, line: Line, netlink: bool) {
        for (at, mut socket) in (0u32..).zip(line.sockets) {
            let number = self.sockets.len() as u32 + 1;
            socket.inode = if line.has_inode { 10_000 + number } else { 0 };
            if line.closed {
                self.closed.push(socket.inode);
            }
            socket.cookie = netlink.then(|| NonZeroU64::new(number.into())).flatten();
            for owner in &line.holders {
                let pid = owner.pid + if owner.counts_up { at } else { 0 };
                self.names.entry(pid).or_insert(owner.name.clone());
                self.holders.push(Holder {
                    inode: socket.inode,
                    pid: Pid(pid),
                    fd: number + 2,
                });
            }
            self.sockets.push(socket);
        }
    }
}

fn settings(host: &file::Host) -> Result<model::Settings, String> {
    let range = host.ephemeral.as_deref().unwrap_or("32768-60999");
    let ephemeral = range
        .split_once('-')
        .and_then(|(first, last)| {
            Some(PortRange {
                first: first.parse().ok()?,
                last: last.parse().ok()?,
            })
        })
        .ok_or_else(|| format!("{range:?} is not a range of ports"))?;
    Ok(model::Settings {
        ephemeral: Some(ephemeral),
        fin_timeout_s: Some(60),
        somaxconn: Some(host.somaxconn.unwrap_or(4096)),
        listen_overflows: host.listen_overflows,
        listen_drops: host.listen_drops,
        devices: (1..10)
            .map(|index| (index, format!("dev{index}").into()))
            .collect(),
        ..model::Settings::default()
    })
}

/// The rules of a scenario: the defaults, with what it overrides.
pub fn rules(rules: &file::Rules) -> Result<Rules, String> {
    let usual = Thresholds::default();
    Ok(Rules {
        protocols: model::Protocols::One(model::Protocol::Tcp),
        filter: Filter::everything(),
        seen: Sightings::default(),
        grace_ms: match &rules.grace {
            Some(text) => syntax::duration(text)?,
            None => closewait::classifier::cause::GRACE_MS,
        },
        thresholds: Thresholds {
            warning: rules.warning.unwrap_or(usual.warning),
            critical: rules.critical.unwrap_or(usual.critical),
            fd_warning: rules.fd_warning.unwrap_or(usual.fd_warning),
            fd_critical: rules.fd_critical.unwrap_or(usual.fd_critical),
            queue_warning: rules.queue_warning.unwrap_or(usual.queue_warning),
            queue_critical: rules.queue_critical.unwrap_or(usual.queue_critical),
        },
    })
}

/// The evidence about a process of the scenario.
/// The ends of `10.0.0.1:80 10.0.0.9:4000`.
fn polled(text: &str) -> Result<(Endpoint, Endpoint), String> {
    let end = |text: &str| {
        let end = text.parse::<std::net::SocketAddr>().ok()?;
        Some(Endpoint::new(end.ip(), end.port()))
    };
    let ends = text.split_once(' ');
    ends.and_then(|(local, remote)| Some((end(local)?, end(remote)?)))
        .ok_or_else(|| format!("{text:?} is not LOCAL REMOTE"))
}

pub fn evidence(process: &file::Process, pid: Pid) -> Result<Evidence, String> {
    let waits = process.waits.as_ref().map(|waits| {
        let waits = waits.iter().map(|text| wait(text));
        waits.collect::<Result<Vec<Wait>, String>>()
    });
    let sleeping = |total: u32| {
        total
            .checked_sub(process.stopped + process.disk + process.running)
            .ok_or_else(|| format!("process {pid} has more threads by state than in all"))
    };
    Ok(Evidence {
        pid,
        age_ms: process.age.as_deref().map(syntax::duration).transpose()?,
        runtime: runtime(process.runtime.as_deref())?,
        open_fds: process.fds,
        fd_limit: match &process.fd_limit {
            Some(Limit::Files(files)) => Some(FdLimit::Files(*files)),
            Some(Limit::Word(word)) if word == "unlimited" => Some(FdLimit::Unlimited),
            Some(Limit::Word(word)) => return Err(format!("fd_limit {word:?} is no limit")),
            None => None,
        },
        dead_sockets: process.dead_sockets,
        threads: match process.threads {
            Some(total) => Some(Threads {
                total,
                running: process.running,
                sleeping: sleeping(total)?,
                disk: process.disk,
                stopped: process.stopped,
                zombie: 0,
            }),
            None => None,
        },
        cpu: process.cpu_percent.map(|percent| Cpu {
            sample_ms: SAMPLE_MS,
            percent,
            busiest: process.busiest_percent.map(|percent| (pid, percent)),
            ran_percent: process.ran_percent.or(process.busiest_percent),
            restless: process.restless,
        }),
        halt: process.halt.halt(pid)?,
        waits: waits.transpose()?,
        thread_names: process.names.iter().map(|text| thread_name(text)).collect(),
        stacks: stacks::stacks(process)?,
        locks: locks(&process.locks)?,
        epoll: process.epoll.map(|epoll| Epoll {
            watched: epoll.watched,
            edge: epoll.edge,
            muted: epoll.muted,
            absent: epoll.absent,
        }),
        polled: (process.polled.iter().map(|text| polled(text))).collect::<Result<_, String>>()?,
        inside: process.inside.clone(),
        origin: process.origin.origin(TAKEN_AT_MS)?,
        command: process.command.as_deref().and_then(|line| {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            Command::of(&words)
        }),
        title: process
            .title
            .as_deref()
            .and_then(|line| Title::of(line.as_bytes())),
        siblings: process
            .siblings
            .iter()
            .map(|text| sibling(text).ok_or_else(|| format!("{text:?}: NUMBER TITLE")))
            .collect::<Result<_, String>>()?,
        peeked: Vec::new(),
        unread: process.unread.iter().cloned().map(Into::into).collect(),
    })
}

/// `77 postgres: app db [local] idle in transaction`.
fn sibling(text: &str) -> Option<Sibling> {
    let (pid, line) = text.split_once(' ')?;
    Some(Sibling {
        pid: Pid(pid.parse().ok()?),
        title: Title::of(line.as_bytes())?,
    })
}

fn runtime(name: Option<&str>) -> Result<Runtime, String> {
    let Some(name) = name else {
        return Ok(Runtime::Native);
    };
    let all = [
        Runtime::Java,
        Runtime::Python,
        Runtime::Node,
        Runtime::Go,
        Runtime::Ruby,
        Runtime::Php,
        Runtime::Nginx,
        Runtime::Native,
    ];
    all.into_iter()
        .find(|runtime| closewait::renderer::names::runtime(*runtime) == name)
        .ok_or_else(|| format!("{name:?} is no runtime"))
}

/// `30x recvfrom 10.0.0.5:3306`, `1x accept4 listener 0.0.0.0:8080`, `2x futex`.
fn wait(text: &str) -> Result<Wait, String> {
    let (threads, rest) = syntax::count(text);
    let (rest, name) = match rest.split_once(" named ") {
        Some((rest, name)) => (rest, Some(name)),
        None => (rest, None),
    };
    let mut words = rest.split_whitespace();
    let call = words.next().ok_or("an empty wait")?;
    let target = match (words.next(), words.next()) {
        (None, _) => None,
        (Some("listener"), Some(end)) => Some(WaitTarget::Listener(syntax::endpoint(end)?)),
        (Some("file"), Some(name)) => Some(WaitTarget::File(Name::new(name.as_bytes()))),
        (Some(end), None) => Some(WaitTarget::Remote(syntax::endpoint(end)?)),
        _ => return Err(format!("{text:?} is not a wait")),
    };
    let kind = match call {
        _ if target.is_some() => WaitKind::Descriptor,
        "futex" | "semop" => WaitKind::Lock,
        "epoll_wait" | "epoll_pwait" | "poll" | "select" | "io_uring_enter" => WaitKind::Events,
        "nanosleep" | "clock_nanosleep" | "pause" => WaitKind::Sleep,
        "wait4" | "waitid" => WaitKind::Child,
        _ => WaitKind::Other,
    };
    Ok(Wait {
        call: call.into(),
        kind,
        target,
        threads,
        thread_names: name
            .map(|name| thread_name(&format!("{threads}x {name}")))
            .into_iter()
            .collect(),
    })
}

/// `20x pool-1-thread-`.
fn thread_name(text: &str) -> NamedThreads {
    let (threads, name) = syntax::count(text);
    NamedThreads {
        name: Name::new(name.as_bytes()),
        threads,
    }
}

/// `19x own`, `19x own by 77 in nanosleep`, `1x shared`.
fn locks(texts: &[String]) -> Result<Vec<Lock>, String> {
    let lock = |(address, text): (u64, &String)| {
        let (threads, rest) = syntax::count(text);
        let words: Vec<&str> = rest.split_whitespace().collect();
        let place = match words.first() {
            Some(&"own") => LockPlace::Own(address),
            Some(&"shared") => LockPlace::Shared {
                device: "00:01".into(),
                inode: 1,
                offset: 0,
            },
            _ => return Err(format!("{text:?} is no lock")),
        };
        let held_by = match (words.get(1), words.get(2)) {
            (Some(&"by"), Some(pid)) => Some(syntax::number("by", pid)?),
            _ => None,
        };
        Ok(Lock {
            place,
            threads,
            thread_names: Vec::new(),
            held_by: held_by.map(|pid| LockOwner {
                pid: Pid(pid),
                name: None,
                thread: None,
                call: words.get(4).map(|call| (*call).into()),
                target: None,
            }),
        })
    };
    (1..).zip(texts).map(lock).collect()
}
