//! How a panic is reported. No input is known to cause one. The hook is set for the whole process.

use std::sync::Mutex;
use std::thread;

use closewait::panics;

#[test]
fn a_panic_is_told_in_a_line_of_plain_text_and_one_that_is_caught_is_not() {
    static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
    panics::report_with(|words| SAID.lock().unwrap().push(words.to_owned()));
    let hostile = "\u{1b}[2J\n\u{202e}x".to_owned();
    assert_eq!(panics::caught(|| 7), Some(7));
    assert_eq!(panics::caught(|| panic!("{hostile}")), None::<()>);
    assert!(SAID.lock().unwrap().is_empty());
    assert!(thread::spawn(move || panic!("{hostile}")).join().is_err());
    let said = SAID.lock().unwrap();
    // A backtrace follows where RUST_BACKTRACE asks for one.
    let first = said[0].lines().next().unwrap();
    assert_eq!(said.len(), 1);
    assert!(
        first.starts_with("a fault in closewait itself: "),
        "{first}"
    );
    assert!(
        first.contains("tests/panics.rs:") && first.contains("[2J"),
        "{first}"
    );
    assert!(
        !first.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{first}"
    );
}
