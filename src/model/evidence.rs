//! Evidence: facts about a process that a finding names. Every fact is optional: one that may not be
//! read, or that changed during the reading, is `None` and never zero.

use serde::{Deserialize, Serialize};

use super::{
    Command, Container, Endpoint, FdLimit, Halt, Name, Origin, Peeked, Pid, Sibling, Stacks, Title,
    Words,
};

/// Facts about one process. They are read only for processes that hold suspicious sockets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub pid: Pid,
    /// How long ago it started, in milliseconds.
    pub age_ms: Option<u64>,
    pub runtime: Runtime,
    pub open_fds: Option<u64>,
    /// The soft limit of open files; `None` when it could not be read.
    pub fd_limit: Option<FdLimit>,
    /// TCP descriptors that are still open and whose connection is in no table any more: it was reset,
    /// or ended by keepalive.
    pub dead_sockets: Option<u64>,
    pub threads: Option<Threads>,
    pub cpu: Option<Cpu>,
    /// What its threads wait for, the most frequent first; `None` if that cannot be read.
    pub waits: Option<Vec<Wait>>,
    /// What prevents it from running.
    #[serde(default, skip_serializing_if = "Halt::is_none")]
    pub halt: Halt,
    /// Its threads by name, the most frequent first; empty for a process with one thread.
    #[serde(rename = "crews", default, skip_serializing_if = "Vec::is_empty")]
    pub thread_names: Vec<NamedThreads>,
    /// The locks that several of its threads, or of related processes, wait for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Lock>,
    /// Where in its code it waits; `None` if its stacks were not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stacks: Option<Stacks>,
    /// Whether its epoll sets contain the stuck descriptors; `None` if it has no epoll sets.
    pub epoll: Option<Epoll>,
    /// Local and remote ends of some of the established connections in its epoll sets that share a
    /// local port or a remote end with a stuck connection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub polled: Vec<(Endpoint, Endpoint)>,
    /// Where debugging tools must run to inspect it.
    #[serde(default, skip_serializing_if = "Inside::is_unknown")]
    pub inside: Inside,
    /// When its files and what runs it came to be.
    #[serde(default, skip_serializing_if = "Origin::is_unknown")]
    pub origin: Origin,
    /// What it runs, if it is an interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// The state that it writes into its command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// Titles of the other children of its parent; kept for one process of each parent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub siblings: Vec<Sibling>,
    /// What was seen of the unread bytes of some of its sockets; only with `--peek`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peeked: Vec<Peeked>,
    /// What could not be read, in words.
    pub unread: Vec<Words>,
}

impl Evidence {
    /// The number of threads whose waits are known.
    pub fn waiting_threads(&self) -> u32 {
        let threads = self.waits.iter().flatten().map(|wait| wait.threads);
        threads.fold(0, u32::saturating_add)
    }
}

/// Where a process lives, as far as that differs from closewait itself: namespaces, user and files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inside {
    /// Its id in its own PID namespace, if that is not closewait's.
    pub pid: Option<Pid>,
    /// It lives in another mount namespace.
    pub other_files: bool,
    /// Its effective user and group.
    pub user: Option<(u32, u32)>,
    /// The path of its executable, in its own mount namespace.
    pub exe: Option<Name>,
    /// The path of a jcmd next to the executable, in its own mount namespace.
    pub jcmd: Option<Name>,
    /// Its standard error is a file that is not empty.
    pub logs: bool,
    /// The hard limit of its open files; `None` if there is none, or it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_files: Option<u64>,
    /// What can restart it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<Manager>,
}

impl Inside {
    /// Whether nothing was read.
    pub fn is_unknown(&self) -> bool {
        *self == Inside::default()
    }
}

/// What runs a process and can restart it, by the path of its control group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manager {
    /// A service of systemd.
    Service {
        name: Name,
        of: ServiceManager,
    },
    Container(Container),
}

/// The systemd that runs a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceManager {
    System,
    /// That of a user, by the user's id.
    User(u32),
    /// That of the container in which the process runs.
    Container,
}

/// The runtime of a program, by its executable and libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    Java,
    Python,
    Node,
    Go,
    Ruby,
    Php,
    Nginx,
    #[default]
    Native,
}

/// Threads by state (`/proc/PID/task/TID/stat`, field 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Threads {
    pub total: u32,
    pub running: u32,
    pub sleeping: u32,
    /// Uninterruptible, throughout the sample.
    pub disk: u32,
    /// By a signal or a tracer, throughout the sample.
    pub stopped: u32,
    pub zombie: u32,
}

/// CPU use between two readings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// The time between the readings, in milliseconds.
    pub sample_ms: u64,
    /// CPU use of all threads together, in percent of one CPU.
    pub percent: f64,
    /// The busiest thread, and the share of the sample in which it ran or was ready to run, in percent.
    pub busiest: Option<(Pid, f64)>,
    /// The share of the sample in which that thread ran, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_percent: Option<f64>,
    /// How many threads never slept: they ran or were ready to run at both readings, and did not sleep
    /// between them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub restless: u32,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

/// Threads of one process that wait for the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The name of the system call, or its number if the name is unknown.
    pub call: Name,
    pub kind: WaitKind,
    pub target: Option<WaitTarget>,
    pub threads: u32,
    /// These threads by name, the most frequent first; empty if the process has one thread.
    #[serde(rename = "crews", default, skip_serializing_if = "Vec::is_empty")]
    pub thread_names: Vec<NamedThreads>,
}

/// Threads whose names are equal apart from digits at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedThreads {
    /// The name (`/proc/PID/task/TID/comm`, at most 15 bytes) without the digits at its end.
    pub name: Name,
    pub threads: u32,
}

/// A lock or condition variable that threads wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub place: LockPlace,
    /// How many threads of the process wait.
    pub threads: u32,
    #[serde(rename = "crews")]
    pub thread_names: Vec<NamedThreads>,
    /// The process that holds it, if memory or the kernel shows that.
    #[serde(rename = "keeper")]
    pub held_by: Option<LockOwner>,
}

/// The memory location of a lock. Two processes wait for the same lock if it is equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockPlace {
    /// An address in the private memory of the process.
    Own(u64),
    /// Shared memory: the device and inode of the mapped file, and the offset in it.
    Shared {
        device: Name,
        inode: u64,
        offset: u64,
    },
}

/// The process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockOwner {
    pub pid: Pid,
    /// Its name (`comm`).
    pub name: Option<Name>,
    /// The thread, if known.
    pub thread: Option<Pid>,
    /// The system call that it is in; `None` if it runs.
    pub call: Option<Name>,
    pub target: Option<WaitTarget>,
}

/// The kind of thing that a system call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitKind {
    /// Data, or room for data, on one descriptor.
    Descriptor,
    /// Any of several descriptors: an event loop.
    Events,
    /// Another thread: a lock or a condition variable.
    Lock,
    Sleep,
    Child,
    Other,
}

/// What the descriptor of a waiting thread refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitTarget {
    /// A TCP connection to this remote end.
    Remote(Endpoint),
    /// A listener, in accept(2).
    Listener(Endpoint),
    /// Anything else, by its name in /proc/PID/fd.
    File(Name),
}

/// How many of the stuck descriptors of a process are in its epoll sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Epoll {
    /// Watched for input: epoll reports them, and the loop does not act.
    pub watched: u64,
    /// Of the watched ones, those that epoll reports only once (`EPOLLET`).
    #[serde(default)]
    pub edge: u64,
    /// Registered, but not for input.
    pub muted: u64,
    /// In no epoll set.
    pub absent: u64,
}
