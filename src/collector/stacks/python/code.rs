//! Functions: their names, their files, and the lines of their instructions (`PyCodeObject`).

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::layout::{Instructions, LineFormat};
use super::lines;
use super::object::{Kind, Objects, SIZE};
use crate::collector::stacks::memory::Memory;
use crate::model::Name;

/// The longest name of a function, in characters.
const NAME_MAX: usize = 1024;
/// The longest path.
const PATH_MAX: usize = 4096;
/// The most functions that are kept.
const CODES_MAX: usize = 20_000;
/// The most bytes of the instructions of a function.
const INSTRUCTIONS_MAX: u64 = 64 << 20;

/// A function.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) function: Name,
    pub(super) file: Name,
    first_line: i32,
    format: LineFormat,
    table: Vec<u8>,
    /// The address of its first instruction.
    pub(super) start: u64,
    /// The bytes of its instructions.
    length: u64,
}

impl Code {
    /// The line of the instruction at an offset. A negative offset is before the first one.
    ///
    /// `None` if there is no such instruction. The line is `None` for one that the compiler added.
    pub(super) fn line(&self, offset: i64) -> Option<Option<u32>> {
        let Ok(offset) = u64::try_from(offset) else {
            return (offset >= -2).then_some(u32::try_from(self.first_line).ok());
        };
        let line = || lines::line(self.format, &self.table, self.first_line, offset);
        (offset < self.length).then(line)
    }
}

/// The most bytes of the tables of all of them.
const TABLES_MAX: usize = 32 << 20;

/// The functions that were read, by their address.
#[derive(Debug, Default)]
pub(super) struct Codes {
    found: FxHashMap<u64, Option<Arc<Code>>>,
    /// The bytes of their tables.
    tables: usize,
}

impl Codes {
    /// `None` if there is no function at the address.
    pub(super) fn at<M: Memory>(
        &mut self,
        objects: &mut Objects<'_, M>,
        address: u64,
    ) -> Option<Arc<Code>> {
        if let Some(code) = self.found.get(&address) {
            return code.clone();
        }
        if self.found.len() >= CODES_MAX || self.tables >= TABLES_MAX {
            return None;
        }
        let code = read(objects, address).map(Arc::new);
        self.tables += code.as_ref().map_or(0, |code| code.table.len());
        self.found.insert(address, code.clone());
        code
    }
}

fn read<M: Memory>(objects: &mut Objects<'_, M>, address: u64) -> Option<Code> {
    let layout = objects.layout.code;
    objects.expect(address, Kind::Code)?;
    let (start, length) = match layout.instructions {
        Instructions::Object(offset) => {
            let bytes = objects.pointer(address, offset)?;
            objects.bytes_range(bytes)?
        }
        Instructions::Inline(offset) => {
            let count = objects.memory.u64_at(address.checked_add(SIZE)?)?;
            (address.checked_add(offset)?, count.checked_mul(2)?)
        }
    };
    let file = objects.pointer(address, layout.file)?;
    let name = objects.pointer(address, layout.name)?;
    let table = objects.pointer(address, layout.table)?;
    Some(Code {
        function: Name::new(objects.text(name, NAME_MAX)?.into_bytes()),
        file: Name::new(objects.text(file, PATH_MAX)?.into_bytes()),
        first_line: objects
            .memory
            .i32_at(address.checked_add(layout.first_line)?)?,
        format: layout.format,
        table: objects.bytes(table)?,
        start,
        length: Some(length).filter(|length| *length <= INSTRUCTIONS_MAX)?,
    })
}
