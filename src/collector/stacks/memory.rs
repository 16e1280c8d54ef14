//! The memory of another process, which is only ever copied (proc_pid_mem(5)).

use std::path::Path;

use super::maps::Mappings;
use crate::collector::file::{self, Opened};

/// The most bytes that are copied at once.
const COPY_MAX: usize = 1 << 20;

/// The bytes of another address space.
pub trait Memory {
    /// Copies from `address` on, as much as is there, and returns how many bytes.
    fn read(&self, address: u64, into: &mut [u8]) -> usize;

    /// Fills `into`; `None` if not all of it is there.
    fn exact(&self, address: u64, into: &mut [u8]) -> Option<()> {
        (self.read(address, into) == into.len()).then_some(())
    }

    fn array<const LENGTH: usize>(&self, address: u64) -> Option<[u8; LENGTH]> {
        let mut bytes = [0; LENGTH];
        self.exact(address, &mut bytes)?;
        Some(bytes)
    }

    fn u8_at(&self, address: u64) -> Option<u8> {
        self.array(address).map(u8::from_ne_bytes)
    }

    fn u32_at(&self, address: u64) -> Option<u32> {
        self.array(address).map(u32::from_ne_bytes)
    }

    fn i32_at(&self, address: u64) -> Option<i32> {
        self.array(address).map(i32::from_ne_bytes)
    }

    fn u64_at(&self, address: u64) -> Option<u64> {
        self.array(address).map(u64::from_ne_bytes)
    }

    /// This many bytes, at most 1 MiB.
    fn bytes(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        if length > COPY_MAX {
            return None;
        }
        let mut bytes = vec![0; length];
        self.exact(address, &mut bytes)?;
        Some(bytes)
    }

    /// A text that ends with a zero byte within `most` bytes, without that byte.
    fn c_string(&self, address: u64, most: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; most.min(COPY_MAX)];
        let there = self.read(address, &mut bytes);
        bytes.truncate(there);
        let end = bytes.iter().position(|byte| *byte == 0)?;
        bytes.truncate(end);
        Some(bytes)
    }
}

/// The memory of a running process. It is read through a file, so a process that takes the same number
/// later is never read.
#[derive(Debug)]
pub(super) struct ProcessMemory<'a> {
    file: Opened,
    mappings: &'a Mappings,
}

impl ProcessMemory<'_> {
    /// Opens the memory. `None` without the right to trace the process (ptrace(2)).
    pub(super) fn open<'a>(root: &Path, mappings: &'a Mappings) -> Option<ProcessMemory<'a>> {
        Some(ProcessMemory {
            file: file::open(&root.join("mem")).ok()?,
            mappings,
        })
    }
}

impl Memory for ProcessMemory<'_> {
    fn read(&self, address: u64, into: &mut [u8]) -> usize {
        let mut done = 0;
        // A pointer may lead anywhere, and reading the registers of a device may change its state.
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(at) = address.checked_add(done as u64) else {
                break;
            };
            let Some(mapping) = self.mappings.find(at).filter(|found| found.is_memory()) else {
                break;
            };
            let there = usize::try_from(mapping.end - at).unwrap_or(usize::MAX);
            let length = rest.len().min(there);
            let Some(part) = rest.get_mut(..length) else {
                break;
            };
            match self.file.read_some_at(part, at) {
                Ok(0) | Err(_) => break,
                Ok(read) => done += read,
            }
        }
        done
    }
}

/// Made-up memory for tests and fuzz targets: bytes by their first address, in any order.
#[cfg(any(test, fuzzing))]
#[derive(Debug, Default)]
pub struct Pieces(pub Vec<(u64, Vec<u8>)>);

#[cfg(any(test, fuzzing))]
impl Memory for Pieces {
    fn read(&self, address: u64, into: &mut [u8]) -> usize {
        let there = self.0.iter().find_map(|(start, bytes)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(offset..).filter(|rest| !rest.is_empty())
        });
        let there = there.unwrap_or_default();
        let length = there.len().min(into.len());
        if let (Some(into), Some(there)) = (into.get_mut(..length), there.get(..length)) {
            into.copy_from_slice(there);
        }
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_memory_is_copied_and_nothing_beyond_it() {
        let root = Path::new("/proc/self");
        let mappings = Mappings::read(root).unwrap();
        let memory = ProcessMemory::open(root, &mappings).unwrap();
        let text = b"a text\0and more";
        let address = text.as_ptr() as u64;
        assert_eq!(memory.c_string(address, 64).unwrap(), b"a text");
        assert_eq!(memory.bytes(address, text.len()).unwrap(), text);
        assert_eq!(memory.u64_at(0), None);
        assert_eq!(memory.u64_at(u64::MAX - 3), None);
        assert_eq!(memory.bytes(address, COPY_MAX + 1), None);
    }

    #[test]
    fn made_up_memory_ends_where_its_pieces_end() {
        let memory = Pieces(vec![(8, vec![1, 0, 0, 0, 2]), (100, vec![b'x'])]);
        assert_eq!(memory.u32_at(8), Some(1));
        assert_eq!(memory.u32_at(9), Some(2 << 24));
        assert_eq!(memory.u32_at(10), None);
        assert_eq!(memory.c_string(100, 9), None);
        assert_eq!(memory.read(7, &mut [0]), 0);
    }
}
