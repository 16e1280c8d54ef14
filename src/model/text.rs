//! Text from other programs. It is kept as it was read and escaped when it is formatted. Only formats
//! with their own escaping (JSON, metrics, filters) use the raw text.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::escape;

/// A name or path from the system: any bytes except NUL.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(from = "Bytes", into = "Bytes")]
pub struct Name(Box<[u8]>);

/// A name in a recording: text if it is UTF-8, else an array of bytes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Bytes {
    Text(String),
    Raw(Vec<u8>),
}

impl From<Bytes> for Name {
    fn from(bytes: Bytes) -> Name {
        match bytes {
            Bytes::Text(text) => Name::new(text.into_bytes()),
            Bytes::Raw(raw) => Name::new(raw),
        }
    }
}

impl From<Name> for Bytes {
    fn from(name: Name) -> Bytes {
        match String::from_utf8(name.0.into_vec()) {
            Ok(text) => Bytes::Text(text),
            Err(error) => Bytes::Raw(error.into_bytes()),
        }
    }
}

impl Name {
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Name {
        Name(bytes.into())
    }

    /// The raw bytes; never for text that people read.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The raw text, with bytes that are not UTF-8 replaced; never for text that people read.
    pub fn lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Name {
        Name::new(text.as_bytes())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Name {
        Name::new(text.into_bytes())
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

/// Escaped on one line; a backslash is doubled.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&escape::text(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lossy(), f)
    }
}

/// A sentence of closewait that may contain names. From a recording, it may be any text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Words(Cow<'static, str>);

impl Words {
    /// As they are: never for a line that people read.
    pub fn raw(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&'static str> for Words {
    fn from(text: &'static str) -> Words {
        Words(text.into())
    }
}

impl From<String> for Words {
    fn from(text: String) -> Words {
        Words(text.into())
    }
}

impl From<Cow<'static, str>> for Words {
    fn from(text: Cow<'static, str>) -> Words {
        Words(text)
    }
}

/// Escaped on one line; a backslash stays single, because names in the sentence may be escaped
/// already.
impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&escape::line(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_chose_is_formatted_as_one_line() {
        let hostile = "a\nFORGED \u{202e}\x1b[2J";
        assert_eq!(
            format!("{}|{}", Name::from(hostile), Words::from(hostile)),
            "a\\nFORGED \\u{202e}\\x1b[2J|a\\nFORGED \\u{202e}\\x1b[2J"
        );
        let again = format!("{}", Name::from("a\n"));
        assert_eq!(Words::from(again.clone()).to_string(), again);
    }

    #[test]
    fn a_recording_has_them_as_text() {
        let name: Name = serde_json::from_str("\"a\\n\"").unwrap();
        assert_eq!(name.bytes(), b"a\n");
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"a\\n\"");
        let words: Words = serde_json::from_str("\"a\\n\"").unwrap();
        assert_eq!(words.raw(), "a\n");
        assert_eq!(serde_json::to_string(&words).unwrap(), "\"a\\n\"");
    }
}
