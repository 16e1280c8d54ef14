//! What a word that is not known was probably meant to be.

use super::error::Problem;
use super::key::KEYS;
use super::lexer::Word;
use crate::model::StateSet;
use crate::model::state::edit_distance;

/// The one of `known` that `word` is a slip of.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = word.to_ascii_lowercase();
    let most = match plain.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=20 => 2,
        _ => return None,
    };
    known
        .into_iter()
        .map(|known| (slips(&plain, known), known))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// How many slips of the hand lie between two words; two letters in the wrong order are one.
fn slips(a: &str, b: &str) -> usize {
    let differ: Vec<usize> = a
        .bytes()
        .zip(b.bytes())
        .enumerate()
        .filter(|(_, (a, b))| a != b)
        .map(|(at, _)| at)
        .collect();
    let (left, right) = (a.as_bytes(), b.as_bytes());
    match differ.as_slice() {
        [first, second]
            if first + 1 == *second
                && left.len() == right.len()
                && left.get(*first) == right.get(*second)
                && left.get(*second) == right.get(*first) =>
        {
            1
        }
        _ => edit_distance(a, b),
    }
}

/// A word that begins no condition, and what it was probably meant to be.
pub(super) fn unknown(word: &Word) -> Problem {
    let text = &word.text;
    let words = KEYS
        .iter()
        .map(|(name, _)| *name)
        .chain(["state", "exclude", "and", "or", "not"]);
    let problem = Problem {
        is_unknown: true,
        ..Problem::new(format!("{text:?} begins no condition"))
    };
    let spaced = spaced(text);
    if spaced != *text {
        return problem.hint(format!("blanks part the words, write `{spaced}`"));
    }
    if text.parse::<StateSet>().is_ok() {
        return problem.hint(format!("write `state {text}`"));
    }
    match nearest(text, words) {
        Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
        None => problem,
    }
}

/// The text with blanks around parentheses and operators.
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
    fn a_slip_finds_the_word_that_was_meant() {
        assert_eq!(nearest("spotr", ["sport", "dport"]), Some("sport"));
        assert_eq!(nearest("spxyt", ["sport", "dport"]), None);
        assert_eq!(nearest("sporrt", ["sport", "dport"]), Some("sport"));
        assert_eq!(nearest("SPORT", ["sport", "dport"]), Some("sport"));
        assert_eq!(nearest("xx", ["or"]), None);
    }

    #[test]
    fn words_that_stick_together_are_shown_apart() {
        assert_eq!(spaced("sport=:80"), "sport = :80");
        assert_eq!(spaced("((sport>=:80)"), "( ( sport >= :80 )");
        assert_eq!(spaced("sport"), "sport");
    }
}
