//! Splits a filter into words. As in ss, only blanks separate words, and a backslash removes the
//! special meaning of the next character. Unlike in ss, a word may be quoted.

use std::ops::Range;

use super::error::{ParseError, Problem};

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Without quotes and backslashes.
    pub(super) text: String,
    /// As written, without the quotes around it.
    pub(super) raw: String,
    pub(super) quoted: bool,
    /// Its bytes in the filter, quotes included.
    pub(super) at: Range<usize>,
}

/// Splits a filter into words.
pub(super) fn words(text: &str) -> Result<Vec<Word>, ParseError> {
    let mut words = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        if is_blank(c) {
            continue;
        }
        let quoted = matches!(c, '"' | '\'');
        let mut word = Word {
            text: String::new(),
            raw: String::new(),
            quoted,
            at: start..text.len(),
        };
        if quoted {
            let mut closed = false;
            while let Some((_, next)) = chars.next() {
                match next {
                    next if next == c => {
                        closed = true;
                        break;
                    }
                    // Backslashes are kept for regular expressions; only a quote is escaped.
                    '\\' if chars.peek().is_some_and(|(_, behind)| *behind == c) => {
                        chars.next();
                        word.text.push(c);
                    }
                    other => word.text.push(other),
                }
            }
            word.raw.clone_from(&word.text);
            word.at.end = chars.peek().map_or(text.len(), |(end, _)| *end);
            if !closed {
                return Err(Problem::new(format!("unclosed {c}")).at(text, word.at));
            }
            if chars.peek().is_some_and(|(_, behind)| !is_blank(*behind)) {
                let end = word.at.end;
                return Err(
                    Problem::new("expected a space after the closing quote").at(text, end..end)
                );
            }
        } else {
            let mut next = Some(c);
            while let Some(c) = next {
                word.raw.push(c);
                if c == '\\' {
                    if let Some((_, escaped)) = chars.next() {
                        word.raw.push(escaped);
                        // Letters have no special meaning to remove: DOMAIN\user is a name.
                        if escaped.is_alphanumeric() {
                            word.text.push(c);
                        }
                        word.text.push(escaped);
                    }
                } else {
                    word.text.push(c);
                }
                word.at.end = chars.peek().map_or(text.len(), |(end, _)| *end);
                next = chars.next_if(|(_, c)| !is_blank(*c)).map(|(_, c)| c);
            }
        }
        words.push(word);
    }
    Ok(words)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let words = words(text).unwrap();
        for word in &words {
            assert!(text.get(word.at.clone()).is_some(), "{word:?}");
        }
        words.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn blanks_part_words_and_nothing_else_does() {
        assert_eq!(texts(" sport\t= :80  "), ["sport", "=", ":80"]);
        assert_eq!(texts("(sport=:80)"), ["(sport=:80)"]);
        assert_eq!(texts(""), [""; 0]);
    }

    #[test]
    fn a_backslash_takes_the_meaning_from_what_follows() {
        assert_eq!(texts(r"\( a\ b \) c\"), ["(", "a b", ")", "c"]);
        assert_eq!(words(r"^a\d+").unwrap()[0].raw, r"^a\d+");
        assert_eq!(texts(r"DOM\user 'DOM\user'"), [r"DOM\user", r"DOM\user"]);
    }

    #[test]
    fn quotes_keep_blanks_and_backslashes() {
        assert_eq!(
            texts(r#"program ~ "^my \d+" and"#),
            ["program", "~", r"^my \d+", "and"]
        );
        assert_eq!(texts(r#"'a "b" \'c'"#), [r#"a "b" 'c"#]);
        assert_eq!(texts(r#""""#), [""]);
        assert_eq!(
            words("a 'b").unwrap_err().to_string(),
            "unclosed '\n  a 'b\n    ^^"
        );
        assert!(words("'a'b").is_err());
    }
}
