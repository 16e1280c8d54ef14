//! "Did you mean": the known word that a mistyped one is closest to.

/// The word of `known` that is within a slip or two of `word`; the first of several that are as
/// close. Case does not count. Two letters in the wrong order are one slip.
///
/// Short words allow fewer slips, because any two of them are close: none up to 2 letters, one up to
/// 5, two beyond that. A word of more than 20 letters is not a mistyped keyword.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let most = match word.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=20 => 2,
        _ => return None,
    };
    known
        .into_iter()
        .map(|known| (strsim::osa_distance(&word, known), known))
        .filter(|(slips, _)| *slips <= most)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, known)| known)
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
        assert_eq!(nearest("名前", ["or"]), None);
        assert_eq!(nearest(&"x".repeat(21), ["x"]), None);
    }
}
