//! Looks up the names in a filter: services, hosts, interfaces, users and cgroups of this host or of the
//! network namespace that is read.
//!
//! Each file is read only when a name of its kind is looked up.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketType, netdevice};

use super::file;
use super::host;
use crate::collector::namespaces::netns::Netns;
use crate::collector::placement::{CGROUP_MOUNTS, is_cgroup2};
use crate::collector::procfs::is_ours;
use crate::collector::request::{NetnsChoice, NetnsName};
use crate::filter::Names;
use crate::model::PortRange;

/// The names of this host.
#[derive(Debug, Clone)]
pub struct SystemNames {
    proc_root: PathBuf,
    netns: NetnsChoice,
}

impl SystemNames {
    pub fn new(proc_root: &Path, netns: &NetnsChoice) -> SystemNames {
        SystemNames {
            proc_root: proc_root.to_owned(),
            netns: netns.clone(),
        }
    }

    /// Runs a lookup in the network namespace. `None` if that cannot be entered; the reason is reported when
    /// its sockets are read.
    fn within<T: Send>(&self, lookup: impl FnOnce() -> Option<T> + Send) -> Option<T> {
        match &self.netns {
            NetnsChoice::Own if !is_ours(&self.proc_root) => {
                let first = self.proc_root.join("1/ns/net");
                Netns::at(&first).ok()?.within(lookup).ok()?
            }
            NetnsChoice::Own | NetnsChoice::All | NetnsChoice::Missing(_) => lookup(),
            NetnsChoice::One(name) => Netns::open(name, &self.proc_root)
                .ok()?
                .within(lookup)
                .ok()?,
            NetnsChoice::Of { pids, .. } => {
                let name = NetnsName(pids.first()?.to_string());
                Netns::open(&name, &self.proc_root)
                    .ok()?
                    .within(lookup)
                    .ok()?
            }
        }
    }
}

impl Names for SystemNames {
    fn service(&self, name: &str) -> Option<u16> {
        service(&read("/etc/services"), name)
    }

    fn hosts(&self, name: &str) -> Vec<IpAddr> {
        hosts(&read("/etc/hosts"), name)
    }

    fn interface(&self, name: &str) -> Option<u32> {
        self.within(|| {
            let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
            netdevice::name_to_index(socket, name).ok()
        })
    }

    fn user(&self, name: &str) -> Option<u32> {
        user(&read("/etc/passwd"), name)
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        let path = Path::new(path);
        let below = path.strip_prefix("/").unwrap_or(path);
        std::iter::once(path.to_owned())
            .chain(CGROUP_MOUNTS.map(|mount| Path::new(mount).join(below)))
            .find_map(|path| cgroup(&path))
    }

    fn ephemeral(&self) -> Option<PortRange> {
        // Each namespace has its own range.
        if matches!(
            self.netns,
            NetnsChoice::All | NetnsChoice::Of { several: true, .. }
        ) {
            return None;
        }
        self.within(|| host::settings(&self.proc_root).ephemeral)
    }
}

/// The text of a file, or nothing if it cannot be read.
pub(super) fn read(path: &str) -> String {
    let text = file::read(Path::new(path), file::LIST_MAX);
    String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()
}

/// The ID of a cgroup, which is the inode of its directory (`kernfs_id`).
fn cgroup(path: &Path) -> Option<u64> {
    let metadata = file::metadata(path).ok().filter(|_| is_cgroup2(path))?;
    metadata.is_dir().then(|| metadata.ino())
}

/// passwd(5): `name:password:uid:…`.
pub(crate) fn user(passwd: &str, name: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_meant = fields.next() == Some(name);
        is_meant.then(|| fields.nth(1)?.parse().ok())?
    })
}

/// The words of each line of a file with comments.
pub(super) fn entries(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_ascii_whitespace().collect()
    })
}

/// services(5): `name port/protocol alias…`. A service that TCP lacks is looked up for UDP.
pub(crate) fn service(services: &str, name: &str) -> Option<u16> {
    let of = |protocol: &str| {
        entries(services).find_map(|words| {
            let [official, port, aliases @ ..] = words.as_slice() else {
                return None;
            };
            let port = port.strip_suffix(protocol)?;
            let is_meant = *official == name || aliases.contains(&name);
            is_meant.then(|| port.parse().ok())?
        })
    };
    of("/tcp").or_else(|| of("/udp"))
}

/// hosts(5): `address name…`.
pub(crate) fn hosts(hosts: &str, name: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for words in entries(hosts) {
        let Some((addr, names)) = words.split_first() else {
            continue;
        };
        if let Ok(addr) = addr.parse()
            && names.iter().any(|known| known.eq_ignore_ascii_case(name))
            && !found.contains(&addr)
        {
            found.push(addr);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_found_by_its_name_and_by_others_for_tcp_before_udp() {
        let text = "# comment\nhttp 80/tcp www # World Wide Web\ndomain 54/udp\ndomain 53/tcp\ntftp 69/udp\nx 1\n\nbad y/tcp\n";
        assert_eq!(service(text, "http"), Some(80));
        assert_eq!(service(text, "www"), Some(80));
        assert_eq!(service(text, "domain"), Some(53));
        assert_eq!(service(text, "tftp"), Some(69));
        assert_eq!(service(text, "World"), None);
        assert_eq!(service(text, "bad"), None);
    }

    #[test]
    fn a_user_is_found_by_name() {
        let text = "root:x:0:0::/:/bin/sh\n\ntoor:x:0:0::/:\nbad\nnobody:x:65534:\n";
        assert_eq!(user(text, "toor"), Some(0));
        assert_eq!(user(text, "nobody"), Some(65534));
        assert_eq!(user(text, "bad"), None);
        assert_eq!(user(text, "x"), None);
    }

    #[test]
    fn a_host_may_have_several_addresses() {
        let text =
            "127.0.0.1 localhost vm\n::1\tlocalhost # six\n127.0.0.1 LocalHost\nx localhost\n";
        let of = |name| hosts(text, name);
        assert_eq!(of("localhost").len(), 2);
        assert_eq!(of("vm"), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(of("six").is_empty());
    }
}
