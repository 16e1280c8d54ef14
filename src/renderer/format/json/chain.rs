//! The services behind a program: requests without an answer, and who serves them on this host.

use serde::Serialize;

use crate::classifier::chain::{Hop, IdleTransaction, Says};
use crate::classifier::requests::{Requests, Role};
use crate::classifier::silent::Silent;
use crate::model::{Evidence, Protocol};
use crate::renderer::format::json::context::{Context, EndpointJson, NameJson, Process};
use crate::renderer::format::json::process::EvidenceJson;

/// Unanswered requests of the owners to another service.
#[derive(Serialize)]
pub(super) struct RequestsJson<'a> {
    remote: EndpointJson<'a>,
    connections: u64,
    unanswered: u64,
    p50_ms: u64,
    max_ms: u64,
    explains: bool,
    awaited: Option<bool>,
}

/// A service that has not answered many requests of a program.
#[derive(Serialize)]
pub(super) struct SilentJson<'a> {
    netns: Option<NameJson<'a>>,
    owner: Process<'a>,
    remote: EndpointJson<'a>,
    connections: u64,
    unanswered: u64,
    p50_ms: u64,
    max_ms: u64,
}

/// A service on this host behind the finding.
#[derive(Serialize)]
pub(super) struct HopJson<'a> {
    remote: EndpointJson<'a>,
    netns: Option<NameJson<'a>>,
    owners: Vec<Process<'a>>,
    connections: u64,
    unaccepted: u64,
    waits_for_itself: bool,
    requests: Vec<RequestsJson<'a>>,
    titles: Vec<TitleJson<'a>>,
    keepers: Vec<KeeperJson<'a>>,
    processes: Vec<EvidenceJson<'a>>,
}

/// Processes with the same title.
#[derive(Serialize)]
pub(super) struct TitleJson<'a> {
    program: &'static str,
    says: NameJson<'a>,
    pids: Vec<u32>,
}

/// A process that may have the lock for which others wait.
#[derive(Serialize)]
pub(super) struct KeeperJson<'a> {
    pid: u32,
    remote: Option<EndpointJson<'a>>,
    client: Option<Process<'a>>,
}

impl<'a> Context<'a> {
    pub(super) fn requests(
        &self,
        requests: &'a [Requests],
        evidence: &[Evidence],
    ) -> Vec<RequestsJson<'a>> {
        let one = |of: &'a Requests| RequestsJson {
            remote: self.end(of.remote, Protocol::Tcp),
            connections: of.connections,
            unanswered: of.unanswered,
            p50_ms: of.p50_ms,
            max_ms: of.max_ms,
            explains: of.role == Role::Explains,
            awaited: of.are_awaited(evidence),
        };
        requests.iter().map(one).collect()
    }

    pub(super) fn silent(&self, silent: &'a Silent) -> SilentJson<'a> {
        let requests = &silent.requests;
        SilentJson {
            netns: self.netns(silent.netns),
            owner: self.process(silent.pid),
            remote: self.end(requests.remote, Protocol::Tcp),
            connections: requests.connections,
            unanswered: requests.unanswered,
            p50_ms: requests.p50_ms,
            max_ms: requests.max_ms,
        }
    }

    pub(super) fn hop(&self, hop: &'a Hop) -> HopJson<'a> {
        let title = |says: &'a Says| TitleJson {
            program: says.title.of.name(),
            says: NameJson(&says.title.says),
            pids: says.pids.iter().map(|pid| pid.0).collect(),
        };
        let held_by = |held_by: &'a IdleTransaction| KeeperJson {
            pid: held_by.pid.0,
            remote: held_by.end.map(|end| self.end(end, Protocol::Tcp)),
            client: held_by.client.map(|pid| self.process(pid)),
        };
        HopJson {
            remote: self.end(hop.remote, Protocol::Tcp),
            netns: self.netns(hop.netns),
            owners: self.processes(&hop.pids),
            connections: hop.connections,
            unaccepted: hop.unaccepted,
            waits_for_itself: hop.is_loop,
            requests: self.requests(&hop.requests, &hop.evidence),
            titles: hop.says.iter().map(title).collect(),
            keepers: hop.idle_transactions.iter().map(held_by).collect(),
            processes: hop
                .evidence
                .iter()
                .map(|evidence| self.evidence(evidence, None))
                .collect(),
        }
    }
}
