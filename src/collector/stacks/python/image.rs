//! Where the interpreter is: its file, its state in memory, and the version that says where the rest is.

use std::os::unix::ffi::OsStrExt;

use super::debug_offsets;
use super::layout::{LAYOUT_3_6, Layout, TABLE};
use super::object::Objects;
use super::version::Version;
use crate::collector::file;
use crate::collector::stacks::Process;
use crate::collector::stacks::budget::Limit;
use crate::collector::stacks::elf::Elf;
use crate::collector::stacks::maps::Mapping;
use crate::collector::stacks::memory::Memory;
use crate::model::{Name, Runtime, Words};

/// The most bytes of variables that are searched. The library of 3.6 has 130 kB.
const VARIABLES_MAX: u64 = 512 << 10;

/// The mapping of the interpreter.
pub(super) fn of<'a>(process: &Process<'a>, runtime: Runtime) -> Option<&'a Mapping> {
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

/// The name of the file of a mapping, without its directory.
pub(super) fn file_name(mapping: &Mapping) -> Name {
    let path = mapping.path.as_ref().map_or(&b""[..], Name::bytes);
    Name::new(path.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
}

/// What the state of the interpreter begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// `_PyRuntime`.
    Runtime,
    /// `interp_head`: 3.6.
    Interpreter,
}

/// The address of the state of the interpreter.
pub(super) fn root(elf: &Elf, memory: &impl Memory, limit: Limit) -> Option<(u64, Root)> {
    // The section has nothing else in it. It exists since 3.10.
    if let Some(range) = elf.range(".PyRuntime") {
        return Some((range.start.wrapping_add(elf.bias), Root::Runtime));
    }
    let symbol = |name, root| elf.symbol(name).map(|address| (address, root));
    symbol("_PyRuntime", Root::Runtime)
        .or_else(|| symbol("interp_head", Root::Interpreter))
        .or_else(|| {
            // Only versions before 3.7 have this one. `interp_head` may have been stripped.
            elf.symbol("_PyThreadState_Current")?;
            let range = elf.range(".bss")?;
            let start = range.start.wrapping_add(elf.bias);
            let length = range.end.saturating_sub(range.start);
            Some((searched(memory, start, length, limit)?, Root::Interpreter))
        })
}

/// The address of a pointer to the first interpreter of 3.6, among the variables of the library. An
/// interpreter points to a thread, which points back. What it says of its version is checked later.
pub(super) fn searched(memory: &impl Memory, start: u64, length: u64, limit: Limit) -> Option<u64> {
    let length = usize::try_from(length.min(VARIABLES_MAX)).ok()?;
    let bytes = memory.bytes(start, length)?;
    let (words, _) = bytes.as_chunks();
    let layout = &LAYOUT_3_6;
    for (word, index) in words.iter().zip(0_u64..) {
        if limit.is_reached() {
            break;
        }
        let interpreter = u64::from_le_bytes(*word);
        // Objects are at multiples of eight, and never in the first page.
        if interpreter < 4096 || !interpreter.is_multiple_of(8) {
            continue;
        }
        let at = |structure: u64, offset| memory.u64_at(structure.checked_add(offset)?);
        let thread = at(interpreter, layout.interpreter.threads);
        let back = thread.and_then(|thread| at(thread, layout.thread.interpreter));
        if back == Some(interpreter)
            && recognized(memory, start + index * 8, Root::Interpreter, limit).is_some()
        {
            return start.checked_add(index * 8);
        }
    }
    None
}

/// The layout of the structures, and the version that says it has it.
///
/// `None` if it is none of those that are known; an error if it tells its version.
pub(super) fn recognized(
    memory: &impl Memory,
    address: u64,
    root: Root,
    limit: Limit,
) -> Option<Result<(Layout, Version), Words>> {
    let candidates: &[Layout] = match root {
        Root::Interpreter => &[LAYOUT_3_6],
        Root::Runtime => match debug_offsets::layout(memory, address) {
            Some(found) => return Some(found),
            None => &TABLE,
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

/// The address of the offsets of asyncio's C module, which may be part of the interpreter.
pub(super) fn asyncio(process: &Process<'_>, elf: &Elf) -> Option<u64> {
    let address = |elf: &Elf| {
        let range = elf.range(".AsyncioDebug")?;
        Some(range.start.wrapping_add(elf.bias))
    };
    address(elf).or_else(|| {
        let is_it = |mapping: &&Mapping| {
            mapping.executable && file_name(mapping).lossy().starts_with("_asyncio.")
        };
        let module = process.mappings.iter().find(is_it)?;
        let elf = Elf::open(process.root, process.mappings, module, process.memory).ok()?;
        address(&elf)
    })
}
