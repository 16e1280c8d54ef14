//! What was read, and from where: namespaces, gaps, counts of states, accept queues.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::classifier::fin_wait2::FinWait2;
use crate::classifier::queue::Queue;
use crate::classifier::{Report, StateCounts};
use crate::model::{Namespace, OtherNamespaces, Protocol, Snapshot, State, Words};
use crate::renderer::format::json::context::{Context, EndpointJson, NameJson, Process};
use crate::renderer::units;

/// The version of the schema: raised only when a field is renamed or removed.
pub(super) const SCHEMA: u32 = 1;

#[derive(Serialize)]
pub(super) struct Tool {
    name: &'static str,
    version: &'static str,
}

impl Tool {
    pub(super) const THIS: Tool = Tool {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
    };
}

/// Where the sockets came from.
pub(super) fn source(snapshot: &Snapshot) -> &'static str {
    if snapshot.recorded {
        "recording"
    } else {
        snapshot.source().name()
    }
}

pub(super) fn gaps<'a>(report: &'a Report<'_>) -> Vec<Gap<'a>> {
    report.gaps.iter().map(Gap::of).collect()
}

#[derive(Serialize)]
pub struct Gap<'a> {
    kind: &'static str,
    count: u64,
    detail: &'a Words,
    hint: &'a Words,
}

impl<'a> Gap<'a> {
    pub(in crate::renderer) fn of(gap: &'a crate::model::Gap) -> Gap<'a> {
        Gap {
            kind: gap.kind.name(),
            count: gap.count,
            detail: &gap.detail,
            hint: &gap.hint,
        }
    }
}

/// One of several readings.
#[derive(Serialize)]
pub struct Reading<'a> {
    host: NameJson<'a>,
    taken_at: Option<String>,
    source: &'static str,
    complete: bool,
    gaps: Vec<Gap<'a>>,
}

impl<'a> Reading<'a> {
    /// One of several readings that a document is about.
    pub(in crate::renderer) fn of(report: &'a Report<'_>) -> Reading<'a> {
        let snapshot = report.snapshot;
        Reading {
            host: NameJson(&snapshot.host.name),
            taken_at: units::timestamp(snapshot.taken_at_ns),
            source: source(snapshot),
            complete: report.is_complete(),
            gaps: gaps(report),
        }
    }
}

/// A network namespace that was read.
#[derive(Serialize)]
pub(super) struct NamespaceJson<'a> {
    netns: Option<NameJson<'a>>,
    inode: Option<u64>,
    source: &'static str,
    somaxconn: Option<u32>,
    tcp_tw_reuse: Option<u8>,
    tcp_max_tw_buckets: Option<u64>,
    tcp_syncookies: Option<u8>,
    tcp_max_syn_backlog: Option<u32>,
    listen_overflows: Option<u64>,
    listen_drops: Option<u64>,
}

impl<'a> From<&'a Namespace> for NamespaceJson<'a> {
    fn from(namespace: &'a Namespace) -> NamespaceJson<'a> {
        let settings = &namespace.settings;
        NamespaceJson {
            netns: namespace.label.as_ref().map(NameJson),
            inode: namespace.inode,
            source: namespace.source.name(),
            somaxconn: settings.somaxconn,
            tcp_tw_reuse: settings.tw_reuse,
            tcp_max_tw_buckets: settings.time_wait_limit,
            tcp_syncookies: settings.syncookies,
            tcp_max_syn_backlog: settings.max_syn_backlog,
            listen_overflows: settings.listen_overflows,
            listen_drops: settings.listen_drops,
        }
    }
}

/// The network namespaces that were not read.
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

/// Every state with its count, or null if the selection excludes it.
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

/// Counters of all listeners together.
#[derive(Serialize)]
pub(super) struct Counters {
    scope: &'static str,
    listen_overflows: Option<u64>,
    listen_drops: Option<u64>,
}

impl Counters {
    pub(super) fn of(snapshot: &Snapshot) -> Counters {
        let settings = snapshot.only_namespace().map(|only| &only.settings);
        Counters {
            scope: "namespace-since-boot",
            listen_overflows: settings.and_then(|settings| settings.listen_overflows),
            listen_drops: settings.and_then(|settings| settings.listen_drops),
        }
    }
}

#[derive(Serialize)]
pub(super) struct FinWait2Json {
    orphaned: u64,
    last_ends_ms: Option<u32>,
    held: u64,
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

/// A listening address and its accept queue.
#[derive(Serialize)]
pub(super) struct ListenerJson<'a> {
    netns: Option<NameJson<'a>>,
    local: EndpointJson<'a>,
    owners: Vec<Process<'a>>,
    queue: u32,
    limit: Option<u32>,
    syn_recv: Option<u64>,
    unaccepted: u64,
    close_wait: u64,
    oldest_ms: Option<u64>,
    at_somaxconn: bool,
}

impl<'a> Context<'a> {
    pub(super) fn listener(&self, queue: &Queue) -> ListenerJson<'a> {
        ListenerJson {
            netns: self.netns(queue.bound.netns),
            local: EndpointJson {
                device: self.device(queue.bound.netns, queue.bound.device),
                ..self.end(queue.bound.local, Protocol::Tcp)
            },
            owners: self.processes(&queue.pids),
            queue: queue.now,
            limit: queue.limit,
            syn_recv: queue.syn_recv,
            unaccepted: queue.unaccepted,
            close_wait: queue.close_wait,
            oldest_ms: queue.oldest_ms,
            at_somaxconn: queue.at_somaxconn,
        }
    }
}
