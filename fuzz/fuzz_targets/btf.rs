//! Any bytes as the BTF of a kernel: the needed fields are found or not, and a program is assembled for
//! whatever offsets they have.

#![no_main]

use closewait_fuzz as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    closewait::fuzz::btf(bytes);
});
