//! Stacks: where in the code of a process its threads, goroutines and tasks wait.

use serde::{Deserialize, Serialize};

use super::{Name, NamedThreads, WaitTarget, Words};

/// The stacks of one process, read while it ran on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stacks {
    /// Equal stacks together, the most frequent first.
    pub groups: Vec<StackGroup>,
    /// The threads, goroutines or tasks that ran or moved while they were read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moved: u32,
    /// The members of groups that were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u32,
    /// The version of the runtime and of the program, such as `go1.22.1` or `CPython 3.11.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Name>,
    /// What could not be read, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Words>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What has a stack.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum StackOf {
    /// Threads of the kernel.
    #[default]
    Threads,
    /// Goroutines of a Go program.
    Goroutines,
    /// Tasks of an event loop, such as asyncio's.
    Tasks,
}

/// Threads, goroutines or tasks of one process with the same stack, that wait for the same kind of thing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackGroup {
    pub of: StackOf,
    pub count: u32,
    /// The names of the threads, the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thread_names: Vec<NamedThreads>,
    /// Some of their numbers, in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<u64>,
    /// The system call of a thread; the state or wait reason of a goroutine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Name>,
    /// The shortest and the longest wait, in milliseconds, where the runtime records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<(u64, u64)>,
    /// The address of the lock that all of them wait for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<u64>,
    /// What their descriptors refer to, the most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<StackTarget>,
    /// The innermost function first.
    pub frames: Vec<Frame>,
    /// Whether the frames reach the first function of the thread.
    pub complete: bool,
}

/// What some members of a group wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackTarget {
    pub target: WaitTarget,
    pub count: u32,
}

/// A function that has not returned. What could not be told is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Frame {
    /// Its name, demangled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<Name>,
    /// The path of the executable or library, or the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<Name>,
    /// The place in the module, as an address of its ELF file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The source file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The program says that it is its own: a package of its Go module.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
}
