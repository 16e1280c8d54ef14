//! A group of sockets, and the figures that groups and findings share.

use serde::{Serialize, Serializer};

use crate::classifier::change::Change;
use crate::classifier::group::{Group, RecvQ, Spread};
use crate::classifier::growth::Growth;
use crate::model::{Cause, Protocol, Side};
use crate::renderer::format::json::context::{Context, EndpointJson, NameJson, Process};

#[derive(Serialize)]
pub(super) struct GroupJson<'a> {
    netns: Option<NameJson<'a>>,
    protocol: &'static str,
    state: &'static str,
    side: Option<&'static str>,
    local_port: Option<u16>,
    remote: Option<EndpointJson<'a>>,
    device: Option<String>,
    owner_kind: Option<&'static str>,
    owners: Vec<Process<'a>>,
    sockets: u64,
    recv_q: RecvQJson,
    send_q_max: u32,
    idle_ms: Option<SpreadJson>,
    causes: Causes<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    growth: Option<ChangeJson>,
}

impl<'a> Context<'a> {
    pub(super) fn group(&self, group: &'a Group, growth: Option<&Growth>) -> GroupJson<'a> {
        let (local_port, remote) = self.service(group.service, group.protocol);
        GroupJson {
            netns: self.netns(group.netns),
            protocol: group.protocol.name(),
            state: group.protocol.state_name(group.state),
            side: match group.protocol {
                Protocol::Udp => None,
                _ => group.service.side().map(Side::name),
            },
            local_port,
            remote,
            device: self.device(group.netns, group.service.device),
            owner_kind: group.owner.kind,
            owners: self.processes(&group.owner.pids),
            sockets: group.sockets,
            recv_q: group.recv_q.into(),
            send_q_max: group.send_q_max,
            idle_ms: group.idle.map(SpreadJson::from),
            causes: Causes(&group.causes),
            growth: growth.map(|growth| ChangeJson::of(&growth.of_group(group), growth.between_ms)),
        }
    }
}

#[derive(Serialize)]
pub(super) struct RecvQJson {
    zero: u64,
    one: u64,
    more: u64,
    max: u32,
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
    min: u64,
    p50: u64,
    max: u64,
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

/// How many sockets stayed, came and went.
#[derive(Serialize)]
pub(super) struct ChangeJson {
    still: u64,
    new: u64,
    gone: u64,
    growth_per_min: Option<f64>,
}

impl ChangeJson {
    pub(super) fn of(change: &Change, between_ms: u64) -> ChangeJson {
        let Change { still, new, gone } = *change;
        ChangeJson {
            still,
            new,
            gone,
            growth_per_min: change.per_minute(between_ms),
        }
    }
}
