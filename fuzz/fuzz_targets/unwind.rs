//! Any bytes as the code, the unwind table and the stack of a thread: a stack is bounded, and each place in
//! it is code.
//!
//! The first byte chooses the machine, the next two where the thread is in its code. The rest is shared out:
//! what follows the headers of a file, which lead to it, and the stack.

#![no_main]

use closewait_fuzz as _;
use libfuzzer_sys::fuzz_target;

const CODE: u64 = 0x10000;
const CODE_SIZE: usize = 0x4000;
const STACK: u64 = 0x7000_0000;
/// Where the index of the unwind table is, behind the headers.
const INDEX: usize = 0x100;
/// The functions in the index.
const FUNCTIONS: usize = 4;

/// A file with one segment, and an index of its functions.
fn headers() -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    let mut put = |at: usize, bytes: &[u8]| {
        file.resize(file.len().max(at + bytes.len()), 0);
        file[at..at + bytes.len()].copy_from_slice(bytes);
    };
    // e_type, e_machine, e_version, e_phoff, e_ehsize, e_phentsize, e_phnum.
    put(16, &[3, 0, 62, 0, 1, 0, 0, 0]);
    put(32, &64u64.to_le_bytes());
    put(52, &[64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
    let segments = [(1u32, 5u32, 0, CODE_SIZE), (0x6474_e550, 4, INDEX, 64)];
    for (nth, (kind, flags, offset, size)) in segments.into_iter().enumerate() {
        let at = 64 + nth * 56;
        put(at, &kind.to_le_bytes());
        put(at + 4, &flags.to_le_bytes());
        for (field, value) in [(8, offset), (16, offset), (32, size), (40, size)] {
            put(at + field, &(value as u64).to_le_bytes());
        }
    }
    put(INDEX, &[1, 0x1b, 3, 0x3b, 0, 0, 0, 0]);
    put(INDEX + 8, &(FUNCTIONS as u32).to_le_bytes());
    for nth in 0..FUNCTIONS {
        let at = INDEX + 12 + nth * 8;
        // Functions of 128 bytes in the second half of the code, and their entries from the first page on.
        put(at, &((0x2000 + nth * 0x80 - INDEX) as u32).to_le_bytes());
        put(at + 4, &((0x240 + nth * 0x40 - INDEX) as u32).to_le_bytes());
    }
    file
}

fuzz_target!(|bytes: &[u8]| {
    let [machine, high, low, rest @ ..] = bytes else {
        return;
    };
    let (table, rest) = rest.split_at(rest.len().min(0x200));
    let (stack, functions) = rest.split_at(rest.len() / 2);
    let mut code = headers();
    code.resize(0x200, 0);
    code.extend(table);
    code.resize(0x2000, 0);
    code.extend(functions);
    code.resize(CODE_SIZE, 0x90);
    let start = CODE + u64::from(u16::from_be_bytes([*high, *low])) % CODE_SIZE as u64;
    let places = closewait::fuzz::unwind(machine % 2 == 1, (CODE, &code), (STACK, stack), start);
    assert!(!places.is_empty() && places.len() <= 128, "{places:x?}");
    for place in places {
        assert!(
            (CODE..CODE + CODE_SIZE as u64).contains(&place),
            "{place:x}"
        );
    }
});
