//! Recordings changed at random, with a correct checksum, in every command and format.

#![cfg(target_endian = "little")]

#[path = "../hostile/attacks.rs"]
mod attacks;
mod check;
#[allow(dead_code)]
mod edits;
mod forms;
#[path = "../openmetrics/mod.rs"]
mod openmetrics;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_edit_of_a_recording_is_shown_as_it_must_be(
        bytes in prop::collection::vec(any::<u8>(), 9..60),
    ) {
        check::check(&bytes);
    }
}
