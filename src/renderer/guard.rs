//! The last stage of all output: no control, direction or invisible character passes, even if a
//! writer forgot to escape it. Line ends do pass, so names must still be escaped where they are
//! written ([`escape`]).

use std::io::{self, Write};

use super::escape;
use super::style::{Look, Role};
use super::view::{Format, View};
use crate::model::Charset;

/// The kind of text: which characters it may contain, and how others are escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines for people, in colours or not.
    Text { colour: bool, charset: Charset },
    /// Records that end in CR LF (RFC 4180).
    Csv,
    /// JSON: characters are escaped within strings, whose value stays the same.
    Json,
    /// Bytes for a program, as they are.
    Exact,
}

impl Form {
    /// The form of a view. Metrics allow three escapes only, so a scraper gets them unchanged; on a
    /// terminal they are guarded like a table.
    pub fn of(view: &View) -> Form {
        match view.format {
            Format::Table => Form::Text {
                colour: view.look.colour,
                charset: view.look.charset,
            },
            Format::Json | Format::Jsonl => Form::Json,
            Format::Csv => Form::Csv,
            Format::Prometheus { .. } if view.look.terminal => Form::Text {
                colour: false,
                charset: Charset::Utf8,
            },
            Format::Prometheus { .. } => Form::Exact,
        }
    }
}

/// Passes on what its form allows, and escapes the rest.
pub struct Guard<W> {
    out: W,
    form: Form,
    /// The sequences that may pass, the longest first.
    colours: Vec<String>,
    /// The first bytes of a character that is not complete yet.
    begun: Vec<u8>,
    scratch: String,
}

impl<W: Write> Guard<W> {
    pub fn new(out: W, form: Form) -> Guard<W> {
        Guard {
            out,
            form,
            colours: match form {
                Form::Text { colour: true, .. } => colours(),
                _ => Vec::new(),
            },
            begun: Vec::new(),
            scratch: String::new(),
        }
    }

    /// Text that is not plain throughout.
    fn mixed(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.scratch.clear();
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.valid(chunk.valid());
            // Up to three bytes may be the start of a character that the next write completes.
            if chunks.peek().is_none() && is_beginning(chunk.invalid()) {
                self.begun.extend_from_slice(chunk.invalid());
            } else {
                escape::push(chunk.invalid(), &mut self.scratch);
            }
        }
        self.out.write_all(self.scratch.as_bytes())
    }

    fn valid(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let mut colours = self.colours.iter();
            let colour = colours.find(|colour| rest.starts_with(*colour));
            let length = colour.map_or(c.len_utf8(), String::len);
            let (passed, after) = rest.split_at(length);
            let passes = colour.is_some()
                || c == '\n'
                || (c == '\r' && self.form == Form::Csv)
                || !escape::is_hostile(c);
            match self.form {
                Form::Text { charset, .. } if passes => charset.push(passed, &mut self.scratch),
                _ if passes => self.scratch.push_str(passed),
                Form::Json => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.scratch.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                _ => escape::push(passed.as_bytes(), &mut self.scratch),
            }
            rest = after;
        }
    }
}

impl<W: Write> Write for Guard<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.form == Form::Exact || (self.begun.is_empty() && is_plain(bytes)) {
            return self.out.write_all(bytes);
        }
        if self.begun.is_empty() {
            return self.mixed(bytes);
        }
        let mut whole = std::mem::take(&mut self.begun);
        whole.extend_from_slice(bytes);
        self.mixed(&whole)
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.begun.is_empty() {
            let begun = std::mem::take(&mut self.begun);
            self.out.write_all(escape::text(&begun).as_bytes())?;
        }
        self.out.flush()
    }
}

/// Whether all bytes are printable ASCII or line ends: nearly every write of a long output is, so
/// this has no branch for each byte.
fn is_plain(bytes: &[u8]) -> bool {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n');
    bytes
        .chunks(64)
        .all(|chunk| chunk.iter().fold(true, |all, byte| all & plain(byte)))
}

/// Whether more bytes could make these a character.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Everything that this program paints in.
fn colours() -> Vec<String> {
    let look = Look {
        colour: true,
        ..Look::plain()
    };
    let around = Role::ALL.into_iter().map(|role| look.around(role));
    let mut colours: Vec<String> = around.flat_map(|(on, off)| [on, off]).collect();
    colours.sort_by_key(|colour| std::cmp::Reverse(colour.len()));
    colours.dedup();
    colours
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(colour: bool) -> Form {
        let charset = Charset::Utf8;
        Form::Text { colour, charset }
    }

    fn through(form: Form, parts: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut guard = Guard::new(&mut out, form);
        for part in parts {
            guard.write_all(part).unwrap();
        }
        guard.flush().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn colours_of_this_program_pass_where_there_are_colours_and_nothing_else_does() {
        let look = Look {
            colour: true,
            ..Look::plain()
        };
        let painted = look.paint(Role::Warning, "… 日本");
        let (on, off) = (text(true), text(false));
        assert_eq!(through(on, &[painted.as_bytes()]), painted);
        assert!(!through(off, &[painted.as_bytes()]).contains('\x1b'));
        for hostile in [
            "\x1b[2J",
            "\x1b]0;x\x07",
            "\u{9b}1m",
            "\u{202e}",
            "\r",
            "\x08",
        ] {
            let text = through(on, &[hostile.as_bytes()]);
            assert!(!text.chars().any(escape::is_hostile), "{text:?}");
        }
    }

    #[test]
    fn a_character_in_two_writes_is_one_and_half_a_character_is_none() {
        let form = text(false);
        assert_eq!(through(form, &[b"a\xe2\x80", b"\xa6b"]), "a…b");
        assert_eq!(through(form, &[b"a\xe2\x80", b"\xaeb"]), "a\\u{202e}b");
        assert_eq!(through(form, &[b"\xe2", b"\x80", b"x"]), "\\xe2\\x80x");
        assert_eq!(through(form, &[b"a\xe2\x80"]), "a\\xe2\\x80");
    }

    #[test]
    fn in_ascii_signs_are_replaced_and_letters_escaped_but_not_in_json() {
        let ascii = Form::Text {
            colour: false,
            charset: Charset::Ascii,
        };
        let text = "█▎ ≥12m… é\u{202e}";
        assert_eq!(
            through(ascii, &[text.as_bytes()]),
            "#. >=12m... \\u{e9}\\u{202e}"
        );
        assert_eq!(through(Form::Json, &["é".as_bytes()]), "é");
        assert_eq!(through(Form::Csv, &["é".as_bytes()]), "é");
    }

    proptest! {
        #[test]
        fn json_is_the_same_and_shows_nothing_that_is_not_seen(text: String, at: usize) {
            let json = serde_json::to_string(&text).unwrap();
            let (before, after) = json.as_bytes().split_at(at % (json.len() + 1));
            let guarded = through(Form::Json, &[before, after]);
            prop_assert!(!guarded.chars().any(escape::is_hostile));
            prop_assert_eq!(serde_json::from_str::<String>(&guarded).unwrap(), text);
        }

        #[test]
        fn no_bytes_pass_as_a_control_character(bytes: Vec<u8>, at: usize) {
            let (before, after) = bytes.split_at(at % (bytes.len() + 1));
            let shown = through(text(false), &[before, after]);
            prop_assert!(!shown.chars().any(|c| c != '\n' && escape::is_hostile(c)));
        }
    }
}
