//! The memory of a made-up program: everything that was not written is zero.

use crate::collector::stacks::memory::Memory;

/// The address of the memory. The state of the interpreter is its first structure.
pub(super) const START: u64 = 0x1_0000;
/// The size of the memory, in bytes.
pub(super) const SIZE: usize = 1 << 16;

/// Where in it the offsets of asyncio are, if there are any.
pub(super) const ASYNCIO: u64 = 0x800;

/// The memory of a program.
#[derive(Debug, Clone)]
pub(super) struct Image(Vec<u8>);

impl Default for Image {
    fn default() -> Image {
        Image(vec![0; SIZE])
    }
}

impl Image {
    /// Memory with these bytes: again and again an offset (16 bits), a length (8 bits), and as many bytes.
    pub(super) fn of(mut written: &[u8]) -> Image {
        let mut image = Image::default();
        while let Some(([low, high, length], rest)) = written.split_first_chunk() {
            let (bytes, rest) = rest.split_at(rest.len().min((*length).into()));
            image.write(u16::from_le_bytes([*low, *high]), bytes);
            written = rest;
        }
        image
    }

    /// `None` if they do not fit.
    pub(super) fn write(&mut self, offset: u16, bytes: &[u8]) -> Option<()> {
        let rest = self.0.get_mut(offset.into()..)?;
        rest.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(())
    }
}

impl Memory for Image {
    fn read(&self, address: u64, into: &mut [u8]) -> usize {
        let offset = address.checked_sub(START).map(usize::try_from);
        let Some(Ok(offset)) = offset else { return 0 };
        let there = self.0.get(offset..).unwrap_or_default();
        let length = there.len().min(into.len());
        if let (Some(into), Some(there)) = (into.get_mut(..length), there.get(..length)) {
            into.copy_from_slice(there);
        }
        length
    }
}
