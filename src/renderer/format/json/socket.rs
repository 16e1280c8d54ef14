//! One socket in JSON, written without anything being built for it.

use std::num::NonZeroU32;

use serde::{Serialize, Serializer};

use crate::classifier::Row;
use crate::classifier::change::Presence;
use crate::model::{Cause, Holders, Idle, Placed, Timer};
use crate::renderer::format::json::context::{Context, EndpointJson, NameJson};

#[derive(Serialize)]
pub(super) struct SocketJson<'a> {
    netns: Option<NameJson<'a>>,
    protocol: &'static str,
    family: &'static str,
    state: &'static str,
    local: EndpointJson<'a>,
    remote: EndpointJson<'a>,
    side: Option<&'static str>,
    recv_q: u32,
    send_q: Option<u32>,
    timer: Option<TimerJson>,
    uid: Option<u32>,
    user: Option<NameJson<'a>>,
    inode: Option<u32>,
    cookie: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mptcp_token: Option<NonZeroU32>,
    accepted: Option<bool>,
    owner_kind: Option<&'static str>,
    owners: HoldersJson<'a>,
    idle_ms: Option<IdleJson>,
    cause: Option<&'static str>,
    #[serde(flatten)]
    placed: Option<PlacedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'static str>,
}

impl<'a> Context<'a> {
    /// The control group, if it was read.
    pub(super) fn placed(&self, row: &Row<'_>) -> Option<PlacedJson<'a>> {
        let cgroups = self.report.snapshot.cgroups.as_ref()?;
        let cgroup = match cgroups.of(row.socket, &row.owner) {
            Placed::In(cgroup) => Some(cgroup),
            Placed::Nowhere | Placed::Unknown => None,
        };
        Some(PlacedJson {
            cgroup: cgroup.map(|found| NameJson(&found.path)),
            unit: cgroup.and_then(|found| found.unit.as_ref().map(NameJson)),
            container: cgroup.and_then(|found| found.container.as_ref().map(NameJson)),
        })
    }

    pub(super) fn socket<'b>(&'b self, row: &Row<'b>) -> SocketJson<'b> {
        let socket = row.socket;
        let uid = socket.user();
        SocketJson {
            netns: self.netns(socket.netns),
            protocol: socket.protocol.name(),
            family: socket.family.name(),
            state: socket.state_name(),
            local: self.local(socket),
            remote: self.end(socket.remote, socket.protocol),
            side: row.side().map(|side| side.name()),
            recv_q: socket.recv_q,
            send_q: self.report.send_q(socket),
            timer: socket.timer.map(TimerJson::from),
            uid,
            user: uid
                .and_then(|uid| self.report.snapshot.host.users.name(uid))
                .map(NameJson),
            inode: (socket.inode != 0).then_some(socket.inode),
            cookie: socket.cookie.map(u64::from),
            mptcp_token: socket.token,
            accepted: row.accepted(),
            owner_kind: row.owner.kind(),
            owners: HoldersJson {
                row: *row,
                holders: self.report.holders(),
            },
            idle_ms: row.idle.map(IdleJson::from),
            cause: row.cause.map(Cause::name),
            placed: self.placed(row),
            change: row.change.map(Presence::name),
        }
    }
}

/// The holders of one socket, written without building a list.
pub(super) struct HoldersJson<'a> {
    pub(super) row: Row<'a>,
    pub(super) holders: &'a Holders,
}

impl Serialize for HoldersJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Holder<'a> {
            pid: u32,
            fd: u32,
            name: Option<NameJson<'a>>,
        }
        serializer.collect_seq(self.row.owner.holders().iter().map(|holder| Holder {
            pid: holder.pid.0,
            fd: holder.fd,
            name: self.holders.name(holder.pid).map(NameJson),
        }))
    }
}

/// The control group of a socket, if it was read.
#[derive(Serialize)]
pub(super) struct PlacedJson<'a> {
    cgroup: Option<NameJson<'a>>,
    unit: Option<NameJson<'a>>,
    container: Option<NameJson<'a>>,
}

#[derive(Serialize)]
pub(super) struct TimerJson {
    kind: &'static str,
    expires_ms: u32,
    retransmits: u8,
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
    at_least: u64,
    at_most: Option<u64>,
}

impl From<Idle> for IdleJson {
    fn from(idle: Idle) -> IdleJson {
        IdleJson {
            at_least: idle.at_least_ms,
            at_most: idle.at_most_ms,
        }
    }
}
