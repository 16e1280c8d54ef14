//! The terminal: whether stdout is one, how wide it is, whether it wants colour; and the language and
//! charset of its user. Read once.

use std::io::IsTerminal;

use anstream::AutoStream;

use crate::explain::Language;
use crate::model::Charset;

/// Where the output goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    /// Its width in columns; `None` if stdout is not a terminal.
    pub width: Option<usize>,
    /// Its height in rows; `None` if stdout is not a terminal.
    pub height: Option<usize>,
    /// Whether stdout and the environment want colour.
    pub colour: bool,
    /// The characters of text, in a pipe too.
    pub charset: Charset,
    /// The language of the locale, if there are texts in it.
    pub language: Language,
}

impl Terminal {
    /// Looks at stdout.
    pub fn of_stdout() -> Terminal {
        let stdout = std::io::stdout();
        let size = rustix::termios::tcgetwinsize(&stdout).ok();
        // A terminal that does not know its size reports 0.
        let width = size.map(|size| match size.ws_col {
            0 => 80,
            columns => usize::from(columns),
        });
        let height = size.map(|size| match size.ws_row {
            0 => 24,
            rows => usize::from(rows),
        });
        // By convention 0 forces nothing, but anstream accepts any value.
        let not_forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value == "0");
        let colour = (stdout.is_terminal() || !not_forced)
            && AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        let charset = charset();
        Terminal {
            width,
            height,
            colour,
            charset,
            language: match charset {
                Charset::Utf8 => Language::of_locale(&locale("LC_MESSAGES")),
                Charset::Ascii => Language::default(),
            },
        }
    }

    /// A file in its place: neither cut nor coloured, in the same charset.
    pub fn file(self) -> Terminal {
        Terminal {
            width: None,
            height: None,
            colour: false,
            ..self
        }
    }
}

/// The charset of the locale.
pub fn charset() -> Charset {
    Charset::of_locale(&locale("LC_CTYPE"))
}

/// The locale of a category: the first variable that is set and not empty (locale(7)).
fn locale(category: &str) -> String {
    let variables = ["LC_ALL", category, "LANG"].into_iter();
    let mut set = variables.filter_map(std::env::var_os);
    let locale = set.find(|locale| !locale.is_empty()).unwrap_or_default();
    locale.to_string_lossy().into_owned()
}
