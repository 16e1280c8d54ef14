//! Any bytes as an executable: its sections and functions are found or not, and names are of its bytes.

#![no_main]

use closewait_fuzz as _;
use libfuzzer_sys::fuzz_target;

/// Demangled names may be longer than their symbols, but have a limit.
const NAME_MAX: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    for name in closewait::fuzz::functions(bytes, &[0, 1, 0x40, 0x1000, 0x1040, u64::MAX]) {
        assert!(name.bytes().len() <= NAME_MAX, "{name}");
    }
});
