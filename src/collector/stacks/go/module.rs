//! The runtime's description of the program (`runtime.firstmoduledata`): where its code is, and the
//! variables among which `runtime.allgs` is. A stripped program has it too, without its name.

use std::ops::Range;

use super::header::Header;
use super::layout::Layout;
use crate::collector::stacks::budget::Limit;
use crate::collector::stacks::memory::Memory;

/// How many bytes are searched at a time.
const CHUNK: u64 = 64 << 10;
/// The most bytes that are searched.
const SEARCH_MAX: u64 = 64 << 20;

/// What the runtime knows of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    /// The addresses of its code.
    pub(super) text: Range<u64>,
    /// The addresses of its variables with pointers that are zero at the start.
    pub(super) variables: Range<u64>,
    /// Where the data of functions are, such as the inlined calls.
    pub(super) function_data: u64,
}

/// Finds it in the data of the program: as a pointer to the table of functions, followed by other
/// addresses that agree with this table.
pub(super) fn find(
    memory: &impl Memory,
    data: &[Range<u64>],
    header: &Header,
    layout: &Layout,
    limit: Limit,
) -> Option<Module> {
    let mut left = SEARCH_MAX;
    for range in data {
        let mut at = range.start.next_multiple_of(8);
        while at < range.end && left > 0 && !limit.is_reached() {
            let length = CHUNK.min(range.end - at).min(left);
            left -= length;
            // Less, if not all of it is there.
            let mut chunk = vec![0; usize::try_from(length).ok()?];
            let there = memory.read(at, &mut chunk);
            let words = chunk.get(..there)?.as_chunks::<8>().0;
            for (address, word) in (at..).step_by(8).zip(words) {
                if u64::from_le_bytes(*word) == header.address
                    && let Some(found) = module(memory, address, header, layout)
                {
                    return Some(found);
                }
            }
            at = at.checked_add(length)?;
        }
    }
    None
}

/// The `moduledata` at an address, if it is one.
fn module(memory: &impl Memory, at: u64, header: &Header, layout: &Layout) -> Option<Module> {
    let word = |offset: u64| memory.u64_at(at.checked_add(offset)?);
    let range = |offset| {
        let (start, end) = (word(offset)?, word(offset + 8)?);
        (start < end).then_some(start..end)
    };
    let agrees = [
        // `funcnametab`, `pctab`, `ftab` and the length of `ftab`.
        (8, header.names),
        (80, header.values),
        (128, header.functions),
        (136, u64::from(header.count) + 1),
    ];
    if agrees
        .iter()
        .any(|(offset, value)| word(*offset) != Some(*value))
    {
        return None;
    }
    Some(Module {
        text: range(176)?,
        variables: range(224)?,
        function_data: word(layout.function_data)?,
    })
}
