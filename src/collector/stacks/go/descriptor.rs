//! The descriptor that a goroutine in "IO wait" waits for: its stack has the address of the
//! `runtime.pollDesc`, which names the goroutine and the descriptor (src/runtime/netpoll.go).

use super::layout::Layout;
use crate::collector::stacks::memory::Memory;

/// The most words of a stack that are tried.
const WORDS_MAX: usize = 128;
/// The words that are read of a `pollDesc`: `link`, `fd`, and from the fourth on `rg` and `wg`.
const WORDS: usize = 6;
/// The kernel's limit for descriptors (`fs.nr_open`) is at most this.
const DESCRIPTORS_MAX: u64 = 1 << 31;

/// A descriptor, and which word of the stack led to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Polled {
    pub(super) descriptor: u32,
    pub(super) nth: usize,
}

/// Finds the descriptor from the words of a stack. The word that led to one in an equal stack is tried
/// first.
pub(super) fn polled(
    memory: &impl Memory,
    stack: &[u64],
    hint: Option<usize>,
    goroutine: u64,
    layout: &Layout,
) -> Option<Polled> {
    let all = 0..stack.len().min(WORDS_MAX);
    hint.into_iter().chain(all).find_map(|nth| {
        let address = *stack.get(nth)?;
        let descriptor = descriptor(memory, address, goroutine, layout)?;
        Some(Polled { descriptor, nth })
    })
}

/// The descriptor of the `pollDesc` at an address, if this goroutine waits for it.
fn descriptor(memory: &impl Memory, address: u64, goroutine: u64, layout: &Layout) -> Option<u32> {
    if address == 0 || !address.is_multiple_of(8) {
        return None;
    }
    let bytes: [u8; WORDS * 8] = memory.array(address)?;
    let word = |nth: usize| Some(u64::from_le_bytes(*bytes.as_chunks::<8>().0.get(nth)?));
    let descriptor = word(1)?;
    let waits = [layout.poll_waiters, layout.poll_waiters + 1].map(word);
    let is_it = waits.contains(&Some(goroutine)) && descriptor < DESCRIPTORS_MAX;
    is_it.then_some(u32::try_from(descriptor).ok()?)
}
