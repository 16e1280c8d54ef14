//! Any bytes as the types of a kernel: the walk's fields are found in them or not, and the program
//! for any place that they may have is put together.

#![no_main]

use closewait_fuzz as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    closewait::fuzz::btf(bytes);
});
