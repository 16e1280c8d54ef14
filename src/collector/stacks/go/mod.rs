//! The goroutines of a Go program: what the runtime writes when it ends with a panic, read from its memory
//! while it runs on.
//!
//! The runtime keeps a list of all goroutines, and where each goes on that does not run. What is read
//! proves itself: every goroutine names itself, lies on its own stack, and is dropped if it ran meanwhile.
//! Goroutines of the runtime itself are left out, as in its own traces.

mod all;
mod build;
mod cursor;
mod descriptor;
mod functions;
mod goroutine;
mod header;
mod layout;
#[cfg(any(test, fuzzing))]
pub mod made;
mod module;
mod reasons;
mod walk;

use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use self::build::Build;
use self::descriptor::Polled;
use self::functions::Functions;
use self::goroutine::{Entry, Goroutine, Status};
use self::header::Header;
use self::layout::Layout;
use self::walk::{Trace, Walker};
use super::Process;
use super::budget::Limit;
use super::elf::Elf;
use super::group::{Found, Stack, WaitsOn};
use super::memory::Memory;
use crate::collector::file;
use crate::model::{Frame, Name, StackOf, Words};

/// The most goroutines whose stacks are read.
const STACKS_MAX: usize = 20_000;
/// How many goroutines are read at a time.
const BATCH: usize = 128;
/// The batches are read in as many rounds, each spread over all: what is read in time stands for the rest.
const ROUNDS: usize = 8;
/// The wait reason of a goroutine that waits for a descriptor.
const IO_WAIT: &str = "IO wait";
/// The most bytes between two goroutines that are read at once.
const GAP: u64 = 1024;

/// The goroutines of a process.
///
/// # Errors
/// Why they could not be read, in words.
pub(super) fn stacks(process: &Process<'_>) -> Result<Found, Words> {
    let unknown = "its goroutines were not read: its executable was not found";
    let link = file::link(&process.root.join("exe")).map_err(|_| unknown)?;
    let path = link.as_os_str().as_bytes();
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let is_it = |name: &Name| name.bytes() == path;
    let mut mappings = process.mappings.iter();
    let executable = mappings.find(|mapping| mapping.path.as_ref().is_some_and(is_it));
    let executable = executable.ok_or(unknown)?;
    let elf = Elf::open(process.root, process.mappings, executable, process.memory)
        .map_err(|why| format!("its goroutines were not read: its executable {why}"))?;
    read(
        process.memory,
        &Program::of(&elf),
        now(process),
        process.limit,
    )
}

/// CLOCK_MONOTONIC as the process sees it, in nanoseconds (time_namespaces(7)).
fn now(process: &Process<'_>) -> Option<u64> {
    let offset = |root: &std::path::Path| {
        let text = file::text(&root.join("timens_offsets")).unwrap_or_default();
        let mut words = text.lines().find_map(|line| {
            let words = line.strip_prefix("monotonic")?.split_ascii_whitespace();
            Some(words.filter_map(|word| word.parse::<i64>().ok()))
        });
        let mut next = || words.as_mut().and_then(Iterator::next).unwrap_or(0);
        let seconds = next().checked_mul(1_000_000_000)?;
        seconds.checked_add(next())
    };
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = now
        .tv_sec
        .checked_mul(1_000_000_000)?
        .checked_add(now.tv_nsec)?;
    let ours = offset(&process.root.parent()?.join("self"))?;
    let theirs = offset(process.root)?;
    u64::try_from(now.checked_sub(ours)?.checked_add(theirs)?).ok()
}

/// Where in memory a Go program has what is read. Addresses are those of the process.
#[derive(Debug, Clone, Default)]
pub struct Program {
    build: Option<u64>,
    functions: Option<u64>,
    /// The sections that may contain `runtime.firstmoduledata`, the likeliest first.
    data: Vec<Range<u64>>,
    /// `runtime.allgs`, if it must be found by its name.
    all: Option<u64>,
}

impl Program {
    pub fn of(elf: &Elf) -> Program {
        let range = |name| {
            let range: Range<u64> = elf.range(name)?;
            let start = range.start.wrapping_add(elf.bias);
            Some(start..start.checked_add(range.end.checked_sub(range.start)?)?)
        };
        let start = |name| range(name).map(|range| range.start);
        let data = [".go.module", ".noptrdata", ".data", ".data.rel.ro"];
        let variables = elf.range(".bss").map_or(0, |range| range.end - range.start);
        let is_large = variables > all::SEARCH_MAX;
        Program {
            build: start(".go.buildinfo"),
            functions: start(".gopclntab").or_else(|| start(".data.rel.ro.gopclntab")),
            data: data.into_iter().filter_map(range).collect(),
            all: is_large.then(|| elf.symbol("runtime.allgs")).flatten(),
        }
    }
}

/// Reads all goroutines. `now` is CLOCK_MONOTONIC, in nanoseconds.
///
/// # Errors
/// Why they could not be read, in words.
pub fn read(
    memory: &impl Memory,
    program: &Program,
    now: Option<u64>,
    limit: Limit,
) -> Result<Found, Words> {
    let missing = |what: &str| -> Words {
        if limit.is_reached() {
            return "its goroutines were not read: they were not found in time".into();
        }
        format!("its goroutines were not read: {what}").into()
    };
    let build = program.build.and_then(|at| Build::read(memory, at));
    let build = build.ok_or_else(|| missing("it does not say which Go built it"))?;
    let layout = Layout::of(&build.version)?;
    let header = program.functions;
    let header = header.and_then(|at| Header::read(memory, at, layout.table));
    let header = header.ok_or_else(|| missing("it has no table of functions of this version"))?;
    let module = module::find(memory, &program.data, &header, &layout, limit);
    let module = module.ok_or_else(|| missing("its runtime was not found"))?;
    let variables = module.variables.clone();
    let found = all::addresses(memory, variables, program.all, &layout, limit);
    let (addresses, more) = found.map_err(missing)?;
    let functions = Functions::new(memory, header, module, build.clone(), layout.table);
    let mut reader = Reader::new(memory, layout, functions, now);
    reader.read_all(&addresses, limit);
    reader.found.left_out = reader.found.left_out.saturating_add(count(more));
    // A wrong layout would make most of them odd; one that is just being made may be.
    if reader.odd > 1 + reader.found.stacks.len() / 8 {
        return Err(missing("they are not as this version makes them"));
    }
    reader.found.moved = reader.found.moved.saturating_add(count(reader.odd as u64));
    reader.found.version = Some(build.name());
    Ok(reader.found)
}

/// Stacks with the same places in the code.
struct Shape {
    frames: Arc<[Frame]>,
    /// It is one of the runtime itself.
    is_internal: bool,
    /// Which word of it led to the descriptor.
    polled: Option<usize>,
}

struct Reader<'m, M> {
    memory: &'m M,
    layout: Layout,
    walker: Walker<'m, M>,
    now: Option<u64>,
    shapes: FxHashMap<Trace, Shape>,
    found: Found,
    odd: usize,
}

impl<'m, M: Memory> Reader<'m, M> {
    fn new(
        memory: &'m M,
        layout: Layout,
        functions: Functions<'m, M>,
        now: Option<u64>,
    ) -> Reader<'m, M> {
        Reader {
            memory,
            layout,
            walker: Walker::new(memory, functions),
            now,
            shapes: FxHashMap::default(),
            found: Found::default(),
            odd: 0,
        }
    }

    fn read_all(&mut self, addresses: &[u64], limit: Limit) {
        let batches: Vec<&[u64]> = addresses.chunks(BATCH).collect();
        let mut order = (0..ROUNDS).flat_map(|round| batches.iter().skip(round).step_by(ROUNDS));
        while let Some(batch) = order.next() {
            if limit.is_reached() {
                let rest = batch.len() + order.map(|batch| batch.len()).sum::<usize>();
                self.found.left_out = self.found.left_out.saturating_add(count(rest as u64));
                return;
            }
            if self.found.stacks.len() >= STACKS_MAX {
                let mut batch = batch.to_vec();
                batch.sort_unstable();
                let entries = self.entries(&batch);
                let rest = entries
                    .iter()
                    .filter(|entry| **entry != Entry::Unused)
                    .count();
                self.found.left_out = self.found.left_out.saturating_add(count(rest as u64));
                continue;
            }
            self.read_batch(batch);
        }
    }

    fn read_batch(&mut self, batch: &[u64]) {
        // Those that were made together often lie together.
        let mut batch = batch.to_vec();
        batch.sort_unstable();
        batch.dedup();
        let before = self.entries(&batch);
        let walk = |entry: &Entry| match entry {
            Entry::Still(goroutine) => Some(self.walk(goroutine)),
            _ => None,
        };
        let walks: Vec<_> = before.iter().map(walk).collect();
        let after = self.entries(&batch);
        for ((before, after), walk) in before.into_iter().zip(after).zip(walks) {
            match (before, walk) {
                (Entry::Still(goroutine), Some((trace, polled))) => {
                    // Otherwise the copy may mix two moments.
                    if goroutine.is_still(&after) {
                        self.keep(&goroutine, trace, polled);
                    } else {
                        self.found.moved = self.found.moved.saturating_add(1);
                    }
                }
                (Entry::Running, _) => self.found.moved = self.found.moved.saturating_add(1),
                (Entry::Odd, _) => self.odd += 1,
                _ => {}
            }
        }
    }

    /// Reads the goroutines at ascending addresses, neighbours at once.
    fn entries(&self, addresses: &[u64]) -> Vec<Entry> {
        let length = self.layout.length();
        let mut entries = Vec::with_capacity(addresses.len());
        let is_near = |before: &u64, next: &u64| next - before <= length as u64 + GAP;
        for run in addresses.chunk_by(is_near) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                continue;
            };
            let bytes = usize::try_from(last - first).ok();
            let bytes = bytes.and_then(|bytes| self.memory.bytes(*first, bytes + length));
            entries.extend(run.iter().map(|address| {
                let offset = usize::try_from(address - first).unwrap_or(usize::MAX);
                let bytes = bytes.as_ref().and_then(|bytes| bytes.get(offset..));
                Entry::parse(*address, bytes.unwrap_or_default(), &self.layout)
            }));
        }
        entries
    }

    /// The functions of a goroutine, and the descriptor that it waits for.
    fn walk(&self, goroutine: &Goroutine) -> (Trace, Option<Polled>) {
        let (trace, stack) = self.walker.walk(goroutine);
        let polled = (goroutine.state(&self.layout) == IO_WAIT).then(|| {
            let hint = self.shapes.get(&trace).and_then(|shape| shape.polled);
            let (memory, layout) = (self.memory, &self.layout);
            descriptor::polled(memory, &stack, hint, goroutine.address, layout)
        });
        (trace, polled.flatten())
    }

    fn keep(&mut self, goroutine: &Goroutine, trace: Trace, polled: Option<Polled>) {
        let complete = trace.complete;
        let shape = match self.shapes.entry(trace) {
            Occupied(known) => known.into_mut(),
            Vacant(new) => {
                let frames = self.walker.frames(&new.key().places);
                new.insert(Shape {
                    is_internal: complete && is_internal(&frames),
                    frames: frames.into(),
                    polled: None,
                })
            }
        };
        shape.polled = polled.map(|polled| polled.nth).or(shape.polled);
        if shape.is_internal {
            return;
        }
        let waits = matches!(goroutine.status, Status::Waiting(_) | Status::SystemCall);
        let waited = self.now.and_then(|now| now.checked_sub(goroutine.since));
        let waited = waited.filter(|_| waits && goroutine.since > 0);
        self.found.stacks.push(Stack {
            of: StackOf::Goroutines,
            id: goroutine.id,
            thread_name: None,
            state: Some(goroutine.state(&self.layout).into()),
            waited_ms: waited.map(|nanoseconds| nanoseconds / 1_000_000),
            lock: None,
            waits_on: match polled {
                Some(polled) => WaitsOn::Descriptor(polled.descriptor),
                None => WaitsOn::Unknown,
            },
            frames: shape.frames.clone(),
            complete,
        });
    }
}

/// Whether all functions are those of the runtime, and do not wait for the program to end.
fn is_internal(frames: &[Frame]) -> bool {
    let of_runtime = |frame: &Frame| {
        frame
            .module
            .as_ref()
            .is_some_and(|name| *name == *"runtime")
    };
    let first = frames.last().and_then(|frame| frame.function.as_ref());
    frames.iter().all(of_runtime) && first.is_some_and(|name| *name != *"runtime.main")
}

fn count(of: u64) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
