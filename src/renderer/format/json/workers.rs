//! What the workers of a finding wait for, in JSON.

use serde::Serialize;

use crate::classifier::workers::{ContendedLock, SharedWait, WaitsFor, Workers};
use crate::model::{
    Endpoint, LockPlace, Name, NamedThreads, Protocol, Resolved, WaitKind, WaitTarget,
};
use crate::renderer::format::json::context::{EndpointJson, NameJson};

/// What all processes of a finding wait for.
#[derive(Serialize)]
pub(super) struct WorkersJson<'a> {
    total: u64,
    asked: u64,
    threads: u64,
    serving: u64,
    waits: Vec<SharedWaitJson<'a>>,
    locks: Vec<ContendedLockJson<'a>>,
}

#[derive(Serialize)]
struct SharedWaitJson<'a> {
    call: NameJson<'a>,
    kind: &'static str,
    remote: Option<EndpointJson<'a>>,
    listener: Option<EndpointJson<'a>>,
    file: Option<String>,
    workers: u64,
    threads: u64,
    pid: u32,
    names: Vec<NamedThreadsJson>,
}

#[derive(Serialize)]
struct ContendedLockJson<'a> {
    place: &'static str,
    workers: u64,
    threads: u64,
    pid: u32,
    names: Vec<NamedThreadsJson>,
    held_by: Option<LockOwnerJson<'a>>,
}

#[derive(Serialize)]
struct LockOwnerJson<'a> {
    pid: u32,
    thread: Option<u32>,
    name: Option<String>,
    call: Option<NameJson<'a>>,
    remote: Option<EndpointJson<'a>>,
}

/// Threads with one name, without trailing digits.
#[derive(Serialize)]
struct NamedThreadsJson {
    name: String,
    threads: u32,
}

pub(super) fn workers<'a>(workers: &'a Workers, names: &'a Resolved) -> WorkersJson<'a> {
    WorkersJson {
        total: workers.total,
        asked: workers.asked,
        threads: workers.threads,
        serving: workers.serving,
        waits: workers.waits.iter().map(|one| common(one, names)).collect(),
        locks: workers
            .locks
            .iter()
            .map(|one| contended_lock(one, names))
            .collect(),
    }
}

fn common<'a>(common: &'a SharedWait, names: &'a Resolved) -> SharedWaitJson<'a> {
    let (remote, listener, file) = match &common.on {
        WaitsFor::Service(remote) => (Some(end(*remote, names)), None, None),
        WaitsFor::Listener(local) => (None, Some(end(*local, names)), None),
        WaitsFor::File(name) => (None, None, Some(text(name))),
        WaitsFor::Clients | WaitsFor::Nothing => (None, None, None),
    };
    SharedWaitJson {
        call: NameJson(&common.call),
        kind: match (&common.on, common.kind) {
            (WaitsFor::Service(_), _) => "service",
            (WaitsFor::Clients, _) => "clients",
            (WaitsFor::Listener(_), _) => "listener",
            (WaitsFor::File(_), _) => "file",
            (WaitsFor::Nothing, WaitKind::Events) => "events",
            (WaitsFor::Nothing, WaitKind::Lock) => "lock",
            (WaitsFor::Nothing, WaitKind::Sleep) => "sleep",
            (WaitsFor::Nothing, WaitKind::Child) => "child",
            (WaitsFor::Nothing, WaitKind::Descriptor | WaitKind::Other) => "other",
        },
        remote,
        listener,
        file,
        workers: common.workers,
        threads: common.threads,
        pid: common.pid.0,
        names: thread_names(&common.thread_names),
    }
}

fn contended_lock<'a>(
    contended_lock: &'a ContendedLock,
    names: &'a Resolved,
) -> ContendedLockJson<'a> {
    ContendedLockJson {
        place: match contended_lock.place {
            LockPlace::Own(_) => "memory",
            LockPlace::Shared { .. } => "shared-memory",
        },
        workers: contended_lock.workers,
        threads: contended_lock.threads,
        pid: contended_lock.pid.0,
        names: thread_names(&contended_lock.thread_names),
        held_by: contended_lock
            .held_by
            .as_ref()
            .map(|held_by| LockOwnerJson {
                pid: held_by.pid.0,
                thread: held_by.thread.map(|thread| thread.0),
                name: held_by.name.as_ref().map(text),
                call: held_by.call.as_ref().map(NameJson),
                remote: match held_by.target {
                    Some(WaitTarget::Remote(remote)) => Some(end(remote, names)),
                    _ => None,
                },
            }),
    }
}

fn end(end: Endpoint, names: &Resolved) -> EndpointJson<'_> {
    EndpointJson::named(end, Protocol::Tcp, names)
}

fn thread_names(thread_names: &[NamedThreads]) -> Vec<NamedThreadsJson> {
    let thread_name = |thread_name: &NamedThreads| NamedThreadsJson {
        name: text(&thread_name.name),
        threads: thread_name.threads,
    };
    thread_names.iter().map(thread_name).collect()
}

fn text(name: &Name) -> String {
    name.lossy().into()
}
