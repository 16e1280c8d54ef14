//! The tasks of asyncio: what each of them awaits, from its coroutine down to the one that waits for a
//! future.

use rustc_hash::FxHashSet;

use super::coroutine::{self, Chain, Progress};
use super::frames::{Call, Frames};
use super::layout::Tasks;
use super::object::{Kind, Objects};
use super::threads::Running;
use crate::collector::stacks::group::{Stack, WaitsOn};
use crate::collector::stacks::memory::Memory;
use crate::model::{Name, StackOf, Words};

/// The most tasks.
const TASKS_MAX: usize = 10_000;
/// The most slots of a set: those of 10,000 elements, after many more were removed.
const SLOTS_MAX: u64 = 1 << 17;
/// How many slots are read at once.
const SLOTS: u64 = 4096;
/// `mask` and `table` in `PySetObject`. A slot has an object and its hash.
const MASK: u64 = 32;
const TABLE: u64 = 40;
const SLOT: u64 = 16;
/// `wr_object` in `PyWeakReference`.
const REFERENT: u64 = 16;
/// `sock_fd` in `PySocketSockObject`.
const DESCRIPTOR: u64 = 16;
/// The sets of tasks in `asyncio.tasks`: until 3.11, and since.
const SETS: [&str; 3] = ["_all_tasks", "_scheduled_tasks", "_eager_tasks"];

/// The section `.AsyncioDebug` (`_Py_AsyncioModuleDebugOffsets` in `Modules/_asynciomodule.c`), which
/// exists since 3.14.
#[derive(Debug, Clone, Copy)]
pub(super) struct DebugOffsets {
    coroutine: u64,
    node: u64,
    /// Where an interpreter and a thread have the head of the list of their tasks.
    in_interpreter: u64,
    in_thread: u64,
}

impl DebugOffsets {
    /// The size of the section, in bytes.
    const SIZE: usize = 13 * 8;
    /// The largest structure.
    const STRUCTURE_MAX: u64 = 4 << 20;

    pub(super) fn read(memory: &impl Memory, address: u64) -> Option<DebugOffsets> {
        let bytes = memory.bytes(address, DebugOffsets::SIZE)?;
        let (numbers, _) = bytes.as_chunks();
        let number = |position: usize| numbers.get(position).map(|it| u64::from_le_bytes(*it));
        let within = |part: usize, position: usize| {
            let size = number(part).filter(|size| *size <= DebugOffsets::STRUCTURE_MAX)?;
            number(position).filter(|offset| *offset < size)
        };
        Some(DebugOffsets {
            coroutine: within(0, 5)?,
            node: within(0, 6)?,
            in_interpreter: within(7, 8)?,
            in_thread: within(9, 12)?,
        })
    }
}

/// The tasks of a process.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) stacks: Vec<Stack>,
    /// How many moved while they were read.
    pub(super) moved: u32,
    /// Why there may be more.
    pub(super) unread: Option<Words>,
}

/// A task and its coroutine.
struct Task {
    address: u64,
    coroutine: u64,
}

/// Reads the tasks of all interpreters.
pub(super) fn tasks<M: Memory>(
    frames: &mut Frames<'_, M>,
    running: &Running,
    offsets: Option<DebugOffsets>,
) -> Found {
    let tasks = match frames.objects.layout.tasks {
        Tasks::Hidden => Vec::new(),
        Tasks::Sets { coroutine } => {
            let addresses = in_sets(&mut frames.objects, &running.interpreters);
            with_coroutines(&frames.objects, addresses, coroutine)
        }
        Tasks::Lists => {
            let listed = offsets.map(|offsets| {
                let addresses = in_lists(&mut frames.objects, running, offsets);
                with_coroutines(&frames.objects, addresses, offsets.coroutine)
            });
            listed.unwrap_or_default()
        }
    };
    let mut found = Found::default();
    if tasks.len() >= TASKS_MAX {
        found.unread =
            Some(format!("it has more than the {TASKS_MAX} tasks that were read").into());
    }
    for task in tasks {
        if frames.objects.limit.is_reached() {
            break;
        }
        match stack(frames, &task) {
            Some(Some(stack)) => found.stacks.push(stack),
            Some(None) => {}
            None => found.moved += 1,
        }
    }
    if frames.objects.limit.is_reached() {
        let why = "its tasks were not all read: the time for one process was used up";
        found.unread = Some(why.into());
    }
    found
}

fn with_coroutines<M: Memory>(
    objects: &Objects<'_, M>,
    addresses: Vec<u64>,
    offset: u64,
) -> Vec<Task> {
    let task = |address| {
        let coroutine = objects.pointer(address, offset)?;
        Some(Task { address, coroutine })
    };
    addresses.into_iter().filter_map(task).collect()
}

/// The stack of a task; `Some(None)` if it has finished, `None` if it moved meanwhile.
fn stack<M: Memory>(frames: &mut Frames<'_, M>, task: &Task) -> Option<Option<Stack>> {
    let chain = coroutine::chain(frames, task.coroutine)?;
    let state = match (chain.progress, chain.has_future) {
        (Progress::Finished, _) => return Some(None),
        (Progress::NotStarted, _) => "not started",
        (Progress::Running, _) => "running",
        (_, true) => "waiting",
        (_, false) => "suspended",
    };
    let descriptor = descriptor(frames, &chain);
    let again = coroutine::chain(frames, task.coroutine)?;
    if !chain.is_equal(&again) {
        return None;
    }
    let calls: Vec<Call> = chain
        .frames
        .into_iter()
        .rev()
        .filter_map(|frame| frame.call)
        .collect();
    Some(Some(Stack {
        of: StackOf::Tasks,
        id: task.address,
        thread_name: None,
        state: Some(Name::from(state)),
        waited_ms: None,
        lock: None,
        waits_on: descriptor.map_or(WaitsOn::Unknown, WaitsOn::Descriptor),
        frames: frames.tell(&calls)?,
        complete: true,
    }))
}

/// The descriptor that a task reads or writes with the streams or the socket functions of asyncio.
fn descriptor<M: Memory>(frames: &mut Frames<'_, M>, chain: &Chain) -> Option<u32> {
    chain.frames.iter().rev().find_map(|frame| {
        let code = &frame.call.as_ref()?.code;
        let file = code.file.bytes();
        if file.ends_with(b"/asyncio/streams.py") {
            let stream = frames.local(frame.address, 0)?;
            let transport = frames.objects.attribute(stream, "_transport")?;
            return transport_descriptor(&mut frames.objects, transport);
        }
        let function = code.function.bytes().rsplit(|byte| *byte == b'.').next()?;
        if file.ends_with(b"/asyncio/selector_events.py") && function.starts_with(b"sock_") {
            let socket = frames.local(frame.address, 1)?;
            let socket = frames.objects.expect(socket, Kind::Socket)?;
            let memory = frames.objects.memory;
            let descriptor = memory.i32_at(socket.checked_add(DESCRIPTOR)?)?;
            return u32::try_from(descriptor).ok();
        }
        None
    })
}

fn transport_descriptor<M: Memory>(objects: &mut Objects<'_, M>, transport: u64) -> Option<u32> {
    let plain = match objects.attribute(transport, "_ssl_protocol") {
        Some(protocol) => objects.attribute(protocol, "_transport")?,
        None => transport,
    };
    let descriptor = objects.attribute(plain, "_sock_fd")?;
    objects.number(descriptor)
}

/// The tasks in the sets of the module `asyncio.tasks`, of each interpreter that has imported it.
fn in_sets<M: Memory>(objects: &mut Objects<'_, M>, interpreters: &[u64]) -> Vec<u64> {
    let mut tasks = Vec::new();
    for interpreter in interpreters {
        let Some(module) = module(objects, *interpreter, "asyncio.tasks") else {
            continue;
        };
        for name in SETS {
            let Some(set) = objects.of_module(module, name) else {
                continue;
            };
            // Either a WeakSet or a set of tasks.
            if objects.kind(set) == Some(Kind::Set) {
                elements(objects, set, |object, _| Some(object), &mut tasks);
            } else if let Some(set) = objects.attribute(set, "data") {
                elements(
                    objects,
                    set,
                    |reference, objects| objects.pointer(reference, REFERENT),
                    &mut tasks,
                );
            }
        }
    }
    tasks
}

fn module<M: Memory>(objects: &mut Objects<'_, M>, interpreter: u64, name: &str) -> Option<u64> {
    let modules = objects.pointer(interpreter, objects.layout.interpreter.modules)?;
    objects.lookup(modules, name)
}

/// Adds the tasks among the elements of a set.
fn elements<M: Memory>(
    objects: &mut Objects<'_, M>,
    set: u64,
    task: impl Fn(u64, &Objects<'_, M>) -> Option<u64>,
    tasks: &mut Vec<u64>,
) -> Option<()> {
    objects.expect(set, Kind::Set)?;
    let slots = objects
        .memory
        .u64_at(set.checked_add(MASK)?)?
        .checked_add(1)?;
    let table = objects.pointer(set, TABLE)?;
    if slots > SLOTS_MAX {
        return None;
    }
    for first in (0..slots).step_by(SLOTS as usize) {
        let count = SLOTS.min(slots - first);
        let address = table.checked_add(first * SLOT)?;
        let bytes = objects
            .memory
            .bytes(address, usize::try_from(count * SLOT).ok()?)?;
        let (pairs, _) = bytes.as_chunks::<{ SLOT as usize }>();
        for pair in pairs {
            if tasks.len() >= TASKS_MAX || objects.limit.is_reached() {
                return None;
            }
            let object = pair
                .first_chunk()
                .map_or(0, |bytes| u64::from_le_bytes(*bytes));
            if object == 0 {
                continue;
            }
            let found = task(object, objects);
            tasks.extend(found.and_then(|task| objects.expect(task, Kind::Task)));
        }
    }
    Some(())
}

/// The tasks in the lists of threads and interpreters.
fn in_lists<M: Memory>(
    objects: &mut Objects<'_, M>,
    running: &Running,
    offsets: DebugOffsets,
) -> Vec<u64> {
    let mut tasks = Vec::new();
    let mut seen = FxHashSet::default();
    let of_threads = running
        .threads
        .iter()
        .map(|thread| (thread.address, offsets.in_thread));
    let of_interpreters = running
        .interpreters
        .iter()
        .map(|it| (*it, offsets.in_interpreter));
    for (owner, offset) in of_threads.chain(of_interpreters) {
        let Some(head) = owner.checked_add(offset) else {
            continue;
        };
        let mut node = objects.pointer(head, 0);
        while let Some(found) = node.filter(|node| *node != head) {
            let task = found.checked_sub(offsets.node);
            let task = task.and_then(|task| objects.expect(task, Kind::Task));
            let is_full = tasks.len() >= TASKS_MAX || objects.limit.is_reached();
            // A list that changes may lead in a circle.
            let Some(task) = task.filter(|task| !is_full && seen.insert(*task)) else {
                break;
            };
            tasks.push(task);
            node = objects.pointer(found, 0);
        }
    }
    tasks
}
