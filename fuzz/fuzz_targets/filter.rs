//! Any text as a filter: it parses or gives an error message, and its kernel program accepts every socket that
//! the filter selects.

#![no_main]

use closewait_fuzz as _;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/filter_fuzz/check.rs"]
mod check;

fuzz_target!(|bytes: &[u8]| check::check(bytes));
