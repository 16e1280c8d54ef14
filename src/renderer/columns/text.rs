//! Pieces of text in a cell: numbers, words, and how wide they are.

use unicode_width::UnicodeWidthStr;

use super::super::escape;
use crate::model::{Charset, charset};

/// A name of any bytes, without a blank in it.
pub fn push_word(name: &[u8], out: &mut String) {
    let start = out.len();
    escape::push(name, out);
    if out[start..].contains(' ') {
        let word = out.split_off(start).replace(' ', "\\x20");
        out.push_str(&word);
    }
}

/// The columns that a text takes on a terminal of this charset.
pub fn width(text: &str, charset: Charset) -> usize {
    match charset {
        _ if text.is_ascii() => text.len(),
        Charset::Utf8 => text.width(),
        Charset::Ascii => charset::ascii_len(text),
    }
}

pub(super) fn push_number(number: impl itoa::Integer, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(number));
}
