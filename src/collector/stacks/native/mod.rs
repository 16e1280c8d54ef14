//! The stacks of threads that run machine code: C, C++, Rust, and the runtimes of other languages. They
//! are unwound by the tables that compilers write for exceptions.

mod code;
mod frame_pointer;
mod machine;
mod module;
mod names;
mod row;
mod symbols;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use self::code::Code;
use self::module::Module;
use self::walk::{Trace, walk};
use super::budget::Limit;
use super::elf::Elf;
use super::group::{Found, Stack, WaitsOn};
use super::memory::Memory;
use super::pages::Pages;
use super::perf_map::PerfMap;
use super::{Process, Waiting};
use crate::model::{Frame, Name, StackOf, WaitKind, Words};

/// How often a thread that ran meanwhile is tried.
const TRIES: u32 = 3;

/// The stacks of all waiting threads.
pub(super) fn stacks(process: &Process<'_>) -> Result<Found, Words> {
    let mut found = Found::default();
    let (root, mappings) = (process.root, process.mappings);
    let mut code = Code::new(root, mappings, process.memory, process.limit);
    let mut traces: Vec<(&Waiting, Trace)> = Vec::new();
    for waiting in process.waiting {
        if process.limit.is_reached() {
            found.left_out += 1;
            continue;
        }
        match trace(process, &mut code, waiting) {
            Some(trace) => traces.push((waiting, trace)),
            None => found.moved += 1,
        }
    }
    let all: BTreeSet<u64> = traces
        .iter()
        .flat_map(|(_, trace)| &trace.places)
        .copied()
        .collect();
    let frames = frames(&mut code, &all, &mut found.unread);
    // Threads of a pool mostly have the same.
    let mut known: FxHashMap<Trace, Arc<[Frame]>> = FxHashMap::default();
    for (waiting, trace) in traces {
        let of_trace = || {
            trace
                .places
                .iter()
                .filter_map(|place| frames.get(place))
                .cloned()
        };
        let frames = known
            .entry(trace.clone())
            .or_insert_with(|| of_trace().collect());
        found
            .stacks
            .push(stack(waiting, frames.clone(), trace.complete));
    }
    Ok(found)
}

/// The functions of a thread. `None` if it ran meanwhile: what was copied may mix two moments.
fn trace(
    process: &Process<'_>,
    code: &mut Code<'_, impl Memory>,
    waiting: &Waiting,
) -> Option<Trace> {
    for _ in 0..TRIES {
        let runs = waiting.runs(process.root);
        let registers = waiting.registers_now(process.root)?;
        let stack = Pages::new(process.memory);
        let trace = walk(code, &stack, registers);
        let has_run = match runs {
            Some(_) => waiting.runs(process.root) != runs,
            None => !waiting.is_still(process.root),
        };
        if !has_run {
            return Some(trace);
        }
    }
    None
}

/// What is known of places in the code. Each module that one is in is read once.
fn frames(
    code: &mut Code<'_, impl Memory>,
    places: &BTreeSet<u64>,
    unread: &mut Vec<Words>,
) -> BTreeMap<u64, Frame> {
    let limit = code.limit;
    let mut frames = BTreeMap::new();
    let mut by_module: BTreeMap<*const Module, (Rc<Module>, Vec<u64>)> = BTreeMap::new();
    let (root, mut named) = (code.root, None);
    let mut reported = BTreeSet::new();
    for place in places {
        match code.module(*place) {
            Some(module) if module.bias.is_some() => {
                let of_it = by_module.entry(Rc::as_ptr(&module));
                of_it.or_insert_with(|| (module, Vec::new())).1.push(*place);
            }
            // Code of no ELF file was made at run time. The runtime may write down its names.
            module => {
                let map = named.get_or_insert_with(|| PerfMap::read(root));
                let frame = map.as_ref().and_then(|map| map.frame(*place));
                if let (None, Some(module)) = (&frame, module)
                    && module.is_file()
                    && reported.insert(module.path.clone())
                    && let Err(why) = module.file(code.root, code.mappings, &code.memory)
                {
                    unread.extend(unknown(&module, &why));
                }
                frames.insert(*place, frame.unwrap_or_default());
            }
        }
    }
    for (module, places) in by_module.into_values() {
        let Some(bias) = module.bias else {
            continue;
        };
        let mut offsets: Vec<u64> = places
            .iter()
            .map(|place| place.wrapping_sub(bias))
            .collect();
        offsets.sort_unstable();
        let functions = match module.file(code.root, code.mappings, &code.memory) {
            _ if limit.is_reached() => BTreeMap::new(),
            Ok(elf) => functions(code.root, elf, &offsets, limit),
            Err(why) => {
                unread.extend(unknown(&module, &why));
                BTreeMap::new()
            }
        };
        for place in places {
            let offset = place.wrapping_sub(bias);
            let frame = Frame {
                function: functions.get(&offset).cloned(),
                module: module.path.clone(),
                offset: Some(offset),
                ..Frame::default()
            };
            frames.insert(place, frame);
        }
    }
    if limit.is_reached() {
        unread.push("some functions are unknown: the time for one process was used up".into());
    }
    frames
}

/// Why the functions of a module have no names, in words.
fn unknown(module: &Module, why: &Words) -> Option<Words> {
    let path = module.path.as_ref()?;
    Some(format!("the functions of {path} are unknown: the file {why}").into())
}

/// The functions of a file, or of the separate file with what was stripped from it.
fn functions(root: &Path, elf: &Elf, places: &[u64], limit: Limit) -> BTreeMap<u64, Name> {
    let mut functions = symbols::functions(elf, places, limit);
    if functions.len() < places.len()
        && let Some(debug) = elf.debug_file(root)
    {
        functions.extend(symbols::functions(&debug, places, limit));
    }
    functions
}

/// The functions of an ELF file of these bytes in which these addresses of it are.
#[cfg(fuzzing)]
pub(crate) fn functions_of(bytes: &[u8], places: &[u64]) -> Vec<Name> {
    let elf = Elf::of_bytes(bytes.to_vec(), 0);
    let found = elf.map(|elf| {
        elf.symbol("main");
        elf.section(".eh_frame");
        symbols::functions(&elf, places, Limit::none())
    });
    found.into_iter().flat_map(BTreeMap::into_values).collect()
}

/// The places on a stack, in made-up code and on a made-up stack, each with its first address.
#[cfg(fuzzing)]
pub(crate) fn unwound(
    is_arm: bool,
    (code_at, code): (u64, &[u8]),
    (stack_at, stack): (u64, &[u8]),
    program_counter: u64,
) -> Vec<u64> {
    let text = format!(
        "{code_at:x}-{:x} r-xp 00000000 fe:01 12 /app\n{stack_at:x}-{:x} rw-p 00000000 00:00 0 \n",
        code_at.saturating_add(code.len() as u64),
        stack_at.saturating_add(stack.len() as u64),
    );
    let mappings = super::maps::Mappings::parse(text.as_bytes()).unwrap_or_default();
    let memory = super::memory::Pieces(vec![(code_at, code.to_vec()), (stack_at, stack.to_vec())]);
    let mut code = Code::new(Path::new("/proc/0"), &mappings, &memory, Limit::none());
    code.machine = if is_arm {
        machine::Machine::Arm
    } else {
        machine::Machine::X86
    };
    let stack = Pages::new(&memory);
    walk(&mut code, &stack, (stack_at, program_counter)).places
}

fn stack(waiting: &Waiting, frames: Arc<[Frame]>, complete: bool) -> Stack {
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
        frames,
        complete,
    }
}

#[cfg(test)]
mod tests;
