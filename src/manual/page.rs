//! Parts of a manual page: headings, paragraphs, tagged entries, and escapes for its characters.

use clap_mangen::roff::{Roff, bold, roman};

use super::text::Entry;

pub(super) fn heading(name: &str, roff: &mut Roff) {
    roff.control("SH", [name]);
}

/// A text in which empty lines separate paragraphs.
pub(super) fn lines(text: &str, roff: &mut Roff) {
    for line in text.lines() {
        if line.trim().is_empty() {
            roff.control("PP", []);
        } else {
            roff.text([roman(line.trim())]);
        }
    }
}

/// A text whose lines and columns stay as they are.
pub(super) fn verbatim(text: &str, roff: &mut Roff) {
    roff.control("PP", []);
    roff.control("nf", []);
    for line in text.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

pub(super) fn entries(all: &[Entry], roff: &mut Roff) {
    for (name, text) in all {
        entry(name, text, roff);
    }
}

pub(super) fn entry(name: &str, text: &str, roff: &mut Roff) {
    roff.control("TP", []);
    roff.text([bold(name)]);
    roff.text([roman(text)]);
}

/// Characters beyond ASCII as groff_char(7) names them, so that no formatter has to guess.
pub(super) fn ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            escaped.push_str(&format!("\\[u{:04X}]", u32::from(character)));
        }
    }
    escaped
}
