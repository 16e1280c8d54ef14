//! Local ports and SYN queues that are full, or fill up.

use std::net::IpAddr;

use serde::Serialize;

use crate::classifier::half_open::SynQueue;
use crate::classifier::local_ports::LocalPorts;
use crate::model::{Protocol, State};
use crate::renderer::format::json::context::{Context, EndpointJson, NameJson};

/// The ephemeral ports that are in use towards one remote end.
#[derive(Serialize)]
pub(super) struct LocalPortsJson<'a> {
    netns: Option<NameJson<'a>>,
    local: IpAddr,
    remote: EndpointJson<'a>,
    used: u64,
    at_least: bool,
    usable: u64,
    time_wait: u64,
    established: u64,
    close_wait: u64,
    reuses_time_wait: Option<bool>,
}

/// The SYN queue of a listening address.
#[derive(Serialize)]
pub(super) struct SynQueueJson<'a> {
    netns: Option<NameJson<'a>>,
    local: EndpointJson<'a>,
    half_open: u64,
    retransmitted: u64,
    addresses: u64,
    limit: u64,
    at_max_syn_backlog: bool,
    syncookies: Option<bool>,
}

impl<'a> Context<'a> {
    pub(super) fn local_ports(&self, ports: &LocalPorts) -> LocalPortsJson<'a> {
        LocalPortsJson {
            netns: self.netns(ports.netns),
            local: ports.local,
            remote: self.end(ports.remote, Protocol::Tcp),
            used: ports.used,
            at_least: ports.at_least,
            usable: ports.usable,
            time_wait: ports.in_state(State::TimeWait),
            established: ports.in_state(State::Established),
            close_wait: ports.in_state(State::CloseWait),
            reuses_time_wait: ports.reuses_time_wait,
        }
    }

    pub(super) fn syn_queue(&self, queue: &SynQueue) -> SynQueueJson<'a> {
        SynQueueJson {
            netns: self.netns(queue.bound.netns),
            local: EndpointJson {
                device: self.device(queue.bound.netns, queue.bound.device),
                ..self.end(queue.bound.local, Protocol::Tcp)
            },
            half_open: queue.half_open,
            retransmitted: queue.retransmitted,
            addresses: queue.addresses,
            limit: queue.limit,
            at_max_syn_backlog: queue.at_max_syn_backlog,
            syncookies: queue.cookies,
        }
    }
}
