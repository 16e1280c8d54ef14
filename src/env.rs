//! The terminal: whether stdout is one, how wide it is, and whether it wants colour. Read once.

use std::io::IsTerminal;

use anstream::AutoStream;

/// Where the output goes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    /// Its width in columns; `None` if stdout is not a terminal.
    pub width: Option<usize>,
    /// Whether stdout and the environment want colour.
    pub colour: bool,
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
        // By convention 0 forces nothing, but anstream accepts any value.
        let not_forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value == "0");
        let colour = (stdout.is_terminal() || !not_forced)
            && AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
        Terminal { width, colour }
    }
}
