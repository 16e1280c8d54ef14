//! Any memory of a Go program: the input is a version and a list of changes of a made-up one. Each names a
//! piece of its memory, an offset in it and the eight bytes that are put there.

#![no_main]

use closewait_fuzz as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((version, changes)) = bytes.split_first() else {
        return;
    };
    let changes = changes.as_chunks::<11>().0.iter();
    let changes: Vec<(u8, u16, u64)> = changes
        .map(|[piece, low, high, value @ ..]| {
            let offset = u16::from_le_bytes([*low, *high]);
            (*piece, offset, u64::from_le_bytes(*value))
        })
        .collect();
    let read = closewait::fuzz::goroutines(18 + u32::from(version % 10), &changes);
    // Without a change it is a program that can be read.
    assert!(!changes.is_empty() || read == Some(3));
});
