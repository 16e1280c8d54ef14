//! Texts from unread bytes: short ones only.

use crate::model::Name;

/// The longest text that is kept, in bytes.
const MOST: usize = 160;

/// A text, cut off between two characters if it is too long.
pub(super) fn cut(text: &[u8]) -> Name {
    // A byte that is not UTF-8 becomes three.
    let text = String::from_utf8_lossy(text.get(..MOST.saturating_add(1)).unwrap_or(text));
    if text.len() <= MOST {
        return text.as_ref().into();
    }
    let mut end = MOST;
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    format!("{}…", text.get(..end).unwrap_or_default()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_off_between_characters() {
        assert_eq!(cut(b"short").bytes(), b"short");
        assert_eq!(cut(&[b'a'; MOST]).bytes(), [b'a'; MOST]);
        let long = cut("ä".repeat(MOST).as_bytes());
        assert!(long.lossy().ends_with("ä…"), "{long}");
        assert!(long.bytes().len() <= MOST + 3, "{long}");
        let long = cut(format!("x{}", "ä".repeat(MOST)).as_bytes());
        assert!(long.lossy().ends_with("ä…"), "{long}");
        assert!(cut(&[0xff; 1000]).bytes().len() <= MOST + 3);
    }
}
