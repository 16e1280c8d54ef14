//! Facts about the host.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Name, Tick, Tools};

/// The host. Settings of each network namespace are in [`Settings`](super::Settings).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// `uname -n`, as raw bytes.
    pub name: Name,
    /// `uname -r`.
    pub kernel: Option<Name>,
    /// Identifies this boot: /proc/sys/kernel/random/boot_id.
    pub boot_id: Option<Name>,
    /// The precision of the kernel's times. Older recordings lack it; then the longest tick is assumed.
    #[serde(default, skip_serializing_if = "Tick::is_longest")]
    pub tick: Tick,
    pub users: Users,
    /// The debugging tools in `PATH`; `None` if they were not looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Tools>,
    /// The path of closewait itself; `None` for a recording, which may be of another host.
    #[serde(skip)]
    pub this: Option<String>,
    /// The process ids are those of another PID namespace than closewait's: the procfs of `--proc`.
    #[serde(skip)]
    pub has_other_pids: bool,
}

/// The names of users, from /etc/passwd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users(Vec<(u32, Name)>);

impl Users {
    /// If a user id has several names, the first counts, as in getpwuid(3).
    pub fn new(mut users: Vec<(u32, Name)>) -> Users {
        users.sort_by_key(|(uid, _)| *uid);
        users.dedup_by_key(|(uid, _)| *uid);
        Users(users)
    }

    /// All of them, ordered by number.
    pub fn all(&self) -> &[(u32, Name)] {
        &self.0
    }

    /// The user id of a name.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.0
            .iter()
            .find(|(_, known)| *known == *name)
            .map(|(uid, _)| *uid)
    }

    pub fn name(&self, uid: u32) -> Option<&Name> {
        let at = self.0.binary_search_by_key(&uid, |(uid, _)| *uid).ok()?;
        Some(&self.0[at].1)
    }
}

/// An inclusive range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    pub fn contains(self, port: u16) -> bool {
        self.ports().contains(&port)
    }

    pub fn ports(self) -> RangeInclusive<u16> {
        RangeInclusive::new(self.first, self.last)
    }
}
