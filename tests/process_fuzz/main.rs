//! Random changes of what processes and the system report, in every output format.

#[path = "../hostile/attacks.rs"]
mod attacks;
mod check;
#[path = "../recording_fuzz/edits.rs"]
#[allow(dead_code)]
mod edits;
#[path = "../recording_fuzz/forms.rs"]
#[allow(dead_code)]
mod forms;
#[path = "../openmetrics/mod.rs"]
mod openmetrics;
mod tree;

use proptest::prelude::*;

#[test]
fn the_tree_as_it_is_has_all_that_is_read() {
    for command in 0..10 {
        check::check(&[command]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_process_says_of_itself_it_is_shown_as_it_must_be(
        bytes in prop::collection::vec(any::<u8>(), 7..40),
    ) {
        check::check(&bytes);
    }
}
