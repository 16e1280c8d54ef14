//! The header of the table of functions (`.gopclntab`, `src/internal/abi/symtab.go`).

use super::layout::Table;
use crate::collector::stacks::memory::Memory;

/// The most functions of a program.
const FUNCTIONS_MAX: u64 = 1 << 24;

/// The header of the table (`runtime.pcHeader`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) address: u64,
    /// How many functions there are.
    pub(super) count: u32,
    /// The addresses of the parts of the table.
    pub(super) names: u64,
    pub(super) units: u64,
    pub(super) files: u64,
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
