//! Any contents of /proc, in every output format: the input is a list of edits of its files.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/hostile/attacks.rs"]
mod attacks;
#[path = "../../tests/process_fuzz/check.rs"]
mod check;
#[path = "../../tests/recording_fuzz/edits.rs"]
#[allow(dead_code)]
mod edits;
#[path = "../../tests/recording_fuzz/forms.rs"]
mod forms;
#[path = "../../tests/openmetrics/mod.rs"]
mod openmetrics;
#[path = "../../tests/process_fuzz/tree.rs"]
mod tree;

fuzz_target!(
    init: {
        // A panic of a crate that is caught is none of closewait.
        closewait::panics::report_with(|said| {
            eprintln!("{said}");
            std::process::abort();
        });
    },
    |bytes: &[u8]| check::check(bytes)
);
