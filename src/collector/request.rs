//! What a run asks the collector for: from which host and namespaces, which sockets, and which facts
//! besides.

use std::path::PathBuf;

use crate::filter::{Filter, Term};
use crate::model::{DetailSet, Families, Pid, Protocol, Protocols, StateSet};

/// Everything that a run asks for.
#[derive(Debug, Clone)]
pub struct Request {
    pub source: SourceChoice,
    /// Where procfs is mounted.
    pub proc_root: PathBuf,
    pub netns: NetnsChoice,
    pub families: Families,
    pub filter: Filter,
    /// Find the processes that hold the sockets.
    pub owners: bool,
    /// How to find them.
    pub scan: ScanChoice,
    /// Read how many files the holders may have open.
    pub limits: bool,
    /// Read the control groups of the holders: units and containers.
    pub cgroups: bool,
    pub protocols: Protocols,
    /// Ask for tcp_info, which ages and causes need.
    pub tcp_info: bool,
    /// Also read what findings need beyond the selection.
    pub findings: bool,
    /// Further details of each socket.
    pub details: DetailSet,
    /// Read the stacks of the processes that findings name.
    pub stacks: bool,
    /// Keep the raw dumps, for a recording.
    pub captured: bool,
    /// Count the network namespaces that are not read.
    pub others: bool,
}

impl Request {
    /// A request for the sockets alone, in the same namespaces.
    pub(super) fn for_sockets(&self, filter: Filter) -> Request {
        Request {
            families: Families::Both,
            filter,
            owners: false,
            limits: false,
            cgroups: false,
            tcp_info: false,
            findings: false,
            details: DetailSet::NONE,
            stacks: false,
            captured: false,
            others: false,
            ..self.clone()
        }
    }

    /// Whether every network namespace is read.
    pub fn is_of_all_namespaces(&self) -> bool {
        self.netns == NetnsChoice::All
    }

    /// Whether every TCP socket of the namespaces is read.
    pub(crate) fn sees_all(&self) -> bool {
        fn whole(filter: &Filter) -> bool {
            match filter {
                Filter::And(parts) => parts.iter().all(whole),
                Filter::Or(parts) => parts.iter().any(whole),
                Filter::Term(Term::State(states)) => {
                    states.intersection(StateSet::ALL) == StateSet::ALL
                }
                Filter::Not(_) | Filter::Term(_) => false,
            }
        }
        whole(&self.filter.of_protocol(Protocol::Tcp))
            && self.families == Families::Both
            && self.protocols.contains(Protocol::Tcp)
    }
}

/// How sockets are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SourceChoice {
    /// sock_diag, or /proc/net/tcp if that is not available
    Auto,
    /// sock_diag or an error
    Netlink,
    /// /proc/net/tcp and tcp6
    Procfs,
}

/// How the holders of sockets are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ScanChoice {
    /// A BPF iterator where many files are open and the kernel allows it, /proc/*/fd otherwise
    Auto,
    /// A BPF iterator or an error
    Bpf,
    /// /proc/*/fd
    Procfs,
}

/// A network namespace as the user named it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetnsName(pub String);

/// Which network namespaces are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetnsChoice {
    /// The one that closewait runs in; with another procfs, that of its PID 1.
    Own,
    One(NetnsName),
    /// Those of these processes and of their sockets.
    Of {
        pids: Vec<Pid>,
        /// They are more than one.
        several: bool,
    },
    /// None: the filter names something that does not exist.
    Missing(Missing),
    /// All of the host.
    All,
}

/// A process, unit or container that a filter names and that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    #[error("no process {0}: it has ended, or is not visible here")]
    Process(Pid),
    #[error("{thread} is a thread of process {process}: use --pid {process}")]
    Thread { thread: Pid, process: Pid },
    #[error("no process is in {wanted}{}", listed(what, known, *unread))]
    Group {
        wanted: String,
        /// `unit` or `container`.
        what: &'static str,
        /// The units or containers that exist.
        known: Vec<String>,
        /// How many processes cannot be read.
        unread: usize,
    },
    #[error("no process matches the numbers, units and containers in the filter")]
    All,
    /// No process could be listed; the reason.
    #[error("{0}")]
    Unlisted(String),
    /// It was not found, but not all processes are visible; the reason.
    #[error("{missing}: {why}")]
    Unseen { missing: Box<Missing>, why: String },
}

impl Missing {
    /// Whether it may exist nevertheless.
    pub fn is_unsure(&self) -> bool {
        matches!(self, Missing::Unlisted(_) | Missing::Unseen { .. })
    }
}

/// The most units or containers that an error lists.
const LISTED: usize = 12;

/// `: the units are a.service, b.service and 3 more`.
fn listed(what: &str, known: &[String], unread: usize) -> String {
    let shown = known.get(..LISTED).unwrap_or(known).join(", ");
    let listed = match known.len().saturating_sub(LISTED) {
        _ if known.is_empty() && unread > 0 => {
            format!(": no readable process is in any {what}")
        }
        _ if known.is_empty() => format!(": no process is in any {what}"),
        0 => format!(": the {what}s are {shown}"),
        more => format!(": the {what}s are {shown} and {more} more"),
    };
    match unread {
        0 => listed,
        1 => format!("{listed}; 1 process could not be read"),
        more => format!("{listed}; {more} processes could not be read"),
    }
}
