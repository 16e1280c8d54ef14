//! The characters that a reader can see, by the locale; and text in ASCII for all others.

use std::fmt::Write;

/// The characters of text for people. JSON and CSV are UTF-8 in every locale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Charset {
    #[default]
    Utf8,
    /// The signs of this program become ASCII, and other characters are escaped as `\u{e9}`.
    Ascii,
}

impl Charset {
    /// The charset of a locale such as `de_CH.UTF-8@euro` (locale(7)). Without a locale it is ASCII,
    /// as in the locales C and POSIX (see nl_langinfo(3), CODESET). Any encoding other than UTF-8
    /// contains ASCII.
    pub fn of_locale(locale: &str) -> Charset {
        let locale = locale.split('@').next().unwrap_or_default();
        // macOS has a locale that is called UTF-8, and ssh sends its name.
        let encoding = locale.rsplit('.').next().unwrap_or_default();
        match encoding.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Charset::Utf8,
            _ => Charset::Ascii,
        }
    }

    /// Appends text in this charset.
    pub fn push(self, text: &str, out: &mut String) {
        if self == Charset::Utf8 || text.is_ascii() {
            return out.push_str(text);
        }
        for c in text.chars() {
            match sign(c) {
                _ if c.is_ascii() => out.push(c),
                Some(sign) => out.push_str(sign),
                None => {
                    // Writing to a String does not fail.
                    let _ = write!(out, "\\u{{{:x}}}", c as u32);
                }
            }
        }
    }

    /// The text in this charset.
    pub fn text(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        self.push(text, &mut out);
        out
    }
}

/// How many characters a text has in ASCII.
pub fn ascii_len(text: &str) -> usize {
    let len = |c: char| match sign(c) {
        _ if c.is_ascii() => 1,
        Some(sign) => sign.len(),
        None => {
            let digits = (u32::BITS - u32::from(c).leading_zeros()).div_ceil(4);
            "\\u{}".len() + digits as usize
        }
    };
    text.chars().map(len).sum()
}

/// By how many columns the signs of a text are wider in ASCII. Lines that leave room for that can be
/// written before it is known where they go.
pub fn ascii_growth(text: &str) -> usize {
    let signs = text.chars().filter_map(sign);
    signs.map(|sign| sign.len() - 1).sum()
}

/// A sign of this program's own text in ASCII.
fn sign(c: char) -> Option<&'static str> {
    Some(match c {
        '≥' => ">=",
        '≤' => "<=",
        '≈' => "~",
        '–' | '—' | '−' | '─' | '·' => "-",
        '→' => "->",
        '←' => "<-",
        '…' => "...",
        '×' => "x",
        '│' => "|",
        '┌' | '┐' | '└' | '┘' | '┬' | '┴' => "+",
        '▼' => "v",
        '►' => ">",
        '◄' => "<",
        // Bars: half a block and more, and less.
        '█' | '▉' | '▊' | '▋' | '▌' => "#",
        '▍' | '▎' | '▏' => ".",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_without_utf_8_is_ascii() {
        for locale in [
            "C.UTF-8",
            "en_US.utf8",
            "de_CH.UTF-8@euro",
            "UTF-8",
            "C.Utf8",
        ] {
            assert_eq!(Charset::of_locale(locale), Charset::Utf8, "{locale}");
        }
        for locale in ["", "C", "POSIX", "en_US", "zh_CN.GB18030", "de_DE@euro"] {
            assert_eq!(Charset::of_locale(locale), Charset::Ascii, "{locale}");
        }
    }

    #[test]
    fn signs_become_ascii_and_letters_are_escaped() {
        let text = "≥5.2s – 12m… → ← █▎ café\\xff";
        assert_eq!(Charset::Utf8.text(text), text);
        assert_eq!(
            Charset::Ascii.text(text),
            ">=5.2s - 12m... -> <- #. caf\\u{e9}\\xff"
        );
        for text in [
            text,
            "",
            "a",
            "\u{80}\u{fff}\u{1000}\u{ffff}\u{10000}\u{10ffff}",
        ] {
            assert_eq!(ascii_len(text), Charset::Ascii.text(text).len(), "{text}");
        }
    }
}
