//! The names of a recorded host, for filters.

use std::net::IpAddr;
use std::path::Path;

use super::Recording;
use crate::collector::names::SystemNames;
use crate::collector::placement::CGROUP_MOUNTS;
use crate::collector::request::NetnsChoice;
use crate::filter::Names;
use crate::model::PortRange;

/// The names of a recorded host: its users and control groups. Names of services and hosts are those of
/// the machine that reads it.
pub struct RecordedNames<'a> {
    recording: &'a Recording,
    here: SystemNames,
}

impl<'a> RecordedNames<'a> {
    pub fn new(recording: &'a Recording) -> RecordedNames<'a> {
        RecordedNames {
            recording,
            here: SystemNames::new(Path::new("/proc"), &NetnsChoice::Own),
        }
    }
}

impl Names for RecordedNames<'_> {
    fn service(&self, name: &str) -> Option<u16> {
        self.here.service(name)
    }

    fn hosts(&self, name: &str) -> Vec<IpAddr> {
        self.here.hosts(name)
    }

    /// Only interfaces that sockets were bound to are recorded.
    fn interface(&self, name: &str) -> Option<u32> {
        let [only] = self.recording.facts.namespaces.as_slice() else {
            return None;
        };
        let mut devices = only.settings.devices.iter();
        let (index, _) = devices.find(|(_, known)| *known == *name)?;
        Some(*index)
    }

    fn user(&self, name: &str) -> Option<u32> {
        self.recording.facts.host.users.number(name)
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        let path = Path::new(path);
        let below = CGROUP_MOUNTS
            .iter()
            .rev()
            .find_map(|mount| path.strip_prefix(mount).ok())
            .unwrap_or(path);
        let below = below.strip_prefix("/").unwrap_or(below);
        let wanted = format!("/{}", below.display());
        let mut groups = self.recording.cgroups.numbers.iter();
        let found = groups.find(|(_, cgroup)| cgroup.path.bytes() == wanted.as_bytes());
        found.map(|(number, _)| *number)
    }

    fn ephemeral(&self) -> Option<PortRange> {
        match self.recording.facts.namespaces.as_slice() {
            [only] => only.settings.ephemeral,
            _ => None,
        }
    }
}
