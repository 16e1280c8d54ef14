//! What a process that a finding names can tell about itself. Every part is optional: what may
//! not be read, or changed meanwhile, is `None` and never zero.

use serde::{Deserialize, Serialize};

use super::{Endpoint, Halt, Name, Pid, Sibling, Title, Words};

/// Facts about one process, read once it is suspected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub pid: Pid,
    /// How long ago it started, in milliseconds.
    pub age_ms: Option<u64>,
    pub runtime: Runtime,
    pub open_fds: Option<u64>,
    /// The soft limit of open files; `None` when it could not be read.
    pub fd_limit: Option<FdLimit>,
    /// TCP descriptors whose connection is in no table any more: reset, or reaped by keepalive,
    /// and still held.
    pub dead_sockets: Option<u64>,
    pub threads: Option<Threads>,
    pub cpu: Option<Cpu>,
    /// What its threads wait for, the most frequent first; `None` when it may not be read.
    pub waits: Option<Vec<Wait>>,
    /// What keeps it from running.
    #[serde(default, skip_serializing_if = "Halt::is_none")]
    pub halt: Halt,
    /// Its threads by name, the most frequent first; empty of a process with one thread.
    #[serde(rename = "crews", default, skip_serializing_if = "Vec::is_empty")]
    pub thread_names: Vec<NamedThreads>,
    /// The locks that several of its threads, or of its relatives, wait at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Lock>,
    /// Membership of the stuck descriptors in its epoll sets; `None` when it has none.
    pub epoll: Option<Epoll>,
    /// Local and remote ends of established connections that are in its epoll sets, and have a local
    /// port or a remote end in common with a stuck one; some of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub polled: Vec<(Endpoint, Endpoint)>,
    /// Where tools must run that look into it.
    #[serde(default, skip_serializing_if = "Inside::is_unknown")]
    pub inside: Inside,
    /// What it says of itself in its command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<Title>,
    /// The other children of its parent that say something: one process of each parent has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub siblings: Vec<Sibling>,
    /// What could not be read, in words.
    pub unread: Vec<Words>,
}

/// How a process sees the system, where that is not as the reader does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inside {
    /// Its number in its own PID namespace, where that is another than the reader's.
    pub pid: Option<Pid>,
    /// It lives in another mount namespace.
    pub other_files: bool,
    /// Its effective user and group.
    pub user: Option<(u32, u32)>,
    /// Its executable, by the path that it has for the process.
    pub exe: Option<Name>,
    /// A jcmd beside that, by the same.
    pub jcmd: Option<Name>,
    /// Its standard error is a file that has something in it.
    pub logs: bool,
}

impl Inside {
    /// Whether nothing was read of it.
    pub fn is_unknown(&self) -> bool {
        *self == Inside::default()
    }
}

/// A limit of open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FdLimit {
    Files(u64),
    Unlimited,
}

impl FdLimit {
    /// How many files; `None` where there is no limit.
    pub fn files(self) -> Option<u64> {
        match self {
            FdLimit::Files(files) => Some(files),
            FdLimit::Unlimited => None,
        }
    }
}

/// What runs the program, as far as its files tell.
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

/// Use of the processor between two readings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// How long lay between the readings, in milliseconds.
    pub sample_ms: u64,
    /// Of one processor, in percent, by all threads together.
    pub percent: f64,
    /// The busiest thread and its share: the time that it ran, and that it was ready to while others
    /// did.
    pub busiest: Option<(Pid, f64)>,
    /// How much of the sample that thread ran, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_percent: Option<f64>,
    /// How many threads are known to have been ready all the time: they ran or waited for a
    /// processor at both readings, and did not sleep between them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub restless: u32,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

/// Threads that wait for the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The name of the system call, or its number where it is not known.
    pub call: Name,
    pub kind: WaitKind,
    pub target: Option<WaitTarget>,
    pub threads: u32,
    /// These threads by name, the most frequent first; empty where the process has one thread.
    #[serde(rename = "crews", default, skip_serializing_if = "Vec::is_empty")]
    pub thread_names: Vec<NamedThreads>,
}

/// Threads that have a name in common, but for the digits at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedThreads {
    /// As each thread chose it (`/proc/PID/task/TID/comm`, at most 15 bytes), without the digits.
    pub name: Name,
    pub threads: u32,
}

/// A lock, or a condition, in memory for which threads wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub place: LockPlace,
    /// How many of the process's threads wait, and under which names.
    pub threads: u32,
    #[serde(rename = "crews")]
    pub thread_names: Vec<NamedThreads>,
    /// Who has it, where memory or the kernel tells.
    #[serde(rename = "keeper")]
    pub held_by: Option<LockOwner>,
}

/// Where a lock is: two processes wait for the same one if this is the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockPlace {
    /// In the process's own memory, at this address.
    Own(u64),
    /// In memory that processes share: the device and inode of what is mapped, and the place in it.
    Shared {
        device: Name,
        inode: u64,
        offset: u64,
    },
}

/// Who has a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockOwner {
    pub pid: Pid,
    /// Its name (`comm`).
    pub name: Option<Name>,
    /// The thread, where that is told.
    pub thread: Option<Pid>,
    /// The system call that it is in, and on what; `None` of one that runs.
    pub call: Option<Name>,
    pub target: Option<WaitTarget>,
}

/// What a system call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitKind {
    /// Data, or room for data, on one descriptor.
    Descriptor,
    /// Any of several descriptors: an event loop.
    Events,
    /// Another thread: a lock or a condition.
    Lock,
    Sleep,
    Child,
    Other,
}

/// What the descriptor of a waiting thread refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitTarget {
    /// A TCP connection to there.
    Remote(Endpoint),
    /// A listener, in accept(2).
    Listener(Endpoint),
    /// Anything else, as /proc/PID/fd names it.
    File(Name),
}

/// Where the stuck descriptors of a process stand in its epoll sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Epoll {
    /// Watched for input: the loop is told and does not act.
    pub watched: u64,
    /// Of those, the ones that are told of once (`EPOLLET`).
    #[serde(default)]
    pub edge: u64,
    /// Registered, but not for input.
    pub muted: u64,
    /// In no set: forgotten.
    pub absent: u64,
}
