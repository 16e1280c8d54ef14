//! A network namespace: its name and its settings.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Name, PortRange, Words};

/// A network namespace whose sockets were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// The name that the user gave, its name in `ip netns`, `net:[INODE]`, or, if the inode may not be
    /// read, `/proc/PID/ns/net` of a process in it; `None` if /proc shows none of these.
    pub label: Option<Name>,
    /// The operand of `-N` that selects it; `None` for the namespace of closewait itself.
    pub asked: Option<Name>,
    /// The number in `net:[4026531840]`.
    pub inode: Option<u64>,
    pub source: Source,
    /// MPTCP is in use, and the source does not distinguish its subflows from other TCP sockets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hides_subflows: bool,
    pub settings: Settings,
}

/// Settings and counters of one network namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `net.ipv4.ip_local_port_range`: the ports that the kernel assigns to connecting sockets.
    pub ephemeral: Option<PortRange>,
    /// `net.ipv4.ip_local_reserved_ports`: those of them that it does not assign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Vec<PortRange>>,
    /// `net.ipv4.tcp_tw_reuse`: whether connect(2) takes the port of a connection in TIME_WAIT again, after a
    /// second: 0 never, 1 always, 2 on loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tw_reuse: Option<u8>,
    /// `net.ipv4.tcp_max_tw_buckets`: how many sockets may be in TIME_WAIT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_wait_limit: Option<u64>,
    /// `net.ipv4.tcp_syncookies`: 0 never, 1 if a SYN queue is full, 2 always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syncookies: Option<u8>,
    /// `net.ipv4.tcp_max_syn_backlog`: without SYN cookies, a limit of each SYN queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_syn_backlog: Option<u32>,
    /// `net.ipv4.tcp_fin_timeout`, in seconds.
    pub fin_timeout_s: Option<u32>,
    /// `net.core.somaxconn`: the upper limit of a listener's backlog.
    pub somaxconn: Option<u32>,
    /// `TcpExt: ListenOverflows` since the namespace was created.
    pub listen_overflows: Option<u64>,
    /// `TcpExt: ListenDrops` since then.
    pub listen_drops: Option<u64>,
    /// The interfaces that sockets are bound to, by their index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<(u32, Name)>,
}

/// The network namespaces that were not read, as far as they were counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherNamespaces {
    pub namespaces: u64,
    /// Processes in them.
    pub processes: u64,
    /// Processes whose namespace is unknown.
    pub unknown: u64,
    /// Why more may exist, and what to try; `None` if all were found.
    pub doubt: Option<Words>,
}

impl OtherNamespaces {
    /// What was not read, in words, with what to try; `None` if there is certainly no other namespace.
    pub fn words(&self) -> Option<Words> {
        let counted = |count: u64, one: &str, more: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {more}"),
        };
        let processes = |count| counted(count, "process", "processes");
        let namespaces = (self.namespaces > 0).then(|| {
            let namespaces = "other network namespaces";
            let count = counted(self.namespaces, "other network namespace", namespaces);
            // If processes are hidden, 0 is not certain.
            let hidden = self.unknown > 0 || self.doubt.is_some();
            match self.processes {
                0 if hidden => format!("{count} not read (use -A)"),
                seen => format!("{count} ({}) not read (use -A)", processes(seen)),
            }
        });
        let unknown = (self.unknown > 0).then(|| {
            let processes = processes(self.unknown);
            format!("the namespaces of {processes} are unknown (run as root)")
        });
        let doubt = self.doubt.as_ref().map(Words::to_string);
        let doubts: Vec<String> = unknown.into_iter().chain(doubt).collect();
        let doubts = (!doubts.is_empty()).then(|| doubts.join("; "));
        let words = match (namespaces, doubts) {
            (Some(namespaces), Some(doubts)) => format!("{namespaces}; more may exist: {doubts}"),
            (Some(namespaces), None) => namespaces,
            (None, Some(doubts)) => format!("other network namespaces may exist: {doubts}"),
            (None, None) => return None,
        };
        Some(words.into())
    }
}

impl Namespace {
    /// The name of an interface; `if4` if it has no name any more, as in ss; `None` for index 0, which
    /// is no interface.
    pub fn device(&self, index: u32) -> Option<Cow<'_, Name>> {
        if index == 0 {
            return None;
        }
        let mut known = self.settings.devices.iter();
        Some(match known.find(|(known, _)| *known == index) {
            Some((_, name)) => Cow::Borrowed(name),
            None => Cow::Owned(format!("if{index}").into()),
        })
    }

    /// A namespace about which nothing is known.
    pub const UNKNOWN: Namespace = Namespace {
        label: None,
        asked: None,
        inode: None,
        source: Source::Procfs,
        hides_subflows: false,
        settings: Settings {
            ephemeral: None,
            reserved: None,
            tw_reuse: None,
            time_wait_limit: None,
            syncookies: None,
            max_syn_backlog: None,
            fin_timeout_s: None,
            somaxconn: None,
            listen_overflows: None,
            listen_drops: None,
            devices: Vec::new(),
        },
    };
}

/// The source of the sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// sock_diag over netlink.
    Netlink,
    /// /proc/net/tcp and tcp6.
    Procfs,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Source::Netlink => "netlink",
            Source::Procfs => "procfs",
        }
    }

    /// Whether the Send-Q of a listener is the limit of its accept queue.
    pub fn reports_backlog(self) -> bool {
        matches!(self, Source::Netlink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_at_comes_with_what_to_try() {
        let words = |namespaces, processes, unknown, doubt: Option<&'static str>| {
            let others = OtherNamespaces {
                namespaces,
                processes,
                unknown,
                doubt: doubt.map(Into::into),
            };
            others.words().unwrap_or_default().to_string()
        };
        assert_eq!(words(0, 0, 0, None), "");
        assert_eq!(
            words(3, 41, 0, None),
            "3 other network namespaces (41 processes) not read (use -A)"
        );
        assert_eq!(
            words(1, 1, 2, Some("x; y")),
            "1 other network namespace (1 process) not read (use -A); more may exist: the \
             namespaces of 2 processes are unknown (run as root); x; y"
        );
        assert_eq!(
            words(1, 0, 0, None),
            "1 other network namespace (0 processes) not read (use -A)"
        );
        assert_eq!(
            words(1, 0, 0, Some("x")),
            "1 other network namespace not read (use -A); more may exist: x"
        );
        assert_eq!(
            words(0, 0, 0, Some("x")),
            "other network namespaces may exist: x"
        );
    }
}
