//! Pieces of text in a cell: numbers, words, and how wide they are.

use unicode_width::UnicodeWidthStr;

use super::super::escape;

/// A name of any bytes, without a blank in it.
pub fn push_word(name: &[u8], out: &mut String) {
    let start = out.len();
    escape::push(name, out);
    if out[start..].contains(' ') {
        let word = out.split_off(start).replace(' ', "\\x20");
        out.push_str(&word);
    }
}

/// The columns that a text takes on a terminal.
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.width()
    }
}

pub(super) fn push_number(number: impl itoa::Integer, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(number));
}
