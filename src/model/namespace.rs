//! A network namespace: how it is called, and the settings that are its own.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Name, PortRange, Source, Words};

/// A network namespace whose sockets were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// The name that it was asked for by, or that `ip netns` knows it by, `net:[inode]`, or,
    /// where that may not be read, `/proc/PID/ns/net` of a process in it; `None` where /proc does not
    /// tell.
    pub label: Option<Name>,
    /// What chooses it with `-N`; `None` for the one that the tool runs in.
    pub asked: Option<Name>,
    /// The number in `net:[4026531840]`.
    pub inode: Option<u64>,
    pub source: Source,
    /// MPTCP is in use, and the source cannot tell a subflow from any other TCP socket.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hides_subflows: bool,
    pub settings: Settings,
}

/// What each network namespace has for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// `net.ipv4.ip_local_port_range`: the ports that connecting sockets get.
    pub ephemeral: Option<PortRange>,
    /// `net.ipv4.tcp_fin_timeout`, in seconds.
    pub fin_timeout_s: Option<u32>,
    /// `net.core.somaxconn`: the most that a listener's backlog can be.
    pub somaxconn: Option<u32>,
    /// `TcpExt: ListenOverflows` since the namespace was made.
    pub listen_overflows: Option<u64>,
    /// `TcpExt: ListenDrops` since then.
    pub listen_drops: Option<u64>,
    /// The interfaces that sockets are bound to, by their index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<(u32, Name)>,
}

/// The network namespaces other than those that were read, as far as they were counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherNamespaces {
    pub namespaces: u64,
    /// Processes in them.
    pub processes: u64,
    /// Processes whose namespace is not known.
    pub unknown: u64,
    /// Why more of them may exist than could be seen, and what to try; `None` where all were seen.
    pub doubt: Option<Words>,
}

impl OtherNamespaces {
    /// What was not looked at, in words, with what to try; `None` if there is certainly no other
    /// namespace.
    pub fn words(&self) -> Option<Words> {
        let counted = |count: u64, one: &str, more: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {more}"),
        };
        let processes = |count| counted(count, "process", "processes");
        let namespaces = (self.namespaces > 0).then(|| {
            let namespaces = "other network namespaces";
            let count = counted(self.namespaces, "other network namespace", namespaces);
            // Where processes are hidden, none seen is not none.
            let hidden = self.unknown > 0 || self.doubt.is_some();
            match self.processes {
                0 if hidden => format!("{count} not looked at: -A"),
                seen => format!("{count} ({}) not looked at: -A", processes(seen)),
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
    /// The name of an interface, as the system has it; `if4` for one that has no name any more, as
    /// in ss; `None` for index 0, which is no interface.
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

    /// A namespace of which nothing is known.
    pub const UNKNOWN: Namespace = Namespace {
        label: None,
        asked: None,
        inode: None,
        source: Source::Procfs,
        hides_subflows: false,
        settings: Settings {
            ephemeral: None,
            fin_timeout_s: None,
            somaxconn: None,
            listen_overflows: None,
            listen_drops: None,
            devices: Vec::new(),
        },
    };
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
            "3 other network namespaces (41 processes) not looked at: -A"
        );
        assert_eq!(
            words(1, 1, 2, Some("x; y")),
            "1 other network namespace (1 process) not looked at: -A; more may exist: the \
             namespaces of 2 processes are unknown (run as root); x; y"
        );
        assert_eq!(
            words(1, 0, 0, None),
            "1 other network namespace (0 processes) not looked at: -A"
        );
        assert_eq!(
            words(1, 0, 0, Some("x")),
            "1 other network namespace not looked at: -A; more may exist: x"
        );
        assert_eq!(
            words(0, 0, 0, Some("x")),
            "other network namespaces may exist: x"
        );
    }
}
