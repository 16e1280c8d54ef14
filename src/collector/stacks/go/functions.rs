//! The table of functions that every Go program carries, stripped or not (`.gopclntab`): for an address of
//! code its function, source line and the calls that were inlined there, and the size of its stack frame.
//! See src/runtime/symtab.go and src/internal/abi/symtab.go.

use super::cursor::Cursor;
use super::layout::Table;
use super::module::Module;
use super::pages::Pages;
use crate::collector::stacks::memory::Memory;
use crate::model::{Frame, Name};

/// The most functions of a program.
const FUNCTIONS_MAX: u64 = 1 << 24;
/// The most ranges of addresses that the values of one function are searched for.
const RANGES_MAX: usize = 1 << 17;
/// The most bytes of a name or path.
const TEXT_MAX: usize = 4096;
/// The most calls that are inlined into each other.
const DEPTH_MAX: usize = 32;

/// `_PCDATA_InlTreeIndex` and `_FUNCDATA_InlTree`.
const INLINED_INDEX: u64 = 2;
const INLINED_TREE: u64 = 3;

/// The header of the table (`runtime.pcHeader`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) address: u64,
    /// How many functions there are.
    pub(super) count: u32,
    /// The addresses of the parts of the table.
    pub(super) names: u64,
    units: u64,
    files: u64,
    pub(super) values: u64,
    pub(super) functions: u64,
}

impl Header {
    /// Reads it from the address of the table. `None` if it is none of this version.
    pub(super) fn read(memory: &impl Memory, address: u64, table: Table) -> Option<Header> {
        let start: [u8; 8] = memory.array(address)?;
        let [magic @ .., 0, 0, least, pointer] = start else {
            return None;
        };
        // x86-64: instructions of at least one byte, and pointers of eight.
        if u32::from_le_bytes(magic) != table.magic() || (least, pointer) != (1, 8) {
            return None;
        }
        let word = |nth: u64| memory.u64_at(address.checked_add(nth * 8)?);
        let part = |nth| address.checked_add(word(nth)?);
        Some(Header {
            address,
            count: u32::try_from(word(1).filter(|count| *count <= FUNCTIONS_MAX)?).ok()?,
            names: part(4)?,
            units: part(5)?,
            files: part(6)?,
            values: part(7)?,
            functions: part(8)?,
        })
    }
}

/// A function: the address of its `_func`, and of its first instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Function {
    address: u64,
    pub(super) entry: u64,
}

/// All functions of a program.
pub(super) struct Functions<'m, M> {
    memory: Pages<'m, M>,
    header: Header,
    module: Module,
    table: Table,
}

impl<'m, M: Memory> Functions<'m, M> {
    pub(super) fn new(memory: &'m M, header: Header, module: Module, table: Table) -> Self {
        Functions {
            memory: Pages::new(memory),
            header,
            module,
            table,
        }
    }

    /// The function that an address is in.
    pub(super) fn find(&self, pc: u64) -> Option<Function> {
        if !self.module.text.contains(&pc) {
            return None;
        }
        let offset = u32::try_from(pc - self.module.text.start).ok()?;
        // Pairs of the offset of the code and of the description; one more offset ends the last function.
        let pair = |nth: u32| self.header.functions.checked_add(u64::from(nth) * 8);
        let starts = |nth| self.memory.u32_at(pair(nth)?);
        let (mut low, mut high) = (0, self.header.count);
        if offset < starts(low)? || offset >= starts(high)? {
            return None;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if starts(middle)? <= offset {
                low = middle;
            } else {
                high = middle;
            }
        }
        let described = self.memory.u32_at(pair(low)?.checked_add(4)?)?;
        let address = self.header.functions.checked_add(described.into())?;
        let entry = self.memory.u32_at(address)?;
        (entry == starts(low)?).then_some(Function {
            address,
            entry: self.module.text.start.checked_add(entry.into())?,
        })
    }

    /// The bytes that a function has on the stack at an address, without the address that it returns to.
    pub(super) fn frame_size(&self, function: Function, pc: u64) -> Option<u64> {
        let size = self.value(self.field(function, 16)?, function, pc)?;
        u64::try_from(size)
            .ok()
            .filter(|size| size.is_multiple_of(8))
    }

    pub(super) fn name(&self, function: Function) -> Option<Name> {
        self.name_at(self.field(function, 4)?)
    }

    /// The functions at an address, the innermost first: those that were inlined, and the one that has the
    /// stack frame. Empty for a function that the compiler made to call another.
    pub(super) fn frames(&self, function: Function, mut pc: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        for _ in 0..DEPTH_MAX {
            let (file, line) = self.line(function, pc);
            if file
                .as_ref()
                .is_some_and(|file| *file == *"<autogenerated>")
            {
                break;
            }
            let call = self.inlined(function, pc);
            let name = match call {
                Some((name, _)) => self.name_at(name),
                None => self.name(function),
            };
            frames.push(frame(name, file, line));
            match call.and_then(|(_, place)| function.entry.checked_add(place.into())) {
                Some(call) => pc = call,
                None => break,
            }
        }
        frames
    }

    /// The inlined call that an address is in: the function's name, and where in the outer function it is
    /// called.
    fn inlined(&self, function: Function, pc: u64) -> Option<(u32, u32)> {
        let values = self.function_value(function, INLINED_INDEX)?;
        let nth = u64::try_from(self.value(values, function, pc)?).ok()?;
        let tree = self.function_datum(function, INLINED_TREE)?;
        let (size, name, place) = self.table.inlined();
        let call = tree.checked_add(nth * size)?;
        Some((
            self.memory.u32_at(call.checked_add(name)?)?,
            self.memory.u32_at(call.checked_add(place)?)?,
        ))
    }

    fn line(&self, function: Function, pc: u64) -> (Option<Name>, Option<u32>) {
        let value = |field| self.value(self.field(function, field)?, function, pc);
        let line = value(24).and_then(|line| u32::try_from(line).ok());
        let file = || {
            let unit = self.field(function, 32)?;
            let nth = u64::from(unit).checked_add(u64::try_from(value(20)?).ok()?)?;
            let text = self
                .memory
                .u32_at(self.header.units.checked_add(nth * 4)?)?;
            self.text(self.header.files.checked_add(text.into())?)
        };
        (file(), line.filter(|line| *line > 0))
    }

    fn field(&self, function: Function, offset: u64) -> Option<u32> {
        self.memory.u32_at(function.address.checked_add(offset)?)
    }

    /// One of the tables of values of a function (`pcdata`).
    fn function_value(&self, function: Function, nth: u64) -> Option<u32> {
        let count = self.field(function, 28)?;
        let value = (nth < count.into()).then_some(self.table.function() + nth * 4)?;
        self.field(function, value)
    }

    /// The address of some data of a function (`funcdata`).
    fn function_datum(&self, function: Function, nth: u64) -> Option<u64> {
        let size = self.table.function();
        let before = u64::from(self.field(function, 28)?);
        let [_, _, _, count] = self.field(function, size - 4)?.to_le_bytes();
        if nth >= count.into() {
            return None;
        }
        let datum = self.field(function, size + (before + nth) * 4)?;
        let address = self.module.function_data.checked_add(datum.into())?;
        (datum != u32::MAX).then_some(address)
    }

    /// The value for an address in a table of values: pairs of differences of the value and of the address
    /// from which on it is another.
    fn value(&self, table: u32, function: Function, pc: u64) -> Option<i32> {
        if table == 0 {
            return None;
        }
        let mut cursor = Cursor::new(&self.memory, self.header.values.checked_add(table.into())?);
        let (mut end, mut value) = (function.entry, -1_i32);
        for nth in 0..RANGES_MAX {
            let difference = u32::try_from(cursor.varint()?).ok()?;
            if difference == 0 && nth > 0 {
                break;
            }
            // The lowest bit is the sign.
            let difference = (difference >> 1).cast_signed() ^ -(difference & 1).cast_signed();
            value = value.wrapping_add(difference);
            end = end.checked_add(cursor.varint()?)?;
            if pc < end {
                return Some(value);
            }
        }
        None
    }

    fn name_at(&self, offset: u32) -> Option<Name> {
        self.text(self.header.names.checked_add(offset.into())?)
    }

    fn text(&self, address: u64) -> Option<Name> {
        let text = self.memory.c_string(address, TEXT_MAX)?;
        (!text.is_empty()).then(|| Name::new(text))
    }
}

fn frame(name: Option<Name>, file: Option<Name>, line: Option<u32>) -> Frame {
    Frame {
        module: name.as_ref().and_then(|name| package(name.bytes())),
        function: name.map(without_types),
        offset: None,
        file,
        line,
    }
}

/// A name whose type arguments are written `[...]`, as in the runtime's own traces.
fn without_types(name: Name) -> Name {
    let bytes = name.bytes();
    let open = bytes.iter().position(|byte| *byte == b'[');
    let close = bytes.iter().rposition(|byte| *byte == b']');
    match open.zip(close).filter(|(open, close)| open < close) {
        Some((open, close)) => {
            let parts = [bytes.get(..open), Some(b"[...]"), bytes.get(close + 1..)];
            Name::new(parts.map(Option::unwrap_or_default).concat())
        }
        None => name,
    }
}

/// The package of a function: what stands before the first dot behind the last slash. Dots in the last part
/// of its path are escaped.
fn package(name: &[u8]) -> Option<Name> {
    let end = name.iter().position(|byte| *byte == b'[');
    let path = name.get(..end.unwrap_or(name.len()))?;
    let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let dot = path.get(slash..)?.iter().position(|byte| *byte == b'.')?;
    let package = String::from_utf8_lossy(path.get(..slash + dot)?).replace("%2e", ".");
    (!package.is_empty()).then(|| package.into())
}
