//! The terminal: whether stdout is one, how wide it is, whether it wants colour, and the language of
//! its user. Read once.

use std::io::IsTerminal;

use anstream::AutoStream;

use crate::explain::Language;

/// Where the output goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    /// Its width in columns; `None` if stdout is not a terminal.
    pub width: Option<usize>,
    /// Its height in rows; `None` if stdout is not a terminal.
    pub height: Option<usize>,
    /// Whether stdout and the environment want colour.
    pub colour: bool,
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
        // locale(7): the first that is set and not empty decides.
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .filter_map(std::env::var_os)
            .find(|locale| !locale.is_empty());
        let locale = locale.unwrap_or_default();
        Terminal {
            width,
            height,
            colour,
            language: Language::of_locale(&locale.to_string_lossy()),
        }
    }
}
