//! Colour, marks and width: how a table looks where it goes.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::model::Charset;

/// How to print for the place that the output goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Look {
    /// Write colours.
    pub colour: bool,
    /// Mark highlighted lines, with or without colour. Off in a pipe, so that columns can be
    /// counted.
    pub marks: bool,
    /// Cut to this many columns; `None` never cuts.
    pub width: Option<usize>,
    /// A terminal shows it.
    pub terminal: bool,
    /// The characters that it shows.
    pub charset: Charset,
}

/// The meaning of a text, which determines its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Heading,
    CloseWait,
    Quiet,
    Good,
    Info,
    Warning,
    Critical,
}

impl Role {
    pub const ALL: [Role; 7] = [
        Role::Heading,
        Role::CloseWait,
        Role::Quiet,
        Role::Good,
        Role::Info,
        Role::Warning,
        Role::Critical,
    ];
}

/// The mark before a highlighted line, and the blanks of the same width before the others.
pub const MARK: &str = "! ";
pub const NO_MARK: &str = "  ";

impl Look {
    /// Plain text of any width.
    pub fn plain() -> Look {
        Look {
            colour: false,
            marks: false,
            width: None,
            terminal: false,
            charset: Charset::Utf8,
        }
    }

    /// The text in the colour of its role, or plain.
    pub fn paint(self, role: Role, text: impl Display) -> String {
        if !self.colour {
            return text.to_string();
        }
        let style = style(role);
        format!("{style}{text}{style:#}")
    }

    /// The escape sequences around text of a role; empty without colour.
    pub fn around(self, role: Role) -> (String, String) {
        if !self.colour {
            return (String::new(), String::new());
        }
        let style = style(role);
        (style.render().to_string(), style.render_reset().to_string())
    }
}

fn style(role: Role) -> Style {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    match role {
        Role::Heading => Style::new().bold(),
        Role::CloseWait | Role::Warning => colour(AnsiColor::Yellow).bold(),
        Role::Quiet => Style::new().dimmed(),
        Role::Good => colour(AnsiColor::Green),
        Role::Info => colour(AnsiColor::Cyan),
        Role::Critical => colour(AnsiColor::Red).bold(),
    }
}

/// The mark of text that was cut.
pub const CUT: char = '…';

/// Cuts a text to `width` columns, with an ellipsis if it is longer.
pub fn cut(text: &mut String, width: usize) {
    if text.width() <= width {
        return;
    }
    let mut used = 1;
    let end = text.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > width
    });
    text.truncate(end.map_or(0, |(at, _)| at));
    text.push(CUT);
}

/// Cuts a text to `width` columns at its start: the end of an address is its port.
pub fn cut_start(text: &mut String, width: usize) {
    if text.width() <= width {
        return;
    }
    let mut start = text.len();
    let mut used = 1;
    for (at, c) in text.char_indices().rev() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        start = at;
    }
    text.drain(..start);
    text.insert(0, CUT);
}

/// Cuts the name of a namespace; `net:[4026532290]` differs at its end.
pub fn cut_namespace(label: &mut String, width: usize) {
    if label.width() <= width {
        return;
    }
    match label
        .strip_prefix("net:[")
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inode) => {
            *label = inode.to_owned();
            cut_start(label, width);
        }
        None => cut(label, width),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_columns_and_not_by_bytes() {
        let cut = |by: fn(&mut String, usize), text: &str, width| {
            let mut text = text.to_owned();
            by(&mut text, width);
            text
        };
        assert_eq!(cut(super::cut, "abcdef", 6), "abcdef");
        assert_eq!(cut(super::cut, "abcdef", 5), "abcd…");
        assert_eq!(cut(super::cut, "日本語日本語", 5), "日本…");
        assert_eq!(cut(super::cut, "", 0), "");
        assert_eq!(cut(cut_start, "to 10.0.0.5:3306", 10), "….0.5:3306");
        assert_eq!(cut(cut_start, "日本", 3), "…本");
        assert_eq!(cut(cut_namespace, "net:[4026532290]", 10), "4026532290");
        assert_eq!(
            cut(cut_namespace, "net:[4026532290]", 16),
            "net:[4026532290]"
        );
        assert_eq!(cut(cut_namespace, "net:[4026532290]", 8), "…6532290");
        assert_eq!(cut(cut_namespace, "a-namespace", 8), "a-names…");
    }
}
