//! Escapes text from the system for a terminal.
//!
//! A process chooses its own name, which may hold an escape sequence, a newline or a character that
//! changes the reading direction. Such characters are made visible, so that a line stays one line and
//! the terminal executes nothing.

use std::fmt::Write;

/// Appends `bytes` in a form that a terminal shows as it is: control, direction and invisible
/// characters as `\n`, `\x1b` or `\u{202e}`, bytes that are not UTF-8 as `\xff`, a backslash
/// doubled.
pub fn push(bytes: &[u8], out: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                c if is_hostile(c) && c.is_ascii() => hex(c as u8, out),
                c if is_hostile(c) => {
                    // Writing to a String does not fail.
                    let _ = write!(out, "\\u{{{:x}}}", c as u32);
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            hex(*byte, out);
        }
    }
}

/// The same, as a new string.
pub fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    push(bytes, &mut out);
    out
}

/// One line of this program's own words with other people's in them: as [`text`], but a backslash
/// stays single, for it may come from an escape that is there already.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive('\\') {
        match part.strip_suffix('\\') {
            Some(before) => {
                push(before.as_bytes(), &mut out);
                out.push('\\');
            }
            None => push(part.as_bytes(), &mut out),
        }
    }
    out
}

fn hex(byte: u8, out: &mut String) {
    let _ = write!(out, "\\x{byte:02x}");
}

/// Characters that change what is around them, or cannot be seen or told from others by eye: controls
/// (Cc), blanks that are no space (Zs, Zl, Zp), formats (Cf: they turn direction, join or hide),
/// what Unicode lets a font leave out (`Default_Ignorable_Code_Point`), private use (Co) and what
/// is no character. Unicode 16: DerivedCoreProperties.txt, UnicodeData.txt.
pub fn is_hostile(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(c,
        '\u{80}'..='\u{a0}'
        | '\u{ad}'
        | '\u{34f}'
        | '\u{600}'..='\u{605}'
        | '\u{61c}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{890}'..='\u{891}'
        | '\u{8e2}'
        | '\u{115f}'..='\u{1160}'
        | '\u{1680}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{2000}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3000}'
        | '\u{3164}'
        | '\u{e000}'..='\u{f8ff}'
        | '\u{fdd0}'..='\u{fdef}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffc}'
        | '\u{fffe}'..='\u{ffff}'
        | '\u{110bd}'
        | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}'
        | '\u{16fe4}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d159}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..)
        // The last two of each plane.
        || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_would_move_a_cursor_or_turn_a_line_is_spelled_out() {
        assert_eq!(text(b"\x1b[31mred\x1b[0m"), "\\x1b[31mred\\x1b[0m");
        assert_eq!(text(b"a\nb\rc\td"), "a\\nb\\rc\\td");
        assert_eq!(text("x\u{202e}y\u{9b}".as_bytes()), "x\\u{202e}y\\u{9b}");
        assert_eq!(text(b"\xff\xfeok"), "\\xff\\xfeok");
        assert_eq!(text(b"C:\\x"), "C:\\\\x");
        for hidden in [
            "\u{a0}",
            "\u{34f}",
            "\u{115f}",
            "\u{3000}",
            "\u{e0ff}",
            "\u{fe0f}",
            "\u{10ffff}",
        ] {
            assert!(text(hidden.as_bytes()).is_ascii(), "{hidden:?}");
        }
        assert_eq!(text("日本 é".as_bytes()), "日本 é");
    }

    #[test]
    fn a_line_with_names_in_it_stays_one_and_keeps_its_escapes() {
        assert_eq!(
            line("no \"a\\u{1b}\": /a\x1b\nb"),
            "no \"a\\u{1b}\": /a\\x1b\\nb"
        );
        assert_eq!(line("\\\n\\"), "\\\\n\\");
    }

    proptest! {
        #[test]
        fn no_bytes_reach_a_terminal_as_a_control_character(bytes: Vec<u8>) {
            prop_assert!(!text(&bytes).chars().any(is_hostile));
        }
    }
}
