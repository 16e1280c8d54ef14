//! Anything in the memory of a Python program: what makes no sense gives no stacks, and lists without an
//! end are cut.

#![no_main]

use closewait_fuzz as _;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    closewait::fuzz::python(bytes);
});
