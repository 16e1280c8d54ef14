//! Hints for a word that begins no condition.

use super::error::Problem;
use super::key::KEYS;
use super::lexer::Word;
use crate::model::{StateSet, nearest};

/// The error for a word that begins no condition, with a hint where one is likely to help.
pub(super) fn unknown(word: &Word) -> Problem {
    let text = &word.text;
    let words = KEYS
        .iter()
        .map(|(name, _)| *name)
        .chain(["state", "exclude", "and", "or", "not"]);
    let problem = Problem {
        is_unknown: true,
        ..Problem::new(format!("unknown condition {text:?}"))
    };
    let spaced = spaced(text);
    if spaced != *text {
        return problem.hint(format!("write `{spaced}`, with spaces"));
    }
    if text.parse::<StateSet>().is_ok() {
        return problem.hint(format!("write `state {text}`"));
    }
    match nearest(text, words) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem,
    }
}

/// The text with spaces around parentheses and operators.
fn spaced(text: &str) -> String {
    let is_mark = |c: char| matches!(c, '=' | '<' | '>' | '!' | '~' | '&' | '|');
    let mut spaced = String::new();
    let mut before = ' ';
    for c in text.chars() {
        let apart = matches!(c, '(' | ')') || matches!(before, '(' | ')');
        if before != ' ' && (apart || is_mark(before) != is_mark(c)) {
            spaced.push(' ');
        }
        spaced.push(c);
        before = c;
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_stick_together_are_shown_apart() {
        assert_eq!(spaced("sport=:80"), "sport = :80");
        assert_eq!(spaced("((sport>=:80)"), "( ( sport >= :80 )");
        assert_eq!(spaced("sport"), "sport");
    }
}
