//! Where in its code a process waits.

use serde::Serialize;

use crate::model::{
    Frame, NamedThreads, Resolved, StackGroup, StackOf, StackTarget, Stacks, Words,
};
use crate::renderer::format::json::context::NameJson;
use crate::renderer::format::json::target::TargetJson;

/// Threads, goroutines or tasks with the same stack.
#[derive(Serialize)]
pub(super) struct StackJson<'a> {
    of: &'static str,
    count: u32,
    thread_names: Vec<ThreadNameJson<'a>>,
    ids: &'a [u64],
    state: Option<NameJson<'a>>,
    waited_ms: Option<WaitedJson>,
    /// Hexadecimal: addresses are larger than what many readers of JSON can represent.
    lock: Option<String>,
    targets: Vec<StackTargetJson<'a>>,
    frames: Vec<FrameJson<'a>>,
    complete: bool,
}

#[derive(Serialize)]
struct ThreadNameJson<'a> {
    name: NameJson<'a>,
    threads: u32,
}

#[derive(Serialize)]
struct WaitedJson {
    min: u64,
    max: u64,
}

#[derive(Serialize)]
struct StackTargetJson<'a> {
    count: u32,
    #[serde(flatten)]
    target: TargetJson<'a>,
}

#[derive(Serialize)]
struct FrameJson<'a> {
    function: Option<NameJson<'a>>,
    module: Option<NameJson<'a>>,
    offset: Option<u64>,
    file: Option<NameJson<'a>>,
    line: Option<u32>,
}

/// What is missing from the stacks of a process.
#[derive(Serialize)]
pub(super) struct MissingJson<'a> {
    moved: u32,
    left_out: u32,
    unread: &'a [Words],
}

pub(super) fn stacks<'a>(stacks: &'a Stacks, names: &'a Resolved) -> Vec<StackJson<'a>> {
    let groups = stacks.groups.iter();
    groups.map(|group| stack(group, names)).collect()
}

pub(super) fn missing(stacks: &Stacks) -> MissingJson<'_> {
    MissingJson {
        moved: stacks.moved,
        left_out: stacks.left_out,
        unread: &stacks.unread,
    }
}

fn stack<'a>(group: &'a StackGroup, names: &'a Resolved) -> StackJson<'a> {
    let thread_name = |named: &'a NamedThreads| ThreadNameJson {
        name: NameJson(&named.name),
        threads: named.threads,
    };
    let target = |one: &'a StackTarget| StackTargetJson {
        count: one.count,
        target: TargetJson::of(Some(&one.target), names),
    };
    StackJson {
        of: match group.of {
            StackOf::Threads => "threads",
            StackOf::Goroutines => "goroutines",
            StackOf::Tasks => "tasks",
        },
        count: group.count,
        thread_names: group.thread_names.iter().map(thread_name).collect(),
        ids: &group.ids,
        state: group.state.as_ref().map(NameJson),
        waited_ms: group.waited_ms.map(|(min, max)| WaitedJson { min, max }),
        lock: group.lock.map(|address| format!("{address:#x}")),
        targets: group.targets.iter().map(target).collect(),
        frames: group.frames.iter().map(frame).collect(),
        complete: group.complete,
    }
}

fn frame(frame: &Frame) -> FrameJson<'_> {
    FrameJson {
        function: frame.function.as_ref().map(NameJson),
        module: frame.module.as_ref().map(NameJson),
        offset: frame.offset,
        file: frame.file.as_ref().map(NameJson),
        line: frame.line,
    }
}
