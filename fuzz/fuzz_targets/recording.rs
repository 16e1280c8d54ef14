//! Altered recordings with a valid checksum, in every command and output format: the input is a list of
//! edits.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/hostile/attacks.rs"]
mod attacks;
#[path = "../../tests/recording_fuzz/check.rs"]
mod check;
#[path = "../../tests/recording_fuzz/edits.rs"]
#[allow(dead_code)]
mod edits;
#[path = "../../tests/recording_fuzz/forms.rs"]
mod forms;
#[path = "../../tests/openmetrics/mod.rs"]
mod openmetrics;

fuzz_target!(|bytes: &[u8]| check::check(bytes));
