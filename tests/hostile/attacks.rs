//! Names that attack whoever reads them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// What a name may be: any bytes but NUL for most of them. `FORGED` begins a line that nobody wrote.
pub const NAMES: [&str; 63] = [
    // Lines.
    "\nFORGED",
    "\r\nFORGED",
    "\rFORGED",
    "\u{b}FORGED",
    "\u{c}FORGED",
    "\u{85}FORGED",
    "\u{2028}FORGED",
    "\u{2029}FORGED",
    "a\n\nFORGED",
    "\n",
    // What a terminal obeys: clear, move, title, clipboard, link, answer, reset, charset, C1.
    "\x1b[2J\x1b[H",
    "\x1b[1A\x1b[2K",
    "\x1b]0;owned\x07",
    "\x1b]2;owned\x1b\\",
    "\x1b]52;c;cm0gLXJmIC8=\x07",
    "\x1b]8;;http://x\x1b\\click\x1b]8;;\x1b\\",
    "\x1b[c",
    "\x1b[6n",
    "\x1bc",
    "\x1b(0",
    "\x1bP$q\"p\x1b\\",
    "\x1b[31;1mred\x1b[0m",
    "\x1b[8mhidden",
    "\u{9b}2J",
    "\u{9d}0;x\u{9c}",
    "\u{90}x\u{9c}",
    "\x0e",
    "\x07",
    "\x08\x08\x08gone",
    "\x7f",
    "\x1b",
    "\x05",
    // What turns the reading direction.
    "\u{202e}cod.exe",
    "\u{202d}x",
    "\u{202a}x\u{202c}",
    "\u{2066}x\u{2069}",
    "\u{2067}x",
    "\u{2068}x",
    "\u{200e}",
    "\u{200f}",
    "\u{61c}",
    // What is not seen, or looks like something else.
    "root\u{200b}",
    "root\u{200d}",
    "root\u{ad}",
    "root\u{34f}",
    "root\u{115f}",
    "root\u{1160}",
    "root\u{a0}",
    "root\u{3000}",
    "root\u{2800}",
    "root\u{3164}",
    "root\u{ffa0}",
    "root\u{2060}",
    "root\u{feff}",
    "root\u{fe0f}",
    "root\u{180e}",
    "\u{e0041}\u{e007f}",
    "\u{e000}",
    "\u{10fffd}",
    "\u{fffe}",
    // What other forms end with.
    "\"\n\x1b}",
    "',\"\\\r",
    "<\u{2003}>`$(x)`|\t",
];

/// The first character that may not reach a terminal, with what stands around it; colours of the
/// program aside, where there may be some. Said anew here, not asked of the program.
pub fn fault(text: &str, coloured: bool) -> Option<String> {
    let mut plain = text.to_owned();
    if coloured {
        for own in [
            "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m",
        ] {
            plain = plain.replace(own, "");
        }
    }
    let forged = |line: &&str| line.trim_start().starts_with("FORGED");
    if let Some(line) = plain.lines().find(forged) {
        return Some(format!("a line that nobody wrote: {line:?}"));
    }
    let (at, c) = plain
        .char_indices()
        .find(|(_, c)| *c != '\n' && is_hidden(*c))?;
    let around: String = plain[..at].chars().rev().take(60).collect();
    let around: String = around.chars().rev().collect();
    Some(format!("{c:?} after {around:?}"))
}

fn is_hidden(c: char) -> bool {
    static HIDDEN: LazyLock<BTreeSet<char>> = LazyLock::new(|| {
        let of_attacks = NAMES.iter().flat_map(|name| name.chars());
        of_attacks.filter(|c| !c.is_ascii()).collect()
    });
    match c {
        ' '..='~' => false,
        c => c.is_control() || c.is_whitespace() || HIDDEN.contains(&c),
    }
}
