//! The stacks of threads that run machine code: C, C++, Rust, and the runtimes of other languages.

use super::group::{Found, Stack, WaitsOn};
use super::{Process, Waiting};
use crate::model::{Frame, Name, StackOf, WaitKind, Words};

/// The stacks of all waiting threads.
pub(super) fn stacks(process: &Process<'_>) -> Result<Found, Words> {
    let mut found = Found::default();
    for waiting in process.waiting {
        if process.limit.is_reached() {
            found.left_out += 1;
            continue;
        }
        let frames = frames(process, waiting);
        // Otherwise the copy may mix two moments.
        if waiting.is_still(process.root) {
            found.stacks.push(stack(waiting, frames, false));
        } else {
            found.moved += 1;
        }
    }
    Ok(found)
}

fn frames(process: &Process<'_>, waiting: &Waiting) -> Vec<Frame> {
    let Some((_, at)) = waiting.registers() else {
        return Vec::new();
    };
    let module = process.mappings.find(at);
    vec![Frame {
        module: module.and_then(|module| module.path.clone()),
        ..Frame::default()
    }]
}

fn stack(waiting: &Waiting, frames: Vec<Frame>, complete: bool) -> Stack {
    let lock = (waiting.kind == WaitKind::Lock).then_some(waiting.arguments[0]);
    Stack {
        of: StackOf::Threads,
        id: waiting.thread.0.into(),
        thread_name: waiting.name.clone(),
        state: Some(Name::new(waiting.call.bytes())),
        waited_ms: None,
        lock,
        waits_on: match &waiting.target {
            Some(target) => WaitsOn::Target(target.clone()),
            None => WaitsOn::Unknown,
        },
        frames: frames.into(),
        complete,
    }
}
