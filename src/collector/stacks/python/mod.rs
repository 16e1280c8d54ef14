//! The stacks of Python programs: the functions, files and lines that the threads of CPython are in, and
//! what the tasks of asyncio await. All of it is copied from the structures of the interpreter.
//!
//! The interpreter may be the executable or the library `libpython3.x.so`. Its state is the variable
//! `_PyRuntime`. Since 3.13 it begins with the offsets of the structures; for versions before, from 3.6 on,
//! they are in a table. Which version it is it must say itself, in `sys.hexversion`, read with those
//! offsets.

mod code;
mod coroutine;
mod debug_offsets;
mod dictionary;
mod frames;
mod image;
mod layout;
mod lines;
#[cfg(any(test, fuzzing))]
pub(crate) mod made_up;
mod object;
mod tasks;
mod threads;
mod version;

use std::collections::BTreeMap;

use self::frames::Frames;
use self::image::{Root, recognized};
use self::object::Objects;
use self::tasks::DebugOffsets;
use self::threads::{Numbers, Running};
use self::version::Version;
use super::Process;
use super::elf::Elf;
use super::group::{Found, Stack, WaitsOn};
use super::memory::Memory;
use super::threads::Waiting;
use crate::model::{Pid, Runtime, StackOf, WaitKind, Words};

/// What was read of a Python program.
pub(super) struct Read {
    pub(super) found: Found,
    /// How many threads of Python do not wait: they run, or ended meanwhile. `found` does not count them.
    pub(super) absent: u32,
    /// The waiting threads whose stacks are not among it: they are no threads of Python.
    pub(super) others: Vec<Waiting>,
}

/// Reads the stacks of a process. `None` if it runs no Python.
///
/// # Errors
/// Why they cannot be read.
pub(super) fn stacks(process: &Process<'_>, runtime: Runtime) -> Option<Result<Read, Words>> {
    let image = image::of(process, runtime)?;
    let opened = Elf::open(process.root, process.mappings, image, process.memory);
    let elf = match opened {
        Ok(elf) => elf,
        Err(why) => {
            let name = image::file_name(image);
            return Some(Err(format!("{name} {}", why.raw()).into()));
        }
    };
    let (address, root) = image::root(&elf, process.memory, process.limit)?;
    Some(read(process, &elf, address, root))
}

/// Why something was not read.
const LATE: &str = "its Python stacks were not read: the time for one process was used up";

fn read(process: &Process<'_>, elf: &Elf, address: u64, root: Root) -> Result<Read, Words> {
    let (layout, version) = match recognized(process.memory, address, root, process.limit) {
        Some(found) => found?,
        None if process.limit.is_reached() => return Err(LATE.into()),
        None => return Err(unrecognized(process, elf)),
    };
    let objects = Objects::new(process.memory, &layout, process.limit);
    let mut frames = Frames::new(objects);
    let running = threads::running(&frames.objects, address);
    let running = running.ok_or("it has no threads of Python")?;
    let mut read = of_threads(process, &mut frames, &running);
    let offsets = image::asyncio(process, elf);
    let offsets = offsets.and_then(|address| DebugOffsets::read(process.memory, address));
    let tasks = tasks::tasks(&mut frames, &running, offsets);
    read.found.stacks.extend(tasks.stacks);
    read.found.moved = read.found.moved.saturating_add(tasks.moved);
    read.found.unread.extend(tasks.unread);
    read.found.version = Some(version.name());
    Ok(read)
}

/// Why the version could not be told.
fn unrecognized(process: &Process<'_>, elf: &Elf) -> Words {
    let recorded = elf.symbol("Py_Version");
    let recorded = recorded.and_then(|address| process.memory.u32_at(address));
    match recorded.and_then(|hex| Version::from_hex(hex.into())) {
        // It has no modules yet, or no more.
        Some(version) if layout::is_known(version) => {
            format!("{} is just starting or ending", version.name()).into()
        }
        Some(version) => format!(
            "{} is not known to this version of closewait",
            version.name()
        )
        .into(),
        None => "its version of CPython could not be told".into(),
    }
}

/// The stacks of the threads that wait.
fn of_threads<M: Memory>(
    process: &Process<'_>,
    frames: &mut Frames<'_, M>,
    running: &Running,
) -> Read {
    let numbers = Numbers::read(process.root, process.limit).of(process.memory, &running.threads);
    let waiting = process.waiting.iter().map(|it| (it.thread, it));
    let mut others: BTreeMap<Pid, &Waiting> = waiting.collect();
    let mut found = Found::default();
    let (mut absent, mut odd) = (0_u32, 0_u32);
    for (state, number) in running.threads.iter().zip(numbers) {
        let Some(waiting) = number.and_then(|number| others.remove(&number)) else {
            absent = absent.saturating_add(1);
            continue;
        };
        if process.limit.is_reached() {
            found.left_out = found.left_out.saturating_add(1);
            continue;
        }
        let calls = frames.of_thread(state.address);
        // It may have returned and come to the same call again while they were read.
        let again = frames.of_thread(state.address);
        if calls != again || !waiting.is_still(process.root) {
            found.moved = found.moved.saturating_add(1);
            continue;
        }
        if calls.as_ref().is_some_and(|calls| calls.calls.is_empty()) {
            // A thread of C code that called Python before.
            others.insert(waiting.thread, waiting);
            continue;
        }
        let told = calls.and_then(|calls| Some((frames.tell(&calls.calls)?, calls.complete)));
        match told {
            Some((told, complete)) => found.stacks.push(Stack {
                frames: told,
                complete,
                ..stack(waiting)
            }),
            None => odd = odd.saturating_add(1),
        }
    }
    if odd > 0 {
        let s = if odd == 1 { "" } else { "s" };
        let text = format!("the Python frames of {odd} thread{s} could not be understood");
        found.unread.push(text.into());
    }
    let others = others.into_values().cloned().collect();
    Read {
        found,
        absent,
        others,
    }
}

fn stack(waiting: &Waiting) -> Stack {
    let lock = waiting.arguments.first().copied();
    Stack {
        of: StackOf::Threads,
        id: waiting.thread.0.into(),
        thread_name: waiting.name.clone(),
        state: Some(waiting.call.clone()),
        lock: lock.filter(|_| waiting.kind == WaitKind::Lock),
        waits_on: waiting
            .target
            .clone()
            .map_or(WaitsOn::Unknown, WaitsOn::Target),
        ..Stack::default()
    }
}
