//! A mapped ELF file as it lies in memory: where it is, and where the entries of its unwind table are.
//! See elf(5), and ".eh_frame_hdr" in the Linux Standard Base.

use std::cell::OnceCell;
use std::path::Path;

use gimli::{BaseAddresses, CieOrFde, EhFrame, EndianSlice, LittleEndian, UnwindSection};
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::endian::LittleEndian as Little;
use object::read::elf::{FileHeader, ProgramHeader};

use crate::collector::stacks::budget::Limit;
use crate::collector::stacks::elf::{CHANGED, Elf};
use crate::collector::stacks::maps::{Mapping, Mappings};
use crate::collector::stacks::memory::Memory;
use crate::model::{Name, Words};

/// The bytes of a file by which it is known: its headers.
const HEAD: usize = 4096;
/// Pages are at least this large.
const PAGE: u64 = 4096;
/// The most bytes of a table that has no index.
const UNINDEXED_MAX: u64 = 16 << 20;
/// The most entries of such a table.
const ENTRIES_MAX: usize = 200_000;
/// After so many entries the time is checked.
const BATCH: usize = 256;

/// Code that came from one file, or from the kernel.
pub(super) struct Module {
    /// Its path, in the mount namespace of the process.
    pub(super) path: Option<Name>,
    /// What must be added to an address of the file, to give that in the process. It wraps around.
    /// `None` where no ELF file is mapped.
    pub(super) bias: Option<u64>,
    /// One of the mappings with its code.
    mapping: Mapping,
    table: Option<Table>,
    file: OnceCell<Result<Elf, Words>>,
}

/// Where the entries of an unwind table are.
enum Table {
    /// In the order of functions, at this address: `count` pairs of distances from `header`.
    Indexed { header: u64, count: u64 },
    /// The first place and the end of each function, and the address of its entry.
    Listed(Vec<(u64, u64, u64)>),
}

impl Module {
    pub(super) fn of(
        root: &Path,
        mappings: &Mappings,
        mapping: &Mapping,
        memory: &impl Memory,
        limit: Limit,
    ) -> Module {
        let mut module = Module {
            path: mapping.path.clone(),
            bias: None,
            mapping: mapping.clone(),
            table: None,
            file: OnceCell::new(),
        };
        if let Some((bias, header)) = headers(mappings, mapping, memory) {
            module.bias = Some(bias);
            // A table of other code would lead to functions that were never called.
            if module.is_changed(root, mappings, memory) {
                return module;
            }
            module.table = match header {
                Some(header) => indexed(memory, header),
                // Static programs often have no index.
                None => {
                    let elf = module.file(root, mappings, memory).ok();
                    elf.and_then(|elf| listed(elf, memory, bias, limit))
                }
            };
        }
        module
    }

    /// Whether its file is no longer what the process began to run.
    fn is_changed(&self, root: &Path, mappings: &Mappings, memory: &impl Memory) -> bool {
        self.is_file() && (self.file(root, mappings, memory)).is_err_and(|why| why.raw() == CHANGED)
    }

    /// Whether it should be a file on disk.
    pub(super) fn is_file(&self) -> bool {
        let path = self.path.as_ref().map_or(&b""[..], Name::bytes);
        path.starts_with(b"/") && !path.starts_with(b"/memfd:") && !path.starts_with(b"/dev/")
    }

    /// The file of the module.
    pub(super) fn file(
        &self,
        root: &Path,
        mappings: &Mappings,
        memory: &impl Memory,
    ) -> Result<&Elf, Words> {
        let open = || Elf::open(root, mappings, &self.mapping, memory);
        self.file.get_or_init(open).as_ref().map_err(Clone::clone)
    }

    /// The address of the entry for a place in the code, if there may be one.
    pub(super) fn entry(&self, memory: &impl Memory, place: u64) -> Option<u64> {
        match self.table.as_ref()? {
            Table::Indexed { header, count } => {
                let (header, count) = (*header, *count);
                let wanted = i32::try_from(place.wrapping_sub(header).cast_signed()).ok()?;
                let pair = |at: u64| {
                    let pair: [u8; 8] =
                        memory.array(header.checked_add(12)?.checked_add(at * 8)?)?;
                    let [a, b, c, d, e, f, g, h] = pair;
                    Some((
                        i32::from_le_bytes([a, b, c, d]),
                        i32::from_le_bytes([e, f, g, h]),
                    ))
                };
                // The first pair behind the place.
                let (mut low, mut high) = (0, count);
                while low < high {
                    let middle = low + (high - low) / 2;
                    if pair(middle)?.0 <= wanted {
                        low = middle + 1;
                    } else {
                        high = middle;
                    }
                }
                let (_, entry) = pair(low.checked_sub(1)?)?;
                Some(header.wrapping_add_signed(entry.into()))
            }
            Table::Listed(entries) => {
                let after = entries.partition_point(|(start, ..)| *start <= place);
                let (_, end, entry) = entries.get(after.checked_sub(1)?)?;
                (place < *end).then_some(*entry)
            }
        }
    }
}

/// The table of a file that has no index.
fn listed(elf: &Elf, memory: &impl Memory, bias: u64, limit: Limit) -> Option<Table> {
    let range = elf.range(".eh_frame")?;
    let size = range.end.checked_sub(range.start)?;
    if size > UNINDEXED_MAX {
        return None;
    }
    let start = range.start.wrapping_add(bias);
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    memory.exact(start, &mut bytes)?;
    Some(Table::Listed(list(&bytes, start, limit)))
}

/// What a file's headers in memory tell: its bias, and where the index of its unwind table is.
fn headers(
    mappings: &Mappings,
    mapping: &Mapping,
    memory: &impl Memory,
) -> Option<(u64, Option<u64>)> {
    // A file may be mapped more than once.
    let firsts = mappings.of_file(mapping).filter(|first| first.offset == 0);
    let first = firsts.filter(|first| first.start <= mapping.start).last()?;
    let mut head = vec![0; HEAD];
    let there = memory.read(first.start, &mut head);
    head.truncate(there);
    let header = FileHeader64::<Little>::parse(&*head).ok()?;
    let segments = header.program_headers(Little, &*head).ok()?;
    let is_loaded = |segment: &&ProgramHeader64<Little>| segment.p_type(Little) == elf::PT_LOAD;
    let bias = segments.iter().filter(is_loaded).find_map(|segment| {
        let offset = segment.p_offset(Little);
        let end = offset.checked_add(segment.p_filesz(Little))?;
        let is_code = segment.p_flags(Little) & elf::PF_X != 0 && mapping.executable;
        let contains = (offset & !(PAGE - 1)..end).contains(&mapping.offset);
        (is_code && contains).then(|| {
            let address = segment.p_vaddr(Little).wrapping_sub(offset);
            mapping
                .start
                .wrapping_sub(address.wrapping_add(mapping.offset))
        })
    })?;
    // The headers must be of the same file at the same place.
    let starts_here = segments.iter().filter(is_loaded).any(|segment| {
        let address = segment
            .p_vaddr(Little)
            .wrapping_sub(segment.p_offset(Little));
        segment.p_offset(Little) < PAGE && address.wrapping_add(bias) == first.start
    });
    if !starts_here {
        return None;
    }
    let mut indexes = segments
        .iter()
        .filter(|segment| segment.p_type(Little) == elf::PT_GNU_EH_FRAME);
    let index = indexes
        .next()
        .map(|index| index.p_vaddr(Little).wrapping_add(bias));
    Some((bias, index))
}

/// The index at an address. `None` if it has another form than all linkers write.
fn indexed(memory: &impl Memory, header: u64) -> Option<Table> {
    let form: [u8; 4] = memory.array(header)?;
    let count = memory.u32_at(header.checked_add(8)?)?;
    // Version 1, then distances of 32 bits: of the table from here, the number of pairs, and pairs from
    // the header.
    (form == [1, 0x1b, 0x03, 0x3b]).then_some(Table::Indexed {
        header,
        count: count.into(),
    })
}

/// The functions of a table that lies at `start`, in ascending order.
fn list(bytes: &[u8], start: u64, limit: Limit) -> Vec<(u64, u64, u64)> {
    let mut table = EhFrame::new(bytes, LittleEndian);
    table.set_address_size(8);
    let bases = BaseAddresses::default().set_eh_frame(start);
    let mut entries = table.entries(&bases);
    let mut found = Vec::new();
    while let Ok(Some(entry)) = entries.next() {
        let is_over = found.len() % BATCH == 0 && limit.is_reached();
        if found.len() >= ENTRIES_MAX || is_over {
            break;
        }
        let CieOrFde::Fde(entry) = entry else {
            continue;
        };
        if let Ok(entry) = entry.parse(EhFrame::<EndianSlice<'_, _>>::cie_from_offset) {
            let at = start.wrapping_add(entry.offset() as u64);
            found.push((entry.initial_address(), entry.end_address(), at));
        }
    }
    found.sort_unstable();
    found
}
