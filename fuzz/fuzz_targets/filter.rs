//! Any text as a filter: it is read or refused with a message, and what the kernel would apply of
//! it accepts every socket that it selects.

#![no_main]

use closewait_fuzz as _;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/filter_fuzz/check.rs"]
mod check;

fuzz_target!(|bytes: &[u8]| check::check(bytes));
