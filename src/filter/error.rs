//! Errors of the filter language: what is wrong, where, and what was probably meant.

use std::fmt;
use std::ops::Range;

use unicode_width::UnicodeWidthChar;

/// A filter that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    text: String,
    /// The bytes of `text` that are wrong; empty, at its end, if something is missing there.
    at: Range<usize>,
    problem: Problem,
}

/// What is wrong with a word, and what to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) what: String,
    pub(super) hint: Option<String>,
    /// Whether a condition should begin here, and none begins with this word.
    pub(super) is_unknown: bool,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>) -> Problem {
        Problem {
            what: what.into(),
            hint: None,
            is_unknown: false,
        }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Problem {
        Problem {
            hint: Some(hint.into()),
            ..self
        }
    }

    pub(super) fn at(self, text: &str, at: Range<usize>) -> ParseError {
        ParseError {
            text: text.to_owned(),
            at,
            problem: self,
        }
    }
}

impl ParseError {
    /// The unknown word at the start of a condition, and whether the filter begins with it: it may be
    /// a mistyped command.
    pub fn unknown(&self) -> Option<(&str, bool)> {
        let (before, word, _) = self.parts();
        let is_first = before.trim().is_empty();
        self.problem.is_unknown.then_some((word, is_first))
    }

    /// The text before what is wrong, what is wrong, and the text after it.
    fn parts(&self) -> (&str, &str, &str) {
        let part = |range: Range<usize>| self.text.get(range).unwrap_or_default();
        let Range { start, end } = self.at;
        (part(0..start), part(start..end), part(end..self.text.len()))
    }

    /// Whether the error has a hint.
    pub fn has_hint(&self) -> bool {
        self.problem.hint.is_some()
    }

    /// Replaces the hint.
    #[must_use]
    pub fn with_hint(mut self, hint: String) -> ParseError {
        self.problem.hint = Some(hint);
        self
    }

    /// What is wrong, on one line, without the hint.
    pub fn problem(&self) -> &str {
        &self.problem.what
    }

    /// The bytes of the filter that are wrong.
    pub fn span(&self) -> Range<usize> {
        self.at.clone()
    }
}

/// How many characters of a long filter are shown before and after the error.
const CONTEXT: usize = 100;

/// ```text
/// unknown state "CLOSE_WIAT": did you mean CLOSE_WAIT?
///   state CLOSE_WIAT
///         ^^^^^^^^^^
/// ```
impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.what)?;
        match &self.problem.hint {
            Some(hint) => write!(f, ": {hint}")?,
            None if self.problem.is_unknown => {
                f.write_str(": try `state close-wait`, `sport = :80`, `dst 10.0.0.0/8`")?;
            }
            None => {}
        }
        let (before, wrong, after) = self.parts();
        let skipped = before.chars().count().saturating_sub(CONTEXT);
        let mut line: String = before.chars().skip(skipped).map(shown).collect();
        if skipped > 0 {
            line.insert(0, '…');
        }
        let margin = width(&line);
        line.extend(wrong.chars().take(CONTEXT).map(shown));
        let marked = width(&line) - margin;
        line.extend(after.chars().take(CONTEXT).map(shown));
        let caret = "^".repeat(marked.max(1));
        write!(f, "\n  {}\n  {:margin$}{caret}", line.trim_end(), "")
    }
}

impl std::error::Error for ParseError {}

/// The character itself, or a replacement if it would move or hide other text on a terminal.
fn shown(c: char) -> char {
    match c {
        '\t' | '\n' => ' ',
        c if c.width().is_none_or(|width| width == 0) || is_bidi(c) => '\u{fffd}',
        c => c,
    }
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn width(line: &str) -> usize {
    line.chars().filter_map(UnicodeWidthChar::width).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_what_is_wrong() {
        let text = "dst 10.0.0.0/8 and sate x";
        let error = Problem::new("no term").at(text, 19..23);
        assert_eq!(
            error.to_string(),
            "no term\n  dst 10.0.0.0/8 and sate x\n                     ^^^^"
        );
    }

    #[test]
    fn what_is_missing_is_missed_at_the_end() {
        let error = Problem::new("expected a port")
            .hint("write :80")
            .at("sport = ", 8..8);
        assert_eq!(
            error.to_string(),
            "expected a port: write :80\n  sport =\n          ^"
        );
    }

    #[test]
    fn a_long_or_hostile_text_is_shown_on_one_line_and_in_part() {
        let text = format!("{}\u{1b}[31m\u{202e} x", "名 ".repeat(300));
        let start = text.len() - 1;
        let shown = Problem::new("no").at(&text, start..start + 1).to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("  …"), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
        assert_eq!(width(lines[1]), width(lines[2]));
    }
}
