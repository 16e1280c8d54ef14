//! What can restart a process, by the path of its control group: a service of systemd, or a
//! container. Pure.
//!
//! A program may create groups below its own and name them as it likes. So only the place where
//! systemd puts a service counts: below slices, and for a user's service below `user@UID.service`.

use crate::collector::placement::cgroup;
use crate::collector::processes::halt::whose;
use crate::model::{Manager, Name, ServiceManager};

/// Services that also run programs of others, which a restart may end or not reach.
const HOSTS_OTHERS: [&[u8]; 8] = [
    b"atd.service",
    b"containerd.service",
    b"cron.service",
    b"crond.service",
    b"docker.service",
    b"ssh.service",
    b"sshd.service",
    b"systemd-logind.service",
];

/// The manager of a process, from the text of /proc/PID/cgroup (cgroups(7)).
pub(super) fn of(text: &[u8]) -> Option<Manager> {
    let paths = || cgroup::paths(text);
    let contained = paths().find_map(|(_, path)| in_container(path));
    // Other hierarchies of version 1 are not systemd's.
    contained
        .or_else(|| paths().find_map(|(is_systemd, path)| service(path).filter(|_| is_systemd)))
}

/// The innermost container of a path, or the service inside it.
fn in_container(path: &[u8]) -> Option<Manager> {
    let mut end = path.len();
    while end > 0 {
        let (above, below) = path.split_at_checked(end)?;
        if let (Some(container), _) = whose(above) {
            return Some(match service(below) {
                Some(Manager::Service {
                    name,
                    of: ServiceManager::System,
                }) => Manager::Service {
                    name,
                    of: ServiceManager::Container,
                },
                _ => Manager::Container(container),
            });
        }
        end = above.iter().rposition(|byte| *byte == b'/')?;
    }
    None
}

/// The service that systemd keeps at this place.
fn service(path: &[u8]) -> Option<Manager> {
    let mut parts = path
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".." && !part.ends_with(b".slice"));
    let first = parts.next()?;
    let (name, of) = match user(first) {
        Some(user) => (parts.next()?, ServiceManager::User(user)),
        None => (first, ServiceManager::System),
    };
    // systemd.unit(5); other characters are not in names of units, and some are patterns.
    let is_named = |byte: &u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(byte);
    let is_service = name.ends_with(b".service")
        && !name.starts_with(b"-")
        && name.iter().all(is_named)
        && !HOSTS_OTHERS.contains(&name);
    is_service.then(|| Manager::Service {
        name: Name::new(name),
        of,
    })
}

/// The user of `user@1000.service`.
fn user(part: &[u8]) -> Option<u32> {
    let number = part.strip_prefix(b"user@")?.strip_suffix(b".service")?;
    std::str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Container;

    const ID: &str = "4f9a2c6e8b1d3f5a7c9e0b2d4f6a8c0e1f3b5d7a9c1e3f5b7d9a1c3e5f7b9d0a";

    /// `nginx.service`, `web.service of 1000`, `nginx.service inside`, or the container's id.
    fn named(text: &str) -> String {
        match of(text.replace("ID", ID).as_bytes()) {
            Some(Manager::Service { name, of }) => match of {
                ServiceManager::System => name.lossy().into_owned(),
                ServiceManager::User(user) => format!("{name} of {user}"),
                ServiceManager::Container => format!("{name} inside"),
            },
            Some(Manager::Container(Container { engine, id })) => {
                format!("{engine:?} {}", id.to_string().replace(ID, "ID"))
            }
            None => "-".to_owned(),
        }
    }

    #[test]
    fn a_service_counts_where_systemd_keeps_it_and_a_container_by_its_group() {
        for (text, manager) in [
            ("0::/system.slice/nginx.service", "nginx.service"),
            ("0::/system.slice/app.service/worker.service", "app.service"),
            (
                "0::/system.slice/system-web.slice/web@1.service",
                "web@1.service",
            ),
            ("0::/../nginx.service", "nginx.service"),
            ("0::/system.slice/a\\x2db.service", "a\\x2db.service"),
            ("0::/system.slice/a*.service", "-"),
            ("0::/system.slice/cron.service", "-"),
            ("0::/app/nginx.service", "-"),
            (
                "0::/user.slice/user-1000.slice/session-3.scope/a.service",
                "-",
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service",
                "web.service of 1000",
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/init.scope",
                "-",
            ),
            ("0::/system.slice/docker-ID.scope", "Some(Docker) ID"),
            ("0::/docker/ID", "Some(Docker) ID"),
            (
                "0::/docker/ID/system.slice/nginx.service",
                "nginx.service inside",
            ),
            ("0::/docker/ID/init.scope", "Some(Docker) ID"),
            (
                "0::/machine.slice/libpod-ID.scope/container",
                "Some(Podman) ID",
            ),
            ("0::/kubepods/besteffort/pod8f6c/ID", "None ID"),
            (
                "0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:ID",
                "None ID",
            ),
            (
                "0::/lxc.payload.web/system.slice/php.service",
                "php.service inside",
            ),
            (
                "4:memory:/system.slice/x.service\n1:name=systemd:/\n0::/",
                "-",
            ),
            ("1:name=systemd:/system.slice/x.service\n0::/", "x.service"),
            ("4:memory:/docker/ID\n0::/", "Some(Docker) ID"),
            ("", "-"),
            ("bad\n0::\n", "-"),
        ] {
            assert_eq!(named(text), manager, "{text}");
        }
    }
}
