//! One step: a command that runs as printed, or an advice.

use std::fmt;

use unicode_width::UnicodeWidthStr;

use crate::model::Name;
use crate::renderer::frame::wrapped;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A command for a shell; the remark follows as a shell comment.
    Run {
        command: String,
        remark: Option<String>,
    },
    /// For a person.
    Advice(String),
}

impl Step {
    pub(super) fn run(command: impl Into<String>) -> Step {
        Step::Run {
            command: command.into(),
            remark: None,
        }
    }

    pub(super) fn advice(words: impl Into<String>) -> Step {
        Step::Advice(words.into())
    }

    /// Lines of at most `width` columns, which a shell joins to one. A remark that does not fit
    /// goes below.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let text = self.to_string();
        match self {
            _ if text.width() <= width => vec![text],
            Step::Run { command, remark } => {
                let remark = remark
                    .as_ref()
                    .map(|remark| wrapped(remark, Some(width), 2));
                let remark = remark.into_iter().flatten();
                let mut lines = broken(command, width);
                lines.extend(remark.map(|line| format!("# {line}")));
                lines
            }
            Step::Advice(words) => wrapped(words, Some(width), 0),
        }
    }

    /// Adds a remark to a command; several are joined.
    pub(super) fn with(self, remark: impl Into<String>) -> Step {
        match self {
            Step::Run {
                command,
                remark: before,
            } => {
                let remark = remark.into();
                Step::Run {
                    command,
                    remark: Some(match before {
                        Some(before) => format!("{before}; {remark}"),
                        None => remark,
                    }),
                }
            }
            Step::Advice(words) => Step::Advice(words),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Run {
                command,
                remark: Some(remark),
            } => write!(f, "{command}  # {remark}"),
            Step::Run { command, .. } => f.write_str(command),
            Step::Advice(words) => f.write_str(words),
        }
    }
}

/// A word for a shell, quoted if necessary.
pub(super) fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@%+,-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A name that needs no quotes in a shell; otherwise `None`.
pub(super) fn plain(name: &Name) -> Option<&str> {
    let text = std::str::from_utf8(name.bytes()).ok()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:@,=+-".contains(c);
    (!text.starts_with('-') && !text.is_empty() && text.chars().all(is_plain)).then_some(text)
}

/// A name in quotes if a shell needs them; `None` if a terminal would not show it as it is.
pub(super) fn quoted(name: &Name) -> Option<String> {
    if let Some(text) = plain(name) {
        return Some(text.to_owned());
    }
    let text = std::str::from_utf8(name.bytes()).ok()?;
    let is_shown = |c: char| c == ' ' || c.is_ascii_graphic() && c != '\'';
    (!text.starts_with('-') && text.chars().all(is_shown)).then(|| format!("'{text}'"))
}

/// A command in lines of at most `width` columns that a shell joins again; one that cannot be
/// broken is longer.
pub(super) fn broken(command: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut parts = parts(command).peekable();
    while let Some(part) = parts.next() {
        // A line that is not the last ends in a blank and a backslash.
        let end = if parts.peek().is_some() { 2 } else { 0 };
        if !line.is_empty() && line.width() + 1 + part.width() + end > width {
            line.push_str(" \\");
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(part);
    }
    lines.push(line);
    lines
}

/// The parts between unquoted blanks.
fn parts(command: &str) -> impl Iterator<Item = &str> {
    let mut quote = None;
    command.split(move |c: char| {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
        c == ' ' && quote.is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_to_a_shell_whatever_is_in_it() {
        assert_eq!(word("/proc/1/fd"), "/proc/1/fd");
        assert_eq!(word("http://[::1]:80/?a"), "'http://[::1]:80/?a'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word(""), "''");
    }

    #[test]
    fn a_path_is_written_as_a_shell_takes_it_or_not_at_all() {
        let written = |path: &str| quoted(&Name::new(path.as_bytes()));
        assert_eq!(written("/sys/fs/a.b-c").as_deref(), Some("/sys/fs/a.b-c"));
        assert_eq!(written("/a\\x2d b;c").as_deref(), Some("'/a\\x2d b;c'"));
        for hostile in ["-a b", "/a'b", "/a\nb", "/\u{1b}[31m", "/é"] {
            assert_eq!(written(hostile), None, "{hostile:?}");
        }
    }

    #[test]
    fn a_command_is_broken_where_a_shell_joins_it_again() {
        assert_eq!(broken("a b c", 5), ["a b c"]);
        assert_eq!(broken("aa bb cc", 7), ["aa bb \\", "cc"]);
        assert_eq!(
            broken("a 'b c d e f' g", 4),
            ["a \\", "'b c d e f' \\", "g"]
        );
    }

    #[test]
    fn remarks_are_comments_of_the_shell() {
        let step = Step::run("true").with("if it must").with("install true");
        assert_eq!(step.to_string(), "true  # if it must; install true");
        assert_eq!(Step::advice("wait").with("no").to_string(), "wait");
    }
}
