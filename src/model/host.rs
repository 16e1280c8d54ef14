//! Facts about the host that the judgement rests on.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::{Name, Tick, Tools};

/// The host; what each network namespace has for itself is in [`Settings`](super::Settings).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// `uname -n`; any bytes that sethostname(2) took, as they are.
    pub name: Name,
    /// `uname -r`.
    pub kernel: Option<Name>,
    /// What tells this run of the kernel from every other: /proc/sys/kernel/random/boot_id.
    pub boot_id: Option<Name>,
    /// The precision of the kernel's times; the longest tick in older recordings.
    #[serde(default, skip_serializing_if = "Tick::is_longest")]
    pub tick: Tick,
    pub users: Users,
    /// The tools that a shell finds; `None` where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Tools>,
    /// Where this program is; `None` of a recording, which may be another host's.
    #[serde(skip)]
    pub this: Option<String>,
}

/// The names of users, from /etc/passwd.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users(Vec<(u32, Name)>);

impl Users {
    /// Where a number has several names, the first counts, as for getpwuid(3).
    pub fn new(mut users: Vec<(u32, Name)>) -> Users {
        users.sort_by_key(|(uid, _)| *uid);
        users.dedup_by_key(|(uid, _)| *uid);
        Users(users)
    }

    /// All of them, ordered by number.
    pub fn all(&self) -> &[(u32, Name)] {
        &self.0
    }

    /// The number that a name stands for.
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
        RangeInclusive::new(self.first, self.last).contains(&port)
    }
}
