//! The systemd unit and the container that the path of a control group names. Pure.
//!
//! Whoever creates a group chooses its name, so it may be anything. A path without a known pattern names
//! neither.

use crate::model::{Cgroup, Name};

/// The kinds of units that have processes (systemd.unit(5)); slices only hold others.
const UNITS: [&[u8]; 5] = [b".service", b".scope", b".socket", b".mount", b".swap"];
/// The prefixes of container IDs, by runtime.
const RUNTIMES: [&[u8]; 6] = [
    b"docker-",
    b"libpod-",
    b"crio-",
    b"cri-containerd-",
    b"nerdctl-",
    b"podman-",
];
/// The length of a full container ID, and the least length of one after a runtime's prefix.
const ID: usize = 64;
const ID_LEAST: usize = 12;

/// The group of a process, from the text of /proc/PID/cgroup (cgroups(7)): lines of
/// `hierarchy:controllers:path`. `None` if there is no such line.
///
/// Version 2 comes first, then systemd's own hierarchy of version 1, then the others. Root groups come last.
pub fn of_process(text: &[u8]) -> Option<Cgroup> {
    let mut paths: Vec<(u8, &[u8])> = ranked(text).collect();
    paths.sort_by_key(|(rank, path)| (*path == b"/", *rank));
    let cgroups: Vec<Cgroup> = paths.iter().map(|(_, path)| of_path(path)).collect();
    Some(Cgroup {
        path: cgroups.first()?.path.clone(),
        unit: cgroups.iter().find_map(|cgroup| cgroup.unit.clone()),
        container: cgroups.iter().find_map(|cgroup| cgroup.container.clone()),
    })
}

/// The paths in the text of /proc/PID/cgroup, and whether each is in a hierarchy of systemd.
pub fn paths(text: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    ranked(text).map(|(rank, path)| (rank < OTHER, path))
}

/// The rank of a hierarchy of version 1 that is not systemd's.
const OTHER: u8 = 2;

fn ranked(text: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (hierarchy, controllers) = (fields.next()?, fields.next()?);
        let path = fields.next().filter(|path| path.starts_with(b"/"))?;
        let rank = match (hierarchy, controllers) {
            (b"0", b"") => 0,
            (_, b"name=systemd") => 1,
            _ => OTHER,
        };
        Some((rank, path))
    })
}

/// The unit and the container that a path names.
pub fn of_path(path: &[u8]) -> Cgroup {
    // The kernel adds this to a group that was removed while a process was in it.
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let parts: Vec<&[u8]> = path
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b"..")
        .collect();
    let unit = parts.iter().rev().find_map(|part| unit(part));
    let container = (0..parts.len()).rev().find_map(|at| {
        container(
            parts.get(at)?,
            at.checked_sub(1).and_then(|at| parts.get(at).copied()),
        )
    });
    Cgroup {
        path: Name::new(path),
        unit: unit.map(Name::new),
        container: container.map(Name::new),
    }
}

/// The unit that a part of a path names.
fn unit(part: &[u8]) -> Option<Vec<u8>> {
    // systemd adds the underscore to names that could clash with the kernel's files.
    let name = part.strip_prefix(b"_").unwrap_or(part);
    let is_unit = |suffix: &&[u8]| name.len() > suffix.len() && name.ends_with(suffix);
    (UNITS.iter().any(is_unit) && !name.contains(&b':')).then(|| name.to_vec())
}

/// The container that a part of a path names, given the part before it.
fn container(part: &[u8], before: Option<&[u8]>) -> Option<Vec<u8>> {
    let plain = part.strip_suffix(b".scope").unwrap_or(part);
    if is_id(plain) && plain.len() == ID {
        return Some(plain.to_vec());
    }
    let behind = RUNTIMES
        .iter()
        .find_map(|runtime| plain.strip_prefix(*runtime))
        // `kubepods-….slice:cri-containerd:ID`, if containerd does not use the systemd cgroup driver.
        .or_else(|| {
            part.rsplit(|byte| *byte == b':')
                .next()
                .filter(|id| *id != part)
        });
    if let Some(id) = behind.filter(|id| is_id(id)) {
        return Some(id.to_vec());
    }
    if let Some(name) = part.strip_prefix(b"lxc.payload.") {
        return named(name);
    }
    if let Some(b"lxc" | b"lxc.payload") = before {
        return named(part);
    }
    if let (Some(b"machine.slice"), Some(name)) = (before, plain.strip_prefix(b"machine-")) {
        return named(&unescaped(name));
    }
    let nspawn = part.strip_prefix(b"systemd-nspawn@")?;
    named(&unescaped(nspawn.strip_suffix(b".service")?))
}

fn named(name: &[u8]) -> Option<Vec<u8>> {
    (!name.is_empty()).then(|| name.to_vec())
}

fn is_id(text: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    text.len() >= ID_LEAST && text.iter().all(is_digit)
}

/// A name with systemd's escapes such as `\x2d` undone (systemd-escape(1)).
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let byte = rest
            .strip_prefix(b"\\x")
            .and_then(|rest| rest.get(..2))
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .filter(|byte| *byte != 0);
        match byte {
            Some(byte) => {
                name.push(byte);
                rest = rest.get(4..).unwrap_or_default();
            }
            None => {
                name.push(*first);
                rest = after;
            }
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID64: &str = "4f9a2c6e8b1d3f5a7c9e0b2d4f6a8c0e1f3b5d7a9c1e3f5b7d9a1c3e5f7b9d0a";

    fn shown(name: Option<&Name>) -> String {
        name.map_or("-".to_owned(), |name| {
            String::from_utf8_lossy(name.bytes()).into_owned()
        })
    }

    fn named(path: &str) -> (String, String) {
        let path = path.replace("ID", ID64);
        let cgroup = of_path(path.as_bytes());
        let container = shown(cgroup.container.as_ref()).replace(ID64, "ID");
        (shown(cgroup.unit.as_ref()).replace(ID64, "ID"), container)
    }

    #[test]
    fn paths_tell_units_and_containers() {
        for (path, unit, container) in [
            ("/", "-", "-"),
            ("", "-", "-"),
            ("/system.slice/nginx.service", "nginx.service", "-"),
            (
                "/system.slice/nginx.service (deleted)",
                "nginx.service",
                "-",
            ),
            (
                "/system.slice/system-getty.slice/getty@tty1.service",
                "getty@tty1.service",
                "-",
            ),
            ("/system.slice/foo.service/workers/3", "foo.service", "-"),
            ("/system.slice/dbus.socket", "dbus.socket", "-"),
            ("/system.slice/_cgroup.service", "cgroup.service", "-"),
            (
                "/system.slice/app\\x2dmain.service",
                "app\\x2dmain.service",
                "-",
            ),
            (
                "/user.slice/user-1000.slice/session-3.scope",
                "session-3.scope",
                "-",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service",
                "web.service",
                "-",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/init.scope",
                "init.scope",
                "-",
            ),
            ("/init.scope", "init.scope", "-"),
            ("/user.slice", "-", "-"),
            ("/.service", "-", "-"),
            ("/service", "-", "-"),
            ("/docker/ID", "-", "ID"),
            (
                "/docker/ID/system.slice/nginx.service",
                "nginx.service",
                "ID",
            ),
            ("/system.slice/docker-ID.scope", "docker-ID.scope", "ID"),
            (
                "/machine.slice/libpod-ID.scope/container",
                "libpod-ID.scope",
                "ID",
            ),
            (
                "/machine.slice/libpod-conmon-ID.scope",
                "libpod-conmon-ID.scope",
                "-",
            ),
            ("/libpod_parent/libpod-ID", "-", "ID"),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
                "libpod-ID.scope",
                "ID",
            ),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12.slice/cri-containerd-ID.scope",
                "cri-containerd-ID.scope",
                "ID",
            ),
            ("/kubepods/besteffort/pod8f6c/ID", "-", "ID"),
            (
                "/kubepods.slice/kubepods-pod1.slice/crio-ID.scope",
                "crio-ID.scope",
                "ID",
            ),
            (
                "/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:ID",
                "containerd.service",
                "ID",
            ),
            ("/kubepods-pod1.slice:cri-containerd:short", "-", "-"),
            ("/ecs/task/ID", "-", "ID"),
            ("/actions_job/ID", "-", "ID"),
            ("/lxc/web", "-", "web"),
            ("/lxc/web/init.scope", "init.scope", "web"),
            (
                "/lxc.payload.web/system.slice/nginx.service",
                "nginx.service",
                "web",
            ),
            ("/lxc.payload/web", "-", "web"),
            ("/lxc.monitor.web", "-", "-"),
            ("/lxc", "-", "-"),
            ("/lxc.payload.", "-", "-"),
            (
                "/machine.slice/machine-web\\x2d1.scope",
                "machine-web\\x2d1.scope",
                "web-1",
            ),
            (
                "/machine.slice/systemd-nspawn@web\\x2d1.service/payload",
                "systemd-nspawn@web\\x2d1.service",
                "web-1",
            ),
            ("/machine.slice/machine-.scope", "machine-.scope", "-"),
            ("/docker-xyz.scope", "docker-xyz.scope", "-"),
            ("/docker-4f9a.scope", "docker-4f9a.scope", "-"),
            (
                "/docker-4f9a2c6e8b1d.scope",
                "docker-4f9a2c6e8b1d.scope",
                "4f9a2c6e8b1d",
            ),
            ("/docker/4f9a2c6e8b1d", "-", "-"),
            ("/../../docker/ID", "-", "ID"),
            // The innermost of containers within containers.
            (
                "/docker/ID/docker-4f9a2c6e8b1d.scope",
                "docker-4f9a2c6e8b1d.scope",
                "4f9a2c6e8b1d",
            ),
        ] {
            assert_eq!(
                named(path),
                (unit.to_owned(), container.to_owned()),
                "{path}"
            );
        }
    }

    #[test]
    fn of_several_hierarchies_the_one_that_tells_is_taken() {
        let text = format!(
            "9:name=systemd:/system.slice/nginx.service\n4:memory:/docker/{ID64}\n0::/\nbad\n7:x:no\n"
        );
        let cgroup = of_process(text.as_bytes()).unwrap();
        assert_eq!(shown(Some(&cgroup.path)), "/system.slice/nginx.service");
        assert_eq!(shown(cgroup.unit.as_ref()), "nginx.service");
        assert_eq!(shown(cgroup.container.as_ref()), ID64);
        let second = of_process(b"1:name=systemd:/a.service\n0::/b.service\n").unwrap();
        assert_eq!(shown(second.unit.as_ref()), "b.service");
        assert_eq!(shown(Some(&of_process(b"0::/\n").unwrap().path)), "/");
        assert_eq!(of_process(b""), None);
        assert_eq!(of_process(b"0:\n:\n::\n0::relative\n"), None);
    }

    #[test]
    fn hostile_paths_are_taken_as_they_are() {
        let colons = of_process(b"0::/a:b:c.service\n").unwrap();
        assert_eq!(shown(Some(&colons.path)), "/a:b:c.service");
        assert_eq!(colons.unit, None);
        let bytes = of_path(b"/\xff\x1b[31m.service");
        assert_eq!(bytes.unit.unwrap().bytes(), b"\xff\x1b[31m.service");
        let deep = [b"/".as_slice(), &b"x/".repeat(50_000), b"z.scope"].concat();
        assert_eq!(shown(of_path(&deep).unit.as_ref()), "z.scope");
        assert_eq!(unescaped(b"a\\x2"), b"a\\x2");
        assert_eq!(unescaped(b"a\\x00\\x+1"), b"a\\x00\\x+1");
        assert_eq!(unescaped(b"\\\\x2d"), b"\\-");
    }
}
