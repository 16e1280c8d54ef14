//! What keeps a process of a scenario from running.

use closewait::model::{
    Container, Engine, FileLock, Freezer, Halt, Name, Periods, Pid, Quota, Stuck, Tracer, Version,
    Vfork,
};
use serde::Deserialize;

use super::syntax;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Halted {
    /// Which of the versions of control groups froze it.
    frozen: Option<u8>,
    /// The directory of the group that is frozen or limited.
    group: Option<String>,
    /// Whose group it is: `docker 4f9a2c6e8b1d`, `? 4f9a2c6e8b1d`.
    container: Option<String>,
    unit: Option<String>,
    /// `gdb[12]`, or `elsewhere`.
    tracer: Option<String>,
    /// The child: `sh[77] 12s execve`.
    vfork: Option<String>,
    /// Of each period, in percent.
    quota: Option<u64>,
    /// The periods in which it ran out, of all: `111/115`.
    throttled: Option<String>,
    /// The same in the sample.
    throttled_now: Option<String>,
    /// `8x openat mnt_want_write`, `1x fsync -`.
    stuck: Vec<String>,
    /// `3x cron[9]`, `1x -`.
    locks: Vec<String>,
}

fn name(text: &str) -> Name {
    Name::new(text.as_bytes())
}

impl Halted {
    pub fn halt(&self, pid: Pid) -> Result<Halt, String> {
        let directory = self.group.as_deref().map(name);
        let container = self.container.as_deref().map(container).transpose()?;
        let unit = self.unit.as_deref().map(name);
        let vfork = |text: &String| vfork(pid, text);
        let (total, sample) = (
            self.throttled.as_deref().map(periods).transpose()?,
            self.throttled_now.as_deref().map(periods).transpose()?,
        );
        Ok(Halt {
            freezer: self.frozen.map(|version| Freezer {
                directory: directory.clone(),
                version: if version == 1 {
                    Version::V1
                } else {
                    Version::V2
                },
                container: container.clone(),
                unit: unit.clone(),
            }),
            tracer: self.tracer.as_deref().map(|text| {
                let owner = syntax::owner(text);
                Tracer {
                    pid: owner.as_ref().map(|owner| Pid(owner.pid)),
                    name: owner.map(|owner| name(&owner.name)),
                }
            }),
            vfork: self.vfork.as_ref().map(vfork).transpose()?,
            quota: self.quota.map(|percent| Quota {
                directory: directory.unwrap_or(name("/sys/fs/cgroup/app")),
                container,
                unit,
                quota_us: percent * 1_000,
                period_us: 100_000,
                total: total.unwrap_or_default(),
                sample,
            }),
            stuck: self
                .stuck
                .iter()
                .map(|text| stuck(text))
                .collect::<Result<_, _>>()?,
            locks: self.locks.iter().map(|text| lock(text)).collect(),
        })
    }
}

fn container(text: &str) -> Result<Container, String> {
    let (engine, id) = text
        .split_once(' ')
        .ok_or("a container needs an engine and an id")?;
    Ok(Container {
        engine: match engine {
            "docker" => Some(Engine::Docker),
            "podman" => Some(Engine::Podman),
            "nerdctl" => Some(Engine::Nerdctl),
            "lxc" => Some(Engine::Lxc),
            _ => None,
        },
        id: name(id),
    })
}

fn vfork(pid: Pid, text: &str) -> Result<Vfork, String> {
    let mut words = text.split_whitespace();
    let child = words
        .next()
        .and_then(syntax::owner)
        .ok_or("a vfork needs a child")?;
    Ok(Vfork {
        thread: pid,
        child: Some(Pid(child.pid)),
        name: Some(name(&child.name)),
        age_ms: words.next().map(syntax::duration).transpose()?,
        call: words.next().map(Into::into),
    })
}

fn periods(text: &str) -> Result<Periods, String> {
    let (throttled, all) = text.split_once('/').ok_or("periods are two numbers")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
    Ok(Periods {
        all: number(all)?,
        throttled: number(throttled)?,
    })
}

fn stuck(text: &str) -> Result<Stuck, String> {
    let (threads, rest) = syntax::count(text);
    let (call, place) = rest.split_once(' ').ok_or("a call and a place, or -")?;
    let told = |text: &str| (text != "-").then(|| text.into());
    Ok(Stuck {
        place: told(place),
        call: told(call),
        threads,
    })
}

fn lock(text: &str) -> FileLock {
    let (threads, rest) = syntax::count(text);
    let holder = syntax::owner(rest);
    FileLock {
        holder: holder.as_ref().map(|holder| Pid(holder.pid)),
        name: holder.map(|holder| name(&holder.name)),
        threads,
    }
}
