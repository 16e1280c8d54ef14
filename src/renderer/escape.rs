//! Text from the system, made safe for a terminal.
//!
//! A process chooses its own name, and may put an escape sequence, a newline or a mark that
//! turns the reading direction into it. Here such characters become visible ones, so that a line
//! stays one line and a terminal is told nothing.

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

/// The same in ASCII: the signs of this program's own words become those that mean the same, every
/// other character is spelled out.
pub fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_ascii() => out.push(c),
            '≥' => out.push_str(">="),
            '≈' => out.push('~'),
            '–' | '·' => out.push('-'),
            '→' => out.push_str("->"),
            '…' => out.push_str("..."),
            '×' => out.push('x'),
            c => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
        }
    }
    out
}

fn hex(byte: u8, out: &mut String) {
    let _ = write!(out, "\\x{byte:02x}");
}

/// Characters that change what is around them, or cannot be seen: controls (Cc), line and
/// paragraph separators, and the format characters (Cf) that turn direction, join or hide.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
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
