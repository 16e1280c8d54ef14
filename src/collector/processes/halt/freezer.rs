//! Frozen control groups. A group is frozen itself or through an ancestor; its processes do not run
//! until that is thawed (cgroups(7), `Documentation/admin-guide/cgroup-v1/freezer-subsystem`).

use std::os::unix::ffi::OsStrExt;

use crate::collector::placement::cgroup;
use crate::collector::processes::halt::hierarchy::Group;
use crate::model::{Container, Engine, Freezer, Name, Version};

/// Whether a group is frozen, and through which of `groups`: the group and its ancestors, innermost
/// first.
pub(super) fn of(groups: &[Group]) -> Option<Freezer> {
    let innermost = groups.first()?;
    let by_itself = groups.iter().find(|group| freezes(group));
    if by_itself.is_none() && !is_frozen(innermost) {
        return None;
    }
    let (container, unit) = by_itself.map_or((None, None), |group| whose(&group.path));
    Some(Freezer {
        directory: by_itself.map(|group| Name::new(group.directory.as_os_str().as_bytes())),
        version: innermost.version,
        container,
        unit,
    })
}

/// Whether a group was frozen itself.
fn freezes(group: &Group) -> bool {
    let file = match group.version {
        Version::V1 => "freezer.self_freezing",
        Version::V2 => "cgroup.freeze",
    };
    group.text(file).is_some_and(|text| text.trim() == "1")
}

/// Whether a group is frozen, itself or through an ancestor.
fn is_frozen(group: &Group) -> bool {
    match group.version {
        Version::V1 => (group.text("freezer.state"))
            .is_some_and(|text| matches!(text.trim(), "FROZEN" | "FREEZING")),
        Version::V2 => (group.text("cgroup.events"))
            .is_some_and(|text| text.lines().any(|line| line == "frozen 1")),
    }
}

/// The container or systemd unit whose own group a path is. Groups inside and around it have states and
/// limits of their own.
pub(in crate::collector::processes) fn whose(path: &[u8]) -> (Option<Container>, Option<Name>) {
    // crun puts the processes of a container one level down.
    let path = path.strip_suffix(b"/container").unwrap_or(path);
    let mut parts = path.rsplitn(2, |byte| *byte == b'/');
    let last = parts.next().unwrap_or_default();
    let above = parts.next().unwrap_or_default();
    let (own, around) = (cgroup::of_path(path), cgroup::of_path(above));
    let id = own
        .container
        .filter(|id| around.container.as_ref() != Some(id));
    let container = id.map(|id| Container {
        engine: engine(above, last),
        id,
    });
    let unit = own.unit.filter(|unit| unit.bytes() == last);
    (container, unit)
}

fn engine(above: &[u8], last: &[u8]) -> Option<Engine> {
    let around = above.rsplit(|byte| *byte == b'/').next();
    let named: [(&[u8], Engine); 5] = [
        (b"docker-", Engine::Docker),
        (b"libpod-", Engine::Podman),
        (b"podman-", Engine::Podman),
        (b"nerdctl-", Engine::Nerdctl),
        (b"lxc.payload.", Engine::Lxc),
    ];
    let by_name = named.iter().find(|(start, _)| last.starts_with(start));
    match (by_name, around) {
        (Some((_, engine)), _) => Some(*engine),
        (None, Some(b"docker")) => Some(Engine::Docker),
        (None, Some(b"lxc" | b"lxc.payload")) => Some(Engine::Lxc),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f9a2c6e8b1d3f5a7c9e0b2d4f6a8c0e1f3b5d7a9c1e3f5b7d9a1c3e5f7b9d0a";

    #[test]
    fn the_group_of_a_container_is_told_from_those_within_and_around_it() {
        let docker = Some(Some(Engine::Docker));
        let podman = Some(Some(Engine::Podman));
        for (path, container, unit) in [
            ("/docker/ID", docker, None),
            ("/docker", None, None),
            (
                "/docker/ID/system.slice/nginx.service",
                None,
                Some("nginx.service"),
            ),
            (
                "/system.slice/docker-ID.scope",
                docker,
                Some("docker-ID.scope"),
            ),
            (
                "/machine.slice/libpod-ID.scope/container",
                podman,
                Some("libpod-ID.scope"),
            ),
            (
                "/machine.slice/libpod-ID.scope",
                podman,
                Some("libpod-ID.scope"),
            ),
            ("/kubepods/besteffort/pod8f6c/ID", Some(None), None),
            ("/kubepods/besteffort/pod8f6c", None, None),
            ("/lxc/web", Some(Some(Engine::Lxc)), None),
            ("/system.slice/nginx.service", None, Some("nginx.service")),
            ("/system.slice/nginx.service/workers", None, None),
            ("/system.slice", None, None),
            ("/", None, None),
            ("", None, None),
        ] {
            let (found, found_unit) = whose(path.replace("ID", ID).as_bytes());
            assert_eq!(found.map(|found| found.engine), container, "{path}");
            let unit = unit.map(|unit| Name::new(unit.replace("ID", ID).into_bytes()));
            assert_eq!(found_unit, unit, "{path}");
        }
    }
}
