//! What keeps a process from running, as JSON.

use serde::Serialize;

use crate::model::{
    Container, Engine, FileLock, Freezer, Halt, Periods, Quota, Stuck, Tracer, Version, Vfork,
};
use crate::renderer::format::json::context::NameJson;

#[derive(Serialize)]
pub(super) struct HaltJson<'a> {
    freezer: Option<FreezerJson<'a>>,
    tracer: Option<TracerJson<'a>>,
    vfork: Option<VforkJson<'a>>,
    quota: Option<QuotaJson<'a>>,
    stuck: Vec<StuckJson<'a>>,
    locks: Vec<LockJson<'a>>,
}

impl<'a> From<&'a Halt> for HaltJson<'a> {
    fn from(halt: &'a Halt) -> HaltJson<'a> {
        HaltJson {
            freezer: halt.freezer.as_ref().map(FreezerJson::from),
            tracer: halt.tracer.as_ref().map(TracerJson::from),
            vfork: halt.vfork.as_ref().map(VforkJson::from),
            quota: halt.quota.as_ref().map(QuotaJson::from),
            stuck: halt.stuck.iter().map(StuckJson::from).collect(),
            locks: halt.locks.iter().map(LockJson::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct FreezerJson<'a> {
    cgroup: Option<NameJson<'a>>,
    version: u8,
    container: Option<ContainerJson<'a>>,
    unit: Option<NameJson<'a>>,
}

impl<'a> From<&'a Freezer> for FreezerJson<'a> {
    fn from(freezer: &'a Freezer) -> FreezerJson<'a> {
        FreezerJson {
            cgroup: freezer.directory.as_ref().map(NameJson),
            version: match freezer.version {
                Version::V1 => 1,
                Version::V2 => 2,
            },
            container: freezer.container.as_ref().map(ContainerJson::from),
            unit: freezer.unit.as_ref().map(NameJson),
        }
    }
}

#[derive(Serialize)]
struct ContainerJson<'a> {
    engine: Option<&'static str>,
    id: NameJson<'a>,
}

impl<'a> From<&'a Container> for ContainerJson<'a> {
    fn from(container: &'a Container) -> ContainerJson<'a> {
        ContainerJson {
            engine: container.engine.map(|engine| match engine {
                Engine::Docker => "docker",
                Engine::Podman => "podman",
                Engine::Nerdctl => "nerdctl",
                Engine::Lxc => "lxc",
            }),
            id: NameJson(&container.id),
        }
    }
}

#[derive(Serialize)]
struct TracerJson<'a> {
    pid: Option<u32>,
    name: Option<NameJson<'a>>,
}

impl<'a> From<&'a Tracer> for TracerJson<'a> {
    fn from(tracer: &'a Tracer) -> TracerJson<'a> {
        TracerJson {
            pid: tracer.pid.map(|pid| pid.0),
            name: tracer.name.as_ref().map(NameJson),
        }
    }
}

#[derive(Serialize)]
struct VforkJson<'a> {
    thread: u32,
    child: Option<u32>,
    name: Option<NameJson<'a>>,
    age_ms: Option<u64>,
    call: Option<NameJson<'a>>,
}

impl<'a> From<&'a Vfork> for VforkJson<'a> {
    fn from(vfork: &'a Vfork) -> VforkJson<'a> {
        VforkJson {
            thread: vfork.thread.0,
            child: vfork.child.map(|child| child.0),
            name: vfork.name.as_ref().map(NameJson),
            age_ms: vfork.age_ms,
            call: vfork.call.as_ref().map(NameJson),
        }
    }
}

#[derive(Serialize)]
struct QuotaJson<'a> {
    cgroup: NameJson<'a>,
    container: Option<ContainerJson<'a>>,
    unit: Option<NameJson<'a>>,
    quota_us: u64,
    period_us: u64,
    total: PeriodsJson,
    sample: Option<PeriodsJson>,
}

impl<'a> From<&'a Quota> for QuotaJson<'a> {
    fn from(quota: &'a Quota) -> QuotaJson<'a> {
        QuotaJson {
            cgroup: NameJson(&quota.directory),
            container: quota.container.as_ref().map(ContainerJson::from),
            unit: quota.unit.as_ref().map(NameJson),
            quota_us: quota.quota_us,
            period_us: quota.period_us,
            total: quota.total.into(),
            sample: quota.sample.map(PeriodsJson::from),
        }
    }
}

#[derive(Serialize)]
struct PeriodsJson {
    periods: u64,
    throttled: u64,
}

impl From<Periods> for PeriodsJson {
    fn from(periods: Periods) -> PeriodsJson {
        PeriodsJson {
            periods: periods.all,
            throttled: periods.throttled,
        }
    }
}

#[derive(Serialize)]
struct StuckJson<'a> {
    place: Option<NameJson<'a>>,
    call: Option<NameJson<'a>>,
    threads: u32,
}

impl<'a> From<&'a Stuck> for StuckJson<'a> {
    fn from(stuck: &'a Stuck) -> StuckJson<'a> {
        StuckJson {
            place: stuck.place.as_ref().map(NameJson),
            call: stuck.call.as_ref().map(NameJson),
            threads: stuck.threads,
        }
    }
}

#[derive(Serialize)]
struct LockJson<'a> {
    holder: Option<u32>,
    name: Option<NameJson<'a>>,
    threads: u32,
}

impl<'a> From<&'a FileLock> for LockJson<'a> {
    fn from(lock: &'a FileLock) -> LockJson<'a> {
        LockJson {
            holder: lock.holder.map(|holder| holder.0),
            name: lock.name.as_ref().map(NameJson),
            threads: lock.threads,
        }
    }
}
