//! Reading on from an address: single bytes, and numbers of variable length as in Go's encoding/binary.

use crate::collector::stacks::memory::Memory;

/// How many bytes are copied at a time.
const CHUNK: usize = 64;

/// A place in memory that moves on with every byte read.
pub(super) struct Cursor<'m, M> {
    memory: &'m M,
    /// The address of the next byte.
    at: u64,
    chunk: [u8; CHUNK],
    /// Which bytes of the chunk are next.
    unread: std::ops::Range<usize>,
}

impl<'m, M: Memory> Cursor<'m, M> {
    pub(super) fn new(memory: &'m M, at: u64) -> Cursor<'m, M> {
        Cursor {
            memory,
            at,
            chunk: [0; CHUNK],
            unread: 0..0,
        }
    }

    pub(super) fn address(&self) -> u64 {
        self.at
    }

    fn byte(&mut self) -> Option<u8> {
        if self.unread.is_empty() {
            self.unread = 0..self.memory.read(self.at, &mut self.chunk);
        }
        let next = self.unread.next()?;
        self.at = self.at.checked_add(1)?;
        self.chunk.get(next).copied()
    }

    /// A number in groups of seven bits, the lowest first. One that does not fit into 32 bits is none that
    /// Go writes.
    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::stacks::memory::Pieces;

    #[test]
    fn numbers_are_read_until_the_memory_ends() {
        let mut bytes = vec![0; 63];
        bytes.extend([0x7f, 0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x80]);
        let memory = Pieces(vec![(8, bytes)]);
        let mut cursor = Cursor::new(&memory, 8);
        for _ in 0..63 {
            assert_eq!(cursor.varint(), Some(0));
        }
        assert_eq!(cursor.varint(), Some(127));
        assert_eq!(cursor.varint(), Some(128));
        assert_eq!(cursor.varint(), Some(u64::from(u32::MAX)));
        assert_eq!(cursor.address(), 8 + 63 + 8);
        assert_eq!(cursor.varint(), None);
    }

    #[test]
    fn a_number_without_an_end_is_none() {
        let memory = Pieces(vec![(0, vec![0xff; 100])]);
        assert_eq!(Cursor::new(&memory, 0).varint(), None);
        assert_eq!(Cursor::new(&memory, u64::MAX).varint(), None);
    }
}
