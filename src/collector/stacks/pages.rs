//! Memory that is copied page by page, and each page once.

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use crate::collector::stacks::memory::Memory;

/// The bytes that are copied at once.
const PAGE: usize = 4096;
/// The most pages that are kept: 32 MiB.
const PAGES_MAX: usize = 8192;

/// A memory whose pages are kept.
pub(super) struct Pages<'a, M> {
    memory: &'a M,
    pages: RefCell<FxHashMap<u64, Box<[u8]>>>,
}

impl<'a, M: Memory> Pages<'a, M> {
    pub(super) fn new(memory: &'a M) -> Pages<'a, M> {
        Pages {
            memory,
            pages: RefCell::default(),
        }
    }

    /// Copies what is in the page of this address, from there on, and returns how many bytes.
    fn copy(&self, address: u64, into: &mut [u8]) -> usize {
        let start = address & !(PAGE as u64 - 1);
        let mut pages = self.pages.borrow_mut();
        if pages.len() >= PAGES_MAX {
            pages.clear();
        }
        let page = pages.entry(start).or_insert_with(|| {
            let mut page = vec![0; PAGE];
            let there = self.memory.read(start, &mut page);
            page.truncate(there);
            page.into()
        });
        let offset = (address - start) as usize;
        let there = page.get(offset..).unwrap_or_default();
        let length = there.len().min(into.len());
        if let (Some(into), Some(there)) = (into.get_mut(..length), there.get(..length)) {
            into.copy_from_slice(there);
        }
        length
    }
}

impl<M: Memory> Memory for Pages<'_, M> {
    fn read(&self, address: u64, into: &mut [u8]) -> usize {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(at) = address.checked_add(done as u64) else {
                break;
            };
            match self.copy(at, rest) {
                0 => break,
                read => done += read,
            }
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::stacks::memory::Pieces;

    #[test]
    fn pages_are_copied_once_and_end_where_the_memory_ends() {
        let bytes: Vec<u8> = (0..6000u32).map(|n| n as u8).collect();
        let memory = Pieces(vec![(0x1000, bytes.clone())]);
        let pages = Pages::new(&memory);
        let mut into = [0; 100];
        assert_eq!(pages.read(0x1000 + 4050, &mut into), 100);
        assert_eq!(into, bytes[4050..4150]);
        assert_eq!(pages.read(0x1000 + 5950, &mut into), 50);
        assert_eq!(pages.read(0x1000 + 6000, &mut into), 0);
        assert_eq!(pages.read(0x800, &mut into), 0);
        assert_eq!(pages.read(u64::MAX, &mut into), 0);
        assert_eq!(pages.pages.borrow().len(), 4);
    }
}
