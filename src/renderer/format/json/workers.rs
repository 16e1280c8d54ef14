//! What the workers of a finding wait for, in JSON.

use crate::classifier::workers::{Common, Jam, On, Workers};
use crate::model::{Crew, Endpoint, LockPlace, Name, Protocol, Resolved, WaitKind, WaitTarget};
use crate::renderer::format::json::types::{
    CommonJson, CrewJson, EndpointJson, JamJson, LockKeeperJson, NameJson, WorkersJson,
};

pub(super) fn workers<'a>(workers: &'a Workers, names: &'a Resolved) -> WorkersJson<'a> {
    WorkersJson {
        total: workers.total,
        asked: workers.asked,
        threads: workers.threads,
        serving: workers.serving,
        waits: workers.waits.iter().map(|one| common(one, names)).collect(),
        locks: workers.locks.iter().map(|one| jam(one, names)).collect(),
    }
}

fn common<'a>(common: &'a Common, names: &'a Resolved) -> CommonJson<'a> {
    let (remote, listener, file) = match &common.on {
        On::Service(remote) => (Some(end(*remote, names)), None, None),
        On::Listener(local) => (None, Some(end(*local, names)), None),
        On::File(name) => (None, None, Some(text(name))),
        On::Clients | On::Nothing => (None, None, None),
    };
    CommonJson {
        call: NameJson(&common.call),
        kind: match (&common.on, common.kind) {
            (On::Service(_), _) => "service",
            (On::Clients, _) => "clients",
            (On::Listener(_), _) => "listener",
            (On::File(_), _) => "file",
            (On::Nothing, WaitKind::Events) => "events",
            (On::Nothing, WaitKind::Lock) => "lock",
            (On::Nothing, WaitKind::Sleep) => "sleep",
            (On::Nothing, WaitKind::Child) => "child",
            (On::Nothing, WaitKind::Descriptor | WaitKind::Other) => "other",
        },
        remote,
        listener,
        file,
        workers: common.workers,
        threads: common.threads,
        pid: common.pid.0,
        names: crews(&common.crews),
    }
}

fn jam<'a>(jam: &'a Jam, names: &'a Resolved) -> JamJson<'a> {
    JamJson {
        place: match jam.place {
            LockPlace::Own(_) => "memory",
            LockPlace::Shared { .. } => "shared-memory",
        },
        workers: jam.workers,
        threads: jam.threads,
        pid: jam.pid.0,
        names: crews(&jam.crews),
        keeper: jam.keeper.as_ref().map(|keeper| LockKeeperJson {
            pid: keeper.pid.0,
            thread: keeper.thread.map(|thread| thread.0),
            name: keeper.name.as_ref().map(text),
            call: keeper.call.as_ref().map(NameJson),
            remote: match keeper.target {
                Some(WaitTarget::Remote(remote)) => Some(end(remote, names)),
                _ => None,
            },
        }),
    }
}

fn end(end: Endpoint, names: &Resolved) -> EndpointJson<'_> {
    EndpointJson::named(end, Protocol::Tcp, names)
}

fn crews(crews: &[Crew]) -> Vec<CrewJson> {
    let crew = |crew: &Crew| CrewJson {
        name: text(&crew.name),
        threads: crew.threads,
    };
    crews.iter().map(crew).collect()
}

fn text(name: &Name) -> String {
    name.lossy().into()
}
