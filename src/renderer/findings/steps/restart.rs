//! A restart of the service or container whose program is at fault.

use crate::classifier::Report;
use crate::classifier::culprit::Culprit;
use crate::classifier::finding::Finding;
use crate::classifier::pool::PoolVerdict;
use crate::classifier::spin::Spin;
use crate::model::{Cause, Container, Engine, Manager, Name, ServiceManager, Tool};
use crate::renderer::findings::halt::{ID_SHOWN, is_id};
use crate::renderer::findings::meaning::is_helper;
use crate::renderer::findings::steps::place::{Place, has};
use crate::renderer::findings::steps::step::{Step, plain, quoted};

/// A restart of the service or container of the holders, if it is they that are at fault.
pub(super) fn restart(report: &Report<'_>, finding: &Finding) -> Option<Step> {
    let is_of_program = matches!(
        finding.set.cause,
        Cause::NeverClosed
            | Cause::Abandoned
            | Cause::NotReading
            | Cause::NotAccepted
            | Cause::Inherited
            | Cause::StalePool
            | Cause::DeadDescriptors
    );
    // Old workers end by themselves once their connections do.
    if !is_of_program || !is_own_fault(finding) || finding.old_workers.is_some() {
        return None;
    }
    let mut evidence = finding.evidence.iter();
    let first_holder = evidence.next()?;
    let manager = first_holder.inside.manager.as_ref()?;
    if evidence.any(|other| other.inside.manager.as_ref() != Some(manager)) {
        return None;
    }
    let place = Place::new(report, finding, first_holder.pid);
    let step = match manager {
        Manager::Service { name, of } => restart_service(&place, name, *of)?,
        Manager::Container(container) => restart_container(report, container)?,
    };
    Some(step.with("relief: ends all its connections"))
}

/// Whether the program that holds the sockets is at fault, as far as the facts show.
fn is_own_fault(finding: &Finding) -> bool {
    let set = &finding.set;
    let is_pool_leak = match set.pool_verdict {
        Some(PoolVerdict::Leak | PoolVerdict::Exhausted | PoolVerdict::Blocked) => true,
        Some(PoolVerdict::AtRest | PoolVerdict::Ambiguous) => return false,
        None => false,
    };
    match finding.culprit {
        None => is_pool_leak || set.cause != Cause::StalePool,
        Some(
            Culprit::Exhausted(_)
            | Culprit::NoDescriptors
            | Culprit::Blocked(_)
            | Culprit::Spinning(_, Spin::Idle | Spin::Polling),
        ) => true,
        Some(Culprit::Sleepers) => !is_helper(finding),
        Some(Culprit::Lock(_)) => {
            let lock = finding.workers.contended_lock();
            lock.is_some_and(|(_, held_by)| set.by_weight.contains(&held_by.pid))
        }
        Some(
            Culprit::Halted(..)
            | Culprit::Throttled(_)
            | Culprit::FileLock(_)
            | Culprit::Backend(_)
            | Culprit::FarEnd(_)
            | Culprit::Spinning(_, Spin::Busy),
        ) => false,
    }
}

fn restart_service(place: &Place<'_>, name: &Name, of: ServiceManager) -> Option<Step> {
    let report = place.report;
    let name = quoted(name)?;
    Some(match of {
        ServiceManager::System => {
            let step = Step::run(format!("systemctl restart {name}"));
            on_host(report, Tool::Systemctl, step)
        }
        ServiceManager::User(user) if report.snapshot.scan.root => {
            let user = quoted(report.snapshot.host.users.name(user)?)?;
            let step = Step::run(format!("systemctl --user -M {user}@.host restart {name}"));
            on_host(report, Tool::Systemctl, step)
        }
        ServiceManager::User(_) => {
            let step = Step::run(format!("systemctl --user restart {name}"));
            on_host(report, Tool::Systemctl, step)
        }
        ServiceManager::Container => {
            let enter = format!("-t {} -a systemctl restart {name}", place.pid);
            place.as_root(place.host(Tool::Nsenter, &enter))
        }
    })
}

fn restart_container(report: &Report<'_>, container: &Container) -> Option<Step> {
    let id = container_id(&container.id)?;
    let (tool, command) = match container.engine {
        Some(Engine::Docker) => (Tool::Docker, "docker restart"),
        Some(Engine::Podman) => (Tool::Podman, "podman restart"),
        Some(Engine::Nerdctl) => (Tool::Nerdctl, "nerdctl restart"),
        Some(Engine::Lxc) => (Tool::LxcStop, "lxc-stop -r -n"),
        // In Kubernetes, and others.
        None => return Some(Step::advice(format!("as relief, restart container {id}"))),
    };
    Some(on_host(report, tool, Step::run(format!("{command} {id}"))))
}

/// A step with a remark if its tool is missing here: it belongs to the host, which has it.
pub(super) fn on_host(report: &Report<'_>, tool: Tool, step: Step) -> Step {
    match has(report, tool) {
        Some(false) => step.with("on the host"),
        _ => step,
    }
}

/// The id of a container for a shell, shortened as its engine shows it.
pub(super) fn container_id(id: &Name) -> Option<&str> {
    let id = plain(id)?;
    Some(id.get(..ID_SHOWN).filter(|_| is_id(id)).unwrap_or(id))
}
