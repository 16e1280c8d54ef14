//! What a process named by a finding does.

use serde::Serialize;

use crate::classifier::beginning::Beginning;
use crate::model::{Evidence, FdLimit, Resolved, Wait, Words};
use crate::renderer::format::json::context::{Context, NameJson};
use crate::renderer::format::json::halt::HaltJson;
use crate::renderer::format::json::origin::OriginJson;
use crate::renderer::format::json::stacks::{self, MissingJson, StackJson};
use crate::renderer::format::json::target::TargetJson;
use crate::renderer::names;

/// What was read about a process that a finding names.
#[derive(Serialize)]
pub(super) struct EvidenceJson<'a> {
    pid: u32,
    name: Option<NameJson<'a>>,
    runtime: &'static str,
    age_ms: Option<u64>,
    open_fds: Option<u64>,
    fd_limit: Option<u64>,
    dead_sockets: Option<u64>,
    threads: Option<ThreadsJson>,
    cpu: Option<CpuJson>,
    waits: Option<Vec<WaitJson<'a>>>,
    version: Option<NameJson<'a>>,
    stacks: Option<Vec<StackJson<'a>>>,
    stacks_missing: Option<MissingJson<'a>>,
    halt: HaltJson<'a>,
    epoll: Option<EpollJson>,
    origin: OriginJson<'a>,
    says: Option<NameJson<'a>>,
    unread: &'a [Words],
}

#[derive(Serialize)]
pub(super) struct ThreadsJson {
    total: u32,
    running: u32,
    sleeping: u32,
    disk: u32,
    stopped: u32,
    zombie: u32,
}

#[derive(Serialize)]
pub(super) struct CpuJson {
    sample_ms: u64,
    percent: f64,
    busiest_thread: Option<u32>,
    busiest_percent: Option<f64>,
    busiest_ran_percent: Option<f64>,
    restless_threads: u32,
}

#[derive(Serialize)]
pub(super) struct WaitJson<'a> {
    call: NameJson<'a>,
    threads: u32,
    #[serde(flatten)]
    target: TargetJson<'a>,
}

#[derive(Serialize)]
pub(super) struct EpollJson {
    watched: u64,
    edge_triggered: u64,
    muted: u64,
    absent: u64,
}

impl<'a> Context<'a> {
    pub(super) fn evidence(
        &self,
        evidence: &'a Evidence,
        beginning: Option<&Beginning>,
    ) -> EvidenceJson<'a> {
        let stacks = evidence.stacks.as_ref();
        EvidenceJson {
            pid: evidence.pid.0,
            name: self.name(evidence.pid),
            runtime: names::runtime(evidence.runtime),
            age_ms: evidence.age_ms,
            open_fds: evidence.open_fds,
            fd_limit: evidence.fd_limit.and_then(FdLimit::files),
            dead_sockets: evidence.dead_sockets,
            threads: evidence.threads.map(|threads| ThreadsJson {
                total: threads.total,
                running: threads.running,
                sleeping: threads.sleeping,
                disk: threads.disk,
                stopped: threads.stopped,
                zombie: threads.zombie,
            }),
            cpu: evidence.cpu.as_ref().map(|cpu| CpuJson {
                sample_ms: cpu.sample_ms,
                percent: cpu.percent,
                busiest_thread: cpu.busiest.map(|(thread, _)| thread.0),
                busiest_percent: cpu.busiest.map(|(_, percent)| percent),
                busiest_ran_percent: cpu.ran_percent,
                restless_threads: cpu.restless,
            }),
            halt: (&evidence.halt).into(),
            waits: evidence.waits.as_ref().map(|waits| {
                waits
                    .iter()
                    .map(|one| wait(one, &self.report.resolved))
                    .collect()
            }),
            version: stacks.and_then(|stacks| stacks.version.as_ref().map(NameJson)),
            stacks: stacks.map(|taken| stacks::stacks(taken, &self.report.resolved)),
            stacks_missing: stacks.map(stacks::missing),
            epoll: evidence.epoll.map(|epoll| EpollJson {
                watched: epoll.watched,
                edge_triggered: epoll.edge,
                muted: epoll.muted,
                absent: epoll.absent,
            }),
            origin: OriginJson::of(&evidence.origin, beginning),
            says: evidence.title.as_ref().map(|title| NameJson(&title.says)),
            unread: &evidence.unread,
        }
    }
}

fn wait<'a>(wait: &'a Wait, names: &'a Resolved) -> WaitJson<'a> {
    WaitJson {
        call: NameJson(&wait.call),
        threads: wait.threads,
        target: TargetJson::of(wait.target.as_ref(), names),
    }
}
