//! Any bytes as what a runtime writes about itself: the counters of a Java virtual machine, and a map for
//! perf(1). What is kept of them is short.

#![no_main]

use closewait::fuzz;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(said) = fuzz::counters(bytes) {
        assert!(said.len() <= 300, "{said}");
    }
    for address in [0, 0x1000, u64::MAX] {
        let frame = fuzz::perf_map(bytes, address).unwrap_or_default();
        for text in [frame.function, frame.file].iter().flatten() {
            assert!(text.bytes().len() <= 256, "{text}");
        }
    }
});
