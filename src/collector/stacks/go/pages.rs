//! Memory that does not change, read page by page: the tables of functions are searched many times.

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use crate::collector::stacks::memory::Memory;

/// The bytes of a page.
const PAGE: u64 = 4096;
/// The most pages that are kept: 16 MiB.
const PAGES_MAX: usize = 4096;

/// The read pages of a memory.
pub(super) struct Pages<'m, M> {
    memory: &'m M,
    /// By their number. One that is not all there is shorter.
    pages: RefCell<FxHashMap<u64, Vec<u8>>>,
}

impl<'m, M: Memory> Pages<'m, M> {
    pub(super) fn new(memory: &'m M) -> Pages<'m, M> {
        Pages {
            memory,
            pages: RefCell::default(),
        }
    }

    /// Copies from one page, and returns how many bytes.
    fn read_one(&self, address: u64, into: &mut [u8]) -> usize {
        let mut pages = self.pages.borrow_mut();
        if pages.len() >= PAGES_MAX {
            pages.clear();
        }
        let number = address / PAGE;
        let page = pages.entry(number).or_insert_with(|| {
            let mut page = vec![0; PAGE as usize];
            let there = self.memory.read(number * PAGE, &mut page);
            page.truncate(there);
            page
        });
        let offset = usize::try_from(address % PAGE).unwrap_or(usize::MAX);
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
            let read = match address.checked_add(done as u64) {
                Some(address) => self.read_one(address, rest),
                None => 0,
            };
            if read == 0 {
                break;
            }
            done += read;
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Memory whose bytes are zero up to an address, and that counts how often it is read.
    struct Counting(u64, Cell<u32>);

    impl Memory for Counting {
        fn read(&self, address: u64, into: &mut [u8]) -> usize {
            self.1.set(self.1.get() + 1);
            let there = usize::try_from(self.0.saturating_sub(address)).unwrap_or(usize::MAX);
            into.len().min(there)
        }
    }

    #[test]
    fn a_page_is_read_once_and_ends_where_the_memory_ends() {
        let memory = Counting(2 * PAGE + 8, Cell::new(0));
        let pages = Pages::new(&memory);
        for address in [0, 8, PAGE - 4, PAGE + 100] {
            assert_eq!(pages.u64_at(address), Some(0));
        }
        assert_eq!(memory.1.get(), 2);
        assert_eq!(pages.read(2 * PAGE, &mut [0; 100]), 8);
        assert_eq!(pages.u64_at(2 * PAGE + 1), None);
        assert_eq!(pages.u64_at(u64::MAX - 3), None);
    }
}
