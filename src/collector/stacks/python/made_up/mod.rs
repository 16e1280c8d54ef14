//! Made-up programs, for tests and the fuzz target.

mod memory;

use std::sync::Arc;

use self::memory::{ASYNCIO, Image, START};
use super::frames::Frames;
use super::image::{Root, recognized};
use super::object::Objects;
use super::tasks::DebugOffsets;
use super::threads::Numbers;
use super::{tasks, threads};
use crate::collector::stacks::budget::Limit;
use crate::model::{Frame, Pid};

/// What is read of a made-up program: the functions of its threads, and of its tasks. The first byte tells
/// what its state begins with, the others what is in its memory.
pub(crate) fn told(bytes: &[u8]) -> Option<Vec<Arc<[Frame]>>> {
    let (first, written) = bytes.split_first()?;
    let memory = &Image::of(written);
    let (address, root) = match first {
        6 => (START, Root::Interpreter),
        _ => (START, Root::Runtime),
    };
    let (layout, _) = recognized(memory, address, root, Limit::none())?.ok()?;
    let mut frames = Frames::new(Objects::new(memory, &layout, Limit::none()));
    let running = threads::running(&frames.objects, address)?;
    let mut told = Vec::new();
    for thread in &running.threads {
        if let Some(calls) = frames.of_thread(thread.address) {
            told.extend(frames.tell(&calls.calls));
        }
    }
    let offsets = DebugOffsets::read(memory, START + ASYNCIO);
    let tasks = tasks::tasks(&mut frames, &running, offsets);
    let numbers = Numbers((1..9).map(|number| (number.into(), Pid(number))).collect());
    numbers.of(memory, &running.threads);
    told.extend(tasks.stacks.into_iter().map(|stack| stack.frames));
    Some(told)
}

#[cfg(test)]
mod tests;
