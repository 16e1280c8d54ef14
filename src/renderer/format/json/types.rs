//! The JSON contract as types: `docs/schema.json` says what each field means.
//!
//! They stand apart from the model, which may change; fields are added here, never renamed or
//! removed within a schema number.

use std::net::IpAddr;
use std::num::NonZeroU32;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Counts, HoldersJson, Sockets};
use crate::classifier::StateCounts;
use crate::classifier::finding::FinWait2;
use crate::classifier::group::{RecvQ, Spread};
use crate::model::{
    Cause, Endpoint, Idle, Name, Namespace, OtherNamespaces, Protocol, Resolved, State, Timer,
    Words,
};
use crate::renderer::format::json::halt::HaltJson;
use crate::renderer::format::json::legs::{LegsJson, WaitingJson};

#[derive(Serialize)]
pub(super) struct Document<'a> {
    pub(super) schema: u32,
    pub(super) tool: Tool,
    pub(super) host: NameJson<'a>,
    pub(super) taken_at: Option<String>,
    pub(super) elapsed_ms: f64,
    pub(super) source: &'static str,
    pub(super) namespaces: Vec<NamespaceJson<'a>>,
    pub(super) other_namespaces: Option<OthersJson<'a>>,
    pub(super) complete: bool,
    pub(super) selection: Option<NameJson<'a>>,
    pub(super) gaps: Vec<Gap<'a>>,
    pub(super) states: States<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) udp: Option<UdpJson>,
    pub(super) groups: Vec<GroupJson<'a>>,
    pub(super) findings: Vec<FindingJson<'a>>,
    pub(super) listeners: Vec<ListenerJson<'a>>,
    pub(super) counters: Counters,
    pub(super) fin_wait2: FinWait2Json,
    pub(super) unanswered: Vec<SilentJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sockets: Option<Sockets<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<Counts<'a>>,
}

/// The network namespaces that were not looked at.
#[derive(Serialize)]
pub(super) struct OthersJson<'a> {
    namespaces: u64,
    processes: u64,
    unknown: u64,
    doubt: Option<&'a Words>,
}

impl<'a> From<&'a OtherNamespaces> for OthersJson<'a> {
    fn from(others: &'a OtherNamespaces) -> OthersJson<'a> {
        OthersJson {
            namespaces: others.namespaces,
            processes: others.processes,
            unknown: others.unknown,
            doubt: others.doubt.as_ref(),
        }
    }
}

/// A network namespace that was read.
#[derive(Serialize)]
pub(super) struct NamespaceJson<'a> {
    pub(super) netns: Option<NameJson<'a>>,
    pub(super) inode: Option<u64>,
    pub(super) source: &'static str,
    pub(super) somaxconn: Option<u32>,
    pub(super) listen_overflows: Option<u64>,
    pub(super) listen_drops: Option<u64>,
}

impl<'a> From<&'a Namespace> for NamespaceJson<'a> {
    fn from(namespace: &'a Namespace) -> NamespaceJson<'a> {
        let settings = &namespace.settings;
        NamespaceJson {
            netns: namespace.label.as_ref().map(NameJson),
            inode: namespace.inode,
            source: namespace.source.name(),
            somaxconn: settings.somaxconn,
            listen_overflows: settings.listen_overflows,
            listen_drops: settings.listen_drops,
        }
    }
}

#[derive(Serialize)]
pub struct Tool {
    name: &'static str,
    version: &'static str,
}

impl Tool {
    pub const THIS: Tool = Tool {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
    };
}

/// One of several readings.
#[derive(Serialize)]
pub struct Reading<'a> {
    pub(super) host: NameJson<'a>,
    pub(super) taken_at: Option<String>,
    pub(super) source: &'static str,
    pub(super) complete: bool,
    pub(super) gaps: Vec<Gap<'a>>,
}

#[derive(Serialize)]
pub struct Gap<'a> {
    pub(super) kind: &'static str,
    pub(super) count: u64,
    pub(super) detail: &'a Words,
    pub(super) hint: &'a Words,
}

/// How many UDP sockets are in each of their two states.
#[derive(Serialize)]
pub(super) struct UdpJson {
    #[serde(rename = "ESTABLISHED")]
    established: Option<u64>,
    #[serde(rename = "UNCONN")]
    unconnected: Option<u64>,
}

impl From<&StateCounts> for UdpJson {
    fn from(counts: &StateCounts) -> UdpJson {
        UdpJson {
            established: counts.of(State::Established),
            unconnected: counts.of(State::Close),
        }
    }
}

/// Every state, with its count, or null where it was not looked for.
pub struct States<'a>(pub &'a StateCounts);

impl Serialize for States<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(State::ALL.len()))?;
        for state in State::ALL {
            map.serialize_entry(state.name(), &self.0.of(state))?;
        }
        map.end()
    }
}

#[derive(Serialize)]
pub(super) struct GroupJson<'a> {
    pub(super) netns: Option<NameJson<'a>>,
    pub(super) protocol: &'static str,
    pub(super) state: &'static str,
    pub(super) side: Option<&'static str>,
    pub(super) local_port: Option<u16>,
    pub(super) remote: Option<EndpointJson<'a>>,
    pub(super) device: Option<String>,
    pub(super) owner_kind: Option<&'static str>,
    pub(super) owners: Vec<Process<'a>>,
    pub(super) sockets: u64,
    pub(super) recv_q: RecvQJson,
    pub(super) send_q_max: u32,
    pub(super) idle_ms: Option<SpreadJson>,
    pub(super) causes: Causes<'a>,
}

#[derive(Serialize)]
pub(super) struct EndpointJson<'a> {
    pub(super) addr: IpAddr,
    pub(super) port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<&'a str>,
    /// The interface that it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<String>,
}

impl<'a> EndpointJson<'a> {
    /// An end with its names, where it has any.
    pub(super) fn named(end: Endpoint, protocol: Protocol, names: &'a Resolved) -> Self {
        EndpointJson {
            addr: end.addr,
            port: end.port,
            host: names.host(end.addr),
            service: names.service(protocol, end.port),
            device: None,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Process<'a> {
    pub(super) pid: u32,
    pub(super) name: Option<NameJson<'a>>,
}

/// A name as valid UTF-8: what is not becomes U+FFFD.
pub(in crate::renderer) struct NameJson<'a>(pub(in crate::renderer) &'a Name);

impl Serialize for NameJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.lossy())
    }
}

#[derive(Serialize)]
pub(super) struct RecvQJson {
    pub(super) zero: u64,
    pub(super) one: u64,
    pub(super) more: u64,
    pub(super) max: u32,
}

impl From<RecvQ> for RecvQJson {
    fn from(queue: RecvQ) -> RecvQJson {
        RecvQJson {
            zero: queue.zero,
            one: queue.one,
            more: queue.more,
            max: queue.max,
        }
    }
}

#[derive(Serialize)]
pub(super) struct SpreadJson {
    pub(super) min: u64,
    pub(super) p50: u64,
    pub(super) max: u64,
}

impl From<Spread> for SpreadJson {
    fn from(spread: Spread) -> SpreadJson {
        SpreadJson {
            min: spread.min_ms,
            p50: spread.p50_ms,
            max: spread.max_ms,
        }
    }
}

pub(super) struct Causes<'a>(pub(super) &'a [(Cause, u64)]);

impl Serialize for Causes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(cause, count)| (cause.name(), count)))
    }
}

#[derive(Serialize)]
pub(super) struct FindingJson<'a> {
    pub(super) severity: &'static str,
    pub(super) cause: &'static str,
    pub(super) sockets: u64,
    pub(super) netns: Option<NameJson<'a>>,
    pub(super) side: Option<&'static str>,
    pub(super) local_port: Option<u16>,
    pub(super) remote: Option<EndpointJson<'a>>,
    pub(super) device: Option<String>,
    pub(super) ends: u32,
    pub(super) owner_kind: Option<&'static str>,
    pub(super) owners: Vec<Process<'a>>,
    pub(super) summary: String,
    pub(super) meaning: String,
    pub(super) culprit: Option<CulpritJson<'a>>,
    pub(super) requests: Vec<RequestsJson<'a>>,
    pub(super) chain: Vec<HopJson<'a>>,
    pub(super) parts: Vec<PartJson<'a>>,
    pub(super) retired: Option<RetiredJson<'a>>,
    pub(super) legs: Option<LegsJson>,
    pub(super) waiting: Option<WaitingJson>,
    pub(super) evidence: Vec<String>,
    pub(super) next_steps: Vec<String>,
    pub(super) recv_q: RecvQJson,
    pub(super) idle_ms: Option<SpreadJson>,
    pub(super) patience_ms: Option<PatienceJson>,
    pub(super) pool: Option<PoolJson>,
    pub(super) half_closed: Option<HalfClosedJson>,
    pub(super) fd_percent: Option<u64>,
    pub(super) workers: WorkersJson<'a>,
    pub(super) processes: Vec<EvidenceJson<'a>>,
}

/// How long peers waited before they hung up.
#[derive(Serialize)]
pub(super) struct PatienceJson {
    pub(super) sockets: u64,
    pub(super) p50: u32,
    pub(super) p90: u32,
    /// The timeout that they share, if they do.
    pub(super) cluster: Option<u32>,
}

/// The connections of a program to a service that closed some of them.
#[derive(Serialize)]
pub(super) struct PoolJson {
    pub(super) story: Option<&'static str>,
    pub(super) shape: Option<&'static str>,
    pub(super) times: &'static str,
    pub(super) newest_ms: Option<u64>,
    pub(super) oldest_ms: Option<u64>,
    pub(super) per_minute: Option<f64>,
    pub(super) close_wait: u64,
    pub(super) established: Option<u64>,
    pub(super) callers: Option<u64>,
}

/// What shows of peers that may have closed one direction only.
#[derive(Serialize)]
pub(super) struct HalfClosedJson {
    pub(super) certain: u64,
    pub(super) window_shut: u64,
    pub(super) window_shut_ms: Option<u64>,
    pub(super) unanswered: u64,
}

/// What a process that a finding names told about itself.
#[derive(Serialize)]
pub(super) struct EvidenceJson<'a> {
    pub(super) pid: u32,
    pub(super) name: Option<NameJson<'a>>,
    pub(super) runtime: &'static str,
    pub(super) age_ms: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) fd_limit: Option<u64>,
    pub(super) dead_sockets: Option<u64>,
    pub(super) threads: Option<ThreadsJson>,
    pub(super) cpu: Option<CpuJson>,
    pub(super) waits: Option<Vec<WaitJson<'a>>>,
    pub(super) halt: HaltJson<'a>,
    pub(super) epoll: Option<EpollJson>,
    pub(super) says: Option<NameJson<'a>>,
    pub(super) unread: &'a [Words],
}

/// What all processes of a finding wait for.
#[derive(Serialize)]
pub(super) struct WorkersJson<'a> {
    pub(super) total: u64,
    pub(super) asked: u64,
    pub(super) threads: u64,
    pub(super) serving: u64,
    pub(super) waits: Vec<CommonJson<'a>>,
    pub(super) locks: Vec<JamJson<'a>>,
}

#[derive(Serialize)]
pub(super) struct CommonJson<'a> {
    pub(super) call: NameJson<'a>,
    pub(super) kind: &'static str,
    pub(super) remote: Option<EndpointJson<'a>>,
    pub(super) listener: Option<EndpointJson<'a>>,
    pub(super) file: Option<String>,
    pub(super) workers: u64,
    pub(super) threads: u64,
    pub(super) pid: u32,
    pub(super) names: Vec<CrewJson>,
}

#[derive(Serialize)]
pub(super) struct JamJson<'a> {
    pub(super) place: &'static str,
    pub(super) workers: u64,
    pub(super) threads: u64,
    pub(super) pid: u32,
    pub(super) names: Vec<CrewJson>,
    pub(super) held_by: Option<LockKeeperJson<'a>>,
}

#[derive(Serialize)]
pub(super) struct LockKeeperJson<'a> {
    pub(super) pid: u32,
    pub(super) thread: Option<u32>,
    pub(super) name: Option<String>,
    pub(super) call: Option<NameJson<'a>>,
    pub(super) remote: Option<EndpointJson<'a>>,
}

/// Threads of one name, without the digits at its end.
#[derive(Serialize)]
pub(super) struct CrewJson {
    pub(super) name: String,
    pub(super) threads: u32,
}

#[derive(Serialize)]
pub(super) struct ThreadsJson {
    pub(super) total: u32,
    pub(super) running: u32,
    pub(super) sleeping: u32,
    pub(super) disk: u32,
    pub(super) stopped: u32,
    pub(super) zombie: u32,
}

#[derive(Serialize)]
pub(super) struct CpuJson {
    pub(super) sample_ms: u64,
    pub(super) percent: f64,
    pub(super) busiest_thread: Option<u32>,
    pub(super) busiest_percent: Option<f64>,
    pub(super) busiest_ran_percent: Option<f64>,
    pub(super) restless_threads: u32,
}

#[derive(Serialize)]
pub(super) struct WaitJson<'a> {
    pub(super) call: NameJson<'a>,
    pub(super) threads: u32,
    pub(super) remote: Option<EndpointJson<'a>>,
    pub(super) listener: Option<EndpointJson<'a>>,
    pub(super) file: Option<String>,
}

#[derive(Serialize)]
pub(super) struct EpollJson {
    pub(super) watched: u64,
    pub(super) edge_triggered: u64,
    pub(super) muted: u64,
    pub(super) absent: u64,
}

/// A listening address and its accept queue.
#[derive(Serialize)]
pub(super) struct ListenerJson<'a> {
    pub(super) netns: Option<NameJson<'a>>,
    pub(super) local: EndpointJson<'a>,
    pub(super) owners: Vec<Process<'a>>,
    pub(super) queue: u32,
    pub(super) limit: Option<u32>,
    pub(super) syn_recv: Option<u64>,
    pub(super) unaccepted: u64,
    pub(super) close_wait: u64,
    pub(super) oldest_ms: Option<u64>,
    pub(super) at_somaxconn: bool,
}

/// Counters of all listeners together.
#[derive(Serialize)]
pub(super) struct Counters {
    pub(super) scope: &'static str,
    pub(super) listen_overflows: Option<u64>,
    pub(super) listen_drops: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct FinWait2Json {
    pub(super) orphaned: u64,
    pub(super) last_ends_ms: Option<u32>,
    pub(super) held: u64,
}

impl From<FinWait2> for FinWait2Json {
    fn from(all: FinWait2) -> FinWait2Json {
        FinWait2Json {
            orphaned: all.orphaned,
            last_ends_ms: all.last_ends_ms,
            held: all.held,
        }
    }
}

#[derive(Serialize)]
pub(super) struct SocketJson<'a> {
    pub(super) netns: Option<NameJson<'a>>,
    pub(super) protocol: &'static str,
    pub(super) family: &'static str,
    pub(super) state: &'static str,
    pub(super) local: EndpointJson<'a>,
    pub(super) remote: EndpointJson<'a>,
    pub(super) side: Option<&'static str>,
    pub(super) recv_q: u32,
    pub(super) send_q: Option<u32>,
    pub(super) timer: Option<TimerJson>,
    pub(super) uid: Option<u32>,
    pub(super) user: Option<NameJson<'a>>,
    pub(super) inode: Option<u32>,
    pub(super) cookie: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mptcp_token: Option<NonZeroU32>,
    pub(super) accepted: Option<bool>,
    pub(super) owner_kind: Option<&'static str>,
    pub(super) owners: HoldersJson<'a>,
    pub(super) idle_ms: Option<IdleJson>,
    pub(super) cause: Option<&'static str>,
    #[serde(flatten)]
    pub(super) placed: Option<PlacedJson<'a>>,
}

/// The control group of a socket, where it is asked for.
#[derive(Serialize)]
pub(super) struct PlacedJson<'a> {
    pub(super) cgroup: Option<NameJson<'a>>,
    pub(super) unit: Option<NameJson<'a>>,
    pub(super) container: Option<NameJson<'a>>,
}

#[derive(Serialize)]
pub(super) struct TimerJson {
    pub(super) kind: &'static str,
    pub(super) expires_ms: u32,
    pub(super) retransmits: u8,
}

impl From<Timer> for TimerJson {
    fn from(timer: Timer) -> TimerJson {
        TimerJson {
            kind: timer.kind.name(),
            expires_ms: timer.expires_ms,
            retransmits: timer.retransmits,
        }
    }
}

#[derive(Serialize)]
pub(super) struct IdleJson {
    pub(super) at_least: u64,
    pub(super) at_most: Option<u64>,
}

impl From<Idle> for IdleJson {
    fn from(idle: Idle) -> IdleJson {
        IdleJson {
            at_least: idle.at_least_ms,
            at_most: idle.at_most_ms,
        }
    }
}

/// Who must act, where it is not the program that holds the sockets.
#[derive(Serialize)]
pub(super) struct CulpritJson<'a> {
    pub(super) kind: &'static str,
    /// The process or thread that it is about.
    pub(super) pid: Option<u32>,
    pub(super) remote: Option<EndpointJson<'a>>,
}

/// What the owners have asked of another service and nobody has answered.
#[derive(Serialize)]
pub(super) struct RequestsJson<'a> {
    pub(super) remote: EndpointJson<'a>,
    pub(super) connections: u64,
    pub(super) unanswered: u64,
    pub(super) p50_ms: u64,
    pub(super) max_ms: u64,
    pub(super) explains: bool,
    pub(super) awaited: Option<bool>,
}

/// A service that has never answered many requests of a program.
#[derive(Serialize)]
pub(super) struct SilentJson<'a> {
    pub(super) netns: Option<NameJson<'a>>,
    pub(super) owner: Process<'a>,
    pub(super) remote: EndpointJson<'a>,
    pub(super) connections: u64,
    pub(super) unanswered: u64,
    pub(super) p50_ms: u64,
    pub(super) max_ms: u64,
}

/// Holders that a reload has replaced.
#[derive(Serialize)]
pub(super) struct RetiredJson<'a> {
    pub(super) processes: Vec<Process<'a>>,
    pub(super) successor: Option<Process<'a>>,
    pub(super) says_so: bool,
}

/// Sockets of another cause that the same fact explains.
#[derive(Serialize)]
pub(super) struct PartJson<'a> {
    pub(super) cause: &'static str,
    pub(super) sockets: u64,
    pub(super) owner_kind: Option<&'static str>,
    pub(super) owners: Vec<Process<'a>>,
}

/// A service on this host that stands behind.
#[derive(Serialize)]
pub(super) struct HopJson<'a> {
    pub(super) remote: EndpointJson<'a>,
    pub(super) netns: Option<NameJson<'a>>,
    pub(super) owners: Vec<Process<'a>>,
    pub(super) connections: u64,
    pub(super) unaccepted: u64,
    pub(super) waits_for_itself: bool,
    pub(super) requests: Vec<RequestsJson<'a>>,
    pub(super) titles: Vec<TitleJson<'a>>,
    pub(super) keepers: Vec<KeeperJson<'a>>,
    pub(super) processes: Vec<EvidenceJson<'a>>,
}

/// Processes that say the same of themselves.
#[derive(Serialize)]
pub(super) struct TitleJson<'a> {
    pub(super) program: &'static str,
    pub(super) says: NameJson<'a>,
    pub(super) pids: Vec<u32>,
}

/// A process that may have the lock for which others wait.
#[derive(Serialize)]
pub(super) struct KeeperJson<'a> {
    pub(super) pid: u32,
    pub(super) remote: Option<EndpointJson<'a>>,
    pub(super) client: Option<Process<'a>>,
}
