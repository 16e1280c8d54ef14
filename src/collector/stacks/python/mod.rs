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
mod layout;
mod lines;
#[cfg(any(test, fuzzing))]
pub(crate) mod made_up;
mod object;
mod tasks;
mod threads;
mod version;

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use self::frames::Frames;
use self::layout::Layout;
use self::object::Objects;
use self::tasks::DebugOffsets;
use self::threads::{Numbers, Running};
use self::version::Version;
use super::Process;
use super::budget::Limit;
use super::elf::Elf;
use super::group::{Found, Stack, WaitsOn};
use super::maps::Mapping;
use super::memory::Memory;
use super::threads::Waiting;
use crate::collector::file;
use crate::model::{Name, Pid, Runtime, StackOf, WaitKind, Words};

/// What was read of a Python program.
pub(super) struct Read {
    pub(super) found: Found,
    /// The waiting threads whose stacks are not among it: they are no threads of Python.
    pub(super) others: Vec<Waiting>,
}

/// Reads the stacks of a process. `None` if it runs no Python.
///
/// # Errors
/// Why they cannot be read.
pub(super) fn stacks(process: &Process<'_>, runtime: Runtime) -> Option<Result<Read, Words>> {
    let image = image(process, runtime)?;
    let opened = Elf::open(process.root, process.mappings, image, process.memory);
    let elf = match opened {
        Ok(elf) => elf,
        Err(why) => return Some(Err(format!("{} {}", file_name(image), why.raw()).into())),
    };
    let (address, first) = root(&elf)?;
    Some(read(process, &elf, address, first))
}

/// The mapping of the interpreter.
fn image<'a>(process: &Process<'a>, runtime: Runtime) -> Option<&'a Mapping> {
    let code = || process.mappings.iter().filter(|mapping| mapping.executable);
    let is_library = |mapping: &&Mapping| file_name(mapping).lossy().starts_with("libpython3");
    code().find(is_library).or_else(|| {
        let executable = file::link(&process.root.join("exe")).ok()?;
        let path = executable.as_os_str().as_bytes();
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        let is_it = |mapping: &&Mapping| mapping.path.as_ref().is_some_and(|it| it.bytes() == path);
        let found = code().find(is_it)?;
        let name = file_name(found);
        let may_be = ["python", "uwsgi"]
            .iter()
            .any(|word| name.lossy().contains(word));
        (runtime == Runtime::Python || may_be).then_some(found)
    })
}

fn file_name(mapping: &Mapping) -> Name {
    let path = mapping.path.as_ref().map_or(&b""[..], Name::bytes);
    Name::new(path.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
}

/// Why something was not read.
const LATE: &str = "its Python stacks were not read: the time for one process was used up";

/// What the state of the interpreter begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    /// `_PyRuntime`.
    Runtime,
    /// `interp_head`: 3.6.
    Interpreter,
}

/// The address of the state of the interpreter.
fn root(elf: &Elf) -> Option<(u64, Root)> {
    // The section has nothing else in it. It exists since 3.10.
    if let Some(range) = elf.range(".PyRuntime") {
        return Some((range.start.wrapping_add(elf.bias), Root::Runtime));
    }
    let symbol = |name, root| elf.symbol(name).map(|address| (address, root));
    symbol("_PyRuntime", Root::Runtime).or_else(|| symbol("interp_head", Root::Interpreter))
}

fn read(process: &Process<'_>, elf: &Elf, address: u64, root: Root) -> Result<Read, Words> {
    let (layout, version) = match recognized(process.memory, address, root, process.limit) {
        Some(found) => found?,
        None if process.limit.is_reached() => return Err(LATE.into()),
        None => {
            let recorded = elf.symbol("Py_Version");
            let version = recorded.and_then(|address| process.memory.u32_at(address));
            let version = version.and_then(|hex| Version::from_hex(hex.into()));
            let name = version.map_or_else(|| "this CPython".into(), |it| it.name().to_string());
            return Err(format!("{name} is not known to this version of closewait").into());
        }
    };
    let objects = Objects::new(process.memory, &layout, process.limit);
    let mut frames = Frames::new(objects);
    let running = threads::running(&frames.objects, address);
    let running = running.ok_or("it has no threads of Python")?;
    let mut read = of_threads(process, &mut frames, &running);
    let offsets = asyncio_offsets(process, elf);
    let tasks = tasks::tasks(&mut frames, &running, offsets);
    read.found.stacks.extend(tasks.stacks);
    read.found.moved = read.found.moved.saturating_add(tasks.moved);
    read.found.unread.extend(tasks.unread);
    read.found.version = Some(version.name());
    Ok(read)
}

/// The layout of the structures, and the version that says it has it.
///
/// `None` if it is none of those that are known; an error if it tells its version.
fn recognized(
    memory: &impl Memory,
    address: u64,
    root: Root,
    limit: Limit,
) -> Option<Result<(Layout, Version), Words>> {
    let candidates: &[Layout] = match root {
        Root::Interpreter => &[layout::LAYOUT_3_6],
        Root::Runtime => match debug_offsets::layout(memory, address) {
            Some(found) => return Some(found),
            None => &layout::TABLE,
        },
    };
    candidates.iter().find_map(|layout| {
        let mut objects = Objects::new(memory, layout, limit);
        let interpreter = objects.pointer(address, layout.interpreters)?;
        let system = objects.pointer(interpreter, layout.interpreter.system)?;
        let version = objects.lookup(system, "hexversion")?;
        let version = Version::from_hex(objects.number(version)?.into())?;
        let is_it = version.minor == layout.minor && version.is_final();
        is_it.then_some(Ok((*layout, version)))
    })
}

/// The offsets of the C module of asyncio, which may be part of the interpreter.
fn asyncio_offsets(process: &Process<'_>, elf: &Elf) -> Option<DebugOffsets> {
    let address = |elf: &Elf| {
        let range = elf.range(".AsyncioDebug")?;
        Some(range.start.wrapping_add(elf.bias))
    };
    let address = address(elf).or_else(|| {
        let is_it = |mapping: &&Mapping| {
            mapping.executable && file_name(mapping).lossy().starts_with("_asyncio.")
        };
        let module = process.mappings.iter().find(is_it)?;
        let elf = Elf::open(process.root, process.mappings, module, process.memory).ok()?;
        address(&elf)
    })?;
    DebugOffsets::read(process.memory, address)
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
    let mut odd = 0_u32;
    for (state, number) in running.threads.iter().zip(numbers) {
        let Some(waiting) = number.and_then(|number| others.remove(&number)) else {
            // It runs, or ended meanwhile.
            found.moved = found.moved.saturating_add(1);
            continue;
        };
        if process.limit.is_reached() {
            found.left_out = found.left_out.saturating_add(1);
            continue;
        }
        let calls = frames.of_thread(state.address);
        if calls.as_ref().is_some_and(|calls| calls.calls.is_empty()) {
            // A thread of C code that called Python before.
            others.insert(waiting.thread, waiting);
            continue;
        }
        if !waiting.is_still(process.root) {
            found.moved = found.moved.saturating_add(1);
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
        let text = format!("the Python stacks of {odd} threads make no sense");
        found.unread.push(text.into());
    }
    let others = others.into_values().cloned().collect();
    Read { found, others }
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
