//! What processes and the system say of themselves, in any way, in every form: the input is a list of
//! edits of the files of a /proc.

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
